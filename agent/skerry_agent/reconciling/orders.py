"""Hand the steps of a plan out as jobs, each under a deadline, and take in what came of them."""

import logging
from collections.abc import Callable, Mapping

from skerry_agent.core.shadow import Tally, describe
from skerry_agent.core.steps import Compare, Discard, Prove, Pull, Serve, Start, Stop
from skerry_agent.core.world import Key, Life, Modules, World
from skerry_agent.reconciling.clock import Clock
from skerry_agent.reconciling.hands import Hands
from skerry_agent.reconciling.history import History
from skerry_agent.reconciling.jobs import Jobs
from skerry_agent.reconciling.judge import Tell
from skerry_agent.reconciling.observer import Observer
from skerry_contract.desired import ModuleSpec
from skerry_contract.errors import (
    GoldenError,
    NetworkError,
    ProbeError,
    SkerryError,
    UnenforcedError,
)
from skerry_contract.manifest import Shadow
from skerry_contract.messages import Event, Failure, failure_of, make_failure

log = logging.getLogger(__name__)

BLOBS = "blobs"
"""Name of the one job that touches the blob store: pulls and discards never overlap."""
DISCARD = "discard"
START_S = 300.0
"""Seconds that a runtime may take to start an instance, before it counts as refusing."""
STOP_S = 90.0
"""Seconds that a runtime may take to stop one, its grace included."""
SERVE_S = 30.0
"""Seconds that an instance may take to release its inputs."""
PROVE_SLACK_S = 15.0
"""Seconds beyond the time that a golden set has, before its answer is no longer waited for."""

Order = Pull | Start | Stop | Prove | Compare | Serve | Discard
"""What takes time: every step but to commit."""
COMPARE_SLACK_S = 320.0
"""Seconds beyond its time that a comparison may take, for its last input."""
OnFailed = Callable[[Key, Failure], None]
"""Called in the loop with a revision that has failed, other than by ending."""


