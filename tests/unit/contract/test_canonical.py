"""Canonical JSON: the same bytes as the reference implementation, or a refusal."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from securesystemslib.formats import encode_canonical

from skerry_contract import canonical
from skerry_contract.errors import ContractError

# Lone surrogates and control characters included: text as JSON can bring it.
anything = st.text(st.characters(), max_size=8)
whole_values = st.recursive(
    st.none() | st.booleans() | st.integers() | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=12,
)


@given(whole_values)
@example({"\ue000": 1, "\U00010000": 2})  # in UTF-16 they would sort the other way round
@example({"b": 1, "a": 2, "": 3})
@example('\x00\x1f\x7f"\\/é\u2028')
@example("\ud800")
@example({"\udfff": 1})
def test_it_writes_what_the_reference_writes(value: Any) -> None:
    expected = str(encode_canonical(value))
    try:
        data = expected.encode("utf-8")
    except UnicodeEncodeError:
        with pytest.raises(ContractError, match="surrogate"):
            canonical.encode(value)
    else:
        assert canonical.encode(value) == data


@given(whole_values)
def test_the_order_of_keys_does_not_matter(value: Any) -> None:
    def turned(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: turned(part[key]) for key in reversed(part)}
        return [turned(item) for item in part] if isinstance(part, list) else part

    try:
        data = canonical.encode(value)
    except ContractError:
        return
    assert canonical.encode(turned(value)) == data


@given(st.recursive(
    st.none() | st.booleans() | st.integers()
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('ab"\\é'), inner),
    max_leaves=12,
))  # fmt: skip
def test_without_control_characters_it_is_json_that_says_the_same(value: Any) -> None:
    assert json.loads(canonical.encode(value)) == value


@pytest.mark.parametrize(
    "value",
    [0.5, 1.0, float("nan"), [0.5], {"a": {"b": 1.5}}, b"x", {1: 2}, {"a": {1}}, object()],
    ids=repr,
)
def test_fractions_and_strangers_cannot_be_signed(value: Any) -> None:
    with pytest.raises(ContractError, match="cannot be signed"):
        canonical.encode(value)
