"""TensorFlow's SavedModel (``saved_model.proto``, ``meta_graph.proto`` of TensorFlow)."""

from collections.abc import Iterator

from skerry_cloud.formats.finding import MAX_TENSORS, DamagedError, Finding, Tensor
from skerry_cloud.formats.protobuf import BYTES, VARINT, Field, fields, signed, text
from skerry_cloud.formats.source import Source

_DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string",
    8: "complex64", 9: "int64", 10: "bool", 14: "bfloat16", 17: "uint16", 18: "complex128",
    19: "float16", 20: "resource", 21: "variant", 22: "uint32", 23: "uint64",
}  # fmt: skip
_MAX_AXES = 64
_MAX_GRAPHS = 1000
_REACHES_OUT = frozenset(
    ["ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc"]
)
"""Operations that read or write files by name, or call Python."""


def read(source: Source, path: str) -> Finding | None:
    """Read a ``saved_model.pb``, or return None if it is something else.

    Raises:
        TooCostlyError: The budget is used up.
    """
    try:
        graphs = []
        for n, one in enumerate(fields(source, 0, source.size)):
            if (one.number, one.wire) not in ((1, VARINT), (2, BYTES)) or n >= _MAX_GRAPHS:
                return None
            if one.number == 2:  # meta_graphs
                graphs.append(one)
        return _model(source, path, graphs) if graphs else None
    except DamagedError:
        return None


def _model(source: Source, path: str, graphs: list[Field]) -> Finding:
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    facts: dict[str, str] = {}
    reaches: set[str] = set()
    for graph in graphs:
        for one in _inner(source, graph):
            if one.number == 1:
                for part in _inner(source, one):
                    if part.number == 5:  # tensorflow_version
                        facts["tensorflow_version"] = text(source, part)[:100]
            elif one.number == 2:  # graph_def
                reaches |= _operations(source, one)
            elif one.number == 5:  # signature_def
                _signature(source, one, inputs, outputs)
    names = ", ".join(sorted(reaches))
    why = f"its graph holds {names}" if names else ""
    return Finding(path, "saved-model", why, tuple(inputs), tuple(outputs), facts)


def _operations(source: Source, graph: Field) -> set[str]:
    """Return those operations of a graph and of its functions that reach out."""
    found: set[str] = set()
    for one in _inner(source, graph):
        if one.number == 1:
            found |= _operation(source, one)
        elif one.number == 2:  # library
            for function in _inner(source, one):
                for part in _inner(source, function):
                    if part.number == 3:  # node_def
                        found |= _operation(source, part)
    return found


def _operation(source: Source, node: Field) -> set[str]:
    found = (text(source, one) for one in _inner(source, node) if one.number == 2)
    return {name for name in found if name in _REACHES_OUT}


def _signature(source: Source, where: Field, inputs: list[Tensor], outputs: list[Tensor]) -> None:
    pair = {one.number: one for one in _inner(source, where) if one.number in (1, 2)}
    name = text(source, pair[1]) if 1 in pair else ""
    if 2 not in pair or name.startswith("__saved_model"):
        return
    for one in _inner(source, pair[2]):
        if one.number in (1, 2):
            entry = {part.number: part for part in _inner(source, one) if part.number in (1, 2)}
            label = text(source, entry[1]) if 1 in entry else ""
            told = f"{name}:{label}"[:300]
            tensor = _tensor(source, entry.get(2), told)
            into = inputs if one.number == 1 else outputs
            if len(into) < MAX_TENSORS:
                into.append(tensor)


def _tensor(source: Source, info: Field | None, name: str) -> Tensor:
    dtype = ""
    shape: list[int] = []
    for one in fields(source, info.start, info.end) if info else ():
        if one.number == 2 and one.wire == VARINT:
            dtype = _DTYPES.get(one.value, str(one.value))
        elif one.number == 3 and one.wire == BYTES:  # tensor_shape
            for axis in _inner(source, one):
                sizes = [
                    signed(part.value)
                    for part in fields(source, axis.start, axis.end)
                    if part.number == 1
                ]
                if len(shape) < _MAX_AXES:
                    shape.append(sizes[0] if sizes else 0)
    return Tensor(name, dtype, tuple(shape))


def _inner(source: Source, where: Field) -> Iterator[Field]:
    return (one for one in fields(source, where.start, where.end) if one.wire == BYTES)
