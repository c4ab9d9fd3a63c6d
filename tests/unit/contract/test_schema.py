"""The JSON Schema of a document and ``read`` say the same of every document.

The published schema is written for validators that follow ECMA-262, where ``$`` is the very end;
the validator here is Python's, so its ``pattern`` is mended first.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_contract import shape
from skerry_contract.errors import ContractError
from skerry_contract.manifest import Manifest
from skerry_contract.messages import Ack, Batch, Caps, Health, Reported, State
from support.shapes import documents, json_values

KINDS: list[type[Any]] = [Manifest, Reported, State, Caps, Health, Batch, Ack]


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value, re.ASCII):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


_Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _pattern})


def validator_of(kind: type[Any], *, strict: bool = True) -> Any:
    return _Validator(shape.schema(kind, title=kind.__name__, strict=strict))


def is_read(kind: type[Any], value: Any, *, strict: bool = True) -> bool:
    try:
        shape.read(kind, value, strict=strict)
    except ContractError:
        return False
    return True


def tells_apart(value: Any) -> bool:
    """Return whether JSON Schema sees what ``read`` sees; ``shape`` says where it does not."""
    return not (value is None or (isinstance(value, float) and value.is_integer()))


LEAVES = st.one_of(
    st.sampled_from([0, 1, -1, 2, 0.5, 2**53, 2**63, True, False, "", "a", "abc", "event", "A"]),
    st.sampled_from(["a\n", "x:1", "x:0", "a/b", "../a", "\u0660", "a" * 64, [], {}, [{}], [1]]),
    json_values.filter(lambda value: not isinstance(value, list | dict) and tells_apart(value)),
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container in ``value`` with each of its keys or indexes."""
    keys: Any = list(value) if isinstance(value, dict) else []
    keys = list(range(len(value))) if isinstance(value, list) else keys
    for key in keys:
        yield value, key
        yield from places(value[key])


SIZES = [0, 1, 2, 16, 17, 50, 51, 63, 64, 100, 101, 1000, 1001, 2000, 2001, 4096, 4097]


def resized(value: Any, size: int) -> Any:
    """Return text, list or mapping made of ``size`` times what stands first in it."""
    if isinstance(value, str):
        return (value[:1] or "a") * size
    if isinstance(value, list):
        return [value[0] if value else {}] * size
    first: Any = next(iter(value.values()), {})
    return {f"a{n}": first for n in range(size)}


def mutate(draw: Any, value: Any) -> Any:
    """Return a document with something replaced, left out or added somewhere."""
    result = copy.deepcopy(value)
    container, key = draw(st.sampled_from(list(places(result))))
    match draw(st.sampled_from(["replace", "remove", "add", "double", "resize"])):
        case "replace":
            container[key] = draw(LEAVES)
        case "remove":
            del container[key]
        case "add" if isinstance(container, dict):
            container[draw(st.sampled_from(["more", "Event", "event", "a", "a\n"]))] = draw(LEAVES)
        case "double" if isinstance(container, list):
            container.append(container[key])
        case "resize" if isinstance(container[key], str | list | dict):
            container[key] = resized(container[key], draw(st.sampled_from(SIZES)))
        case _:
            pass
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_is_a_schema(kind: type[Any]) -> None:
    for strict in (False, True):
        described = shape.schema(kind, title="x", strict=strict)
        jsonschema.Draft202012Validator.check_schema(described)


@pytest.mark.parametrize("kind", KINDS)
def test_schema_and_reader_agree_on_good_and_on_damaged_documents(kind: type[Any]) -> None:
    validator, lenient = validator_of(kind), validator_of(kind, strict=False)

    @given(documents(kind), st.data())
    def check(document: Any, data: st.DataObject) -> None:
        value = shape.write(document)
        assert validator.is_valid(value)
        for _ in range(data.draw(st.integers(1, 3))):
            value = mutate(data.draw, value) if value else value
        assert validator.is_valid(value) == is_read(kind, value), value
        assert lenient.is_valid(value) == is_read(kind, value, strict=False), value

    check()


SHORT = {"name": "a", "target": {"devices": ["abc"]}, "modules": {}}


@pytest.mark.parametrize(
    ("more", "read", "valid"),
    [
        ({"description": None}, True, False),
        ({"schema": 1.0}, False, True),
        ({"description": "\ud800"}, False, True),
    ],
    ids=["null counts as left out", "1.0 is no whole number", "half a pair is no text"],
)
def test_schema_and_reader_differ_where_the_docstring_says_so(
    more: dict[str, Any], *, read: bool, valid: bool
) -> None:
    value = {**SHORT, **more}
    assert is_read(Manifest, value) == read
    assert validator_of(Manifest).is_valid(value) == valid
