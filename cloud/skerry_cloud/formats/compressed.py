"""Streams that are compressed: gzip, zlib, bzip2, xz, lzma and LZ4, unpacked piece by piece."""

import bz2
import lzma
import zlib
from typing import Any, Protocol

from skerry_cloud.formats.finding import DamagedError
from skerry_cloud.formats.source import Source

PIECE = 256 * 1024
_LZMA_MEMORY = 256 * 1024 * 1024
_LZ4 = b"\x04\x22\x4d\x18"


class _Decompressor(Protocol):
    """What the standard library's decompressors have in common."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What follows the stream."""
        ...

    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes:
        """Return at most ``max_length`` bytes."""
        ...


def kind_of(start: bytes) -> str:
    """Return how a file that begins so is compressed, or an empty text."""
    if start.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    if start.startswith(b"BZh") and start[3:4].isdigit():
        return "bzip2"
    if start.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    if start.startswith(_LZ4):
        return "lz4"
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        return "zstandard"
    if start.startswith((b"\x5d\x00\x00", b"\x6d\x00\x00")):
        return "lzma"
    # RFC 1950, 2.2: the method is 8 and both bytes are a multiple of 31.
    if len(start) > 1 and start[0] & 0x8F == 8 and int.from_bytes(start[:2], "big") % 31 == 0:
        return "zlib"
    return ""


class Unpacked:
    """What is in a compressed file, read forwards; what it gives is taken from the budget.

    Raises:
        DamagedError: It is not compressed so, or stops in the middle.
        TooCostlyError: The budget is used up.
    """

    def __init__(self, source: Source, kind: str) -> None:
        self._source = source
        self._kind = kind
        self._inner = _decompressor(kind)
        self._at = 0
        self._rest = b""
        self.given = 0

    @property
    def taken(self) -> int:
        """Compressed bytes that were read so far."""
        return self._at

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, fewer only at the end."""
        found = bytearray()
        while len(found) < size and (piece := self._piece(size - len(found))):
            found += piece
        return bytes(found)

    def skip(self, size: int, /) -> None:
        """Pass over ``size`` bytes."""
        while size:
            data = self.read(min(size, PIECE))
            if not data:
                raise DamagedError("it stops in the middle")
            size -= len(data)

    def _piece(self, size: int) -> bytes:
        while True:
            if self._inner.eof:
                # gzip and its kind allow several streams in a row.
                rest = self._inner.unused_data or self._next()
                if self._kind == "zlib" or not rest.strip(b"\0"):
                    return b""
                self._inner, self._rest = _decompressor(self._kind), rest
            data, self._rest = self._rest, b""
            waits = bool(getattr(self._inner, "needs_input", not data))
            if not data and waits:
                data = self._next()
                if not data:
                    raise DamagedError("it stops in the middle")
            found = self._unpack(data, size)
            if found:
                self.given += len(found)
                self._source.budget.spend(len(found))
                return found

    def _unpack(self, data: bytes, size: int) -> bytes:
        try:
            found = self._inner.decompress(data, min(size, PIECE))
        except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError) as error:
            raise DamagedError(f"it cannot be unpacked: {error}") from error
        self._rest = getattr(self._inner, "unconsumed_tail", b"")
        return found

    def _next(self) -> bytes:
        data = self._source.at(self._at, min(PIECE, self._source.size - self._at))
        self._at += len(data)
        return data


def lz4_start(source: Source) -> bytes:
    """Return what the first block of an LZ4 frame holds (LZ4 frame and block formats).

    Raises:
        DamagedError: It is no such frame.
        TooCostlyError: The budget is used up.
    """
    flags = source.at(4, 1)[0]
    at = 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
    size = int.from_bytes(source.at(at, 4), "little")
    stored, size = size >> 31, size & 0x7FFF_FFFF
    data = source.at(at + 4, min(size, PIECE))
    return data if stored else _lz4_block(data)


def _lz4_block(data: bytes) -> bytes:
    out = bytearray()
    at = 0
    while at < len(data) and len(out) < PIECE:
        token = data[at]
        literals, at = _lz4_length(data, at + 1, token >> 4)
        out += data[at : at + literals]
        at += literals
        if at + 2 > len(data):
            break
        back = int.from_bytes(data[at : at + 2], "little")
        length, at = _lz4_length(data, at + 2, token & 15)
        if not 0 < back <= len(out):
            raise DamagedError("an LZ4 block refers to what is not there")
        copied = bytes(out[-back:][: length + 4])
        times = -(-(min(length + 4, PIECE)) // len(copied))
        out += (copied * times)[: min(length + 4, PIECE)]
    return bytes(out[:PIECE])


def _lz4_length(data: bytes, at: int, length: int) -> tuple[int, int]:
    if length == 15:  # more bytes follow
        while at < len(data):
            length += data[at]
            at += 1
            if data[at - 1] != 255:  # the last of them
                break
    return length, at


def _decompressor(kind: str) -> _Decompressor:
    made: Any
    if kind == "bzip2":
        made = bz2.BZ2Decompressor()
    elif kind in ("xz", "lzma"):
        form = lzma.FORMAT_XZ if kind == "xz" else lzma.FORMAT_ALONE
        made = lzma.LZMADecompressor(form, memlimit=_LZMA_MEMORY)
    else:
        made = zlib.decompressobj(31 if kind == "gzip" else 15)
    inner: _Decompressor = made
    return inner
