"""What is new in a log of which only the end can be read, again and again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class News:
    """What a look at the end of a log brought.

    Attributes:
        lines: Whole lines that were not there before.
        seen: What to compare the next look with.
        gap: Whether lines between the two looks may be missing.
    """

    lines: tuple[str, ...]
    seen: str
    gap: bool = False


def news(seen: str, now: str) -> News:
    """Return what of ``now`` comes after ``seen``; a line that has no end yet waits.

    Args:
        seen: What an earlier look returned as ``seen``; empty at first.
        now: The end of the log as it is.
    """
    whole = now[: now.rfind("\n") + 1]
    start = _overlap(seen, whole)
    fresh = whole[start:]
    gap = bool(seen) and start == 0 and bool(whole)
    return News(tuple(fresh.splitlines()), whole or seen, gap)


def _overlap(seen: str, now: str) -> int:
    """Return where in ``now`` the longest end of ``seen`` that it begins with is over; 0 if none.

    ``now`` may begin in the middle of a line, so its second line may be where the two meet.
    """
    starts = (0, now.find("\n") + 1)
    place = 0
    while place < len(seen):
        rest = seen[place:]
        for start in starts:
            if now.startswith(rest, start):
                return start + len(rest)
        place = seen.find("\n", place) + 1 or len(seen)
    return 0
