"""Turn what a runtime and a scorer host say of one instance into its life.

A runtime knows whether an instance runs; only its host knows whether ``init()`` has returned and
whether it serves. Answers come late or not at all, so each instance has a small record of what was
heard since it started.
"""

from dataclasses import dataclass, field

from skerry_agent.core.world import Instance, Life
from skerry_contract.manifest import Probe

EAGER_S, PATIENT_S = 0.05, 1.0
"""Least and most seconds between two looks at an instance that has not finished starting."""
_LATE = 0.25
"""How late its end may be noticed, as a share of what the start took."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a runtime says of one instance.

    Attributes:
        run: Identity of this run of it: differs after each start.
        running: Whether it is alive.
        status: Exit status of one that has ended; None if nobody knows it.
    """

    run: str
    running: bool
    status: int | None = None


@dataclass(slots=True)
class Watch:
    """What was heard of one run of an instance.

    Attributes:
        run: Which run.
        since: Monotonic time in seconds at which it was first seen.
        ready: Whether its host has said, at any time, that ``init()`` has returned.
        ran: Whether it was seen to run.
        able: Whether its host said so when it was asked last.
        unable_since: Monotonic time since which it is not; at first that of ``since``.
        serving: Whether its host has said that inputs are released.
        proven: Whether its golden set has passed.
        compared: Whether it has been compared with what runs.
        misses: Looks in a row that got no answer.
        next_look: Monotonic time of the next look.
        asked_at: Monotonic time of the last question.
        counted: Whether its end was judged already.
        complaint: Why the last look failed.
    """

    run: str
    since: float
    ready: bool = False
    ran: bool = False
    able: bool = False
    unable_since: float = field(init=False)
    serving: bool = False
    proven: bool = False
    compared: bool = False
    misses: int = 0
    next_look: float = 0.0
    asked_at: float = 0.0
    counted: bool = False
    complaint: str = ""

    def __post_init__(self) -> None:
        self.unable_since = self.since
        self.able = self.able or self.ready

    def heard(self, *, ready: bool, serving: bool, probe: Probe, now: float) -> None:
        """Note an answer of the host."""
        if self.able and not ready:
            self.unable_since = now
        self.ready, self.able = self.ready or ready, ready
        self.serving, self.misses = serving, 0
        self.next_look = now + (probe.interval_s if serving else self._pause_s(now))

    def missed(self, probe: Probe, now: float, complaint: str = "it did not answer") -> None:
        """Note that a look failed, and why; before the host is ready that means nothing yet."""
        self.complaint = complaint
        self.misses += 1 if self.ready else 0
        self.next_look = now + (min(probe.interval_s, 1.0) if self.ready else self._pause_s(now))

    def asked(self, now: float) -> None:
        """Note that the host is being asked; what it answers says when to ask again."""
        self.asked_at = now
        self.next_look = now + PATIENT_S

    def still_waiting(self, probe: Probe, now: float) -> None:
        """Note that the last question is not answered yet; after long enough it never will be."""
        if now - self.asked_at > 2 * probe.timeout_s:
            self.missed(probe, now)
            self.asked_at = now
        self.next_look = now + PATIENT_S

    def _pause_s(self, now: float) -> float:
        return min(max((now - self.since) * _LATE, EAGER_S), PATIENT_S)

    def overdue(self, probe: Probe, now: float) -> bool:
        """Return whether it has not been ready for as long as a start may take."""
        return not self.able and now - self.unable_since > probe.start_deadline_s

    def instance(self, seen: Seen, probe: Probe) -> Instance:
        """Return the instance as the planner wants to see it."""
        if not seen.running:
            return Instance(Life.EXITED, status=seen.status)
        if self.misses >= probe.failures:
            return Instance(Life.UNHEALTHY, self.proven)
        if self.serving:
            return Instance(Life.SERVING if self.able else Life.UNREADY, self.proven)
        return Instance(Life.READY if self.able else Life.STARTING, self.proven, self.compared)
