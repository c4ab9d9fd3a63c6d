"""Put into a report what the reconciler knows."""

from dataclasses import dataclass, field

from skerry_agent.core.plan import held_up
from skerry_agent.core.report import Known, phase_of, reports_of, told
from skerry_agent.reconciling.reconciler import Reconciler
from skerry_contract.errors import SkerryError
from skerry_contract.messages import Progress, Reported, failure_of


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands over a report.

    Attributes:
        boot: Boot id of the agent.
        ts: When, as text.
        problem: What else than the modules keeps the device from going on.
        progress: How far the pulls are.
    """

    boot: str
    ts: str
    problem: SkerryError | None = None
    progress: Progress = field(default_factory=Progress)


def report(reconciler: Reconciler, heading: Heading) -> Reported:
    """Return what the device says of itself now."""
    desired, committed = reconciler.desired, reconciler.committed
    history, world = reconciler.history, reconciler.world
    problem = heading.problem or reconciler.problem
    wanted = desired.modules if desired else None
    phase = "refused" if reconciler.expired else phase_of(wanted, committed.modules, world)
    up = held_up(reconciler.wanted, committed.modules, world)
    known = Known(history.restarts, history.failures, history.rests | up, history.shadows)
    return Reported(
        boot=heading.boot,
        ts=heading.ts,
        version=reconciler.version,
        deployment=desired.deployment if desired else "",
        phase=phase,
        committed=committed.version,
        failure=failure_of(problem) if problem else reconciler.refusal(),
        progress=heading.progress,
        modules=reports_of(reconciler.wanted, committed.modules, world, known),
        bad=told(history.bad),
        waits=reconciler.waits,
    )
