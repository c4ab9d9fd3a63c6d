"""Find out how one file came from another: what was kept, what changed a little, what is new.

Pure: bytes in, instructions out. A file whose size stayed, and which differs in many small ways
(weights that were trained further), is compared place by place. In any other, blocks of the old
file are looked for at every place of the new one; what lies between two finds is compared with
what lay between them before.

Source: Tridgell, "Efficient Algorithms for Sorting and Synchronization", 1999, chapter 3, for
blocks at any place; Percival, "Naive Differences of Executable Code", 2003, for what lies between.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from skerry_contract.delta import Instruction, xor

LEAST_BLOCK_BYTES = 24
MOST_BLOCKS = 400_000
"""Blocks of an old file that are remembered, about 100 bytes of memory each."""
_ALIGNED_BYTES = 4096
_SAMPLE_BYTES = 4096
_SAMPLES = 32
_SMALL_GAP_BYTES = 64
_BACK = 4096


@dataclass(frozen=True, slots=True)
class _Find:
    """The same ``length`` bytes in both files, from these places on."""

    old: int
    new: int
    length: int

    @property
    def shift(self) -> int:
        return self.old - self.new


def match(old: bytes, new: bytes) -> Iterator[Instruction]:
    """Yield instructions that make ``new`` from ``old``; places are in ``old``."""
    if len(old) == len(new) and _is_like(old, new):
        yield from _aligned(old, new)
    else:
        yield from _between(old, new, _finds(old, new))


def _aligned(old: bytes, new: bytes) -> Iterator[Instruction]:
    begin, kept = 0, None
    for at in range(0, len(new), _ALIGNED_BYTES):
        same = old[at : at + _ALIGNED_BYTES] == new[at : at + _ALIGNED_BYTES]
        if kept is not None and same != kept:
            yield Instruction("copy" if kept else "xor", at - begin, begin)
            begin = at
        kept = same
    if len(new) > begin:
        yield Instruction("copy" if kept else "xor", len(new) - begin, begin)


def _finds(old: bytes, new: bytes) -> Iterator[_Find]:
    """Yield what of ``new`` is in ``old``, in the order of ``new``, none over another."""
    block = max(LEAST_BLOCK_BYTES, len(old) // MOST_BLOCKS)
    index: dict[bytes, int] = {}
    for at in range(0, len(old) - block + 1, block):
        index.setdefault(old[at : at + block], at)
    look, at, done, last = index.get, 0, 0, len(new) - block
    while at <= last:
        found = look(new[at : at + block])
        if found is None:
            at += 1
            continue
        back = _common_end(old[max(0, found - _BACK) : found], new[max(done, at - _BACK) : at])
        length = back + block + _common_start(old, found + block, new, at + block)
        yield _Find(found - back, at - back, length)
        at = done = at - back + length


def _common_start(old: bytes, i: int, new: bytes, j: int) -> int:
    """Return how many bytes from ``i`` in ``old`` are those from ``j`` in ``new``."""
    most, count, step = min(len(old) - i, len(new) - j), 0, 64
    while count < most:
        step = min(step * 2, most - count, 2**20)
        one, other = old[i + count : i + count + step], new[j + count : j + count + step]
        if one != other:
            return count + _equal(one, other)
        count += step
    return count


def _equal(one: bytes, other: bytes) -> int:
    """Return the place of the first difference of two strings that differ."""
    low, high = 0, len(one)
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _common_end(one: bytes, other: bytes) -> int:
    count, most = 0, min(len(one), len(other))
    while count < most and one[-1 - count] == other[-1 - count]:
        count += 1
    return count


def _between(old: bytes, new: bytes, finds: Iterator[_Find]) -> Iterator[Instruction]:
    """Yield the finds, and how what lies between them comes about."""
    before = _Find(0, 0, 0)
    for find in [*finds, _Find(len(old), len(new), 0)]:
        begin = before.new + before.length
        if find.new > begin:
            yield from _gap(old, new[begin : find.new], begin, (before.shift, find.shift))
        if find.length:
            yield Instruction("copy", find.length, find.old)
        before = find


def _gap(old: bytes, gap: bytes, begin: int, shifts: Sequence[int]) -> Iterator[Instruction]:
    """Yield how bytes between two finds come about, from ``begin`` in the new file on."""
    for shift in dict.fromkeys(shifts):
        # Only the part that has a counterpart: the files need not be of one length.
        first = max(0, -shift - begin)
        end = min(len(gap), len(old) - shift - begin)
        if 2 * (end - first) < len(gap):
            continue
        place = begin + first + shift
        if _is_like(old[place : place + end - first], gap[first:end]):
            if first:
                yield Instruction("new", first)
            yield Instruction("xor", end - first, place)
            if end < len(gap):
                yield Instruction("new", len(gap) - end)
            return
    yield Instruction("new", len(gap))


def _is_like(old: bytes, new: bytes) -> bool:
    """Return whether the difference to ``old`` costs clearly less than ``new`` itself."""
    if len(new) < _SMALL_GAP_BYTES:
        return xor(old, new).count(0) * 2 > len(new)
    step = max(_SAMPLE_BYTES, len(new) // _SAMPLES)
    changed = whole = 0
    for at in range(0, len(new), step):
        one, other = old[at : at + _SAMPLE_BYTES], new[at : at + _SAMPLE_BYTES]
        changed += len(zlib.compress(xor(one, other), 1))
        whole += len(zlib.compress(other, 1))
    return changed < whole * 0.95
