"""How far a stream has come: what is new in a batch, what is lost, what may be acknowledged.

A device sends the items of a boot and stream numbered from 1, again and again until they are
acknowledged, in any order and from any point on, and says with each batch which is the lowest
number it still holds. Three promises hold for every sequence of batches, and tests check them:

* an item counts as new once, however often it comes;
* the acknowledgement never passes an item that may still come;
* every number up to the acknowledgement was either new once, or is counted as lost, in one gap.
"""

from collections.abc import Iterable
from dataclasses import dataclass

MAX_ISLANDS = 200
"""Separate runs of items ahead of the acknowledgement that are remembered for one stream."""

Run = tuple[int, int]
"""First and last number of items that follow each other."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where one boot and stream stands.

    Attributes:
        through: Everything up to this number is stored or known to be lost.
        above: Runs that are stored above it, in order, apart from each other and from it.
        lost: How many numbers up to ``through`` never came.
    """

    through: int = 0
    above: tuple[Run, ...] = ()
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What a batch changes.

    Attributes:
        position: Where the stream stands afterwards.
        fresh: Numbers of the batch that are to be stored.
        gaps: Runs of numbers that are known to be lost from now on.
    """

    position: Position
    fresh: frozenset[int]
    gaps: tuple[Run, ...] = ()


def advance(position: Position, floor: int, numbers: Iterable[int]) -> Step:
    """Take a batch in.

    Args:
        position: Where the stream stood.
        floor: Lowest number that the device still holds, at least 1.
        numbers: Numbers of the items in the batch, at least 1.

    Returns:
        The new position and what is to be stored. Where too many runs would have to be
        remembered, only items that follow the acknowledged ones are taken: the others are not
        acknowledged, so they come again.
    """
    base = max(position.through, floor - 1)
    unseen = {n for n in set(numbers) if n > base and not _covers(position.above, n)}
    runs = _joined([*position.above, *((n, n) for n in unseen)])
    if len(runs) > MAX_ISLANDS:
        unseen = _following(base, unseen)
        runs = _joined([*position.above, *((n, n) for n in unseen)])
    gaps = _between(runs, position.through + 1, base)
    lost = position.lost + sum(last - first + 1 for first, last in gaps)
    through = base
    while runs and runs[0][0] <= through + 1:
        through = max(through, runs.pop(0)[1])
    return Step(Position(through, tuple(runs), lost), frozenset(unseen), gaps)


def _following(base: int, numbers: set[int]) -> set[int]:
    """Return those that follow ``base`` without a gap: taking them in needs no memory."""
    found = set()
    while base + 1 in numbers:
        base += 1
        found.add(base)
    return found


def _covers(runs: tuple[Run, ...], number: int) -> bool:
    return any(first <= number <= last for first, last in runs)


def _between(runs: Iterable[Run], low: int, high: int) -> tuple[Run, ...]:
    """Return the runs of numbers from ``low`` to ``high`` that ``runs``, in order, leave out."""
    found = []
    for first, last in runs:
        if first > high:
            break
        if first > low:
            found.append((low, first - 1))
        low = max(low, last + 1)
    return (*found, (low, high)) if low <= high else tuple(found)


def _joined(runs: Iterable[Run]) -> list[Run]:
    joined: list[Run] = []
    for first, last in sorted(runs):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined
