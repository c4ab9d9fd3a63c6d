"""One round after another: look at the modules, judge what failed, decide, hand out the work.

What to do is decided in ``core``; what may take long is a job; the executor carries single orders
out. Kept here is only what cannot be seen in the world: what was heard of each run of an instance,
and what failed lately.
"""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from skerry_agent.core.pauses import Pauses
from skerry_agent.core.plan import (
    Commit,
    Discard,
    Instance,
    Key,
    Life,
    Modules,
    Prove,
    Pull,
    Serve,
    Start,
    Step,
    Stop,
    World,
    key_of,
    plan,
)
from skerry_agent.core.verdict import is_bad
from skerry_agent.core.watch import Seen, Watch
from skerry_agent.executor import Executor
from skerry_agent.reconciling.jobs import Jobs
from skerry_agent.reconciling.memory import Committed, Memory
from skerry_contract.desired import Desired, ModuleSpec, write_time
from skerry_contract.errors import (
    ConflictError,
    ExpiredError,
    GoldenError,
    NetworkError,
    ProbeError,
    SkerryError,
)
from skerry_contract.manifest import Probe
from skerry_contract.messages import (
    BadRevision,
    Event,
    Failure,
    Severity,
    failure_of,
    make_failure,
)

log = logging.getLogger(__name__)

BLOBS = "blobs"
"""Name of the one job that touches the blob store: pulls and discards never overlap."""
STARTING = frozenset({Life.STARTING, Life.READY})
"""What does not serve yet, and is looked at often."""
HEALTHY_S = 60.0
"""After serving for so long, earlier failures of a revision are forgotten."""

Tell = Callable[[str, Event], None]
"""Called with the type of an event and the event."""


