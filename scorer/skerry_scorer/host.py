"""The host as a whole: what is started, in which order, and how it ends.

It listens first, so that status is answered from the beginning; then ``init()`` runs; then requests
and inputs are taken until SIGTERM. Whatever ends it otherwise ends the process with another status
than 0.
"""

import asyncio
import faulthandler
import json
import logging
import os
import signal
import socket
import time
from contextlib import suppress
from functools import partial

from skerry_scorer.durable import write_durably
from skerry_scorer.feeding.answered import Answered
from skerry_scorer.feeding.feeder import Counts, Feeder
from skerry_scorer.feeding.results import AgentLink, Results, StdoutResults
from skerry_scorer.forks import keep_private
from skerry_scorer.http.connection import Connections, Handler, Patience
from skerry_scorer.http.reception import Reception
from skerry_scorer.inputs.sources import make_sources
from skerry_scorer.observing.logs import PrintedLines
from skerry_scorer.observing.metrics import Metrics
from skerry_scorer.observing.traces import Tracing
from skerry_scorer.script.entry import InitFailedError, Scorer
from skerry_scorer.script.worker import Worker
from skerry_scorer.serving.exchange import Watch
from skerry_scorer.serving.routes import Routes
from skerry_scorer.serving.scoring import Scoring
from skerry_scorer.settings.host import Limits, Settings
from skerry_scorer.settings.inputs import HttpInput
from skerry_scorer.sockets import listen_unix, take_over

log = logging.getLogger(__name__)

DONE = 0
"""Exit status after SIGTERM, all that was under way being finished."""
CRASHED = 1
"""Exit status after a fault of the host, such as a port that is taken."""
INIT_FAILED = 3
"""Exit status where the entry script could not be loaded, or its ``init()`` raised."""
CUT_SHORT = 4
"""Exit status after SIGTERM, where ``run()`` did not return in time."""

HUNG = 5
"""Exit status where one call of ``run()`` took longer than it may."""

_BACKLOG = 128


