"""Feeds local input to ``run()``: one file after the other, each gone only once it is stored."""

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from skerry_scorer.agent_link import MAX_ITEM_BYTES, Results
from skerry_scorer.entry import MAX_TEXT_CHARS, RunFailedError, Scorer
from skerry_scorer.folder import InputFolder, Look, UnusableFileError, Watch
from skerry_scorer.worker import Worker

log = logging.getLogger(__name__)

POLL_S = 0.1
"""Seconds between two looks at folders in which nothing is ready."""


@dataclass
class Counts:
    """What ``run()`` has done since the start, golden set left out.

    Attributes:
        scored: Results, over HTTP and from inputs.
        failed: Inputs and requests without one.
    """

    scored: int = 0
    failed: int = 0


@dataclass(frozen=True)
class _Outcome:
    """What came of one file: an item to store, and why it failed, or "" if it did not."""

    item: bytes
    failure: str = ""


class Feeder:
    """Reads inputs while it is serving.

    Args:
        folders: Input folders by input name.
        stream: Stream that results go to.
        results: Where they go.
        worker: The thread for ``run()`` and for the disk.
        counts: Where to count.
    """

    def __init__(
        self,
        folders: Mapping[str, InputFolder],
        stream: str,
        results: Results,
        worker: Worker,
        counts: Counts,
    ) -> None:
        self._folders = folders
        self._stream = stream
        self._results = results
        self._worker = worker
        self._counts = counts
        self._watch = Watch()
        self._changed = asyncio.Event()
        self._stopping = False
        self.serving = False

    def serve(self) -> None:
        """Begin to read inputs."""
        self.serving = True
        self._changed.set()

    def hold(self) -> None:
        """Stop reading inputs, after the one under way."""
        self.serving = False
        self._changed.set()

    def stop(self) -> None:
        """Let ``run`` return after the input under way."""
        self._stopping = True
        self.hold()
        self._forgive()

    async def run(self, scorer: Scorer) -> None:
        """Feed ``scorer`` until ``stop``; may be cancelled at any point without losing input."""
        while not self._stopping:
            self._changed.clear()
            if not self._may_read():
                await self._worker.call(self._release)
                await self._changed.wait()
                continue
            ready = await self._worker.call(self._scan)
            for look in ready:
                if not self._may_read():
                    break
                await self._feed(scorer, look)
            if not ready:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._changed.wait()
        await self._results.close()

    def _may_read(self) -> bool:
        return self.serving and not self._stopping

    def _forgive(self) -> None:
        for folder in self._folders.values():
            folder.forgive()

    async def _feed(self, scorer: Scorer, look: Look) -> None:
        outcome = await self._worker.call(lambda: self._score(scorer, look))
        if outcome is None:
            return
        failure = outcome.failure
        refusal = await self._results.store([outcome.item])
        if refusal and not failure:
            failure = f"the agent refused the result: {refusal}"
        if failure:
            self._counts.failed += 1
            log.warning("%s/%s: %s", look.input, _spelled(look.name), failure)
        else:
            self._counts.scored += 1
        await self._worker.call(lambda: self._finish(look, failure))

    # --- in the worker thread ---------------------------------------------------------------

    def _scan(self) -> list[Look]:
        looks = [look for folder in self._folders.values() for look in folder.scan()]
        return self._watch.update(looks, time.monotonic())

    def _release(self) -> None:
        for folder in self._folders.values():
            folder.release()

    def _score(self, scorer: Scorer, look: Look) -> _Outcome | None:
        folder = self._folders[look.input]
        try:
            with folder.under_way(look):
                if self._stopping:  # since this file was chosen; nobody else wipes the note now
                    folder.forgive()
                data = folder.read(look)
                if data is None:
                    return None
                begun = time.perf_counter()
                result = scorer.run(data)
                ms = (time.perf_counter() - begun) * 1000
        except UnusableFileError as error:
            return _failed(look, str(error))
        except RunFailedError as error:
            return _failed(look, error.text, error.detail)
        item = _result_item(self._stream, look, result, ms)
        if len(item) > MAX_ITEM_BYTES:
            return _failed(look, f"the result has {len(item)} bytes, at most {MAX_ITEM_BYTES} fit")
        return _Outcome(item)

    def _finish(self, look: Look, failure: str) -> None:
        folder = self._folders[look.input]
        try:
            if failure:
                folder.set_aside(look, failure)
            else:
                folder.remove(look)
        except OSError as error:
            # Without this it would be scored again and again, for ever.
            self._watch.pass_over(look)
            log.error("%s/%s cannot be moved away: %s", look.input, _spelled(look.name), error)  # noqa: TRY400 - a fact of the disk, not of the code


def _result_item(stream: str, look: Look, result: bytes, ms: float) -> bytes:
    return b'{"stream":%b,"data":{"input":%b,"file":%b,"result":%b,"ms":%.1f}}' % (
        _json(stream),
        _json(look.input),
        _json(_spelled(look.name)),
        result,
        ms,
    )


def _failed(look: Look, text: str, detail: str = "") -> _Outcome:
    file = _spelled(look.name)
    data = {
        "severity": "error",
        "code": "SCORING_FAILED",
        "text": f"{look.input}/{file}: {text}"[:MAX_TEXT_CHARS],
        "detail": detail,
        "input": look.input,
        "file": file,
    }
    item = _json({"event": "scoring-failed", "data": data})
    return _Outcome(item, f"{text}\n{detail}".strip())


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _spelled(name: str) -> str:
    # A name that is not UTF-8 holds half surrogates, which no JSON reader takes.
    return name.encode("utf-8", "replace").decode()
