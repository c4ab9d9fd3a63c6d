"""ONNX (onnx.proto of the ONNX project, IR version 3 and later)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from skerry_cloud.formats import protobuf
from skerry_cloud.formats.finding import MAX_TENSORS, DamagedError, Finding, Tensor
from skerry_cloud.formats.protobuf import BYTES, VARINT, Field, fields, signed, text
from skerry_cloud.formats.source import Source

MAX_DEPTH = 12
"""Graphs within graphs that are followed."""
_MODEL = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
"""Wire types of ``ModelProto``'s fields; a message with any other is something else."""
_FUNCTION_NODE = 7
_MAX_AXES = 64
_MAX_NAME = 200
_MAX_INITIALIZERS = 100_000
_DTYPES = [
    "undefined",
    "float32",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "int32",
    "int64",
    "string",
    "bool",
    "float16",
    "float64",
    "uint32",
    "uint64",
    "complex64",
    "complex128",
    "bfloat16",
    "float8e4m3fn",
    "float8e4m3fnuz",
    "float8e5m2",
    "float8e5m2fnuz",
    "uint4",
    "int4",
    "float4e2m1",
]


@dataclass(slots=True)
class _Seen:
    facts: dict[str, str] = field(default_factory=dict)
    operators: set[str] = field(default_factory=set)
    external: set[str] = field(default_factory=set)
    initializers: set[str] = field(default_factory=set)
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)


def read(source: Source, path: str) -> Finding | None:
    """Read an ONNX model, or return None if it is something else.

    Raises:
        DamagedError: It is one, but its graph cannot be followed.
        TooCostlyError: The budget is used up.
    """
    top = _top(source)
    if top is None:
        return None
    seen = _Seen()
    versions = []
    for found in top:
        if found.number == 1:
            seen.facts["ir_version"] = str(found.value)
        elif found.number in (2, 3):
            seen.facts["producer" if found.number == 2 else "producer_version"] = text(
                source, found
            )
        elif found.number == 8:  # opset_import
            versions.append(_opset(source, found))
        elif found.number == 7:  # graph
            _graph(source, found, seen, 0)
        elif found.number == 25:  # functions
            _function(source, found, seen)
    seen.facts["opset"] = ", ".join(versions)
    seen.facts["operators"] = ", ".join(sorted(seen.operators)[:200])
    inputs = tuple(one for one in seen.inputs if one.name[:_MAX_NAME] not in seen.initializers)
    facts = {key: value[:4000] for key, value in seen.facts.items() if value}
    return Finding(
        path, "onnx", "", inputs, tuple(seen.outputs), facts, tuple(sorted(seen.external))
    )


def _top(source: Source) -> list[Field] | None:
    found: list[Field] = []
    try:
        for one in fields(source, 0, source.size):
            if _MODEL.get(one.number) != one.wire or len(found) > 10_000:
                return None
            found.append(one)
    except DamagedError:
        return None
    numbers = {one.number for one in found}
    return found if 7 in numbers and numbers & {1, 8} else None


def _opset(source: Source, where: Field) -> str:
    domain, version = "ai.onnx", 0
    for one in fields(source, where.start, where.end):
        if one.number == 1 and one.wire == BYTES:
            domain = text(source, one) or domain
        elif one.wire == VARINT:
            version = one.value
    return f"{domain} {version}"


def _graph(source: Source, where: Field, seen: _Seen, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise DamagedError(f"graphs are nested deeper than {MAX_DEPTH}")
    for one in _messages(source, where):
        if one.number == 1:
            _node(source, one, seen, depth)
        elif one.number == 5:  # initializer
            name = _tensor(source, one, seen)[:_MAX_NAME]
            if len(seen.initializers) < _MAX_INITIALIZERS:
                seen.initializers.add(name)
        elif one.number == 15:  # sparse_initializer: values, indices
            for part in _messages(source, one):
                _tensor(source, part, seen)
        elif depth == 0 and one.number in (11, 12):
            into = seen.inputs if one.number == 11 else seen.outputs
            if len(into) < MAX_TENSORS:
                into.append(_value_info(source, one))


def _function(source: Source, where: Field, seen: _Seen) -> None:
    for one in _messages(source, where):
        if one.number == _FUNCTION_NODE:
            _node(source, one, seen, 1)


def _node(source: Source, where: Field, seen: _Seen, depth: int) -> None:
    operator = domain = ""
    for one in _messages(source, where):
        if one.number == 4:  # op_type
            operator = text(source, one)
        elif one.number == 7:  # domain
            domain = text(source, one)
        elif one.number == 5:  # attribute
            _attribute(source, one, seen, depth)
    if len(seen.operators) < 1000:
        custom = domain not in ("", "ai.onnx")
        seen.operators.add(f"{domain}.{operator}" if custom else operator)


def _attribute(source: Source, where: Field, seen: _Seen, depth: int) -> None:
    for one in _messages(source, where):
        if one.number in (5, 10):  # t, tensors
            _tensor(source, one, seen)
        elif one.number in (6, 11):  # g, graphs
            _graph(source, one, seen, depth + 1)
        elif one.number in (22, 23):  # sparse_tensor, sparse_tensors
            for part in _messages(source, one):
                _tensor(source, part, seen)


def _tensor(source: Source, where: Field, seen: _Seen) -> str:
    name = ""
    for one in _messages(source, where):
        if one.number == 8:  # name
            name = text(source, one)
        elif one.number == 13:  # external_data
            pair = {
                part.number: text(source, part)
                for part in _messages(source, one)
                if part.number in (1, 2)
            }
            if pair.get(1) == "location":
                seen.external.add(pair.get(2, ""))
    return name


def _value_info(source: Source, where: Field) -> Tensor:
    name, dtype = "", ""
    shape: tuple[int, ...] = ()
    for one in _messages(source, where):
        if one.number == 1:
            name = text(source, one)
        elif one.number == 2:  # type
            for kind in _messages(source, one):
                if kind.number == 1:  # tensor_type; sequences and maps are told without a shape
                    dtype, shape = _tensor_type(source, kind)
    return Tensor(name, dtype, shape)


def _tensor_type(source: Source, where: Field) -> tuple[str, tuple[int, ...]]:
    dtype = ""
    shape: list[int] = []
    for one in fields(source, where.start, where.end):
        if one.number == 1 and one.wire == VARINT:
            dtype = _DTYPES[one.value] if one.value < len(_DTYPES) else str(one.value)
        elif one.number == 2 and one.wire == BYTES:  # shape
            for axis in _messages(source, one):
                sizes = [
                    signed(part.value)
                    for part in fields(source, axis.start, axis.end)
                    if part.number == 1 and part.wire == VARINT
                ]
                if len(shape) < _MAX_AXES:
                    shape.append(sizes[0] if sizes and sizes[0] >= 0 else -1)
    return dtype, tuple(shape)


def _messages(source: Source, where: Field) -> Iterator[Field]:
    """Yield the fields within ``where`` that hold bytes, and so may be messages."""
    inner = protobuf.fields(source, where.start, where.end)
    return (one for one in inner if one.wire == BYTES)
