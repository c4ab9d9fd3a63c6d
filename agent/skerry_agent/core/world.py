"""What the agent sees at one moment, as the planner wants it; see ``docs/agent-states.md``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from skerry_contract.desired import ModuleSpec
from skerry_contract.names import Digest

Modules = Mapping[str, ModuleSpec]


class Life(Enum):
    """What an instance does; the table in ``docs/agent-states.md`` has what leads where."""

    STARTING = "starting"
    READY = "ready"
    SERVING = "serving"
    UNREADY = "unready"
    UNHEALTHY = "unhealthy"
    EXITED = "exited"


RUNNING = frozenset({Life.STARTING, Life.READY, Life.SERVING, Life.UNREADY, Life.UNHEALTHY})
RELEASED = frozenset({Life.SERVING, Life.UNREADY})
"""Inputs were released: it scores, or has said that it cannot just now."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One revision of one module: at most one instance of it exists at a time."""

    module: str
    revision: str

    def __str__(self) -> str:
        return f"{self.module}.{self.revision}"


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance as it is seen now.

    Attributes:
        life: What it does.
        proven: Whether it has passed its golden set since it started.
        compared: Whether it has been compared with what runs, as far as that was asked for.
        status: Exit status of an exited one; None if nobody knows it.
    """

    life: Life
    proven: bool = False
    compared: bool = False
    status: int | None = None


@dataclass(frozen=True, slots=True)
class World:
    """What the agent sees at one moment.

    Attributes:
        images: Images that can be started without the network.
        instances: Every instance there is, by key.
        bad: Revisions that are not tried again.
        resting: Keys that must not be started yet, since they failed a short while ago.
        held: Whether something holds the switch back: a person, a module's lock, a window.
        tried: Revisions that were proven before, and need not be again while the switch is held.
    """

    images: frozenset[Digest] = frozenset()
    instances: Mapping[Key, Instance] = field(default_factory=dict)
    bad: frozenset[Key] = frozenset()
    resting: frozenset[Key] = frozenset()
    held: bool = False
    tried: frozenset[Key] = frozenset()


def key_of(module: str, spec: ModuleSpec) -> Key:
    """Return the key of the instance that runs ``spec``."""
    return Key(module, spec.revision)


def is_same(one: ModuleSpec | None, other: ModuleSpec | None) -> bool:
    """Return whether two specs run alike; their names for people may differ."""
    return one is not None and other is not None and one.revision == other.revision


def may_restart(spec: ModuleSpec, seen: Instance) -> bool:
    """Return whether one that has ended is to be started again.

    Where nobody saw it end, such as at a power cut, it has not ended by itself.
    """
    if seen.status is None or spec.run.restart == "always":
        return True
    return seen.status != 0 and spec.run.restart in ("on-failure", "on-unhealthy")


def restarts_unhealthy(spec: ModuleSpec) -> bool:
    """Return whether one that runs and does not answer is to be stopped and started again."""
    return spec.run.restart in ("always", "on-unhealthy")


def is_over(spec: ModuleSpec, seen: Instance) -> bool:
    """Return whether an instance has ended, for good."""
    return seen.life is Life.EXITED and not may_restart(spec, seen)