class Orders:
    """Hands steps out; one that is under way is not handed out again.

    Args:
        hands: Carries them out.
        jobs: Where that happens.
        observer: Is told what came of them.
        history: Is told what failed.
        clock: What time it is.
        tell: Takes events.
    """

    def __init__(
        self,
        hands: Hands,
        jobs: Jobs,
        observer: Observer,
        history: History,
        clock: Clock,
        tell: Tell,
    ) -> None:
        self._hands = hands
        self._jobs = jobs
        self._observer = observer
        self._history = history
        self._clock = clock
        self._tell = tell
        self._pauses = history.pauses
        self.pull_problem: SkerryError | None = None

    def begin(self, wanted: Modules, committed: Modules) -> None:
        """Pull for another set of modules from now on, at once."""
        self._hands.begin(
            [spec.digest for spec in wanted.values()],
            keep=[spec.digest for spec in committed.values()],
        )
        self._pauses.passed(BLOBS)
        self.pull_problem = None

    def take(
        self, step: Order, world: World, specs: Mapping[Key, ModuleSpec], failed: OnFailed
    ) -> None:
        """Hand one step out, unless it rests after a failure."""
        match step:
            case Pull(_, spec):
                self._pull(spec)
            case Discard(digest):
                self._discard(lambda: self._hands.discard(digest))
            case Start(key, spec):
                self._start(key, spec, failed)
            case Stop(key):
                seen = world.instances.get(key)
                self.stop(key, kill=seen is not None and seen.life is Life.UNHEALTHY)
            case Prove(key):
                self._prove(key, specs[key], failed)
            case Compare(key, old):
                self._compare(key, old, specs[key], failed)
            case Serve(key):
                self._serve(key, specs[key])

    def stop(self, key: Key, *, kill: bool = False) -> None:
        """Stop an instance, or kill one that is beyond asking."""

        def done(error: SkerryError | None) -> None:
            if error is None:
                self._pauses.passed(("stop", key))
                return
            pause_s = self._pauses.failed(("stop", key), self._clock.monotonic())
            log.warning("stop %s: %s; next try in %.1f s", key.module, error, pause_s)

        if not self._rests(("stop", key)):
            self._jobs.run(key, lambda: self._hands.stop(key, kill=kill), done, deadline_s=STOP_S)

    def _pull(self, spec: ModuleSpec) -> None:
        def done(error: SkerryError | None) -> None:
            self.pull_problem = error
            if error is None:
                self._pauses.passed(BLOBS)
                return
            now = self._clock.monotonic()
            if isinstance(error, NetworkError) and error.advanced:
                self._pauses.passed(BLOBS)
            pause_s = self._pauses.failed(BLOBS, now)
            if isinstance(error, NetworkError) and error.retry_after_s > pause_s:
                pause_s = error.retry_after_s
                self._pauses.rest(BLOBS, now + pause_s)
            log.warning("pull: %s; next try in %.1f s", error, pause_s)

        if not self._rests(BLOBS):
            # Without a deadline here: the pull has its own, which grow with the size.
            self._jobs.run(BLOBS, lambda: self._hands.pull(spec), done)

    def _discard(self, work: Callable[[], None]) -> None:
        def done(error: SkerryError | None) -> None:
            if error is None:
                self._pauses.passed(DISCARD)
                return
            log.warning("discard: %s", error)
            self._pauses.failed(DISCARD, self._clock.monotonic())

        if not self._rests(DISCARD):
            self._jobs.run(BLOBS, work, done)

    def _start(self, key: Key, spec: ModuleSpec, failed: OnFailed) -> None:
        def done(error: SkerryError | None) -> None:
            if error is None:
                return
            if isinstance(error, UnenforcedError):
                failed(key, failure_of(error))
                return
            # The runtime refused, not the module: that is no verdict on the revision.
            pause_s = self._history.rested(key, failure_of(error), self._clock.monotonic())
            log.warning("start %s: %s; next try in %.1f s", key.module, error, pause_s)

        self._jobs.run(key, lambda: self._hands.start(key, spec), done, deadline_s=START_S)

    def _prove(self, key: Key, spec: ModuleSpec, failed: OnFailed) -> None:
        watch, probe = self._observer.watch(key), spec.run.probe

        def done(error: SkerryError | None) -> None:
            if error is None:
                watch.proven = True
                self._history.tried.add(key)
            elif isinstance(error, GoldenError):
                watch.counted = True
                failed(key, failure_of(error))
            else:
                text = f"{key.module}: its golden set was not answered: {error.text}"
                failed(key, make_failure(ProbeError.code, text, error.remedy))

        deadline_s = float(probe.start_deadline_s)
        self._jobs.run(
            key,
            lambda: self._hands.prove(key, timeout_s=deadline_s),
            done,
            deadline_s=deadline_s + PROVE_SLACK_S,
        )

    def _compare(self, key: Key, old: Key, spec: ModuleSpec, failed: OnFailed) -> None:
        watch, tally = self._observer.watch(key), Tally(spec.run.shadow or Shadow())

        def done(error: SkerryError | None) -> None:
            if error is not None:
                # Whether it can be asked again is for its probes to say.
                watch.missed(spec.run.probe, self._clock.monotonic(), error.text)
                return
            watch.compared = True
            told = tally.report()
            self._history.shadows[key] = told
            refusal = tally.refusal()
            if refusal:
                watch.counted = True
                detail = "\n".join(tally.differences)
                failed(key, make_failure(GoldenError.code, f"{key.module}: {refusal}", "", detail))
            else:
                self._tell("shadow", Event("info", "OK", describe(told), key.module))

        # Not under the key alone: meanwhile both are looked after.
        self._jobs.run(
            ("compare", key),
            lambda: self._hands.compare(key, old, tally),
            done,
            deadline_s=tally.settings.seconds + COMPARE_SLACK_S,
        )

    def _serve(self, key: Key, spec: ModuleSpec) -> None:
        watch, probe = self._observer.watch(key), spec.run.probe

        def done(error: SkerryError | None) -> None:
            now = self._clock.monotonic()
            if error is None:
                watch.heard(ready=True, serving=True, probe=probe, now=now)
                self._history.served(key)
                self._pauses.passed(("serve", key))
            else:
                watch.missed(probe, now, error.text)
                self._pauses.failed(("serve", key), now)

        if not self._rests(("serve", key)):
            self._jobs.run(key, lambda: self._hands.serve(key), done, deadline_s=SERVE_S)

    def _rests(self, name: object) -> bool:
        return self._pauses.holds(name, self._clock.monotonic())
