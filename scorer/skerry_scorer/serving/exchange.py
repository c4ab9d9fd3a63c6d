"""One request and its answer: what comes back besides, what is counted, and who is told of it."""

import logging
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

from skerry_scorer.feeding.answered import Answered
from skerry_scorer.http.answers import error_answer
from skerry_scorer.http.connection import Deliver
from skerry_scorer.http.cors import cors_headers
from skerry_scorer.http.reception import Reception
from skerry_scorer.http.wire import Answer, Request
from skerry_scorer.observing.logs import REQUEST_ID, PrintedLines
from skerry_scorer.observing.metrics import Metrics
from skerry_scorer.observing.traces import Tracing
from skerry_scorer.settings.host import Service

log = logging.getLogger("skerry_scorer.access")

MAX_ID_CHARS = 100
"""Longest request id that is accepted."""


class Watch:
    """Who is told of requests.

    Args:
        service: What comes back with every answer.
        metrics: Where to count.
        reception: What is held of requests that are not whole yet.
        answered: Takes results of ``/score`` to the agent, or None.
        printed: What stands in for standard output, where logs are JSON, or None.
        tracing: What makes spans, or None.
    """

    def __init__(
        self,
        service: Service,
        metrics: Metrics,
        reception: Reception,
        answered: Answered | None = None,
        printed: PrintedLines | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.service = service
        self.metrics = metrics
        self.reception = reception
        self.answered = answered
        self.printed = printed
        self.tracing = tracing


class Exchange:
    """One request on its way.

    Args:
        watch: Who is told.
        request: What came.
        path: Its path as the host calls it.
        deliver: Takes the answer where it comes later.
    """

    def __init__(self, watch: Watch, request: Request, path: str, deliver: Deliver) -> None:
        self._watch = watch
        self._path = path
        self._deliver = deliver
        self._began = time.monotonic()
        self._ids, self._too_long = request_ids(request.headers)
        self._span = None
        self.request = request
        if watch.tracing is not None:
            self._span = watch.tracing.begin(request.method, path, request.headers)

    @property
    def refusal(self) -> Answer | None:
        """The answer where an id is too long."""
        if not self._too_long:
            return None
        return error_answer(431, f"{self._too_long} must not exceed {MAX_ID_CHARS} characters")

    @property
    def request_id(self) -> str:
        """Id of the request: the client's own, or one that was made up."""
        return self._ids.get("x-request-id", "")

    @property
    def watched(self) -> bool:
        """Whether ``run()`` is to be called ``inside``."""
        return self._span is not None or self._watch.printed is not None

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Have what is logged, printed and traced in this thread belong to the request."""
        token = REQUEST_ID.set(self.request_id)
        try:
            with self._span.inside() if self._span is not None else nullcontext():
                yield
        finally:
            if self._watch.printed is not None:
                self._watch.printed.close_line()
            REQUEST_ID.reset(token)

    def deliver(self, answer: Answer) -> None:
        """Deliver an answer that came later."""
        self._deliver(self.told(answer, scored=True))

    def told(self, answer: Answer, *, scored: bool = False) -> Answer:
        """Return an answer with what comes back besides; it is counted and told of."""
        seconds = time.monotonic() - self._began
        self._watch.metrics.answered(self._path, answer.status, seconds if scored else None)
        if self._span is not None:
            self._span.end(answer.status)
        if self._watch.printed is not None:
            self._log(answer.status, seconds)
        return answer.with_headers(*self._headers())

    def _headers(self) -> list[tuple[str, str]]:
        service, request = self._watch.service, self.request
        found = list(self._ids.items())
        if service.server_version:
            found.append(("x-ms-server-version", service.server_version))
        if "traceid" in request.headers:
            found.append(("TraceId", request.headers["traceid"]))
        if service.cors_origins:
            found += cors_headers(service.cors_origins, request.headers, request.method)
        return found

    def _log(self, status: int, seconds: float) -> None:
        told: Mapping[str, object] = {
            "method": self.request.method,
            "path": self.request.path,
            "status": status,
            "ms": round(seconds * 1000, 3),
            "bytes": len(self.request.body),
        }
        extra = {"request": told, "request_id": self.request_id}
        if self._span is not None:
            extra["trace_id"] = self._span.trace_id
        log.info("%s %s %d", self.request.method, self.request.path, status, extra=extra)


def request_ids(headers: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return the ids to answer with, and the name of one that is too long, or "".

    They are those of azureml-inference-server-http 1.5: a request without an id gets one, and
    ``x-ms-request-id`` stands in for ``x-ms-client-request-id`` and the other way round.
    """
    request_id = headers.get("x-request-id") or f"{random.getrandbits(128):032x}"
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
