"""Work that must not hold up the loop: each job runs in a thread of its own, once per name.

The loop decides and looks; everything that may take longer than a blink (a pull, a start, a probe)
is a job. A name that is busy is not started again, so a plan that repeats itself is harmless. A job
that has a deadline and misses it counts as failed: its thread cannot be ended, but it is no longer
waited for, so an engine that answers no more holds up neither the verdict nor the next attempt.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from skerry_contract.errors import DeadlineError, SkerryError

log = logging.getLogger(__name__)

MAX_LEFT = 16
"""Jobs that missed their deadline and still run, beyond which their names stay busy."""

Done = Callable[[SkerryError | None], None]
Spawn = Callable[[Callable[[], None], str], None]
"""Runs a callable beside the loop, under a name for people."""


@dataclass(eq=False, slots=True)
class _Job:
    name: Hashable
    done: Done
    deadline: float | None
    error: SkerryError | None = None
    left: bool = False


def _thread(work: Callable[[], None], name: str) -> None:
    threading.Thread(target=work, name=name, daemon=True).start()


class Jobs:
    """Runs jobs and hands their ends back to the loop.

    Args:
        wake: Called from a job's thread when it has ended.
        clock: Monotonic seconds.
        spawn: Runs a job beside the loop.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        spawn: Spawn = _thread,
    ) -> None:
        self._wake = wake
        self._clock = clock
        self._spawn = spawn
        self._changed = threading.Condition()
        self._busy: dict[Hashable, _Job] = {}
        self._left: set[_Job] = set()
        self._running = 0
        self._ended: list[_Job] = []

    def busy(self, name: Hashable) -> bool:
        """Return whether a job of this name runs, or has ended and was not collected."""
        return name in self._busy

    def run(
        self,
        name: Hashable,
        work: Callable[[], None],
        done: Done,
        *,
        deadline_s: float | None = None,
    ) -> None:
        """Run ``work`` unless ``name`` is busy; ``collect`` will then call ``done``.

        Args:
            name: At most one job of this name runs at a time.
            work: What to do; it raises if it fails.
            done: Called with the error, or None; with a ``DeadlineError`` if the job took too long.
            deadline_s: Seconds that it may take; None for work that keeps time itself.
        """
        if self.busy(name):
            return
        deadline = None if deadline_s is None else self._clock() + deadline_s
        job = _Job(name, done, deadline)
        self._busy[name] = job
        with self._changed:
            self._running += 1
        self._spawn(lambda: self._work(job, work), str(name))

    def collect(self) -> None:
        """Call ``done`` of each job that has ended or missed its deadline, in this thread."""
        with self._changed:
            ended, self._ended = self._ended, []
        for job in ended:
            self._left.discard(job)
            if self._busy.get(job.name) is job:
                del self._busy[job.name]
            if not job.left:
                job.done(job.error)
        now = self._clock()
        for job in list(self._busy.values()):
            if job.deadline is not None and now >= job.deadline and not job.left:
                self._leave(job)

    def join(self, timeout_s: float) -> None:
        """Wait until no job runs, for at most ``timeout_s`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._running == 0, timeout_s)

    def _leave(self, job: _Job) -> None:
        """Wait no longer for a job; its name is free again unless too many were left already."""
        job.left = True
        if len(self._left) < MAX_LEFT:
            self._left.add(job)
            del self._busy[job.name]
        log.warning("%s has missed its deadline", job.name)
        job.done(DeadlineError(f"{job.name}: not done in time", remedy=_REMEDY))

    def _work(self, job: _Job, work: Callable[[], None]) -> None:
        try:
            work()
        except SkerryError as error:
            job.error = error
        except Exception as error:  # a bug in one job must not end the agent
            log.exception("job %s", job.name)
            job.error = SkerryError(
                f"{job.name}: {error!r}", remedy="This is a bug; please report it."
            )
        with self._changed:
            self._running -= 1
            self._ended.append(job)
            self._changed.notify_all()
        self._wake()


_REMEDY = "It is tried again. See whether the engine and the disk of the device answer."
