"""JSON documents as frozen dataclasses: read them, write them, describe them as JSON Schema.

One dataclass is the whole truth about a document. ``read`` checks outside bytes against it and
names the path of the first wrong field; ``write`` gives back plain JSON values; ``schema`` is the
same rules as a JSON Schema (draft 2020-12) for other people's tools. The types understood are
``str int float bool``, ``Literal``, ``X | None``, unions of dataclasses (told apart by the first
field of each), ``tuple[X, ...]``, ``Mapping[str, X]``, other
such dataclasses, and ``Any`` for JSON that is passed on unread. Limits hang on ``Annotated``.

On the wire unknown fields are ignored, so that an older side understands a newer one; in files
that people write they are refused (``strict``), so that a typing error is not silently dropped.

``read`` and ``schema`` agree but for three things that JSON Schema does not tell apart: a field
that is null counts as left out, ``1.0`` is no whole number, and half a surrogate pair is no text.
"""

import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from skerry_contract.errors import ContractError

T = TypeVar("T")
Path = tuple[str | int, ...]

MAX_DEPTH = 32
"""Nesting above which a document is refused before anything looks at it."""


@dataclass(frozen=True, slots=True)
class Text:
    """Limits of a string: a whole-match pattern and a length in characters."""

    pattern: str | None = None
    max_length: int = 4096
    what: str = ""


@dataclass(frozen=True, slots=True)
class Range:
    """Inclusive bounds of a number."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """Inclusive bounds of the number of items of a tuple or mapping, and the form of its keys."""

    low: int = 0
    high: int = 10_000
    keys: Text | None = None


def parse(kind: type[T], data: bytes, *, max_bytes: int, subject: str = "") -> T:
    """Read a JSON document of at most ``max_bytes`` bytes from outside.

    Args:
        kind: Dataclass that the document must have the shape of.
        data: The bytes as they came.
        max_bytes: Refuse more than this before parsing, above 0.
        subject: What the document is, for the error's text.

    Raises:
        ContractError: Too large, not UTF-8, not JSON, nested too deeply, or a field is wrong.
    """
    return read(kind, load(data, max_bytes=max_bytes, subject=subject), subject=subject)


def load(data: bytes, *, max_bytes: int, subject: str = "") -> Any:
    """Parse JSON bytes under limits, refusing what cannot be written again as JSON in UTF-8.

    That is NaN, numbers too large for a double, and half surrogate pairs. Duplicate keys and deep
    nesting are refused too.

    Raises:
        ContractError: The bytes are not such JSON.
    """
    if len(data) > max_bytes:
        raise ContractError(f"{len(data)} bytes, at most {max_bytes} allowed", subject=subject)
    if _depth(data) > MAX_DEPTH:
        raise ContractError(f"nested deeper than {MAX_DEPTH}", subject=subject)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        if _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise ContractError(f"not JSON: {error}", subject=subject) from error
    return value


def read(kind: type[T], value: Any, *, strict: bool = False, subject: str = "") -> T:
    """Turn plain JSON values into ``kind``.

    Args:
        kind: Dataclass to build.
        value: Result of a JSON or YAML parser.
        strict: Refuse unknown fields, instead of ignoring them.
        subject: What the document is, for the error's text.

    Raises:
        ContractError: A field is missing, of the wrong type or outside its limits.
    """
    try:
        result: T = _read(kind, value, (), strict=strict)
    except ContractError as error:
        if not subject:
            raise
        raise ContractError(error.reason, error.path, subject=subject) from error
    return result


def write(value: Any) -> Any:
    """Turn a dataclass into plain JSON values, leaving out optional fields that are None."""
    if dataclasses.is_dataclass(value):
        pairs = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {
            field.name: write(item)
            for field, item in pairs
            if item is not None or _is_required(field)
        }
    if isinstance(value, Mapping):
        return {key: write(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [write(item) for item in value]
    return value


def dump(value: Any) -> bytes:
    """Return ``value`` as compact JSON bytes.

    Half a surrogate pair, such as Python puts into the name of an odd file, becomes ``?``: what we
    have to say must not fail over it.
    """
    text = json.dumps(write(value), separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace")


def schema(kind: type[Any], *, title: str, strict: bool = False) -> dict[str, Any]:
    """Describe ``kind`` as a JSON Schema document (draft 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **_schema(kind, strict=strict),
    }


# --- reading ----------------------------------------------------------------------------------


