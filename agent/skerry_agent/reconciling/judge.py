"""Judge instances: what is wrong with each, and what follows from it for its revision."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from skerry_agent.core.watch import Watch
from skerry_agent.core.world import Instance, Key, Life, Modules, key_of, may_restart
from skerry_agent.reconciling.hands import Hands
from skerry_agent.reconciling.history import History
from skerry_agent.reconciling.jobs import Jobs
from skerry_agent.reconciling.observer import Observer
from skerry_contract.desired import ModuleSpec
from skerry_contract.errors import DeadlineError, ProbeError
from skerry_contract.messages import Event, Failure, Severity, make_failure

HEALTHY_S = 60.0
"""After serving for so long, earlier failures of a revision are forgotten."""

Tell = Callable[[str, Event], None]
"""Called with the type of an event and the event."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be judged.

    Attributes:
        instances: Every instance there is.
        specs: What runs as each key.
        committed: What last proved itself as a whole.
        now: Monotonic time in seconds.
    """

    instances: Mapping[Key, Instance]
    specs: Mapping[Key, ModuleSpec]
    committed: Modules
    now: float

    def is_committed(self, key: Key) -> bool:
        """Return whether a revision belongs to what last proved itself."""
        spec = self.committed.get(key.module)
        return spec is not None and spec.revision == key.revision


class Judge:
    """Passes a verdict on each run of an instance, once.

    Args:
        hands: Knows why something has ended.
        observer: Knows what was heard of it.
        history: Takes the verdicts.
        jobs: Whose key is busy is judged later.
        tell: Takes events.
    """

    def __init__(
        self, hands: Hands, observer: Observer, history: History, jobs: Jobs, tell: Tell
    ) -> None:
        self._hands = hands
        self._observer = observer
        self._history = history
        self._jobs = jobs
        self._tell = tell

    def judge(self, case: Case) -> list[Key]:
        """Note what is wrong, and return the instances that must be stopped for it."""
        overdue = []
        for key, instance in case.instances.items():
            watch = self._observer.watch(key)
            if key not in case.specs or watch.counted or self._jobs.busy(key):
                continue
            failure = self._failure_of(key, instance, watch, case)
            if failure is not None:
                watch.counted = True
                self.fail(key, failure, case)
                if instance.life not in (Life.EXITED, Life.UNHEALTHY):
                    overdue.append(key)
            elif instance.life is Life.SERVING and case.now - watch.since > HEALTHY_S:
                self._history.pauses.passed(key)
        return overdue

    def fail(self, key: Key, failure: Failure, case: Case) -> None:
        """Note a failure of a revision, and tell of it."""
        bad = self._history.failed(
            key, case.specs[key], failure, committed=case.is_committed(key), now=case.now
        )
        self._tell(*failed_event(key, failure, bad=bad))

    def give_up(self, target: Modules, case: Case, switch_s: float) -> None:
        """Refuse what does not serve though the switch to it began ``switch_s`` seconds ago."""
        for name, spec in target.items():
            key = key_of(name, spec)
            seen = case.instances.get(key)
            if case.is_committed(key) or (seen is not None and seen.life is Life.SERVING):
                continue
            last = self._history.failures.get(key)
            text = f"{name}: did not serve {switch_s:.0f} s after the switch began"
            why = f"{text}; last: [{last.code}] {last.text}" if last else text
            failure = make_failure(DeadlineError.code, why, _REMEDY, last.detail if last else "")
            self._history.refuse(key, spec, failure)
            self._tell(*failed_event(key, failure, bad=True))

    def _failure_of(self, key: Key, instance: Instance, watch: Watch, case: Case) -> Failure | None:
        """Return what is wrong with an instance now, if anything is."""
        spec, committed = case.specs[key], case.is_committed(key)
        probe = spec.run.probe
        if instance.life is Life.EXITED:
            by_itself = watch.ran or instance.status is not None
            meant = instance.status == 0 and not may_restart(spec, instance)
            if committed and (meant or not by_itself):
                return None
            return self._hands.reason(key, instance.status, ready=watch.ready)
        if instance.life is Life.UNHEALTHY:
            text = f"{key.module}: {watch.misses} probes in a row failed: {watch.complaint}"
            remedy = "See the end of its log; probe.run_deadline_s is what run() may take."
            return make_failure(ProbeError.code, text, remedy, self._hands.tail(key))
        if watch.overdue(probe, case.now) and not (committed and watch.serving):
            what = "was not ready" if watch.ready else "init() had not returned"
            text = f"{key.module}: {what} after {probe.start_deadline_s} s"
            remedy = "Make init() faster, or raise probe.start_deadline_s in the manifest."
            return make_failure(ProbeError.code, text, remedy, self._hands.tail(key))
        return None


def failed_event(key: Key, failure: Failure, *, bad: bool) -> tuple[str, Event]:
    """Return the type of the event that tells of a failure, and the event."""
    severity: Severity = "error" if bad else "warning"
    event = Event(severity, failure.code, failure.text, key.module, failure.detail)
    return ("refused" if bad else "failed"), event


_REMEDY = "See why it cannot be started here; then push again, or skerry-agent clear-bad."
