"""Protocol Buffers on the wire, field by field (protobuf.dev, "Encoding")."""

from collections.abc import Iterator
from dataclasses import dataclass

from skerry_cloud.formats.finding import DamagedError
from skerry_cloud.formats.source import Source

MAX_TEXT = 64 * 1024
"""Longest text that is read, in bytes."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        number: Its number.
        wire: How it is written: ``VARINT``, ``FIXED64``, ``BYTES`` or ``FIXED32``.
        start: Where its bytes begin in the file.
        end: Where they end.
        value: The number, of a varint.
    """

    number: int
    wire: int
    start: int
    end: int
    value: int = 0


def fields(source: Source, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of the message between two places of a file.

    Raises:
        DamagedError: It is no such message.
        TooCostlyError: The budget is used up.
    """
    while start < end:
        source.budget.spend(1)
        key, start = _varint(source, start, end)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise DamagedError("a field has the number 0")
        value, after = 0, start
        if wire == VARINT:
            value, after = _varint(source, start, end)
        elif wire == BYTES:
            length, start = _varint(source, start, end)
            after = start + length
        elif wire in _FIXED:
            after = start + _FIXED[wire]
        else:
            raise DamagedError(f"a field is written in the unknown way {wire}")
        if after > end:
            raise DamagedError(f"field {number} ends outside of its message")
        yield Field(number, wire, start, after, value)
        start = after


def text(source: Source, field: Field) -> str:
    """Return a text field, cut at ``MAX_TEXT``."""
    size = min(field.end - field.start, MAX_TEXT)
    return source.at(field.start, size).decode("utf-8", "replace")


def signed(value: int) -> int:
    """Return a varint as the signed number of 64 bits that it stands for."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(source: Source, start: int, end: int) -> tuple[int, int]:
    data = source.at(start, min(10, end - start))
    value = 0
    for n, byte in enumerate(data):
        value |= (byte & 0x7F) << (7 * n)
        if byte < 0x80:  # the last byte of a varint has no high bit
            return value & 0xFFFF_FFFF_FFFF_FFFF, start + n + 1
    raise DamagedError("a number does not end")
