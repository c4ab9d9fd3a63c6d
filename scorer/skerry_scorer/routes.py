"""Which request does what.

``/`` and ``/score`` are those of Azure's inference server; ``/skerry/…`` is for the agent.
"""

import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from skerry_scorer import golden
from skerry_scorer.connection import error_answer
from skerry_scorer.entry import MAX_TEXT_CHARS, RunFailedError, Scorer
from skerry_scorer.feeder import Counts, Feeder
from skerry_scorer.golden import Case, GoldenSetError
from skerry_scorer.settings import Limits
from skerry_scorer.wire import Answer, Request
from skerry_scorer.worker import Worker

log = logging.getLogger(__name__)

MAX_ID_CHARS = 100
"""Longest request id that is accepted."""
_BINARY_TYPES = ("application/octet-stream", "image/", "audio/")


class Routes:
    """Answers requests.

    Args:
        app_root: Folder of the entry script and of ``golden.json``.
        worker: The thread for ``run()``.
        feeder: What reads the inputs.
        counts: Where to count.
        limits: Bounds of the host's own.
    """

    def __init__(
        self, app_root: Path, worker: Worker, feeder: Feeder, counts: Counts, limits: Limits
    ) -> None:
        self._app_root = app_root
        self._worker = worker
        self._feeder = feeder
        self._counts = counts
        self._limits = limits
        self.scorer: Scorer | None = None
        self._table: dict[str, dict[str, Callable[[Request], Awaitable[Answer]]]] = {
            "/": {"GET": self._health, "HEAD": self._health},
            "/score": {"GET": self._score, "POST": self._score, "OPTIONS": self._options},
            "/skerry/status": {"GET": self._status},
            "/skerry/golden": {"POST": self._golden},
            "/skerry/serve": {"POST": self._serve},
            "/skerry/hold": {"POST": self._hold},
        }

    async def answer(self, request: Request) -> Answer:
        """Answer a request that came over ``host.sock``."""
        methods = self._table.get(request.path)
        if methods is None:
            return error_answer(404, f"there is nothing at {request.path}")
        handler = methods.get(request.method)
        if handler is None:
            allowed = {"Allow": ", ".join(methods)}
            return _with(error_answer(405, f"{request.path} takes {allowed['Allow']}"), allowed)
        return await handler(request)

    async def answer_network(self, request: Request) -> Answer:
        """Answer a request that came over TCP, where anybody may be: the agent's orders are not."""
        if request.path in ("/skerry/serve", "/skerry/hold"):
            return error_answer(403, f"{request.path} is for host.sock only")
        return await self.answer(request)

    async def _health(self, _request: Request) -> Answer:
        if self.scorer is None:
            return Answer(503, b"init() has not returned yet", "text/plain")
        return Answer(200, b"Healthy", "text/plain")

    async def _status(self, _request: Request) -> Answer:
        return _json(
            {
                "ready": self.scorer is not None,
                "serving": self._feeder.serving,
                "scored": self._counts.scored,
                "failed": self._counts.failed,
                "waiting": self._worker.waiting,
                "busy_s": round(self.scorer.busy_s, 3) if self.scorer else 0.0,
            }
        )

    async def _serve(self, _request: Request) -> Answer:
        self._feeder.serve()
        return _json({"serving": True})

    async def _hold(self, _request: Request) -> Answer:
        self._feeder.hold()
        return _json({"serving": False})

    # --- /score -----------------------------------------------------------------------------

    async def _options(self, _request: Request) -> Answer:
        return Answer(200)

    async def _score(self, request: Request) -> Answer:
        ids, too_long = request_ids(request.headers)
        if too_long:
            answer = error_answer(431, f"{too_long} must not exceed {MAX_ID_CHARS} characters")
        elif self.scorer is None:
            answer = _later("init() has not returned yet")
        elif self._worker.waiting >= self._limits.max_waiting:
            answer = _later(f"{self._limits.max_waiting} requests are waiting already")
        else:
            answer = await self._run(self.scorer, request)
        return _with(answer, ids)

    async def _run(self, scorer: Scorer, request: Request) -> Answer:
        try:
            result, ms = await self._worker.call(partial(_timed_run, scorer, request))
        except UnicodeDecodeError as error:
            return error_answer(400, f"Input cannot be decoded as UTF-8: {error}")
        except RunFailedError as error:
            self._counts.failed += 1
            log.warning("request failed: %s\n%s", error.text, error.detail)
            failed = error_answer(500, error.text)
            return _with(failed, {"x-ms-run-function-failed": "True"})
        self._counts.scored += 1
        headers = {"x-ms-run-function-failed": "False", "x-ms-run-fn-exec-ms": f"{ms:.3f}"}
        # Azure's server answers {} where run() returned nothing.
        return Answer(200, b"{}" if result == b"null" else result, headers=headers)

    # --- /skerry/golden ---------------------------------------------------------------------

    async def _golden(self, _request: Request) -> Answer:
        if self.scorer is None:
            return _later("init() has not returned yet")
        try:
            cases = await self._worker.call(partial(golden.read_golden, self._app_root))
        except GoldenSetError as error:
            told = {"input": "golden.json", "passed": False, "text": str(error)}
            return _json({"passed": False, "cases": [told]})
        told_cases = []
        for case in cases:
            text = await self._worker.call(partial(self._difference, self.scorer, case))
            told_cases.append({"input": case.input, "passed": not text, "text": text})
        return _json({"passed": all(t["passed"] for t in told_cases), "cases": told_cases})

    def _difference(self, scorer: Scorer, case: Case) -> str:
        try:
            data = golden.read_input(
                self._app_root, case.input, max_bytes=self._limits.max_body_bytes
            )
            got = json.loads(scorer.run(data))
        except (GoldenSetError, RunFailedError) as error:
            return str(error)
        return "; ".join(golden.compare(case.expect, got, case.tolerance))[:MAX_TEXT_CHARS]


