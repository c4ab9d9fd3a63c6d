"""Which request does what.

``/``, ``/score`` and ``/swagger.json`` are those of Azure's inference server, ``/healthz``,
``/readyz`` and ``/metrics`` are for who watches, ``/skerry/…`` is for the agent.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from skerry_scorer.feeding.answered import Answered
from skerry_scorer.feeding.feeder import Feeder
from skerry_scorer.http.answers import FAILED_HEADER, error_answer, json_answer, later
from skerry_scorer.http.connection import Deliver, Pending
from skerry_scorer.http.wire import Answer, Request
from skerry_scorer.observing.metrics import CONTENT_TYPE, Present
from skerry_scorer.open_inference.messages import ModelName
from skerry_scorer.script import golden
from skerry_scorer.script.entry import MAX_TEXT_CHARS, RunFailedError, Scorer, to_json
from skerry_scorer.script.golden import Case, GoldenSetError
from skerry_scorer.script.worker import Worker
from skerry_scorer.serving.exchange import Exchange, Watch
from skerry_scorer.serving.inference import PREFIX, OpenInference
from skerry_scorer.serving.scoring import Scoring, failure_text, run_ms, score_request
from skerry_scorer.serving.swagger import SwaggerError, swagger
from skerry_scorer.settings.host import Settings

log = logging.getLogger(__name__)

Handler = Callable[[Exchange], Answer | Pending]

_FOR_THE_AGENT = ("/skerry/serve", "/skerry/hold", "/skerry/tee")


class Routes:
    """Answers requests.

    Args:
        settings: All that the host is told.
        worker: The threads for ``run()``.
        feeder: What reads the inputs.
        scoring: Takes what is to be scored.
        watch: Who is told of requests.
    """

    def __init__(
        self, settings: Settings, worker: Worker, feeder: Feeder, scoring: Scoring, watch: Watch
    ) -> None:
        self._app_root = settings.app_root
        self._service = settings.service
        self._max_body_bytes = settings.limits.max_body_bytes
        self._worker = worker
        self._feeder = feeder
        self._scoring = scoring
        self._watch = watch
        self._inference = OpenInference(
            ModelName(settings.service.model_name, settings.service.model_version), scoring
        )
        self._table: dict[str, dict[str, Handler]] = {
            "/": {"GET": self._health, "HEAD": self._health},
            "/score": dict.fromkeys(("GET", "POST", "OPTIONS"), self._score),
            "/swagger.json": {"GET": _later_on(self._swagger)},
            "/healthz": {"GET": self._live, "HEAD": self._live},
            "/readyz": {"GET": self._ready, "HEAD": self._ready},
            "/metrics": {"GET": self._render_metrics},
            "/skerry/status": {"GET": self._status},
            "/skerry/golden": {"POST": _later_on(self._golden)},
            "/skerry/serve": {"POST": self._serve},
            "/skerry/hold": {"POST": self._hold},
            "/skerry/tee": {"POST": self._tee},
        }

    def begin(self, scorer: Scorer) -> None:
        """Score from now on."""
        self._scoring.begin(scorer)

    @property
    def scorer(self) -> Scorer | None:
        """The script, once its ``init()`` has returned."""
        return self._scoring.scorer

    def answer(self, request: Request, deliver: Deliver) -> Answer | Pending:
        """Answer a request that came over ``host.sock``."""
        path = self._unprefixed(request.path)
        if path == PREFIX or path.startswith(f"{PREFIX}/"):
            exchange = Exchange(self._watch, request, PREFIX, deliver)
            return self._answered(exchange, partial(self._inference.answer, path))
        methods = self._table.get(path)
        if methods is None:
            self._watch.metrics.answered("other", 404)
            return error_answer(404, f"there is nothing at {request.path}")
        handler = methods.get(request.method)
        if handler is None:
            self._watch.metrics.answered(path, 405)
            allowed = ", ".join(methods)
            refused = error_answer(405, f"{request.path} takes {allowed}")
            return refused.with_headers(("Allow", allowed))
        return self._answered(Exchange(self._watch, request, path, deliver), handler)

    def _answered(self, exchange: Exchange, handler: Handler) -> Answer | Pending:
        outcome = exchange.refusal or handler(exchange)
        return exchange.told(outcome) if isinstance(outcome, Answer) else outcome

    def answer_network(self, request: Request, deliver: Deliver) -> Answer | Pending:
        """Answer a request that came over TCP, where anybody may be: the agent's orders are not."""
        if request.path in _FOR_THE_AGENT:
            return error_answer(403, f"{request.path} is for host.sock only")
        return self.answer(request, deliver)

    def _unprefixed(self, path: str) -> str:
        prefix = f"/{self._service.path_prefix}"
        if prefix == "/" or not (path == prefix or path.startswith(f"{prefix}/")):
            return path
        return path[len(prefix) :] or "/"

    # --- who watches ------------------------------------------------------------------------

    def _health(self, _exchange: Exchange) -> Answer:
        if self.scorer is None:
            return Answer(503, b"init() has not returned yet", "text/plain")
        return Answer(200, b"Healthy", "text/plain")

    def _live(self, _exchange: Exchange) -> Answer:
        return Answer(200, b"live", "text/plain")

    def _ready(self, _exchange: Exchange) -> Answer:
        if self.scorer is None:
            return Answer(503, b"init() has not returned yet", "text/plain")
        return Answer(200, b"ready", "text/plain")

    def _render_metrics(self, _exchange: Exchange) -> Answer:
        counts = self._scoring.counts
        present = Present(
            ready=self.scorer is not None,
            scored=counts.scored,
            failed=counts.failed,
            waiting=self._worker.waiting,
            receiving_bytes=self._watch.reception.held,
            under_way=self._worker.under_way,
            busy_s=self.scorer.busy_s if self.scorer else 0.0,
        )
        return Answer(200, self._watch.metrics.render(present), CONTENT_TYPE)

    def _status(self, _exchange: Exchange) -> Answer:
        return json_answer(
            {
                "ready": self.scorer is not None,
                "serving": self._feeder.serving,
                "scored": self._scoring.counts.scored,
                "failed": self._scoring.counts.failed,
                "waiting": self._worker.waiting,
                "busy_s": round(self.scorer.busy_s, 3) if self.scorer else 0.0,
            }
        )

    def _serve(self, _exchange: Exchange) -> Answer:
        self._feeder.serve()
        return json_answer({"serving": True})

    def _hold(self, _exchange: Exchange) -> Answer:
        self._feeder.hold()
        return json_answer({"serving": False})

    def _tee(self, _exchange: Exchange) -> Answer:
        sample = self._feeder.tee.take()
        if sample is None:
            return Answer(204, b"", "")
        return Answer(200, sample.encode(), "application/octet-stream")

    # --- /score and what it takes -----------------------------------------------------------

    def _score(self, exchange: Exchange) -> Answer | Pending:
        scorer = self.scorer
        if exchange.request.method == "OPTIONS" and (scorer is None or not scorer.wants_raw_http):
            empty = Answer(200, b"", "text/html; charset=utf-8")
            return empty.with_headers((FAILED_HEADER, "False"))
        answered = self._watch.answered
        if answered is None:
            return self._scoring.score(exchange, score_request, exchange.deliver)
        if answered.full:
            return later("results of earlier requests wait for the agent to store them")
        deliver = partial(_tell, exchange, answered)
        return self._scoring.score(exchange, score_request, deliver)

    async def _swagger(self, request: Request) -> Answer:
        if self.scorer is None:
            return later("init() has not returned yet")
        asked = parse_qs(request.query, keep_blank_values=True).get("version", ["2"])[0]
        describe = partial(swagger, self._app_root, self._service, self.scorer, asked)
        try:
            found = json_answer(await self._worker.call(describe))
            return found.with_headers((FAILED_HEADER, "False"))
        except SwaggerError as error:
            return error_answer(404, str(error))

    # --- /skerry/golden ---------------------------------------------------------------------

    async def _golden(self, _request: Request) -> Answer:
        if self.scorer is None:
            return later("init() has not returned yet")
        try:
            cases = await self._worker.call(partial(golden.read_golden, self._app_root))
        except GoldenSetError as error:
            told = {"input": "golden.json", "passed": False, "text": str(error)}
            return json_answer({"passed": False, "cases": [told]})
        told_cases = []
        for case in cases:
            text = await self._worker.call(partial(self._difference, self.scorer, case))
            told_cases.append({"input": case.input, "passed": not text, "text": text})
        return json_answer({"passed": all(t["passed"] for t in told_cases), "cases": told_cases})

    def _difference(self, scorer: Scorer, case: Case) -> str:
        try:
            data = golden.read_input(self._app_root, case.input, max_bytes=self._max_body_bytes)
            got = json.loads(scorer.run(data))
        except (GoldenSetError, RunFailedError) as error:
            return str(error)
        return "; ".join(golden.compare(case.expect, got, case.tolerance))[:MAX_TEXT_CHARS]