def _read(kind: Any, value: Any, path: Path, *, strict: bool, limit: Any = None) -> Any:
    origin = typing.get_origin(kind)
    if origin is Annotated:
        inner, limit = typing.get_args(kind)[:2]
        return _read(inner, value, path, strict=strict, limit=limit)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        inner = _chosen(kinds_of(kind), value, path)
        return _read(inner, value, path, strict=strict, limit=limit)
    if origin is Literal:
        return _read_literal(typing.get_args(kind), value, path)
    if origin is tuple:
        return _read_items(typing.get_args(kind)[0], value, path, strict=strict, limit=limit)
    if origin is Mapping or origin is dict:
        return _read_mapping(typing.get_args(kind)[1], value, path, strict=strict, limit=limit)
    if dataclasses.is_dataclass(kind):
        return _read_fields(kind, value, path, strict=strict)
    return _read_scalar(kind, value, path, limit)


def kinds_of(union: Any) -> list[Any]:
    """Return what a value of a union may be, None left out."""
    return [arg for arg in typing.get_args(union) if arg is not type(None)]


def sign_of(kind: type[Any]) -> str:
    """Return the field by which a dataclass of a union is known: its first, which is required."""
    return dataclasses.fields(kind)[0].name


def _chosen(kinds: list[Any], value: Any, path: Path) -> Any:
    if len(kinds) == 1:
        return kinds[0]
    if not isinstance(value, Mapping):
        raise ContractError(f"expected an object, got {_named(value)}", path)
    found = [kind for kind in kinds if value.get(sign_of(kind)) is not None]
    if len(found) != 1:
        signs = ", ".join(map(sign_of, kinds))
        told = " and ".join(map(sign_of, found)) or "none of them"
        raise ContractError(f"expected one of {signs}, got {told}", path)
    return found[0]


def _read_fields(kind: Any, value: Any, path: Path, *, strict: bool) -> Any:
    if not isinstance(value, Mapping):
        raise ContractError(f"expected an object, got {_named(value)}", path)
    hints = hints_of(kind)
    if strict:
        for key in value:
            if key not in hints:
                raise ContractError(_unknown(str(key), list(hints)), (*path, str(key)))
    found = {}
    for field in dataclasses.fields(kind):
        item, hint = value.get(field.name), hints[field.name]
        if item is not None or (hint is Any and field.name in value):
            found[field.name] = _read(hint, item, (*path, field.name), strict=strict)
        elif _is_required(field):
            raise ContractError("is missing", (*path, field.name))
    return kind(**found)


