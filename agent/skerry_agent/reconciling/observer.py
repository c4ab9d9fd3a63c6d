"""Look at the instances, and ask each how it is, without ever waiting for an answer."""

from collections.abc import Mapping

from skerry_agent.core.watch import Seen, Watch
from skerry_agent.core.world import Instance, Key, Life
from skerry_agent.reconciling.clock import Clock
from skerry_agent.reconciling.hands import Hands
from skerry_agent.reconciling.jobs import Jobs
from skerry_contract.desired import ModuleSpec
from skerry_contract.errors import ProbeError, SkerryError
from skerry_contract.manifest import Probe

STARTING = frozenset({Life.STARTING, Life.READY})
"""What does not serve yet, and is looked at often."""


class Observer:
    """Keeps a watch on every instance there is.

    Args:
        hands: Looks at instances.
        jobs: Where questions are asked.
        clock: What time it is.
    """

    def __init__(self, hands: Hands, jobs: Jobs, clock: Clock) -> None:
        self._hands = hands
        self._jobs = jobs
        self._clock = clock
        self._watches: dict[Key, Watch] = {}
        self._instances: Mapping[Key, Instance] = {}

    def look(self, specs: Mapping[Key, ModuleSpec], now: float) -> Mapping[Key, Instance]:
        """Return every instance as it is now, and ask those whose turn it is.

        Args:
            specs: What runs as each key, as far as anybody knows.
            now: Monotonic time in seconds.

        Raises:
            SkerryError: The runtime cannot be asked.
        """
        seen = self._hands.instances()
        for key, instance in seen.items():
            if key not in self._watches or self._watches[key].run != instance.run:
                self._watches[key] = Watch(instance.run, now)
            self._watches[key].ran |= instance.running
            self._ask(key, instance, _probe(specs, key), now)
        for key in self._watches.keys() - seen.keys():
            del self._watches[key]
        self._instances = {
            key: self._watches[key].instance(one, _probe(specs, key)) for key, one in seen.items()
        }
        return self._instances

    def watch(self, key: Key) -> Watch:
        """Return what was heard of an instance that was seen."""
        return self._watches[key]

    def run_of(self, key: Key) -> str:
        """Return which run of an instance was seen last; empty if none was."""
        return self._watches[key].run if key in self._watches else ""

    def next_look(self) -> float | None:
        """Return the monotonic time at which to look at what starts; None if nothing does."""
        starting = {key for key, one in self._instances.items() if one.life in STARTING}
        looks = (watch.next_look for key, watch in self._watches.items() if key in starting)
        return min(looks, default=None)

    def _ask(self, key: Key, seen: Seen, probe: Probe, now: float) -> None:
        """Ask a running instance how it is, if it is time to."""
        watch, look = self._watches[key], ("look", key)
        if not seen.running or now < watch.next_look:
            return
        if self._jobs.busy(look):
            # A host that answers byte by byte keeps the job waiting, but not the verdict.
            watch.still_waiting(probe, now)
            return
        watch.asked(now)

        def work() -> None:
            status = self._hands.status(key, probe)
            if status.ready and status.busy_s > probe.run_deadline_s:
                raise ProbeError(
                    f"run() has taken {status.busy_s:.0f} s, and may take {probe.run_deadline_s}"
                )
            answered = self._clock.monotonic()
            watch.heard(ready=status.ready, serving=status.serving, probe=probe, now=answered)

        def done(error: SkerryError | None) -> None:
            if error is not None:
                watch.missed(probe, self._clock.monotonic(), error.text)

        self._jobs.run(look, work, done)


def _probe(specs: Mapping[Key, ModuleSpec], key: Key) -> Probe:
    spec = specs.get(key)
    return spec.run.probe if spec is not None else Probe()
