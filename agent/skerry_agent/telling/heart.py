"""The heartbeat: how the device, the agent, its modules and its outbox are, now and then.

What modules say is asked in a job before each beat; modules that are slow to answer are told of
without it, and never make the beat late.
"""

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from skerry_agent.core.exposition import exposition
from skerry_agent.core.world import Life
from skerry_agent.data_meter import DataMeter
from skerry_agent.executor import Executor
from skerry_agent.reconciling.jobs import Jobs
from skerry_agent.reconciling.reconciler import Reconciler
from skerry_agent.telling.age_clock import AgeClock
from skerry_agent.telling.health import Metrics
from skerry_agent.telling.module_metrics import module_metrics
from skerry_agent.telling.outbox import Outbox
from skerry_agent.telling.uplink import Uplink
from skerry_contract import topics
from skerry_contract.errors import SkerryError
from skerry_contract.messages import Health, OutboxHealth

log = logging.getLogger(__name__)

_JOB = "module metrics"


@dataclass(frozen=True, slots=True)
class Organs:
    """What a heartbeat tells of.

    Attributes:
        metrics: The machine and the agent.
        outbox: What waits to be told.
        clock: By which its age is told.
        meter: What has crossed the network.
        executor: Reaches the modules.
        uplink: Carries the heartbeat.
    """

    metrics: Metrics
    outbox: Outbox
    clock: AgeClock
    meter: DataMeter
    executor: Executor
    uplink: Uplink


class Heart:
    """Beats every ``interval_s`` seconds at the latest.

    Args:
        boot: Boot id of the agent.
        interval_s: Longest time between two beats.
        organs: What there is to tell of.
        now_text: Gives the time as text for people.
        jobs: Where modules are asked.
    """

    def __init__(
        self,
        boot: str,
        interval_s: float,
        organs: Organs,
        now_text: Callable[[], str],
        jobs: Jobs,
    ) -> None:
        self._boot = boot
        self._interval_s = interval_s
        self._organs = organs
        self._now_text = now_text
        self._jobs = jobs
        self._next = 0.0
        self._lock = threading.Lock()
        self._last: Health | None = None

    def beat(self, now: float, reconciler: Reconciler) -> bool:
        """Say how things are, if it is time to, at monotonic time ``now``; return whether it was.

        Raises:
            NoSpaceError: The outbox cannot be looked at.
        """
        if now < self._next:
            return False
        # Jitter keeps a fleet that lost power together from beating together.
        self._next = now + self._interval_s * random.uniform(0.8, 1.0)  # noqa: S311
        self._organs.clock.save_if_due()
        self._organs.outbox.expire(self._organs.clock.now_s())
        if self._jobs.busy(_JOB):
            self._say({})
            return True
        serving = [k for k, one in reconciler.world.instances.items() if one.life is Life.SERVING]
        restarts = dict(reconciler.history.restarts)
        found: dict[str, dict[str, float]] = {}

        def done(_error: SkerryError | None) -> None:
            try:
                self._say(found)
            except SkerryError as error:
                log.warning("heartbeat: %s", error)

        def work() -> None:
            found.update(module_metrics(self._organs.executor, serving, restarts))

        if serving:
            self._jobs.run(_JOB, work, done)
        else:
            self._say({})
        return True

    def page(self, state: str) -> str:
        """Return the newest heartbeat as Prometheus reads it; for any thread."""
        with self._lock:
            last = self._last
        return exposition(last, connected=self._organs.uplink.is_connected(), state=state)

    def _say(self, modules: dict[str, dict[str, float]]) -> None:
        organs = self._organs
        level = organs.outbox.level()
        oldest_s = 0.0
        if level.oldest_s is not None:
            oldest_s = round(max(0.0, organs.clock.now_s() - level.oldest_s), 1)
        health = Health(
            self._boot,
            self._now_text(),
            self._interval_s,
            organs.metrics.read(),
            OutboxHealth(level.rows, level.size_bytes, oldest_s, level.dropped),
            organs.meter.used(),
            modules,
        )
        with self._lock:
            self._last = health
        organs.uplink.publish(topics.HEALTH, health)
