"""The difference between two layers: what a device lacks to make the new one from the old one.

Both layers are meant uncompressed, as tars. A delta is a series of instructions (take bytes of
the old layer; take bytes of the old layer and exclusive-or them with others; take new bytes) and
of the two kinds of bytes that they use, each compressed on its own::

    "skerry-delta-1", a line feed; size of the new layer, sizes of the streams (big-endian, 8 bytes)
    instructions, LZMA2
    new bytes, LZMA2
    differences, LZMA2 with contexts by place in a word of four bytes

An instruction is one number (three times its length, and its kind) and, unless it takes new bytes,
a second one: how far its place in the old layer is from where the instruction before left off.
Numbers are in LEB128, signed ones in zigzag. All of it can be done with Python's standard library,
in a few megabytes of memory whatever the layers weigh.

Exclusive-or is what helps with weights that were trained further: sign, exponent and the upper
bits of most of them stay, and become zeros that cost little.

A delta proves nothing: what comes out is verified by the digest of the new layer, always.

Sources: Percival, "Naive Differences of Executable Code", 2003 (copy, add, insert); the LZMA2
description in the XZ Utils, for the meaning of ``lp`` and ``pb``.
"""

import lzma
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Literal

from skerry_contract.errors import ContractError

MEDIA_TYPE = "application/vnd.skerry.delta.v1"
Kind = Literal["new", "copy", "xor"]

_MAGIC = b"skerry-delta-1\n"
_HEAD = struct.Struct(">QQQQ")
_KINDS: tuple[Kind, ...] = ("new", "copy", "xor")
_PIECE_BYTES = 64 * 1024
_SPOOL_BYTES = 4 * 1024 * 1024
_MOST_BYTES = 2**40
_INSTRUCTIONS = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**20}
_NEW = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**23}
_DIFFERENCES = {
    "id": lzma.FILTER_LZMA2,
    "preset": 6,
    "dict_size": 2**22,
    "lc": 0,
    "lp": 2,
    "pb": 2,
}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step of a delta.

    Attributes:
        kind: ``copy`` old bytes, ``xor`` old bytes with differences, or take ``new`` ones.
        length: Bytes that it makes, above 0.
        old: Place of the first byte in the old layer; 0 for ``new``.
    """

    kind: Kind
    length: int
    old: int = 0


class DeltaWriter:
    """Writes a delta, instruction by instruction.

    Args:
        size: Bytes of the new layer.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._place = 0
        self._streams = [_Packed(one) for one in (_INSTRUCTIONS, _NEW, _DIFFERENCES)]

    def add(self, instruction: Instruction, data: bytes = b"") -> None:
        """Add an instruction, and the new bytes or differences that it takes."""
        number = instruction.length * 3 + _KINDS.index(instruction.kind)
        head = _number(number)
        if instruction.kind != "new":
            head += _number(_zigzag(instruction.old - self._place))
            self._place = instruction.old + instruction.length
        self._streams[0].write(head)
        if instruction.kind == "new":
            self._streams[1].write(data)
        elif instruction.kind == "xor":
            self._streams[2].write(data)

    def finish(self, out: IO[bytes]) -> int:
        """Write the delta to ``out``, and return its length in bytes."""
        lengths = [stream.finish() for stream in self._streams]
        out.write(_MAGIC + _HEAD.pack(self._size, *lengths))
        for stream in self._streams:
            stream.copy_to(out)
        return len(_MAGIC) + _HEAD.size + sum(lengths)


class _Packed:
    def __init__(self, about: dict[str, int]) -> None:
        self._packer = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[about])
        self._file = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115 - closed by copy_to

    def write(self, data: bytes) -> None:
        self._file.write(self._packer.compress(data))

    def finish(self) -> int:
        self._file.write(self._packer.flush())
        return self._file.tell()

    def copy_to(self, out: IO[bytes]) -> None:
        with self._file as file:
            file.seek(0)
            while piece := file.read(_PIECE_BYTES):
                out.write(piece)