def _tell(exchange: Exchange, answered: Answered, answer: Answer) -> None:
    """Deliver an answer, and have its result stored; a client's own fault is no result."""
    exchange.deliver(answer)
    if answer.status >= 500:
        answered.failed(exchange.request_id, failure_text(answer))
    elif answer.status < 400:
        try:
            result = to_json(json.loads(answer.body))
        except (ValueError, RecursionError):
            answered.failed(exchange.request_id, f"{len(answer.body)} bytes that are no JSON")
        else:
            answered.scored(exchange.request_id, result, run_ms(answer))


class _TaskPending:
    """A request that a coroutine answers."""

    def __init__(self, work: Coroutine[Any, Any, Answer], deliver: Deliver) -> None:
        self._deliver = deliver
        self._task = asyncio.get_running_loop().create_task(self._run(work))

    def cancel(self) -> None:
        self._task.cancel()

    async def _run(self, work: Coroutine[Any, Any, Answer]) -> None:
        try:
            answer = await work
        except Exception:
            log.exception("a request failed")
            answer = error_answer(500, "internal error; the module's log has the traceback")
        self._deliver(answer)


def _later_on(answer: Callable[[Request], Coroutine[Any, Any, Answer]]) -> Handler:
    def handle(exchange: Exchange) -> Pending:
        return _TaskPending(answer(exchange.request), exchange.deliver)

    return handle
