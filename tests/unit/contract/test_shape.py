"""Reading JSON into values: every kind, every limit, and everything that is thrown at it."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_contract import shape
from skerry_contract.errors import ContractError
from skerry_contract.manifest import Manifest
from skerry_contract.messages import Batch, Health, Item, Reported
from skerry_contract.shape import Range, Size, Text
from support.shapes import documents, json_values


@dataclass(frozen=True, slots=True)
class Inner:
    n: Annotated[int, Range(0, 10)] = 0


@dataclass(frozen=True, slots=True)
class Every:
    """One field of each kind.

    Attributes:
        text: A word,
            on two lines.
        count: How many.
    """

    text: str = "x"
    word: Annotated[str, Text("[a-z]+", 5, "a word")] = "word"
    count: int = 0
    few: Annotated[int, Range(1, 100_000)] = 1
    number: float = 0.0
    share: Annotated[float, Range(0, 1)] = 0.5
    flag: bool = False
    choice: Literal["red", "green"] = "red"
    schema: Literal[1] = 1
    maybe: Annotated[int, Range(5)] | None = None
    items: Annotated[tuple[Inner, ...], Size(0, 2)] = ()
    named: Annotated[Mapping[str, Inner], Size(0, 2, Text("[a-z]+", 3, "a key"))] = field(
        default_factory=dict
    )
    whatever: Any = None


@dataclass(frozen=True, slots=True)
class Needed:
    inner: Inner
    data: Any


def refused(value: Any, kind: type[Any] = Every, *, strict: bool = False) -> ContractError:
    with pytest.raises(ContractError) as caught:
        shape.read(kind, value, strict=strict)
    return caught.value


GOOD: list[tuple[str, Any, Any]] = [
    ("text", "", ""),
    ("text", "x" * 4096, "x" * 4096),
    ("word", "abcde", "abcde"),
    ("count", -(10**30), -(10**30)),
    ("few", 1, 1),
    ("few", 100_000, 100_000),
    ("number", 3, 3.0),
    ("number", -0.5, -0.5),
    ("share", 1, 1.0),
    ("flag", True, True),
    ("choice", "green", "green"),
    ("schema", 1, 1),
    ("maybe", None, None),
    ("maybe", 5, 5),
    ("count", None, 0),
    ("items", [], ()),
    ("items", [{"n": 1}, {}], (Inner(1), Inner())),
    ("named", {"abc": {"n": 2}}, {"abc": Inner(2)}),
    ("whatever", {"a": [None, 1.5]}, {"a": [None, 1.5]}),
]


@pytest.mark.parametrize(("name", "given_value", "expected"), GOOD)
def test_a_good_field_is_read_as_its_type(name: str, given_value: Any, expected: Any) -> None:
    found = getattr(shape.read(Every, {name: given_value}), name)
    assert found == expected
    assert type(found) is type(expected)


BAD: list[tuple[Any, str, str]] = [
    ({"text": 1}, "text", "expected text, got 1"),
    ({"text": ["a"]}, "text", "expected text, got a list"),
    ({"text": {}}, "text", "expected text, got an object"),
    ({"text": "x" * 4097}, "text", "4097 characters, at most 4096 allowed"),
    ({"text": "\ud800"}, "text", "half a surrogate pair"),
    ({"word": "Word"}, "word", 'expected a word, got "Word"'),
    ({"word": "word\n"}, "word", "expected a word"),
    ({"word": "abcdef"}, "word", "6 characters, at most 5 allowed"),
    ({"count": True}, "count", "expected a whole number, got true"),
    ({"count": 1.0}, "count", "expected a whole number, got 1.0"),
    ({"count": "1"}, "count", 'expected a whole number, got "1"'),
    ({"few": 0}, "few", "must be at least 1, got 0"),
    ({"few": 1_234_567}, "few", "must be at most 100000, got 1234567"),
    ({"few": 10**400}, "few", "must be at most 100000, got 1000"),
    ({"few": -(10**400)}, "few", "must be at least 1, got -1000"),
    ({"few": 1 << 60_000}, "few", "must be at most 100000, got what cannot be shown"),
    ({"number": True}, "number", "expected a number, got true"),
    ({"number": "1"}, "number", "expected a number"),
    ({"number": float("nan")}, "number", "expected a number, got NaN"),
    ({"number": float("inf")}, "number", "expected a number, got Infinity"),
    ({"number": 10**400}, "number", "expected a number, got 1000"),
    ({"share": 1.5}, "share", "must be at most 1, got 1.5"),
    ({"share": -1}, "share", "must be at least 0, got -1.0"),
    ({"flag": 1}, "flag", "expected true/false, got 1"),
    ({"flag": "yes"}, "flag", "expected true/false"),
    ({"choice": "blue"}, "choice", 'expected one of red, green, got "blue"'),
    ({"choice": ["red"]}, "choice", "expected one of red, green"),
    ({"schema": True}, "schema", "expected one of 1, got true"),
    ({"schema": 1.0}, "schema", "expected one of 1, got 1.0"),
    ({"schema": 2}, "schema", "expected one of 1, got 2"),
    ({"maybe": 4}, "maybe", "must be at least 5"),
    ({"items": {}}, "items", "expected a list, got an object"),
    ({"items": "ab"}, "items", 'expected a list, got "ab"'),
    ({"items": [{}, {}, {}]}, "items", "3 entries, expected 0 to 2"),
    ({"items": [{}, {"n": 11}]}, "items[1].n", "must be at most 10, got 11"),
    ({"items": [None]}, "items[0]", "expected an object, got nothing"),
    ({"named": []}, "named", "expected an object, got a list"),
    ({"named": {"a": {}, "b": {}, "c": {}}}, "named", "3 entries, expected 0 to 2"),
    ({"named": {"A": {}}}, "named.A", 'expected a key, got "A"'),
    ({"named": {"abcd": {}}}, "named.abcd", "4 characters, at most 3 allowed"),
    ({"named": {7: {}}}, "named.7", "expected text, got 7"),
    ({"named": {"a": {"n": -1}}}, "named.a.n", "must be at least 0, got -1"),
    ([], "", "expected an object, got a list"),
    (None, "", "expected an object, got nothing"),
]


@pytest.mark.parametrize(("value", "path", "reason"), BAD)
def test_a_wrong_field_is_named_with_path_and_reason(value: Any, path: str, reason: str) -> None:
    error = refused(value)
    assert str(error).startswith(f"{path}: " if path else reason)
    assert reason in error.reason
    assert len(str(error)) < 300


def test_a_required_field_must_be_there_and_only_any_may_be_null() -> None:
    assert str(refused({"data": 1}, Needed)) == "inner: is missing"
    assert str(refused({"data": 1, "inner": None}, Needed)) == "inner: is missing"
    assert str(refused({"inner": {}}, Needed)) == "data: is missing"
    assert shape.read(Needed, {"inner": {}, "data": None}) == Needed(Inner(), None)


def test_a_result_of_nothing_survives_the_way_through_a_batch() -> None:
    batch = Batch("b1", 1, (Item(1, "t", None),))
    data = shape.dump(batch)
    assert b'"data":null' in data
    assert shape.parse(Batch, data, max_bytes=1000) == batch


def test_unknown_fields_are_ignored_on_the_wire_and_refused_in_files() -> None:
    value = {"inner": {"m": 1}, "data": 1, "more": 2}
    assert shape.read(Needed, value) == Needed(Inner(), 1)
    assert "unknown field" in refused(value, Needed, strict=True).reason


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"chioce": "red"}, "chioce: unknown field; did you mean 'choice'?"),
        ({"items": [{"nn": 1}]}, "items[0].nn: unknown field; did you mean 'n'?"),
        ({"named": {"a": {"zzz": 1}}}, "named.a.zzz: unknown field; known here: n"),
        ({7: 1}, "7: unknown field; known here: text, word"),
    ],
)
def test_an_unknown_field_comes_with_a_guess_of_what_was_meant(value: Any, text: str) -> None:
    assert str(refused(value, strict=True)).startswith(text)


def test_a_list_that_contains_itself_is_refused_and_not_followed() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "what cannot be shown (list)" in refused({"choice": endless}).reason


def test_the_subject_stands_in_front_of_the_path() -> None:
    with pytest.raises(ContractError, match=re.escape("thing: items[0].n: expected a whole")):
        shape.parse(Every, b'{"items":[{"n":"x"}]}', max_bytes=100, subject="thing")


# --- bytes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"\xff", "not JSON"),
        (b'"\xc3"', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ('{"a":1}'.encode("utf-16"), "not JSON"),
        (b'"\xed\xa0\x80"', "not JSON"),
        (rb'{"a":"\ud800"}', "not JSON"),
        (rb'{"\uDFFF":1}', "not JSON"),
        (rb'{"a":["\udc00\ud800"]}', "not JSON"),
        (b'{"a":1,"a":1}', "a key stands twice"),
        (b'{"b":{"a":1,"\\u0061":2}}', "a key stands twice"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"[1e999]", "1e999 is too large"),
        (b"[-1e999]", "-1e999 is too large"),
        (b"1" * 5000, "not JSON"),
        (b"[" * 33 + b"]" * 33, "nested deeper than 32"),
        (b"[" * 10_000, "nested deeper than 32"),
        (b'{"a":' * 10_000, "nested deeper than 32"),
        (b'["\\"",' + b"[" * 10_000, "nested deeper than 32"),
        (b'"' + b"[" * 10_000, "not JSON"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_bytes_that_are_not_such_json_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        shape.load(data, max_bytes=1_000_000)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b" [1] ", [1]),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\\ud800"', r"\ud800"),
        (b'["' + b"[{" * 10_000 + b'"]', ["[{" * 10_000]),
        (rb'["\"[[[", "\\", "]"]', ['"[[[', "\\", "]"]),
        (b"[" * 32 + b"]" * 32, json.loads("[" * 32 + "]" * 32)),
        (b"[" + b"{}," * 5000 + b"[]]", [*({} for _ in range(5000)), []]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_odd_but_good_json_is_read(data: bytes, value: Any) -> None:
    assert shape.load(data, max_bytes=1_000_000) == value


def test_a_document_of_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    assert shape.load(b"[1]", max_bytes=3) == [1]
    with pytest.raises(ContractError, match="4 bytes, at most 3 allowed"):
        shape.load(b"[1] ", max_bytes=3)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", [b'\\"', b'"', b"\\", b'"\\', b'\\"[', b"[]"])
def test_no_row_of_quotes_takes_more_than_linear_time(unit: bytes) -> None:
    """Where each quote is tried as a beginning, this takes minutes."""
    for data in (b'"' + unit * 100_000, unit * 100_000):
        with pytest.raises(ContractError):
            shape.load(data, max_bytes=1_000_000)


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:\\u0d8e1-.tfn ').map(str.encode))
def test_any_bytes_are_read_or_refused_and_what_is_read_can_be_written(data: bytes) -> None:
    try:
        value = shape.load(data, max_bytes=1000)
    except ContractError:
        return
    again = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    assert shape.load(again, max_bytes=10_000) == value


@given(json_values)
def test_no_value_makes_reading_fail_otherwise_than_by_a_contract_error(value: Any) -> None:
    for kind in (Every, Manifest, Reported, Health, Batch):
        for strict in (False, True):
            with suppress(ContractError):
                shape.read(kind, value, strict=strict)


# --- there and back ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Every, Manifest, Reported, Health, Batch])
def test_what_is_written_is_read_back_the_same(kind: type[Any]) -> None:
    @given(documents(kind))
    def check(value: Any) -> None:
        assert shape.read(kind, shape.write(value), strict=True) == value
        assert shape.parse(kind, shape.dump(value), max_bytes=1_000_000) == value

    check()


def test_what_is_none_is_left_out_and_mappings_are_plain() -> None:
    written = shape.write(Every(named={"a": Inner(3)}, items=(Inner(),)))
    assert "maybe" not in written
    assert (written["named"], written["items"]) == ({"a": {"n": 3}}, [{"n": 0}])


def test_dumping_is_compact_and_never_fails_over_the_name_of_a_file() -> None:
    assert shape.dump({"a": [1, "é"]}) == '{"a":[1,"é"]}'.encode()
    assert shape.dump({"file": "a\udcff.png"}) == b'{"file":"a?.png"}'


def test_the_words_of_a_docstring_belong_to_their_fields() -> None:
    assert shape.field_docs(Every) == {"text": "A word, on two lines.", "count": "How many."}