def apply(old: IO[bytes], delta: IO[bytes], write: Callable[[bytes], object], *, size: int) -> None:
    """Make the new layer.

    Args:
        old: The old layer, uncompressed; it can be read from any place.
        delta: The delta; likewise.
        write: Takes the bytes of the new layer in their order.
        size: Bytes that the new layer must have.

    Raises:
        ContractError: It is no delta, not for this layer, or makes something of another size.
    """
    head = delta.read(len(_MAGIC) + _HEAD.size)
    if not head.startswith(_MAGIC) or len(head) < len(_MAGIC) + _HEAD.size:
        raise ContractError("is no delta of a layer", subject="delta")
    told, *lengths = _HEAD.unpack(head[len(_MAGIC) :])
    if told != size:
        raise ContractError(f"makes {told} bytes, {size} are wanted", subject="delta")
    places = [len(head), len(head) + lengths[0], len(head) + lengths[0] + lengths[1]]
    instructions, new, differences = (
        _Stream(delta, place, length, about)
        for place, length, about in zip(
            places, lengths, (_INSTRUCTIONS, _NEW, _DIFFERENCES), strict=True
        )
    )
    made = 0
    for one in _instructions(instructions):
        made += one.length
        if made > size:
            raise ContractError(f"makes more than {size} bytes", subject="delta")
        for place, count in _pieces(one):
            if one.kind == "new":
                write(new.read(count))
                continue
            old.seek(place)
            data = old.read(count)
            if len(data) != count:
                raise ContractError("is for another layer", subject="delta")
            write(data if one.kind == "copy" else xor(data, differences.read(count)))
    if made != size:
        raise ContractError(f"makes {made} bytes of {size}", subject="delta")


def xor(one: bytes, other: bytes) -> bytes:
    """Return the exclusive-or of two strings of the same length, at the speed of big numbers."""
    number = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return number.to_bytes(len(one), "little")


def _pieces(one: Instruction) -> Iterator[tuple[int, int]]:
    for at in range(0, one.length, _PIECE_BYTES):
        yield one.old + at, min(_PIECE_BYTES, one.length - at)


class _Stream:
    """One compressed stream of a delta, read as it is needed."""

    def __init__(self, file: IO[bytes], place: int, length: int, about: dict[str, int]) -> None:
        self._file = file
        self._place = place
        self._left = length
        self._packed = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[about])
        self._held = b""

    def read(self, count: int) -> bytes:
        """Return ``count`` bytes.

        Raises:
            ContractError: There are fewer.
        """
        found = self.some(count)
        while len(found) < count:
            more = self.some(count - len(found))
            if not more:
                raise ContractError("ends too early", subject="delta")
            found += more
        return found

    def some(self, count: int) -> bytes:
        """Return at most ``count`` bytes, and none at the end.

        Raises:
            ContractError: It is damaged.
        """
        while not self._held:
            if self._packed.eof:
                return b""
            data = b""
            if self._packed.needs_input:
                try:
                    self._file.seek(self._place)
                    data = self._file.read(max(0, min(_PIECE_BYTES, self._left)))
                except (OverflowError, ValueError) as error:
                    raise ContractError("names no place in the file", subject="delta") from error
                if not data:
                    return b""
                self._place += len(data)
                self._left -= len(data)
            try:
                self._held = self._packed.decompress(data, _PIECE_BYTES)
            except (lzma.LZMAError, EOFError) as error:
                raise ContractError(f"is damaged: {error}", subject="delta") from error
        found, self._held = self._held[:count], self._held[count:]
        return found


def _instructions(stream: _Stream) -> Iterator[Instruction]:
    place = 0
    while (number := _read_number(stream, may_end=True)) >= 0:
        length, kind = divmod(number, 3)
        old = 0
        if kind:
            step = _read_number(stream)
            old = place + ((step >> 1) ^ -(step & 1))
            place = old + length
        if length == 0 or old < 0 or place > _MOST_BYTES:
            raise ContractError("has an instruction that cannot be", subject="delta")
        yield Instruction(_KINDS[kind], length, old)


def _read_number(stream: _Stream, *, may_end: bool = False) -> int:
    """Return a number in LEB128, or -1 at the end if that may come."""
    number = 0
    for shift in range(0, 63, 7):
        byte = stream.some(1)
        if not byte:
            if may_end and shift == 0:
                return -1
            raise ContractError("ends too early", subject="delta")
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return number
    raise ContractError("has a number that is too large", subject="delta")


def _number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -value * 2 - 1