def _read_items(kind: Any, value: Any, path: Path, *, strict: bool, limit: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ContractError(f"expected a list, got {_named(value)}", path)
    _check_size(len(value), limit, path)
    return tuple(_read(kind, item, (*path, i), strict=strict) for i, item in enumerate(value))


def _read_mapping(kind: Any, value: Any, path: Path, *, strict: bool, limit: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ContractError(f"expected an object, got {_named(value)}", path)
    _check_size(len(value), limit, path)
    keys = limit.keys if isinstance(limit, Size) else None
    for key in value:
        _read_scalar(str, key, (*path, str(key)), keys)
    return {key: _read(kind, item, (*path, key), strict=strict) for key, item in value.items()}


def _read_literal(choices: tuple[Any, ...], value: Any, path: Path) -> Any:
    # Equality alone would take 1.0 and True for 1.
    if any(value == choice and type(value) is type(choice) for choice in choices):
        return value
    listed = ", ".join(map(str, choices))
    raise ContractError(f"expected one of {listed}, got {_shown(value)}", path)


def _read_scalar(kind: type[Any], value: Any, path: Path, limit: Any) -> Any:
    if not _is_of(kind, value):
        raise ContractError(f"expected {_WORDS[kind]}, got {_named(value)}", path)
    if kind is float:
        value = float(value)
    if isinstance(limit, Range):
        _check_range(value, limit, path)
    if kind is str:
        _check_text(value, limit if isinstance(limit, Text) else Text(), path)
    return value


def _check_range(value: float, limit: Range, path: Path) -> None:
    if limit.low is not None and value < limit.low:
        raise ContractError(f"must be at least {limit.low}, got {_shown(value)}", path)
    if limit.high is not None and value > limit.high:
        raise ContractError(f"must be at most {limit.high}, got {_shown(value)}", path)


def _check_text(value: str, limit: Text, path: Path) -> None:
    if len(value) > limit.max_length:
        raise ContractError(f"{len(value)} characters, at most {limit.max_length} allowed", path)
    if _HALF_PAIR.search(value):
        raise ContractError(f"expected text, got half a surrogate pair: {_shown(value)}", path)
    if limit.pattern is not None and not re.fullmatch(limit.pattern, value, re.ASCII):
        rule = limit.what or f"something like {limit.pattern}"
        raise ContractError(f"expected {rule}, got {_shown(value)}", path)


def _check_size(count: int, limit: Any, path: Path) -> None:
    size = limit if isinstance(limit, Size) else Size()
    if not size.low <= count <= size.high:
        raise ContractError(f"{count} entries, expected {size.low} to {size.high}", path)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _is_of(kind: type[Any], value: Any) -> bool:
    """Return whether ``value`` is of ``kind``: true is no number, and numbers fit a double."""
    if isinstance(value, bool) or kind is not float:
        return isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
    if not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


@cache
def hints_of(kind: type[Any]) -> dict[str, Any]:
    """Return the annotations of a dataclass, resolved, with their limits."""
    return typing.get_type_hints(kind, include_extras=True)


# --- describing -------------------------------------------------------------------------------


def _schema(kind: Any, *, strict: bool, limit: Any = None) -> dict[str, Any]:
    origin = typing.get_origin(kind)
    if origin is Annotated:
        inner, limit = typing.get_args(kind)[:2]
        return _schema(inner, strict=strict, limit=limit)
    if kind is Any:
        return {}
    if origin in (typing.Union, types.UnionType):
        kinds = kinds_of(kind)
        if len(kinds) > 1:
            return {"oneOf": [_schema(one, strict=strict) for one in kinds]}
        return _schema(kinds[0], strict=strict, limit=limit)
    if origin is Literal:
        return {"enum": list(typing.get_args(kind))}
    size = limit if isinstance(limit, Size) else Size()
    if origin is tuple:
        items = _schema(typing.get_args(kind)[0], strict=strict)
        return {"type": "array", "items": items, "minItems": size.low, "maxItems": size.high}
    if origin is Mapping or origin is dict:
        values = _schema(typing.get_args(kind)[1], strict=strict)
        names = {"propertyNames": _scalar_schema(str, size.keys)} if size.keys else {}
        bounds = {"minProperties": size.low, "maxProperties": size.high}
        return {"type": "object", "additionalProperties": values, **names, **bounds}
    if dataclasses.is_dataclass(kind):
        return _object_schema(kind, strict=strict)
    return _scalar_schema(kind, limit)


def _object_schema(kind: Any, *, strict: bool) -> dict[str, Any]:
    hints, about = hints_of(kind), field_docs(kind)
    properties: dict[str, Any] = {}
    required = []
    for field in dataclasses.fields(kind):
        entry = _schema(hints[field.name], strict=strict)
        if field.name in about:
            entry = {"description": about[field.name], **entry}
        if _is_required(field):
            required.append(field.name)
        elif field.default is not MISSING and field.default is not None:
            entry = {**entry, "default": write(field.default)}
        properties[field.name] = entry
    described = {"type": "object", "properties": properties, "required": required}
    return {**described, "additionalProperties": False} if strict else described


def _scalar_schema(kind: Any, limit: Any) -> dict[str, Any]:
    described: dict[str, Any] = {"type": _JSON_TYPES[kind]}
    if isinstance(limit, Range):
        bounds = {"minimum": limit.low, "maximum": limit.high}
        described.update({key: bound for key, bound in bounds.items() if bound is not None})
    if kind is str:
        text = limit if isinstance(limit, Text) else Text()
        described["maxLength"] = text.max_length
        if text.pattern is not None:
            described["pattern"] = f"^(?:{text.pattern})$"
    return described


def field_docs(kind: type[Any]) -> dict[str, str]:
    """Return what the ``Attributes`` sections of a class and its bases say of each field."""
    found: dict[str, str] = {}
    for ancestor in reversed(kind.__mro__):
        found.update(_attributes(ancestor.__doc__ or ""))
    return found


def _attributes(docstring: str) -> dict[str, str]:
    _, _, section = docstring.partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        start = re.match(r" {8}(\w+): (.*)", line)
        if start:
            name = start[1]
            found[name] = start[2]
        elif name and line.startswith(" " * 12):
            found[name] += " " + line.strip()
        else:
            name = ""
    return found


# --- words ------------------------------------------------------------------------------------

_WORDS: dict[Any, str] = {str: "text", int: "a whole number", float: "a number", bool: "true/false"}
_JSON_TYPES: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _named(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return _shown(value)


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, default=str)
    except (ValueError, RecursionError):  # YAML can hold lists that contain themselves
        return f"what cannot be shown ({type(value).__name__})"
    return text if len(text) <= 60 else f"{text[:60]}…"


def _unknown(key: str, known: list[str]) -> str:
    close = get_close_matches(key, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known)}"
    return f"unknown field; {hint}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.20} is too large for a number")
    return value


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escape that is half a pair at least; alone, it is no character."""
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_STRING = re.compile(rb'"(?:[^"\\]+|\\.)*"?', re.DOTALL)
"""A string, or all that follows a quote which nothing closes: else that would be tried again from
each quote inside it, in time that grows with the square of the length."""


def _depth(data: bytes) -> int:
    """Return how deeply objects and lists are nested, without building any of them."""
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", _STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
