"""Whether a device is there, judged from what was heard of it and when.

Times are the cloud's own, of receipt: a device's clock may be years off. What a broker repeats
from its memory (a retained message) says nothing about when it was sent, and never counts as a
heartbeat.
"""

from dataclasses import dataclass
from typing import Literal

from skerry_contract.messages import MISSED_HEARTBEATS, State

Presence = Literal["online", "offline", "unknown"]

_AWAY = frozenset({"disconnected", "sleeping", "lost"})


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last heartbeat that came as it was sent.

    Attributes:
        received: When, in seconds since 1970.
        interval_s: Seconds until the next one at the latest, as the device promised.
    """

    received: float
    interval_s: float


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

    ``offline`` means that it said goodbye, or that the broker lost it, and that nothing came
    since. ``unknown`` means that it should be there and is not heard of: never is the last value
    shown as if it were the present one.
    """
    goodbye = word.received if word is not None and word.state.state in _AWAY else None
    if heartbeat is None:
        return "unknown" if goodbye is None else "offline"
    if goodbye is not None and heartbeat.received <= goodbye:
        return "offline"
    due = heartbeat.received + MISSED_HEARTBEATS * heartbeat.interval_s
    return "online" if now < due else "unknown"


def is_stale_will(new: State, seen: State | None) -> bool:
    """Tell whether ``new`` is the will of a connection that another one has followed.

    Only wills are judged so: a device that lost its state counts its births from one again, and
    is to be believed when it says that it is ready.
    """
    return new.state == "lost" and seen is not None and new.birth < seen.birth
