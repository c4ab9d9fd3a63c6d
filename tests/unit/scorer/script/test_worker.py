"""The worker: what is handed over is done once, in order, and told in the loop."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence

from skerry_scorer.script.worker import Batch, Worker


class Noted:
    """A job that notes what became of it."""

    def __init__(self, number: int, told: list[int], batch: Batch | None = None) -> None:
        self.given_up = False
        self.batch = batch
        self.number = number
        self.worked = False
        self._told = told

    def work(self) -> None:
        self.worked = True

    def deliver(self) -> None:
        self._told.append(self.number)


def in_a_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Have a test run in an event loop of its own."""

    # Not functools.wraps: pytest would see a coroutine function again.
    def run() -> None:
        asyncio.run(test())

    return run


async def settled(worker: Worker) -> None:
    """Return once all that was submitted before is done and told."""
    await worker.call(lambda: None)


@in_a_loop
async def test_jobs_are_told_in_their_order_and_those_given_up_are_not_begun() -> None:
    told: list[int] = []
    worker = Worker(asyncio.get_running_loop())
    gate = threading.Event()
    first = asyncio.ensure_future(worker.call(lambda: gate.wait(10)))
    jobs = [Noted(i, told) for i in range(20)]
    jobs[7].given_up = True
    for job in jobs:
        worker.submit(job)
    gate.set()
    await settled(worker)
    assert await first
    assert told == list(range(20))  # so that who counts them counts each
    assert [job.number for job in jobs if not job.worked] == [7]
    assert (worker.waiting, worker.under_way, worker.busy) == (0, 0, False)


@in_a_loop
async def test_a_batch_takes_what_waits_up_to_its_size_and_no_other_job() -> None:
    told: list[int] = []
    batches: list[list[int]] = []

    def together(jobs: Sequence[Noted]) -> None:
        batches.append([job.number for job in jobs])

    batch = Batch(together, max_size=3, max_wait_s=0.0)
    worker = Worker(asyncio.get_running_loop())
    gate = threading.Event()
    first = asyncio.ensure_future(worker.call(lambda: gate.wait(10)))
    await asyncio.sleep(0)
    jobs = [Noted(i, told, batch) for i in range(5)] + [Noted(5, told)] + [Noted(6, told, batch)]
    jobs[1].given_up = True
    for job in jobs:
        worker.submit(job)
    gate.set()
    await settled(worker)
    assert await first
    assert batches == [[0, 2], [3, 4], [6]]
    assert sorted(told) == list(range(7))
    assert jobs[5].worked


@in_a_loop
async def test_what_a_call_raises_reaches_who_waits_and_the_next_is_done() -> None:
    worker = Worker(asyncio.get_running_loop(), threads=2)
    results = await asyncio.gather(
        worker.call(lambda: 1 / 0), worker.call(lambda: 2), return_exceptions=True
    )
    assert isinstance(results[0], ZeroDivisionError)
    assert results[1] == 2
