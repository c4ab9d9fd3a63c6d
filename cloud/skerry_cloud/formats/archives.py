"""Zip and tar archives: their members, judged before anything is done with them."""

import io
import stat
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from skerry_cloud.formats.finding import DamagedError
from skerry_cloud.formats.source import Source

MAX_MEMBERS = 100_000
MAX_TOTAL = 64 * 1024**3
"""Most bytes that all members may have together."""
MAX_RATIO = 200
"""Most bytes that one byte may become, above ``FREE_BYTES``; weights seldom reach 2."""
FREE_BYTES = 64 * 1024 * 1024
_BLOCK = 512
_MAX_DIGITS = 20
_MAX_LONG_NAME = 1024 * 1024
_MAX_DIRECTORY = 16 * 1024 * 1024
_REGULAR, _FOLDER = (b"\0", b"0", b"7"), b"5"
_KINDS = {b"1": "a link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a pipe"}


class RefusedError(Exception):
    """An archive that must not be unpacked; the text names the member."""


class Forwards(Protocol):
    """What gives the bytes of a tar archive, from its start on."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, fewer only at the end."""
        ...

    def skip(self, size: int, /) -> None:
        """Pass over ``size`` bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """One regular file of an archive.

    Attributes:
        name: Its path in the archive.
        size: Bytes that it unpacks to.
    """

    name: str
    size: int


class _Judge:
    """Refuses what would leave the folder, is no file, or is a bomb."""

    def __init__(self) -> None:
        self._count = 0
        self._total = 0

    def take(self, name: str, size: int, kind: str) -> None:
        """Look at the next member.

        Raises:
            RefusedError: Naming it.
        """
        shown = repr(name[:200])
        if kind:
            raise RefusedError(f"its member {shown} is {kind}")
        if name.startswith("/") or "\\" in name or (len(name) > 1 and name[1] == ":"):
            raise RefusedError(f"its member {shown} has an absolute name")
        if ".." in name.split("/"):
            raise RefusedError(f"its member {shown} leads out of the folder by '..'")
        self._count += 1
        self._total += size
        if self._count > MAX_MEMBERS:
            raise RefusedError(f"it has more than {MAX_MEMBERS} members, from {shown} on")
        if self._total > MAX_TOTAL:
            raise RefusedError(f"it unpacks to more than {MAX_TOTAL} bytes, from {shown} on")


def check_ratio(name: str, given: int, taken: int) -> None:
    """Refuse what grows too much when it is unpacked.

    Raises:
        RefusedError: Naming it.
    """
    if given > FREE_BYTES and given > MAX_RATIO * max(taken, 1):
        raise RefusedError(f"its member {name[:200]!r} grows more than {MAX_RATIO} times")


# --- zip ------------------------------------------------------------------------------------------


def open_zip(source: Source) -> zipfile.ZipFile | None:
    """Return a zip file, also one that something else stands in front of; None if it is none.

    Raises:
        DamagedError: It looks like one, but its directory cannot be read; others may be able to.
        TooCostlyError: The budget is used up.
    """
    if not source.whole:
        return None
    if not _has_directory(source):
        if source.start(4) == b"PK\x03\x04":
            raise DamagedError("its directory is not there")
        return None
    try:
        with source.budget.at_most(2 * _MAX_DIRECTORY):  # zip64 says its size elsewhere
            return zipfile.ZipFile(io.BufferedReader(source))
    except (zipfile.BadZipFile, ValueError, RuntimeError, OSError, IndexError) as error:
        raise DamagedError(f"its directory cannot be read: {error}") from error
    except struct.error as error:
        raise DamagedError("its directory cannot be read") from error


def zip_members(archive: zipfile.ZipFile) -> Iterator[tuple[Member, zipfile.ZipInfo]]:
    """Yield the regular files of a zip.

    Raises:
        RefusedError: A member must not be unpacked.
    """
    judge = _Judge()
    for info in archive.infolist():
        mode = info.external_attr >> 16
        kind = "a link" if stat.S_ISLNK(mode) else ""
        if stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or kind):
            kind = "a device or a pipe"
        if not info.filename:  # or one that begins with a NUL, where zipfile ends it
            kind = "nameless"
        # What zipfile makes of a name is not what others make of it.
        judge.take(info.orig_filename, info.file_size, kind)
        check_ratio(info.orig_filename, info.file_size, info.compress_size)
        if not info.is_dir():
            yield Member(info.filename, info.file_size), info


def zip_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> bytes:
    """Return the first ``size`` bytes of a member.

    Raises:
        DamagedError: It cannot be unpacked, or needs a password.
    """
    try:
        with archive.open(info) as file:
            return file.read(size)
    except (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OSError) as error:
        raise DamagedError(f"{info.filename[:200]!r} cannot be unpacked: {error}") from error
    except Exception as error:
        # zlib, lzma and struct each raise errors of their own.
        if type(error).__module__ in ("zlib", "_lzma", "lzma", "struct"):
            raise DamagedError(f"{info.filename[:200]!r} cannot be unpacked: {error}") from error
        raise


def _has_directory(source: Source) -> bool:
    # PKWARE's APPNOTE 4.3.16: the record is at the end, before a comment of up to 65535 bytes.
    size = min(source.size, 65_557)
    tail = source.at(source.size - size, size)
    found = tail.rfind(b"PK\x05\x06")
    directory = int.from_bytes(tail[found + 12 : found + 16], "little")
    if found >= 0 and directory > _MAX_DIRECTORY and directory != 0xFFFF_FFFF:  # zip64
        raise DamagedError(f"its directory has {directory} bytes")
    return found >= 0


# --- tar ------------------------------------------------------------------------------------------


def is_tar(start: bytes) -> bool:
    """Return whether a file that begins with these 512 bytes is a tar archive (POSIX, GNU)."""
    return len(start) >= _BLOCK and start[257:262] == b"ustar" and _sum_is_right(start)


class PlainTar:
    """A tar archive that is not compressed: what is not wanted is not read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._at = 0

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, fewer only at the end."""
        data = self._source.at(self._at, max(0, min(size, self._source.size - self._at)))
        self._at += len(data)
        return data

    def skip(self, size: int, /) -> None:
        """Pass over ``size`` bytes."""
        self._source.budget.spend(1)
        self._at += size
        if self._at > self._source.size:
            raise DamagedError("it stops in the middle")


class TarMembers:
    """Reads a tar archive forwards; iterate, and read each member before the next is asked for.

    Raises:
        RefusedError: A member must not be unpacked.
        DamagedError: It is no tar archive, or stops in the middle.
    """

    def __init__(self, stream: Forwards) -> None:
        self._stream = stream
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """Yield the regular files."""
        judge = _Judge()
        name, attributes = "", {}
        while header := self._header():
            kind, size = header[156:157], _size(header)
            if kind in (b"L", b"K", b"x", b"g"):
                data = self._long(size)
                if kind == b"L":
                    name = data.rstrip(b"\0").decode("utf-8", "replace")
                elif kind == b"x":
                    attributes = _pax(data)
                continue
            name = attributes.get("path") or name or _name(header)
            size = int(attributes.get("size") or size)
            special = "" if kind in _REGULAR else "no plain file"
            self._left, self._padding = size, -size % _BLOCK
            judge.take(name, size, "" if kind == _FOLDER else _KINDS.get(kind, special))
            if kind != _FOLDER:
                yield Member(name, size)
            name, attributes = "", {}

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes of the member that was given last."""
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        if not data and self._left:
            raise DamagedError("it stops in the middle")
        return data

    def _header(self) -> bytes:
        self._skip()
        header = self._stream.read(_BLOCK)
        if not header.strip(b"\0"):
            return b""
        if len(header) != _BLOCK or not _sum_is_right(header):
            raise DamagedError("a member's header is damaged")
        return header

    def _skip(self) -> None:
        left, self._left, self._padding = self._left + self._padding, 0, 0
        if left:
            self._stream.skip(left)

    def _long(self, size: int) -> bytes:
        if size > _MAX_LONG_NAME:
            raise RefusedError(f"it has a name or attributes of {size} bytes")
        data = self._stream.read(size)
        self._padding = -size % _BLOCK
        return data


def _sum_is_right(header: bytes) -> bool:
    text = header[148:156].strip(b" \0")
    try:
        return int(text or b"0", 8) == sum(header[:148]) + 8 * 32 + sum(header[156:])
    except ValueError:
        return False


def _size(header: bytes) -> int:
    field = header[124:136]
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0") or b"0"
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise DamagedError("a member's size is damaged")
    return int(digits, 8)


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0")[0]
    prefix = header[345:500].split(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


def _pax(data: bytes) -> dict[str, str]:
    """Return the attributes of a pax header (POSIX.1-2001, "pax Extended Header")."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        digits = data[at : max(at, data.find(b" ", at, at + 10))]
        if not digits.isdigit() or not len(digits) < int(digits) <= len(data) - at:
            raise DamagedError("a member's attributes are damaged")
        record = data[at : at + int(digits)]
        at += len(record)
        key, _equals, value = record[len(digits) + 1 : -1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    if any(key.startswith("GNU.sparse") for key in found):
        raise RefusedError(f"its member {found.get('path', '')[:200]!r} is sparse")
    size = found.get("size", "0")
    if not (size.isascii() and size.isdigit()) or len(size) > _MAX_DIGITS:
        raise DamagedError("a member's size is damaged")
    return found