def request_ids(headers: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return the ids to answer with, and the name of one that is too long, or "".

    They are those of azureml-inference-server-http 1.5: a request without an id gets one, and
    ``x-ms-request-id`` stands in for ``x-ms-client-request-id`` and the other way round.
    """
    request_id = headers.get("x-request-id") or os.urandom(16).hex()
    legacy, client = headers.get("x-ms-request-id", ""), headers.get("x-ms-client-request-id", "")
    ids = {
        "x-request-id": request_id,
        "x-ms-request-id": legacy or client or request_id,
        "x-ms-client-request-id": client or legacy,
    }
    for name, value in ids.items():
        if len(value) > MAX_ID_CHARS:
            return {}, name
    return {name: value for name, value in ids.items() if value}, ""


def score_input(request: Request) -> str | bytes:
    """Return what ``run()`` gets of a request to ``/score``.

    The query as a JSON object for GET; for POST bytes where the content type says that they are
    binary, else text.

    Raises:
        UnicodeDecodeError: The body should be text and is not UTF-8.
    """
    if request.method == "GET":
        return json.dumps(_query_values(request.query))
    content_type = request.headers.get("content-type", "").lower()
    if content_type.startswith(_BINARY_TYPES):
        return request.body
    return request.body.decode("utf-8")


def _timed_run(scorer: Scorer, request: Request) -> tuple[bytes, float]:
    data = score_input(request)
    begun = time.perf_counter()
    result = scorer.run(data)
    return result, (time.perf_counter() - begun) * 1000


def _query_values(query: str) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _later(text: str) -> Answer:
    return _with(error_answer(503, text), {"Retry-After": "1"})


def _json(value: Any) -> Answer:
    return Answer(200, json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _with(answer: Answer, headers: Mapping[str, str]) -> Answer:
    return Answer(answer.status, answer.body, answer.content_type, {**answer.headers, **headers})
