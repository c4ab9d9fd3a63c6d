"""What to remove from the blob store so that something fits, or why nothing helps; no I/O."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """A file of the store.

    Attributes:
        name: Hex digits of the digest that it is, or will be.
        size: Bytes that it takes.
        used: When it was last needed, in seconds since any one moment.
        partial: Whether it is not whole yet.
    """

    name: str
    size: int
    used: float
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """How full the store and its disk may be, and are.

    Attributes:
        cap: Bytes that the store may take.
        free: Bytes that are free on the disk now.
        floor: Bytes that must stay free.
    """

    cap: int
    free: int
    floor: int


@dataclass(frozen=True, slots=True)
class Room:
    """What can be done.

    Attributes:
        remove: Files to remove, in this order; none if it does not fit anyway.
        fits: Whether it fits then.
        held: Bytes in the store before.
        removable: Bytes that could be removed.
    """

    remove: tuple[Held, ...]
    fits: bool
    held: int
    removable: int


def plan_room(held: Iterable[Held], keep: Collection[str], needed: int, bounds: Bounds) -> Room:
    """Decide what goes so that ``needed`` more bytes fit.

    Nothing in ``keep`` goes. Of the rest, the oldest go first, and no more than are needed. Where
    even all of it is not enough, nothing goes: the error tells, and a later try begins from here.
    Only where nothing is to come (``needed`` is 0), what is over goes in any case.

    Args:
        held: Every file of the store.
        keep: Names that must stay.
        needed: Bytes that are to come, at least 0.
        bounds: How full things may be.
    """
    files = list(held)
    total = sum(one.size for one in files)
    rest = [one for one in files if one.name not in keep]
    removable = sum(one.size for one in rest)
    over = max(total + needed - bounds.cap, needed + bounds.floor - bounds.free)
    if over > removable and needed:
        return Room((), fits=False, held=total, removable=removable)
    chosen: list[Held] = []
    for one in sorted(rest, key=lambda one: (one.used, one.name, one.partial)):
        if over <= 0:
            break
        if one.size:
            chosen.append(one)
            over -= one.size
    return Room(tuple(chosen), fits=over <= 0, held=total, removable=removable)
