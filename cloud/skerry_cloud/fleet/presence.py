"""Whether a device is there, judged from what was heard of it and when.

Times are the cloud's own, of receipt: a device's clock may be years off. What a broker repeats
from its memory (a retained message) says nothing about when it was sent, and never counts as a
heartbeat.

A broker keeps the order of one topic only, so a heartbeat may overtake the goodbye that followed
it. Who comes back says so: with another boot, or with a state of a higher birth.
"""

from dataclasses import dataclass
from typing import Literal

from skerry_contract.messages import MISSED_HEARTBEATS, State

Presence = Literal["online", "offline", "unknown"]

_AWAY = frozenset({"disconnected", "sleeping", "lost"})
_ENDED = frozenset({"disconnected", "lost"})
"""What nothing follows in the same connection."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last heartbeat that came as it was sent.

    Attributes:
        received: When, in seconds since 1970.
        interval_s: Seconds until the next one at the latest, as the device promised.
        boot: Boot id of the agent that sent it.
    """

    received: float
    interval_s: float
    boot: str


@dataclass(frozen=True, slots=True)
class Word:
    """What a device, or the broker in its name, said last about its state.

    Attributes:
        received: When, in seconds since 1970.
        state: What was said.
    """

    received: float
    state: State


def presence(heartbeat: Heartbeat | None, word: Word | None, now: float) -> Presence:
    """Return whether a device is there.

    ``offline`` means that it said goodbye, or that the broker lost it, and that it has not come
    back: heartbeats of the boot that ended so do not count, however late they arrive.
    ``unknown`` means that it should be there and is not heard of: never is the last value
    shown as if it were the present one.
    """
    if word is not None and word.state.state in _AWAY and not _is_back(heartbeat, word):
        return "offline"
    if heartbeat is None:
        return "unknown"
    due = heartbeat.received + MISSED_HEARTBEATS * heartbeat.interval_s
    return "online" if now < due else "unknown"


def is_stale(new: State, seen: State | None) -> bool:
    """Tell whether ``new`` is a state of a connection that has ended, or that another followed.

    A device that lost its state counts its births from one again, and is to be believed: of
    another boot, only wills are judged by their birth.
    """
    if seen is None:
        return False
    if new.boot == seen.boot and new.birth == seen.birth:
        return seen.state in _ENDED and new.state not in _ENDED
    return new.birth < seen.birth and (new.state == "lost" or new.boot == seen.boot)


def _is_back(heartbeat: Heartbeat | None, word: Word) -> bool:
    if heartbeat is None or heartbeat.boot == word.state.boot:
        return False
    return heartbeat.received > word.received
