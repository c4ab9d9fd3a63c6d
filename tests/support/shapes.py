"""Hypothesis strategies for whatever ``skerry_contract.shape`` can read: any document, made up."""

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from hypothesis import strategies as st

from skerry_contract.shape import Range, Size, Text, hints_of, kinds_of

FEW = 3
"""Most items of a list or mapping that is made up, unless more are needed."""

texts = st.text(st.characters(codec="utf-8"), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=FEW) | st.dictionaries(texts, inner, max_size=FEW),
    max_leaves=6,
)  # fmt: skip


def documents(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Make up values of a dataclass of the contract, within its limits."""
    return _values(kind, None)


def _values(kind: Any, limit: Any) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _values(arguments[0], arguments[1])
    if kind is Any:
        return json_values
    if origin in (typing.Union, types.UnionType):
        kinds = kinds_of(kind)
        found = st.one_of([_values(one, limit) for one in kinds])
        return st.none() | found if len(kinds) < len(arguments) else found
    if origin is Literal:
        return st.sampled_from(arguments)
    size = limit if isinstance(limit, Size) else Size()
    most = min(size.high, max(size.low, FEW))
    if origin is tuple:
        items = st.lists(_values(arguments[0], None), min_size=size.low, max_size=most)
        return items.map(tuple)
    if origin is Mapping:
        keys = _values(str, size.keys)
        values = _values(arguments[1], None)
        return st.dictionaries(keys, values, min_size=size.low, max_size=most)
    if dataclasses.is_dataclass(kind):
        return _instances(kind)
    return _scalars(kind, limit)


def _instances(kind: Any) -> st.SearchStrategy[Any]:
    hints = hints_of(kind)
    return st.builds(
        kind, **{field.name: _values(hints[field.name], None) for field in dataclasses.fields(kind)}
    )


def _scalars(kind: Any, limit: Any) -> st.SearchStrategy[Any]:
    if kind is bool:
        return st.booleans()
    if kind is str:
        text = limit if isinstance(limit, Text) else Text()
        if text.pattern is None:
            return st.text(st.characters(codec="utf-8"), max_size=min(20, text.max_length))
        found = st.from_regex(re.compile(text.pattern, re.ASCII), fullmatch=True)
        return found.filter(lambda value: len(value) <= text.max_length)
    bounds = limit if isinstance(limit, Range) else Range()
    if kind is int:
        return st.integers(bounds.low, bounds.high)  # type: ignore[arg-type] # bounds of ints are ints
    return st.floats(bounds.low, bounds.high, allow_nan=False, allow_infinity=False)
