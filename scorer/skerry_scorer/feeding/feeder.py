"""Feeds local input to ``run()``: batch after batch, each let go only once it is stored."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from skerry_scorer.feeding.batch import Outcome, Pace, score_batch
from skerry_scorer.feeding.results import Results, store_all
from skerry_scorer.feeding.tee import Tee
from skerry_scorer.inputs.folder import spelled
from skerry_scorer.inputs.source import Source
from skerry_scorer.script.entry import Scorer
from skerry_scorer.script.worker import Worker

log = logging.getLogger(__name__)

POLL_S = 0.1
"""Seconds between two looks at sources in which nothing is ready; some wake us before."""


@dataclass
class Counts:
    """What ``run()`` has done since the start, golden set left out.

    Attributes:
        scored: Results, over HTTP and from inputs.
        failed: Inputs and requests without one.
    """

    scored: int = 0
    failed: int = 0


class Feeder:
    """Reads inputs while it is serving.

    While the agent stores one batch, the next is scored; then scoring waits, so the agent's pace
    is that of every source.

    Args:
        sources: Sources by input name.
        stream: Stream that results go to.
        results: Where they go.
        worker: The thread for ``run()`` and for the disk.
        counts: Where to count.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        stream: str,
        results: Results,
        worker: Worker,
        counts: Counts,
    ) -> None:
        self._sources = list(sources.values())
        self._stream = stream
        self._results = results
        self._worker = worker
        self._counts = counts
        self._changed = asyncio.Event()
        self._settled: deque[tuple[Outcome, str]] = deque()
        self._stopping = False
        self.serving = False
        self.tee = Tee()

    def serve(self) -> None:
        """Begin to read inputs."""
        self.serving = True
        self._changed.set()

    def hold(self) -> None:
        """Stop reading inputs, after the one under way."""
        self.serving = False
        self._changed.set()

    def wake(self) -> None:
        """Look at the sources now: something has come; from the event loop's thread."""
        self._changed.set()

    def stop(self) -> None:
        """Let ``run`` return after the input under way."""
        self._stopping = True
        self.hold()
        self._forgive()

    async def run(self, scorer: Scorer) -> None:
        """Feed ``scorer`` until ``stop``; may be cancelled at any point without losing input."""
        storing: asyncio.Task[None] | None = None
        try:
            while not self._stopping:
                self._changed.clear()
                batch = await self._worker.call(lambda: self._score(scorer))
                if storing is not None:
                    await storing
                storing = asyncio.create_task(self._store(batch)) if batch else None
                if batch:
                    # The line goes out before the worker computes again: the agent has its own
                    # processor, and whoever has to wait for the worker's lock waits for long.
                    await asyncio.sleep(0)
                else:
                    await self._rest()
            if storing is not None:
                await storing
            await self._worker.call(self._release)
        finally:
            if storing is not None:
                storing.cancel()

    def _may_read(self) -> bool:
        return self.serving and not self._stopping

    def _forgive(self) -> None:
        for source in self._sources:
            source.rest()

    async def _rest(self) -> None:
        """Wait until something may have come; while nothing may be read, others may."""
        if not self._may_read():
            await self._worker.call(self._release)
            if not self._may_read():
                await self._changed.wait()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._changed.wait()

    async def _store(self, batch: list[Outcome]) -> None:
        refusals = await store_all(self._results, [outcome.item for outcome in batch])
        settled = []
        for outcome, refusal in zip(batch, refusals, strict=True):
            failure = outcome.failure
            if refusal and not failure:
                failure = f"the agent refused the result: {refusal}"
            if failure:
                self._counts.failed += 1
                taken = outcome.taken
                log.warning("%s/%s: %s", taken.input, spelled(taken.name), failure)
            else:
                self._counts.scored += 1
            settled.append((outcome, failure))
        # The next call into the worker lets go of them: one of their own would end its batch.
        self._settled.extend(settled)
        self._changed.set()

    # --- in the worker thread ---------------------------------------------------------------

    def _score(self, scorer: Scorer) -> list[Outcome]:
        self._settle()
        if not self._may_read():
            return []
        first = True

        def go_on() -> bool:
            nonlocal first
            # What waits for the thread goes first, but only after one input: both get their turn.
            proceed = first or (self._may_read() and not self._worker.waiting)
            first = False
            return proceed

        pace = Pace(go_on, lambda: self._stopping, self.tee.offer)
        return score_batch(scorer, self._sources, self._stream, pace)

    def _settle(self) -> None:
        while self._settled:
            outcome, failure = self._settled.popleft()
            outcome.source.settle(outcome.taken, failure)

    def _release(self) -> None:
        self._settle()
        for source in self._sources:
            source.release()
