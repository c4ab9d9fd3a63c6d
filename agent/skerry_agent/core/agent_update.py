"""Decide how the agent replaces itself: a pure function; see ``docs/agent-update.md``."""

from dataclasses import dataclass, replace

from skerry_agent.launcher import Record

PROOF_S = 300.0
"""How long a release on trial has to reach the broker and to see its modules."""
STAY_S = 10.0
"""How long a release on trial must have run before it counts as one that stays up."""
UP_S = 60.0
"""An agent that has run for so long is up, with or without a broker."""


@dataclass(frozen=True, slots=True)
class View:
    """What there is to decide upon.

    Attributes:
        wanted: Release that the cloud wants, by the name of its slot; "" for whichever runs.
        running: Release that this process runs; "" is what was flashed.
        record: What the launcher goes by.
        here: Releases that can be started.
        refused: Releases that are not tried any more.
        resting: Whether the last attempt at ``wanted`` is too short a while ago.
        held: Whether somebody on the device, or the time of the week, holds switches back.
        linked: Whether the broker was reached since the start.
        serving: Modules that serve.
        ended: Modules that have ended in good order.
        age_s: Seconds since the start.
    """

    wanted: str
    running: str
    record: Record
    here: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    resting: bool = False
    held: bool = False
    linked: bool = False
    serving: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Note:
    """Take note of a release that the launcher or an earlier agent has given up."""

    release: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """Bring the wanted release onto the device."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Write the record, and ask the launcher for the next choice; modules run on."""

    record: Record


@dataclass(frozen=True, slots=True)
class Keep:
    """Write the record: what runs has proved itself, or at least that it comes up."""

    record: Record


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Leave word why, write the record, and ask the launcher for the next choice.

    Attributes:
        record: What to write.
        missing: Modules that served before and do not serve now.
        linked: Whether the broker was reached.
    """

    record: Record
    missing: frozenset[str]
    linked: bool


Step = Note | Fetch | Switch | Keep | GiveUp


def next_step(view: View) -> Step | None:
    """Return what to do now, if anything."""
    record = view.record
    if record.trial and record.trial == view.running:
        return _proof(view)
    if record.fallen:
        return Note(record.fallen)
    up = view.age_s >= (STAY_S if view.linked else UP_S)
    if view.running and record.tries and up:
        return Keep(replace(record, tries=0))
    if not is_pending(view) or view.resting:
        return None
    if view.wanted not in view.here:
        return Fetch()
    if view.held:
        return None
    served = tuple(sorted(view.serving))
    before = record.before if record.good == view.running else ""
    return Switch(Record(view.running, before, view.wanted, served=served))


def is_pending(view: View) -> bool:
    """Return whether the wanted release is still to come, or to prove itself."""
    if view.record.trial and view.record.trial == view.running:
        return True
    return view.wanted not in ("", view.running) and view.wanted not in view.refused


def _proof(view: View) -> Step | None:
    record = view.record
    missing = frozenset(record.served) - view.serving - view.ended
    if view.linked and not missing:
        kept = Record(good=record.trial, before=record.good)
        return Keep(kept) if view.age_s >= STAY_S else None
    if view.age_s < PROOF_S:
        return None
    fallen = replace(record, trial="", tries=0, fallen=record.trial, served=())
    return GiveUp(fallen, missing, view.linked)