class Reconciler:
    """Brings the modules of this device to what is wanted.

    Args:
        executor: Carries orders out and looks at instances.
        memory: What must not be forgotten.
        jobs: Where long work runs.
        tell: Takes events.
    """

    def __init__(self, executor: Executor, memory: Memory, jobs: Jobs, tell: Tell) -> None:
        self._executor = executor
        self._memory = memory
        self._jobs = jobs
        self._tell = tell
        self._watches: dict[Key, Watch] = {}
        self._pauses = Pauses()
        self._desired: Desired | None = None
        self.committed = memory.committed()
        self.wanted: Modules = self.committed.modules
        self.expired = False
        self.bad = memory.bad()
        self.world = World()
        self.restarts: dict[Key, int] = {}
        self.failures: dict[Key, Failure] = {}
        self.problem: SkerryError | None = None
        self._pull_problem: SkerryError | None = None

    def want(self, desired: Desired) -> None:
        """Work towards another desired document from now on."""
        self._desired = desired
        self._executor.begin(
            [spec.digest for spec in desired.modules.values()],
            keep=[spec.digest for spec in self.committed.modules.values()],
        )
        self._pauses.passed(BLOBS)
        self._pull_problem = None
        specs = self._specs()
        self.failures = {key: self.failures[key] for key in self.failures.keys() & specs.keys()}
        self.restarts = {key: self.restarts[key] for key in self.restarts.keys() & specs.keys()}

    @property
    def desired(self) -> Desired | None:
        """The desired document that was accepted last."""
        return self._desired

    @property
    def version(self) -> int:
        """Version of the desired document that was accepted last, 0 for none."""
        return self._desired.version if self._desired else 0

    def restart(self, key: Key) -> str:
        """Stop an instance, so that the next rounds start it again; return which run it was.

        Raises:
            ConflictError: It is being started or stopped just now, or has gone.
        """
        if key not in self._watches or self._jobs.busy(key):
            raise ConflictError(
                f"{key.module} is being started or stopped just now", remedy="Send it again."
            )
        self._stop(key)
        return self._watches[key].run

    def serving_run(self, module: str) -> str:
        """Return which run of a module serves; empty if none does."""
        serving = (
            key
            for key, one in self.world.instances.items()
            if key.module == module and one.life is Life.SERVING and key in self._watches
        )
        return next((self._watches[key].run for key in serving), "")

    def refusal(self) -> Failure | None:
        """Return why what is wanted is not carried out, if a revision of it is bad."""
        wanted = self._desired.modules if self._desired else {}
        revisions = {(name, spec.revision) for name, spec in wanted.items()}
        found = (
            one.failure for one in reversed(self.bad) if (one.module, one.revision) in revisions
        )
        return next(found, None)

    def next_look(self) -> float | None:
        """Return the monotonic time at which to look at what starts; None if nothing does."""
        starting = {key for key, one in self.world.instances.items() if one.life in STARTING}
        looks = (watch.next_look for key, watch in self._watches.items() if key in starting)
        return min(looks, default=None)

    def round(self, now: float) -> None:
        """Look, judge, decide and hand out work, at monotonic time ``now``.

        Raises:
            NoSpaceError: What was decided cannot be remembered; the next round tries again.
        """
        self.problem = self._pull_problem
        if self._memory.forgive():
            self._forgive()
        try:
            self._look(now)
        except SkerryError as error:
            # Without eyes nothing is decided; what runs, runs on.
            self.problem = error
            return
        self._judge(now)
        self.wanted = self._choose_wanted()
        for step in plan(self.wanted, self.committed.modules, self.world):
            self._take(step, now)
        self._adopt_version()

    def _forgive(self) -> None:
        """Try again what was refused: somebody on the device has asked for it."""
        for bad in self.bad:
            self._pauses.passed(Key(bad.module, bad.revision))
        self.bad = self._memory.bad()
        log.info("refused revisions are tried again")

    def _adopt_version(self) -> None:
        """Commit a new version that asks for just what is committed already."""
        desired, committed = self._desired, self.committed
        if (
            desired is not None
            and desired.version != committed.version
            and desired.modules == committed.modules
        ):
            self._commit(desired.modules)

    def _choose_wanted(self) -> Modules:
        """Return what to work towards; an expired document is not installed any more."""
        desired, committed = self._desired, self.committed
        self.expired = False
        if desired is None:
            return committed.modules
        if desired.version != committed.version and datetime.now(UTC) >= desired.expires:
            self.expired = True
            self.problem = ExpiredError(
                f"desired version {desired.version} expired at {write_time(desired.expires)} "
                "before it was installed",
                remedy="Push the deployment again, or set the device's clock.",
            )
            return committed.modules
        return desired.modules

    # --- looking ------------------------------------------------------------------------------

    def _look(self, now: float) -> None:
        seen = self._executor.instances()
        for key, instance in seen.items():
            if key not in self._watches or self._watches[key].run != instance.run:
                self._watches[key] = Watch(instance.run, now)
            self._ask(key, instance, now)
        for key in self._watches.keys() - seen.keys():
            del self._watches[key]
        self.world = World(
            self._executor.images(),
            {key: self._instance(key, one) for key, one in seen.items()},
            frozenset(Key(bad.module, bad.revision) for bad in self.bad),
            frozenset(key for key in self._specs() if self._pauses.holds(key, now)),
        )

    def _instance(self, key: Key, seen: Seen) -> Instance:
        return self._watches[key].instance(seen, self._probe(key))

    def _ask(self, key: Key, seen: Seen, now: float) -> None:
        """Ask a running instance how it is, if it is time to."""
        watch, probe, look = self._watches[key], self._probe(key), ("look", key)
        if not seen.running or now < watch.next_look:
            return
        if self._jobs.busy(look):
            # A host that answers byte by byte keeps the job waiting, but not the verdict.
            watch.still_waiting(probe, now)
            return
        watch.asked(now)

        def work() -> None:
            status = self._executor.status(key, timeout_s=probe.timeout_s)
            if status.ready and status.busy_s > probe.run_deadline_s:
                raise ProbeError(
                    f"run() has taken {status.busy_s:.0f} s, and may take {probe.run_deadline_s}"
                )
            watch.heard(
                ready=status.ready, serving=status.serving, probe=probe, now=time.monotonic()
            )

        def done(error: SkerryError | None) -> None:
            if error is not None:
                watch.missed(probe, time.monotonic(), error.text)

        self._jobs.run(look, work, done)

    def _specs(self) -> Mapping[Key, ModuleSpec]:
        """Return every spec that is wanted or committed, by key."""
        sets = (self.committed.modules, self._desired.modules if self._desired else {})
        return {key_of(name, spec): spec for one in sets for name, spec in one.items()}

    def _probe(self, key: Key) -> Probe:
        spec = self._specs().get(key)
        return spec.run.probe if spec is not None else Probe()

    # --- judging ------------------------------------------------------------------------------

    def _judge(self, now: float) -> None:
        specs = self._specs()
        for key, instance in self.world.instances.items():
            watch = self._watches[key]
            if key not in specs or watch.counted or self._jobs.busy(key):
                continue
            failure = self._failure_of(key, specs[key], instance, watch, now)
            if failure is not None:
                watch.counted = True
                self._failed(key, specs[key], failure, now)
            elif instance.life is Life.SERVING and now - watch.since > HEALTHY_S:
                self._pauses.passed(key)

    def _failure_of(
        self, key: Key, spec: ModuleSpec, instance: Instance, watch: Watch, now: float
    ) -> Failure | None:
        """Return what is wrong with an instance now, if anything is."""
        if instance.life is Life.EXITED:
            if instance.status == 0 and self._is_committed(key) and spec.run.restart != "always":
                return None
            return self._executor.reason(key, instance.status, ready=watch.ready)
        probe = spec.run.probe
        if instance.life is Life.UNHEALTHY:
            text = f"{key.module}: {watch.misses} probes in a row failed: {watch.complaint}"
            remedy = "See the end of its log; probe.run_deadline_s is what run() may take."
            return make_failure(ProbeError.code, text, remedy, self._executor.tail(key))
        if watch.overdue(probe, now):
            self._stop(key)
            text = f"{key.module}: init() had not returned after {probe.start_deadline_s} s"
            remedy = "Make init() faster, or raise probe.start_deadline_s in the manifest."
            return make_failure(ProbeError.code, text, remedy, self._executor.tail(key))
        return None

    def _failed(self, key: Key, spec: ModuleSpec, failure: Failure, now: float) -> None:
        """Note a failure of a revision, and whether it is one too many."""
        self._pauses.failed(key, now)
        self.failures[key] = failure
        committed = self._is_committed(key)
        if committed:
            self.restarts[key] = self.restarts.get(key, 0) + 1
        bad = is_bad(failure, failures=self._pauses.failures(key), committed=committed)
        log.warning("%s %s: %s", key.module, spec.image, failure.text)
        if bad:
            self._memory.refuse(
                BadRevision(key.module, spec.image, spec.digest, key.revision, failure, _now_text())
            )
            self.bad = self._memory.bad()
        if bad:
            self._event("refused", "error", failure, key.module)
        else:
            self._event("failed", "warning", failure, key.module)

    def _is_committed(self, key: Key) -> bool:
        spec = self.committed.modules.get(key.module)
        return spec is not None and spec.revision == key.revision

    # --- handing out --------------------------------------------------------------------------

    def _take(self, step: Step, now: float) -> None:
        match step:
            case Pull(_, spec):
                if not self._pauses.holds(BLOBS, now):
                    self._jobs.run(BLOBS, lambda: self._executor.pull(spec), self._pulled)
            case Discard(digest):
                if not self._pauses.holds("discard", now):
                    self._jobs.run(BLOBS, lambda: self._executor.discard(digest), self._discarded)
            case Start(key, spec):
                self._start(key, spec)
            case Stop(key):
                self._stop(key)
            case Prove(key):
                self._prove(key)
            case Serve(key):
                self._serve(key)
            case Commit(modules):
                self._commit(modules)

    def _pulled(self, error: SkerryError | None) -> None:
        self._pull_problem = error
        if error is None:
            self._pauses.passed(BLOBS)
            return
        now = time.monotonic()
        if isinstance(error, NetworkError) and error.advanced:
            self._pauses.passed(BLOBS)
        pause_s = self._pauses.failed(BLOBS, now)
        if isinstance(error, NetworkError) and error.retry_after_s > pause_s:
            pause_s = error.retry_after_s
            self._pauses.rest(BLOBS, now + pause_s)
        log.warning("pull: %s; next try in %.1f s", error, pause_s)

    def _discarded(self, error: SkerryError | None) -> None:
        if error is None:
            self._pauses.passed("discard")
        else:
            log.warning("discard: %s", error)
            self._pauses.failed("discard", time.monotonic())

    def _start(self, key: Key, spec: ModuleSpec) -> None:
        def done(error: SkerryError | None) -> None:
            if error is not None:
                # The runtime refused, not the module: that is no verdict on the revision.
                self._rest(key, error)

        self._jobs.run(key, lambda: self._executor.start(key, spec), done)

    def _stop(self, key: Key) -> None:
        def done(error: SkerryError | None) -> None:
            if error is not None:
                log.warning("stop %s: %s", key.module, error)

        seen = self.world.instances.get(key)
        kill = seen is not None and seen.life is Life.UNHEALTHY
        self._jobs.run(key, lambda: self._executor.stop(key, kill=kill), done)

    def _prove(self, key: Key) -> None:
        watch, spec = self._watches[key], self._specs()[key]

        def done(error: SkerryError | None) -> None:
            if error is None:
                watch.proven = True
            elif isinstance(error, GoldenError):
                self._failed(key, spec, failure_of(error), time.monotonic())
            else:
                watch.missed(spec.run.probe, time.monotonic())

        deadline_s = float(spec.run.probe.start_deadline_s)
        self._jobs.run(key, lambda: self._executor.prove(key, timeout_s=deadline_s), done)

    def _serve(self, key: Key) -> None:
        watch, probe = self._watches[key], self._probe(key)

        def done(error: SkerryError | None) -> None:
            if error is None:
                watch.heard(ready=True, serving=True, probe=probe, now=time.monotonic())
                self.failures.pop(key, None)
            else:
                watch.missed(probe, time.monotonic())

        self._jobs.run(key, lambda: self._executor.serve(key), done)

    def _commit(self, modules: Modules) -> None:
        desired = self._desired
        if desired is None or modules != desired.modules:
            return
        committed = Committed(desired.version, desired.deployment, modules)
        self._memory.commit(committed)
        self.committed = committed
        for name, spec in modules.items():
            self._pauses.passed(key_of(name, spec))
        self._event("committed", "info", None, "", f"{desired.deployment} is committed")

    def _rest(self, key: Key, error: SkerryError) -> None:
        pause_s = self._pauses.failed(("start", key), time.monotonic())
        self._pauses.rest(key, time.monotonic() + pause_s)
        self.failures[key] = failure_of(error)
        log.warning("start %s: %s; next try in %.1f s", key.module, error, pause_s)

    def _event(
        self, kind: str, severity: Severity, failure: Failure | None, module: str, text: str = ""
    ) -> None:
        if failure is not None:
            event = Event(severity, failure.code, failure.text, module, failure.detail)
        else:
            event = Event(severity, "OK", text, module)
        self._tell(kind, event)


def _now_text() -> str:
    return write_time(datetime.now(UTC))
