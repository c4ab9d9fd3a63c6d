"""Say in the contract's words where the device is: pure functions over plan and world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from skerry_agent.core.plan import target_of
from skerry_agent.core.world import RUNNING, Key, Life, Modules, World, key_of
from skerry_contract.desired import ModuleSpec
from skerry_contract.messages import (
    BadRevision,
    DeviceState,
    Failure,
    ModuleReport,
    ModuleState,
    Phase,
    ShadowReport,
)

MAX_TOLD = 10
"""Refused revisions that a report names."""
MAX_DETAILED = 3
"""Of those, the newest that come with their details; and modules that may, if so few fail."""

_STATES: dict[Life, ModuleState] = {
    Life.STARTING: "starting",
    Life.READY: "proven",
    Life.SERVING: "serving",
    Life.UNREADY: "unready",
    Life.UNHEALTHY: "failed",
    Life.EXITED: "stopped",
}
_ORDER = (Life.SERVING, Life.UNREADY, Life.READY, Life.STARTING, Life.UNHEALTHY, Life.EXITED)


def phase_of(desired: Modules | None, committed: Modules, world: World) -> Phase:
    """Return where the device is with what the cloud wants.

    Args:
        desired: What the cloud wants; None before anything was ever accepted.
        committed: What last proved itself as a whole.
        world: What is seen.
    """
    if desired is None:
        return "idle"
    if any(key_of(name, spec) in world.bad for name, spec in desired.items()):
        return "refused"
    if desired == committed:
        return "committed"
    if any(spec.digest not in world.images for spec in desired.values()):
        return "pulling"
    if world.held:
        beside = {n: s for n, s in desired.items() if s.run.update == "side-by-side"}
        keys = (key_of(*pair) for pair in beside.items() if committed.get(pair[0]) != pair[1])
        known = all(key in world.tried or _is_proven(key, world) for key in keys)
        return "held" if known else "proving"
    old = (key_of(name, spec) for name, spec in committed.items() if desired.get(name) != spec)
    running = any(key in world.instances for key in old)
    changed = {name: spec for name, spec in desired.items() if committed.get(name) != spec}
    proven = all(_is_proven(key_of(name, spec), world) for name, spec in changed.items())
    return "switching" if proven or (committed and not running) else "proving"


def state_of(phase: Phase, modules: Mapping[str, ModuleReport]) -> DeviceState:
    """Return the device's state in one word."""
    if phase in ("pulling", "proving", "switching"):
        return "updating"
    if all(module.state in ("serving", "stopped") for module in modules.values()):
        return "ready" if all(m.failure is None for m in modules.values()) else "degraded"
    return "degraded"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of revisions, besides what is seen of them.

    Attributes:
        restarts: How often each was started again.
        failures: What went wrong with each last.
        rests: What each waits for before it is started.
        shadows: How each compared with the one before it.
    """

    restarts: Mapping[Key, int] = field(default_factory=dict)
    failures: Mapping[Key, Failure] = field(default_factory=dict)
    rests: Mapping[Key, str] = field(default_factory=dict)
    shadows: Mapping[Key, ShadowReport] = field(default_factory=dict)


def reports_of(
    desired: Modules,
    committed: Modules,
    world: World,
    known: Known,
) -> dict[str, ModuleReport]:
    """Return one report per module: of the instance that serves, or that comes nearest to it."""
    target = target_of(desired, committed, world.bad)
    reports = {}
    for name in sorted({*target, *committed}):
        spec, state = _chosen(name, committed.get(name), target.get(name), world)
        key = key_of(name, spec)
        failure = known.failures.get(key) if state != "serving" else None
        if failure is not None and state in ("pulling", "stopped"):
            state = "failed"
        waits = known.rests.get(key, "") if state in ("stopped", "failed") else ""
        reports[name] = ModuleReport(
            spec.image,
            spec.digest,
            spec.revision,
            state,
            known.restarts.get(key, 0),
            failure,
            waits,
            known.shadows.get(key),
        )
    failing = sum(report.failure is not None for report in reports.values())
    return reports if failing <= MAX_DETAILED else {n: _in_short(r) for n, r in reports.items()}


def told(bad: Sequence[BadRevision]) -> tuple[BadRevision, ...]:
    """Return what a report says of the bad list: the newest, and the details of the very newest.

    A report must fit into a payload however many revisions were refused here.
    """
    newest = bad[-MAX_TOLD:]
    return tuple(
        one if place >= len(newest) - MAX_DETAILED else _brief(one)
        for place, one in enumerate(newest)
    )


def _in_short(report: ModuleReport) -> ModuleReport:
    if report.failure is None:
        return report
    brief = replace(report.failure, text=report.failure.text[:300], remedy="", detail="")
    return replace(report, failure=brief)


def _brief(bad: BadRevision) -> BadRevision:
    return replace(bad, failure=replace(bad.failure, detail=""))


def _chosen(
    name: str, old: ModuleSpec | None, new: ModuleSpec | None, world: World
) -> tuple[ModuleSpec, ModuleState]:
    specs = [spec for spec in (new, old) if spec is not None]
    for life in _ORDER:
        for spec in specs:
            seen = world.instances.get(key_of(name, spec))
            if seen is not None and seen.life is life:
                return spec, _STATES[life]
    missing = specs[0].digest not in world.images
    return specs[0], "pulling" if missing else "stopped"


def _is_proven(key: Key, world: World) -> bool:
    seen = world.instances.get(key)
    return seen is not None and seen.life in RUNNING and (seen.proven or seen.life is Life.SERVING)
