"""TensorFlow Lite (``schema.fbs`` of TensorFlow, version 3; FlatBuffers internals)."""

import struct

from skerry_cloud.formats.finding import MAX_TENSORS, DamagedError, Finding, Tensor
from skerry_cloud.formats.source import Source

_DTYPES = [
    "float32",
    "float16",
    "int32",
    "uint8",
    "int64",
    "string",
    "bool",
    "int16",
    "complex64",
    "int8",
    "float64",
    "complex128",
    "uint64",
    "resource",
    "variant",
    "uint32",
    "uint16",
    "int4",
    "bfloat16",
]
_MAX_TEXT = 4096
_MAX_AXES = 64


class _Table:
    """A table of a FlatBuffer: fields by their index, each with a default."""

    def __init__(self, source: Source, at: int) -> None:
        self.source = source
        self.at = at
        self._fields = at - _number(source, at, "<i")
        self._size = _number(source, self._fields, "<H")

    def place(self, field: int) -> int:
        """Return where a field lies; 0 if it has its default."""
        slot = 4 + 2 * field
        if slot + 2 > self._size:
            return 0
        offset = _number(self.source, self._fields + slot, "<H")
        return self.at + offset if offset else 0

    def number(self, field: int, form: str) -> int:
        """Return a whole number; the default of all that are asked for is 0."""
        place = self.place(field)
        return _number(self.source, place, form) if place else 0

    def text(self, field: int) -> str:
        """Return a text, empty by default."""
        place = self.place(field)
        if not place:
            return ""
        start = place + _number(self.source, place, "<I")
        size = min(_number(self.source, start, "<I"), _MAX_TEXT)
        return self.source.at(start + 4, size).decode("utf-8", "replace")

    def numbers(self, field: int, limit: int) -> tuple[int, ...]:
        """Return up to ``limit`` numbers of a vector of int32."""
        start, count = self._vector(field)
        count = min(count, limit)
        return struct.unpack(f"<{count}i", self.source.at(start, 4 * count)) if count else ()

    def tables(self, field: int, wanted: tuple[int, ...]) -> list["_Table"]:
        """Return the tables of a vector that stand at the places ``wanted``."""
        start, count = self._vector(field)
        found = []
        for n in wanted:
            if not 0 <= n < count:
                raise DamagedError(f"there is no element {n} in a vector of {count}")
            place = start + 4 * n
            found.append(_Table(self.source, place + _number(self.source, place, "<I")))
        return found

    def length(self, field: int) -> int:
        """Return how many elements a vector has."""
        return self._vector(field)[1]

    def _vector(self, field: int) -> tuple[int, int]:
        place = self.place(field)
        if not place:
            return 0, 0
        start = place + _number(self.source, place, "<I")
        return start + 4, _number(self.source, start, "<I")


def read(source: Source, path: str) -> Finding | None:
    """Read a model, or return None if it is something else.

    Raises:
        DamagedError: It says it is one, but cannot be followed.
        TooCostlyError: The budget is used up.
    """
    if source.start(8)[4:] != b"TFL3":
        return None
    model = _Table(source, _number(source, 0, "<I"))
    facts = {"schema_version": str(model.number(0, "<I")), "description": model.text(3)}
    facts["custom_operators"] = ", ".join(_custom_operators(model))
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    if model.length(2):
        (graph,) = model.tables(2, (0,))
        inputs, outputs = (
            tuple(_tensor(one) for one in graph.tables(0, graph.numbers(field, MAX_TENSORS)))
            for field in (1, 2)
        )
    facts = {key: value for key, value in facts.items() if value}
    return Finding(path, "tflite", "", inputs, outputs, facts)


def _custom_operators(model: _Table) -> list[str]:
    codes = model.tables(1, tuple(range(min(model.length(1), 1000))))
    return sorted({name for code in codes if (name := code.text(1))})[:50]


def _tensor(table: _Table) -> Tensor:
    code = table.number(1, "<b")
    dtype = _DTYPES[code] if 0 <= code < len(_DTYPES) else str(code)
    # The signature tells open dimensions apart, where the converter has written one.
    shape = table.numbers(7, _MAX_AXES) or table.numbers(0, _MAX_AXES)
    return Tensor(table.text(3), dtype, shape)


def _number(source: Source, at: int, form: str) -> int:
    return int(struct.unpack(form, source.at(at, struct.calcsize(form)))[0])
