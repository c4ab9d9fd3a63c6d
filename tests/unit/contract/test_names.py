"""Names: what is accepted holds nothing that a topic, a path or a label would have to escape."""

import re
import string
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skerry_contract.errors import NameInvalidError
from skerry_contract.names import (
    MODULE,
    Reference,
    check_device_id,
    check_digest,
    check_name,
    parse_reference,
)

DIGEST = f"sha256:{'0a' * 32}"
ALPHABET = frozenset(string.ascii_lowercase + string.digits + "-")
ODD = [
    "",
    "-abc",
    "Abc",
    "abc\n",
    "\nabc",
    "abc ",
    "a b c",
    "a+bc",
    "a#bc",
    "a/bc",
    "../a",
    "a.bc",
    "a_bc",
    "a:bc",
    "abc\0",
    "ab\u0663",  # a digit, but not one of ASCII
    "ab\uff41",  # a full-width a
    "abç",
    "ab\u212a",  # the Kelvin sign, which lower() makes a k
    "a" * 64,
    "a" * 100_000,
]


@pytest.mark.parametrize("text", ["abc", "0-9", "porch-camera", "abc-", "a--b", "a" * 63])
def test_good_ids_pass_unchanged(text: str) -> None:
    assert check_device_id(text) == text
    assert check_name(text) == text


@pytest.mark.parametrize("text", ["a", "0", "a-"])
def test_a_name_may_be_shorter_than_an_id(text: str) -> None:
    assert check_name(text) == text
    with pytest.raises(NameInvalidError, match="is no id"):
        check_device_id(text)


@pytest.mark.parametrize("text", ODD, ids=lambda text: repr(text)[:20])
@pytest.mark.parametrize("check", [check_device_id, check_name, check_digest, parse_reference])
def test_odd_spellings_are_refused_with_a_remedy(check: Callable[[str], object], text: str) -> None:
    with pytest.raises(NameInvalidError) as caught:
        check(text)
    assert caught.value.remedy.startswith("Use ")
    assert len(caught.value.text) < 1000


@pytest.mark.parametrize(
    "text",
    [
        DIGEST + "0",
        DIGEST[:-1],
        DIGEST + "\n",
        DIGEST.upper(),
        DIGEST.replace("a", "A"),
        DIGEST.replace("0", "\u0660"),
        DIGEST.replace("sha256", "sha512"),
        DIGEST.removeprefix("sha256:"),
        DIGEST[:-1] + "g",
    ],
)
def test_odd_digests_are_refused(text: str) -> None:
    with pytest.raises(NameInvalidError, match="is no digest"):
        check_digest(text)


def test_a_digest_passes_unchanged() -> None:
    assert check_digest(DIGEST) == DIGEST


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("sentiment:1", Reference("sentiment", 1)),
        ("a:999999999", Reference("a", 999_999_999)),
        ("a-1:20", Reference("a-1", 20)),
    ],
)
def test_a_reference_is_read_and_written_alike(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference
    assert str(reference) == text


@pytest.mark.parametrize(
    "text",
    ["a", "a:", ":1", "a:0", "a:01", "a:-1", "a:1.0", "a:1000000000", "a:1\n", "a:1:1", "a:\u0661"],
)
def test_odd_references_are_refused(text: str) -> None:
    with pytest.raises(NameInvalidError, match="is no reference"):
        parse_reference(text)


def test_references_sort_by_number_and_not_by_text() -> None:
    assert parse_reference("a:9") < parse_reference("a:10")


@pytest.mark.parametrize("text", ["events", "event-1", "an-event", "even", "e"])
def test_only_the_very_name_event_is_kept_from_modules(text: str) -> None:
    assert re.fullmatch(MODULE, text)
    assert not re.fullmatch(MODULE, "event")


@given(st.one_of(st.text(max_size=70), st.text(alphabet="ab0-+#/.\n\u0660", max_size=70)))
@example("abc\n")
def test_no_accepted_name_holds_anything_but_the_alphabet(text: str) -> None:
    for check in (check_device_id, check_name):
        try:
            accepted = check(text)
        except NameInvalidError:
            continue
        assert set(accepted) <= ALPHABET
        assert 1 <= len(accepted) <= 63
        assert not accepted.startswith("-")
