"""The threads in which the entry script runs: one, unless the script may be called by several.

The event loop stays free, so that status and health are answered while ``init()`` or ``run()``
computes. Waking a thread costs more than a small ``run()``, and two that want the interpreter at
once take it from each other at every call of the system: so the loop is woken once for all that is
done by the time that it comes to it, and hands over what has come only when it has read all of it.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Job(Protocol):
    """Something to do in a worker thread.

    Attributes:
        given_up: Whether nobody waits for it any more; then it is not begun.
        batch: What it may be done together with: jobs of the same batch, or None for alone.
    """

    given_up: bool
    batch: "Batch | None"

    def work(self) -> None:
        """Do it, in the worker thread; what it raises is kept by the job."""
        ...

    def deliver(self) -> None:
        """Tell who waits, in the event loop."""
        ...


@dataclass(frozen=True)
class Batch:
    """How jobs are done together.

    Attributes:
        work: Does some jobs at once, in the worker thread; raises nothing.
        max_size: Most jobs at once.
        max_wait_s: How long the first of them waits for others, in seconds.
    """

    work: Callable[[Sequence[Any]], None]
    max_size: int
    max_wait_s: float


class Worker:
    """Does jobs in the order in which they came, in daemon threads: a stuck one keeps no process.

    Args:
        loop: The event loop that waits for the results.
        threads: How many jobs may be under way at once, 1 or above. ``init()`` is called by one
            of them; with a single one, everything of the script is.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int = 1) -> None:
        self._loop = loop
        self._given: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._done: deque[Job] = deque()
        self._woken = False
        self._submitted: list[Job] = []
        self._outstanding = 0
        self._under_way = 0
        self._counting = threading.Lock()
        for i in range(threads):
            name = "scorer" if threads == 1 else f"scorer-{i}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    @property
    def waiting(self) -> int:
        """Jobs that have not begun; those that nobody waits for any more count too."""
        return self._given.qsize() + len(self._submitted)

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._under_way > 0

    @property
    def under_way(self) -> int:
        """How many jobs are under way."""
        return self._under_way

    def submit(self, job: Job) -> None:
        """Have a job done; its ``deliver`` is called in the loop once it is. From the loop only."""
        self._outstanding += 1
        if self._outstanding == 1:  # a lone one waits for no others
            self._given.put(job)
            return
        self._submitted.append(job)
        if len(self._submitted) == 1:
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        for job in self._submitted:
            self._given.put(job)
        self._submitted.clear()

    async def call(self, function: Callable[[], T]) -> T:
        """Return what ``function`` returns; if cancelled before it begins, it never does."""
        job = _Call(function, self._loop.create_future())
        self.submit(job)
        try:
            result: T = await job.future
        except asyncio.CancelledError:
            job.given_up = True
            raise
        return result

    # --- in the worker threads --------------------------------------------------------------

    def _work(self) -> None:
        while True:
            self._next(self._given.get())

    # A method of its own, so that nothing holds on to the last job's data while none comes.
    def _next(self, job: Job) -> None:
        left: Job | None = job
        while left is not None:
            job, left = left, None
            if job.batch is None:
                self._do(job, job.work)
            else:
                jobs, left = self._gather(job, job.batch)
                self._do_together(jobs, job.batch)

    def _do(self, job: Job, work: Callable[[], None]) -> None:
        if not job.given_up:
            with self._counting:
                self._under_way += 1
            work()
            with self._counting:
                self._under_way -= 1
        self._tell([job])

    def _do_together(self, jobs: list[Job], batch: Batch) -> None:
        wanted = [job for job in jobs if not job.given_up]
        if wanted:
            self._do(wanted[0], lambda: batch.work(wanted))
        self._tell([job for job in jobs if job not in wanted[:1]])

    def _gather(self, first: Job, batch: Batch) -> tuple[list[Job], Job | None]:
        jobs = [first]
        until = time.monotonic() + batch.max_wait_s
        while len(jobs) < batch.max_size:
            left_s = until - time.monotonic()
            try:
                job = self._given.get(timeout=left_s) if left_s > 0 else self._given.get_nowait()
            except queue.Empty:
                break
            if job.batch is not batch:
                return jobs, job
            jobs.append(job)
        return jobs, None

    def _tell(self, jobs: Sequence[Job]) -> None:
        self._done.extend(jobs)
        # While the loop has not come to it, it is not woken again: it finds all that is done then.
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop is closed: the process ends
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False  # before looking: what is done from now on wakes the loop again
        while self._done:
            self._outstanding -= 1
            self._done.popleft().deliver()


class _Call:
    """A function, and the future that waits for what it returns."""

    batch: Batch | None = None

    def __init__(self, function: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        self.given_up = False
        self.future = future
        self._function = function
        self._result: Any = None
        self._error: BaseException | None = None

    def work(self) -> None:
        try:
            self._result = self._function()
        except BaseException as raised:  # noqa: BLE001 - it belongs to whoever awaits the future
            self._error = raised

    def deliver(self) -> None:
        if self.future.done():
            return
        if self._error is None:
            self.future.set_result(self._result)
        else:
            self.future.set_exception(self._error)
