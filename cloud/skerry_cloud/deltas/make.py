"""Make a delta: ``python -m skerry_cloud.deltas.make OLD NEW OUT``, all three files.

A process of its own, for it may take minutes of a processor and much memory. It goes through the
new layer file by file, looks for the file of the old one that it came from, and says how. In the
end the delta is applied and what it makes is compared with the new layer.

Exit status: 0 made, 1 not worth it or too large.
"""

import hashlib
import mmap
import resource
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from skerry_cloud.deltas.matching import match
from skerry_contract.delta import DeltaWriter, Instruction, apply, xor
from skerry_contract.errors import ContractError

MOST_FILE_BYTES = 512 * 1024 * 1024
"""A larger file is not compared with another."""
_MEMORY_BYTES = 3 * 1024 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a layer's tar.

    Attributes:
        name: Its path.
        start: Where its headers begin.
        data: Where its bytes begin.
        size: How many they are.
        end: Where the next one begins.
    """

    name: str
    start: int
    data: int
    size: int
    end: int


def members(path: Path) -> list[Member]:
    """Return what is in a tar, in its order."""
    found = []
    with tarfile.open(path, "r:") as archive:
        for one in archive:
            size = one.size if one.isreg() else 0
            end = one.offset_data + (size + 511) // 512 * 512
            found.append(Member(one.name, one.offset, one.offset_data, size, end))
    return found


class _Old:
    """The old layer, and where what is in it lies."""

    def __init__(self, data: mmap.mmap, found: Sequence[Member]) -> None:
        self.data = data
        self._names = {one.name: one for one in found}
        self._suffixes: dict[str, list[Member]] = {}
        self._wholes: dict[bytes, int] = {}
        self._contents: dict[bytes, int] = {}
        for one in found:
            self._wholes.setdefault(_hash(data, one.start, one.end), one.start)
            self._contents.setdefault(_hash(data, one.data, one.data + one.size), one.data)
            self._suffixes.setdefault(PurePosixPath(one.name).suffix, []).append(one)

    def whole(self, new: mmap.mmap, one: Member) -> int | None:
        """Return where a file lies with just these headers and bytes."""
        return self._wholes.get(_hash(new, one.start, one.end))

    def content(self, new: mmap.mmap, one: Member) -> int | None:
        """Return where just these bytes lie, whatever they are called."""
        return self._contents.get(_hash(new, one.data, one.data + one.size))

    def origin(self, one: Member) -> Member | None:
        """Return the file that one most likely came from: of its name, or else of its kind."""
        same = self._names.get(one.name)
        if same is not None and (same.size or not one.size):
            return same
        last = PurePosixPath(one.name).name
        kin = [
            other
            for other in self._suffixes.get(PurePosixPath(one.name).suffix, [])
            if other.size and one.size / 2 <= other.size <= one.size * 2
        ]
        return min(
            kin,
            key=lambda other: (
                PurePosixPath(other.name).name != last,
                abs(other.size - one.size),
                other.name,
            ),
            default=None,
        )


def instructions(old: _Old, new: mmap.mmap, found: Sequence[Member]) -> Iterator[Instruction]:
    """Yield what makes a new layer; neighbours that could be one are."""
    held: Instruction | None = None
    for one in _each(old, new, found):
        if held is not None and _follows(held, one):
            held = replace(held, length=held.length + one.length)
            continue
        if held is not None:
            yield held
        held = one
    if held is not None:
        yield held


def _follows(one: Instruction, other: Instruction) -> bool:
    if one.kind != other.kind:
        return False
    return one.kind == "new" or one.old + one.length == other.old


def _each(old: _Old, new: mmap.mmap, found: Sequence[Member]) -> Iterator[Instruction]:
    place = 0
    for one in found:
        if one.start > place:
            yield Instruction("new", one.start - place)
        whole = old.whole(new, one)
        if whole is not None:
            yield Instruction("copy", one.end - one.start, whole)
        else:
            yield from _member(old, new, one)
        place = one.end
    if len(new) > place:
        yield Instruction("new", len(new) - place)


def _member(old: _Old, new: mmap.mmap, one: Member) -> Iterator[Instruction]:
    origin = old.origin(one)
    heads = one.data - one.start
    if origin is not None and origin.data - origin.start == heads:
        yield Instruction("xor", heads, origin.start)
    elif heads:
        yield Instruction("new", heads)
    if one.size:
        yield from _bytes(old, new, one, origin)
    if one.end > one.data + one.size:
        yield Instruction("new", one.end - one.data - one.size)


def _bytes(old: _Old, new: mmap.mmap, one: Member, origin: Member | None) -> Iterator[Instruction]:
    same = old.content(new, one)
    if same is not None:
        yield Instruction("copy", one.size, same)
    elif origin is None or max(origin.size, one.size) > MOST_FILE_BYTES:
        yield Instruction("new", one.size)
    else:
        before = old.data[origin.data : origin.data + origin.size]
        after = new[one.data : one.data + one.size]
        for step in match(before, after):
            yield step if step.kind == "new" else replace(step, old=step.old + origin.data)


def make(old_path: Path, new_path: Path, out_path: Path) -> None:
    """Write the delta that makes one tar from another.

    Raises:
        ContractError: What it makes is not the new tar; that is a bug here.
        OSError: A file cannot be read or written.
        tarfile.TarError: A layer is no tar.
    """
    with old_path.open("rb") as old_file, new_path.open("rb") as new_file:
        before = mmap.mmap(old_file.fileno(), 0, access=mmap.ACCESS_READ)
        after = mmap.mmap(new_file.fileno(), 0, access=mmap.ACCESS_READ)
        writer, place = DeltaWriter(len(after)), 0
        for one in instructions(_Old(before, members(old_path)), after, members(new_path)):
            for at in range(0, one.length, _PIECE_BYTES):
                count = min(_PIECE_BYTES, one.length - at)
                data = b"" if one.kind == "copy" else after[place + at : place + at + count]
                if one.kind == "xor":
                    data = xor(before[one.old + at : one.old + at + count], data)
                writer.add(_part(one, at, count), data)
            place += one.length
        with out_path.open("wb") as out:
            writer.finish(out)
        made = hashlib.sha256()
        with out_path.open("rb") as delta:
            apply(old_file, delta, made.update, size=len(after))
        if made.digest() != _hash(after, 0, len(after)):
            raise ContractError("makes another layer than it should", subject="delta")


def _part(one: Instruction, at: int, count: int) -> Instruction:
    return Instruction(one.kind, count, 0 if one.kind == "new" else one.old + at)


def _hash(data: mmap.mmap, begin: int, end: int) -> bytes:
    hasher = hashlib.sha256()
    for at in range(begin, end, _PIECE_BYTES):
        hasher.update(data[at : min(end, at + _PIECE_BYTES)])
    return hasher.digest()


def main(arguments: Sequence[str]) -> int:
    """Make one delta and return the exit status."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    old, new, out = map(Path, arguments)
    try:
        make(old, new, out)
    except (ContractError, OSError, tarfile.TarError, MemoryError, ValueError) as error:
        sys.stderr.write(f"no delta: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
