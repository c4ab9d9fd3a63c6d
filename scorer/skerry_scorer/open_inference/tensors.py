"""Tensors of the Open Inference Protocol: in JSON and as raw bytes, without any library for them.

Datatypes and layouts are those of the protocol's "Tensor Data Types" and of its binary tensor data
extension: row-major, little-endian, each element of BYTES after its length in four bytes.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MAX_RANK = 8
"""Most dimensions of a tensor."""
MAX_EMPTY = 2**20
"""Most lists that a tensor without elements may consist of."""
MAX_ELEMENTS = 2**31
"""Most elements of a tensor."""

CODES = {
    "BOOL": "?",
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "FP16": "e", "FP32": "f", "FP64": "d",
    "BYTES": "",
}  # fmt: skip
"""Datatypes, and how ``struct`` calls an element."""
_NUMPY = {
    "bool": "BOOL",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip
NUMPY_NAMES = {datatype: name for name, datatype in _NUMPY.items()}
"""How NumPy calls a datatype; BYTES are objects there."""


class TensorError(Exception):
    """A tensor is not what it says; the text names it."""


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes:
        name: Its name.
        datatype: One of ``CODES``.
        shape: Its size in each dimension; empty for a single value.
        flat: All elements, row-major; None where ``raw`` has them.
        raw: The elements as bytes; None where ``flat`` has them.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    flat: Sequence[Any] | None = None
    raw: bytes | None = None

    @property
    def elements(self) -> Sequence[Any]:
        """All elements, row-major."""
        if self.flat is not None:
            return self.flat
        assert self.raw is not None  # noqa: S101 - one of the two is there
        return _unpacked(self.name, self.datatype, math.prod(self.shape), self.raw)

    def nested(self) -> Any:
        """Return lists of lists as the shape says; a single value where it is empty."""
        return _nested(self.elements, self.shape, 0) if self.shape else self.elements[0]

    def packed(self) -> bytes:
        """Return the elements as bytes."""
        if self.raw is not None:
            return self.raw
        flat = self.elements
        if self.datatype == "BYTES":
            parts = [text.encode() if isinstance(text, str) else bytes(text) for text in flat]
            return b"".join(struct.pack("<I", len(part)) + part for part in parts)
        return struct.pack(f"<{len(flat)}{CODES[self.datatype]}", *flat)


def tensor_of_json(name: str, datatype: str, shape: Sequence[int], data: Any) -> Tensor:
    """Return a tensor whose data came as JSON, flat or nested.

    Raises:
        TensorError: Datatype, shape and data do not fit together.
    """
    size = checked(name, datatype, shape)
    flat = list(_flattened(data, max(len(shape), 1)))
    if len(flat) != size:
        raise TensorError(f"{name}: shape {list(shape)} has {size} elements, data has {len(flat)}")
    _check_elements(name, datatype, flat)
    return Tensor(name, datatype, tuple(shape), flat=flat)


def tensor_of_bytes(name: str, datatype: str, shape: Sequence[int], raw: bytes) -> Tensor:
    """Return a tensor whose data came as bytes.

    Raises:
        TensorError: Datatype, shape and data do not fit together.
    """
    size = checked(name, datatype, shape)
    if datatype == "BYTES":
        return Tensor(name, datatype, tuple(shape), flat=_unpacked(name, datatype, size, raw))
    expected = size * struct.calcsize(f"<{CODES[datatype]}")
    if len(raw) != expected:
        text = f"{name}: shape {list(shape)} of {datatype} has {expected} bytes"
        raise TensorError(f"{text}, data has {len(raw)}")
    return Tensor(name, datatype, tuple(shape), raw=raw)


def tensor_of_value(name: str, value: Any) -> Tensor | None:
    """Return what a script returned as a tensor; None where it is no regular array of one kind.

    NumPy arrays keep their type and shape. Python's values become BOOL, INT64, FP64 or BYTES: a
    single one has the shape ``[1]``, lists of lists the shape that they have.
    """
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if dtype is not None and shape is not None and dtype.name in _NUMPY:
        raw = value.astype(dtype.newbyteorder("<")).tobytes()
        return Tensor(name, _NUMPY[dtype.name], tuple(shape) or (1,), raw=raw)
    value = value.tolist() if hasattr(value, "tolist") else value
    shape = _shape(value)
    if shape is None:
        return None
    flat = list(_flattened(value, len(shape) or 1))
    datatype = _datatype(flat)
    if datatype is None:
        return None
    return Tensor(name, datatype, shape or (1,), flat=flat)


def checked(name: str, datatype: str, shape: Sequence[int]) -> int:
    """Return how many elements a tensor has.

    Raises:
        TensorError: There is no such datatype, or no such shape.
    """
    if datatype not in CODES:
        raise TensorError(f"{name}: datatype {datatype!r} is none of {', '.join(CODES)}")
    if len(shape) > MAX_RANK or any(type(n) is not int or n < 0 for n in shape):
        raise TensorError(f"{name}: shape {str(shape)[:80]} must be whole numbers of at least 0")
    size = math.prod(shape)
    if size > MAX_ELEMENTS or (not size and math.prod(n or 1 for n in shape) > MAX_EMPTY):
        raise TensorError(f"{name}: shape {str(shape)[:80]} is too large")
    return size


def _nested(flat: Sequence[Any], shape: Sequence[int], at: int) -> list[Any]:
    if len(shape) == 1:
        return list(flat[at : at + shape[0]])
    step = math.prod(shape[1:])
    return [_nested(flat, shape[1:], at + i * step) for i in range(shape[0])]


def _flattened(data: Any, depth: int) -> Iterator[Any]:
    if not isinstance(data, list | tuple):
        yield data
    elif depth <= 1:
        yield from data
    else:
        for part in data:
            yield from _flattened(part, depth - 1)


def _check_elements(name: str, datatype: str, flat: Sequence[Any]) -> None:
    kinds: tuple[type, ...] = (int,)
    if datatype == "BOOL":
        kinds = (bool,)
    elif datatype == "BYTES":
        kinds = (str,)
    elif datatype.startswith("FP"):
        kinds = (int, float)
    wrong = next((value for value in flat if type(value) not in kinds), None)
    if wrong is not None or any(value is None for value in flat):
        raise TensorError(f"{name}: {str(wrong)[:80]!r} is no {datatype}")
    if kinds == (int,) and flat:
        bits = 8 * struct.calcsize(f"<{CODES[datatype]}")
        low, high = (0, 2**bits) if datatype[0] == "U" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        if min(flat) < low or max(flat) >= high:
            raise TensorError(f"{name}: a number does not fit into {datatype}")


def _unpacked(name: str, datatype: str, size: int, raw: bytes) -> Sequence[Any]:
    if datatype != "BYTES":
        return struct.unpack(f"<{size}{CODES[datatype]}", raw)
    found, at = [], 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise TensorError(f"{name}: the last length is cut off")
        (length,) = struct.unpack_from("<I", raw, at)
        element = raw[at + 4 : at + 4 + length]
        if len(element) != length:
            raise TensorError(f"{name}: the last element is cut off")
        found.append(_text(element))
        at += 4 + length
    if len(found) != size:
        raise TensorError(f"{name}: the shape has {size} elements, data has {len(found)}")
    return found


def _text(element: bytes) -> str | bytes:
    try:
        return element.decode()
    except UnicodeDecodeError:
        return element


def _shape(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, list | tuple):
        return ()
    inner = {_shape(part) for part in value}
    if len(inner) > 1 or None in inner:
        return None
    return (len(value), *(inner.pop() or () if inner else ()))


def _datatype(flat: Sequence[Any]) -> str | None:
    kinds = {type(value) for value in flat}
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        fits = min(flat) >= -(2**63) and max(flat) < 2**63
        return "INT64" if fits else None
    if kinds <= {int, float}:
        return "FP64"
    return "BYTES" if kinds <= {str, bytes} else None
