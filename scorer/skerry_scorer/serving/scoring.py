"""Scoring over HTTP: requests wait in a bounded queue for ``run()``, and none waits for ever."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skerry_scorer.feeding.feeder import Counts
from skerry_scorer.http.answers import FAILED_HEADER, error_answer, later
from skerry_scorer.http.connection import Deliver
from skerry_scorer.http.wire import Answer, Request
from skerry_scorer.script.arguments import InputError, TextArgument, score_input
from skerry_scorer.script.entry import MAX_TEXT_CHARS, RunFailedError, Scorer
from skerry_scorer.script.worker import Batch, Worker
from skerry_scorer.serving.exchange import Exchange
from skerry_scorer.settings.host import Limits

log = logging.getLogger(__name__)

TIMEOUT_HEADER = "x-skerry-timeout-ms"
"""Header field by which a client shortens the time that it waits."""

TIME_HEADER = "x-ms-run-fn-exec-ms"
"""Header field that says how long ``run()`` took, in milliseconds."""

Score = Callable[[Scorer, Request], Answer]
"""Makes the answer to a request, in the worker thread; may raise ``InputError`` and
``RunFailedError``."""


class Scoring:
    """Takes requests in and has them scored.

    Args:
        worker: The threads for ``run()``.
        counts: Where to count what ``run()`` has done.
        limits: Bounds of the host's own.
    """

    def __init__(self, worker: Worker, counts: Counts, limits: Limits) -> None:
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._waiting_bytes = 0
        self.counts = counts
        self.limits = limits
        self.scorer: Scorer | None = None
        self.batch: Batch | None = None

    def begin(self, scorer: Scorer) -> None:
        """Take requests from now on."""
        limits = self.limits
        if limits.batch_size > 1 and isinstance(scorer.arguments, TextArgument):
            self.batch = Batch(_run_batch, limits.batch_size, limits.batch_wait_s)
        self.scorer = scorer

    def score(self, exchange: Exchange, work: Score, deliver: Deliver) -> "Scored | Answer":
        """Have ``work`` done for a request; return an answer at once where it cannot be.

        Args:
            exchange: What to score.
            work: What makes the answer.
            deliver: Takes the answer, in the loop, unless the result of this call is cancelled.
        """
        limits, request = self.limits, exchange.request
        if self.scorer is None:
            return later("init() has not returned yet")
        if self._worker.waiting >= limits.max_waiting:
            return later(f"{limits.max_waiting} requests are waiting already")
        if self._waiting_bytes and self._waiting_bytes + len(request.body) > limits.max_held_bytes:
            return later(f"requests of {self._waiting_bytes} bytes are waiting already")
        try:
            timeout_ms = timeout_of(request.headers, limits.scoring_timeout_ms)
        except ValueError as error:
            return error_answer(400, str(error))
        job = Scored(self, exchange, work, deliver)
        job.timer = self._loop.call_later(timeout_ms / 1000, job.time_is_up, timeout_ms)
        self._waiting_bytes += len(request.body)
        self._worker.submit(job)
        return job

    def ended(self, job: "Scored") -> None:
        """Note that a request no longer waits for ``run()``."""
        self._waiting_bytes -= len(job.request.body)


class Scored:
    """A request on its way through the worker."""

    def __init__(self, scoring: Scoring, exchange: Exchange, work: Score, deliver: Deliver) -> None:
        assert scoring.scorer is not None  # noqa: S101 - asked before it is made
        self.given_up = False
        self.batch = scoring.batch if work is score_request else None
        self.request = exchange.request
        self.scorer = scoring.scorer
        self.timer: asyncio.TimerHandle | None = None
        self.answer: Answer | None = None
        self._begun = False
        self._scoring = scoring
        self._exchange = exchange
        self._work = work
        self._deliver = deliver

    def cancel(self) -> None:
        """Nobody waits for the answer any more: if it has not begun, it never does."""
        self.given_up = True
        if self.timer is not None:
            self.timer.cancel()

    def time_is_up(self, timeout_ms: int) -> None:
        """Answer that it takes too long; what has begun runs on, for nobody."""
        self.given_up = True
        if self._begun:
            self._scoring.counts.failed += 1
            log.warning("request failed: Scoring timeout after %d ms", timeout_ms)
            text = f"Scoring timeout after {timeout_ms} ms"
            self._deliver(error_answer(500, text, run_failed=True))
        else:
            self._deliver(later(f"still waiting for run() after {timeout_ms} ms"))

    # --- in the worker thread ---------------------------------------------------------------

    def begin(self) -> None:
        """Note that it is being scored from now on."""
        self._begun = True

    def work(self) -> None:
        """Score it."""
        self._begun = True
        if self._exchange.watched:
            with self._exchange.inside():
                self.answer = self._worked()
        else:
            self.answer = self._worked()

    def _worked(self) -> Answer:
        began = time.perf_counter()
        try:
            answer = self._work(self.scorer, self.request)
        except InputError as error:
            return error_answer(error.status, str(error))
        except RunFailedError as error:
            return failed_answer(error)
        except BaseException:
            log.exception("the host failed on a request")
            return error_answer(500, "internal error; the module's log has the traceback")
        return told(answer, (time.perf_counter() - began) * 1000)

    # --- in the loop ------------------------------------------------------------------------

    def deliver(self) -> None:
        """Hand the answer on, unless it is too late."""
        self._scoring.ended(self)
        if self.given_up or self.answer is None:
            return
        if self.timer is not None:
            self.timer.cancel()
        status = self.answer.status
        if status < 500:
            self._scoring.counts.scored += status < 400
        else:
            self._scoring.counts.failed += 1
        self._deliver(self.answer)


def score_request(scorer: Scorer, request: Request) -> Answer:
    """Return the answer to a request to ``/score``.

    Raises:
        InputError: It does not hold what ``run()`` needs.
        RunFailedError: ``run()`` raised, or what it returned cannot be written as JSON.
    """
    answer = scorer.answer(scorer.arguments.of_request(request))
    # Azure's server answers {} where run() returned nothing.
    return Answer(200, b"{}") if answer.body == b"null" and answer.content_type else answer


def _run_batch(jobs: Sequence[Scored]) -> None:
    good: list[Scored] = []
    items: list[Any] = []
    for job in jobs:
        job.begin()
        try:
            items.append(score_input(job.request))
        except InputError as error:
            job.answer = error_answer(error.status, str(error))
        else:
            good.append(job)
    if not good:
        return
    began = time.perf_counter()
    answers = good[0].scorer.answer_batch(items)
    ms = (time.perf_counter() - began) * 1000
    for job, answer in zip(good, answers, strict=True):
        job.answer = told(answer, ms) if isinstance(answer, Answer) else failed_answer(answer)


def told(answer: Answer, ms: float) -> Answer:
    """Return an answer of ``run()`` with how long that took, and that it did not fail."""
    time_taken = (TIME_HEADER, f"{ms:.3f}")
    if answer.content_type:
        return answer.with_headers((FAILED_HEADER, "False"), time_taken)
    return answer.with_headers(time_taken)  # the script's own response says it, or leaves it out


def run_ms(answer: Answer) -> float:
    """Return how long ``run()`` took for an answer, in milliseconds; 0 if it does not say."""
    return next((float(value) for name, value in answer.headers if name == TIME_HEADER), 0.0)


def failure_text(answer: Answer) -> str:
    """Return why ``run()`` failed, of an answer that says so; the script's own may say anything."""
    try:
        found = json.loads(answer.body)["message"]
    except (ValueError, TypeError, KeyError, RecursionError):
        found = f"run() answered with status {answer.status}"
    return str(found)[:MAX_TEXT_CHARS]


def failed_answer(error: RunFailedError) -> Answer:
    """Return the answer where ``run()`` raised; the log has the traceback."""
    log.warning("request failed: %s\n%s", error.text, error.detail)
    return error_answer(500, error.text, run_failed=True)


def timeout_of(headers: Mapping[str, str], most_ms: int) -> int:
    """Return how long a request may take, in milliseconds.

    Raises:
        ValueError: The client's own wish cannot be read.
    """
    text = headers.get(TIMEOUT_HEADER)
    if text is None:
        return most_ms
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 12 and int(text)):
        raise ValueError(f"{TIMEOUT_HEADER} must be a whole number above 0")
    return min(int(text), most_ms)