class Host:
    """One entry script, served.

    Args:
        settings: All that the host is told.
        printed: What stands in for standard output, where logs are JSON, or None.
        tracing: What makes spans, or None.
    """

    def __init__(
        self,
        settings: Settings,
        printed: PrintedLines | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        limits = settings.limits
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._worker = Worker(self._loop, limits.run_threads)
        counts = Counts()
        sources = make_sources(settings, self._wake)
        self._results = results = _results(settings)
        self._answered = _answered(settings, results)
        self._feeder = Feeder(sources, settings.stream, results, self._worker, counts)
        self._metrics = Metrics()
        scoring = Scoring(self._worker, counts, limits)
        self._reception = Reception(limits.max_receiving_bytes)
        watch = Watch(
            settings.service, self._metrics, self._reception, self._answered, printed, tracing
        )
        self._routes = Routes(settings, self._worker, self._feeder, scoring, watch)
        self._servers: list[asyncio.Server] = []
        self._connections: list[Connections] = []

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT, and return the exit status.

        Raises:
            OSError: A socket cannot be listened on.
        """
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await self._listen()
        stopped = asyncio.ensure_future(stop.wait())
        served = asyncio.ensure_future(self._serve())
        try:
            await asyncio.wait({stopped, served}, return_when=asyncio.FIRST_COMPLETED)
            if served.done():
                return served.result()
            log.info("stopping")
            return await self._drain(served)
        finally:
            stopped.cancel()
            served.cancel()

    async def _serve(self) -> int:
        settings = self._settings
        load = partial(Scorer.load, settings.app_root, settings.entry_script)
        began = time.monotonic()
        try:
            scorer = await self._worker.call(load)
            _check_batches(scorer, settings.limits)
        except InitFailedError as error:
            log.error("%s\n%s", error.text, error.detail)  # noqa: TRY400 - the script's traceback is in it
            self._leave_word(error)
            return INIT_FAILED
        log.info("ready: %s", settings.entry_script)
        self._metrics.init_s = time.monotonic() - began
        if settings.shared_port:
            # Before it counts as ready: whoever sees that may end the host that served before.
            await self._listen_on_port()
        self._routes.begin(scorer)
        working = [self._feeder.run(scorer)]
        if self._answered is not None:
            working.append(self._answered.run())
        watching = asyncio.create_task(_end_if_hung(scorer, settings.limits.run_deadline_s))
        try:
            await asyncio.gather(*working)
        finally:
            watching.cancel()
        await self._results.close()
        return DONE

    async def _drain(self, served: asyncio.Task[int]) -> int:
        for server in self._servers:
            server.close()
        if self._routes.scorer is None:
            return DONE
        self._feeder.stop()
        parts = {served, asyncio.ensure_future(self._drain_requests())}
        # Input whose result the agent does not take now stays where it is; run() gets all the time.
        drain_s = self._settings.limits.drain_s
        done, late = await asyncio.wait(parts, timeout=drain_s)
        for part in late:
            part.cancel()
        for part in done:
            part.result()  # a fault of the host must not look like a clean end
        if self._worker.busy:
            log.warning("run() has not returned within %g s", drain_s)
            return CUT_SHORT
        return DONE

    async def _drain_requests(self) -> None:
        await asyncio.gather(*(part.drain() for part in self._connections))
        if self._answered is not None:
            self._answered.stop()  # nobody is answered any more: what waits now is all

    async def _listen(self) -> None:
        settings = self._settings
        if settings.run_dir is not None:
            path = settings.run_dir / "host.sock"
            await self._add(listen_unix(path, backlog=_BACKLOG), self._routes.answer)
            log.info("listening on %s", path)
        if not settings.shared_port:
            await self._listen_on_port()

    async def _listen_on_port(self) -> None:
        settings = self._settings
        if settings.port is not None:
            family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
            listener = socket.create_server(
                (settings.address, settings.port),
                family=family,
                backlog=_BACKLOG,
                reuse_port=settings.shared_port,
            )
            if settings.shared_port:
                take_over(listener)
            listener.setblocking(False)
            address, port = listener.getsockname()[:2]
            await self._add(listener, self._routes.answer_network)
            log.info("listening on %s port %d", address, port)

    async def _add(self, listener: socket.socket, handler: Handler) -> None:
        limits = self._settings.limits
        connections = Connections(
            handler,
            max_body_bytes=limits.max_body_bytes,
            max_connections=limits.max_connections,
            patience=Patience(limits.request_s, limits.idle_s),
            reception=self._reception,
        )
        keep_private(listener)
        loop = asyncio.get_running_loop()
        # A listening socket is served alike whatever its family: create_server asks for none.
        server = await loop.create_server(connections.protocol, sock=listener)
        self._servers.append(server)
        self._connections.append(connections)

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(self._feeder.wake)

    def _leave_word(self, error: InitFailedError) -> None:
        if self._settings.run_dir is None:
            return
        failure = {"code": "INIT_FAILED", "text": error.text, "detail": error.detail}
        with suppress(OSError):  # standard error has it as well
            write_durably(
                self._settings.run_dir / "failure.json",
                json.dumps(failure, ensure_ascii=False).encode("utf-8", "replace"),
            )


async def _end_if_hung(scorer: Scorer, deadline_s: float | None) -> None:
    """End the process once a ``run()`` takes too long: the note says which input it was."""
    while deadline_s is not None:
        if scorer.busy_s > deadline_s:
            log.error("run() has taken more than %g s: the process is ended", deadline_s)
            faulthandler.dump_traceback()
            os._exit(HUNG)
        await asyncio.sleep(min(1.0, deadline_s / 4))


def _check_batches(scorer: Scorer, limits: Limits) -> None:
    if limits.batch_size > 1 and not scorer.takes_batches:
        text = "SKERRY_BATCH_SIZE asks for batches, and the entry script defines no run_batch()"
        raise InitFailedError(text)


def _answered(settings: Settings, results: Results) -> Answered | None:
    wanted = [name for name, told in settings.inputs.items() if isinstance(told, HttpInput)]
    return Answered(wanted[0], settings.stream, results) if wanted else None


def _results(settings: Settings) -> Results:
    if settings.results_to_stdout or settings.run_dir is None:
        return StdoutResults()
    return AgentLink(settings.run_dir / "agent.sock")
