"""One run: start a scorer in its limits, ask it, watch what it takes, end it."""

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skerry import procfs
from skerry.children import Child
from skerry.local.answers import HostConnection, read_failure
from skerry.local.interpreter import own_python, provide
from skerry.local.layout import scorer_host
from skerry.local.places import Places
from skerry.profile.limits import Holder
from skerry.profile.report import Measurements, Moment
from skerry.profile.requests import Body
from skerry.profile.scorer import Scorer
from skerry_contract.errors import DeadlineError, InitFailedError, RuntimeFailedError

LOOK_S = 0.1
"""Seconds between two looks at the memory."""
REQUEST_S = 120.0
"""Seconds that one request may take."""
_GATE = "gate"


@dataclass(frozen=True, slots=True)
class Job:
    """What to run, and how long.

    Attributes:
        scorer: The entry script.
        python: Interpreter of an environment that has what it needs.
        model_dir: Folder that it finds its models in.
        bodies: Requests, asked in turn, again and again.
        queries: How many requests, at most; at least one.
        seconds: For how long, at most, above 0.
        start_s: Seconds that ``init()`` may take.
    """

    scorer: Scorer
    python: Path
    model_dir: Path
    bodies: Sequence[Body]
    queries: int = 200
    seconds: float = 60.0
    start_s: float = 300.0


def measure(
    job: Job, folder: Path, cpu: float, memory_bytes: int, hold: Callable[[float, int], Holder]
) -> Measurements:
    """Run a scorer once, in an empty folder, and return what it took.

    Raises:
        InitFailedError: It could not be loaded; the detail is its traceback.
        RuntimeFailedError: It ended by itself, or took more memory than it may.
        DeadlineError: ``init()`` took too long.
    """
    holder, watch, child = hold(cpu, memory_bytes), Watch(memory_bytes), None
    try:
        began = time.monotonic()
        child = _start(job, folder)
        holder.join(child.pid)
        watch.start(child.pid, began)
        (folder / _GATE).write_text("go\n")
        _wait(child, folder, job.start_s, watch)
        cold_start_s = time.monotonic() - began
        asked = _ask(child, job, folder, watch)
    finally:
        watch.stop()
        if child is not None:
            child.stop(grace_s=15.0)
        holder.close()
    return Measurements(
        cpu,
        memory_bytes,
        holder.name,
        cold_start_s,
        asked.latencies_ms,
        asked.failures,
        asked.wall_s,
        asked.cpu_s,
        tuple(watch.moments),
    )


def python_for(scorer: Scorer, say: Callable[[str], object]) -> Path:
    """Return a Python that has what a scorer asks for; one that is made is kept.

    Args:
        scorer: The scorer.
        say: Is told what takes time, and what was left out.

    Raises:
        EnvironmentFileError: There is no set of packages that satisfies it.
        RuntimeFailedError: Its author's Python is not there, or uv is missing.
    """
    for note in scorer.requirements.notes:
        say(note)
    if scorer.python is not None:
        return own_python(scorer.python)
    return provide(scorer.requirements, Places.standard().environments, say)


class Watch:
    """Looks at a process from time to time, in a thread of its own.

    Args:
        memory_bytes: What it may hold; above it, it is killed.

    Attributes:
        moments: What was seen.
        too_much: Whether it was killed for its memory.
    """

    def __init__(self, memory_bytes: int) -> None:
        self.moments: list[Moment] = []
        self.too_much = False
        self._most = memory_bytes
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, pid: int, began: float) -> None:
        """Begin to look.

        Args:
            pid: At which process, and all below it.
            began: When it was started, on the monotonic clock.
        """
        self._thread = threading.Thread(target=self._look, args=[pid, began], daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End looking."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self, pid: int, began: float) -> None:
        while not self._ended.wait(LOOK_S):
            rss = procfs.resident_bytes(pid)
            if not rss:
                return
            seen = (rss, procfs.proportional_bytes(pid), procfs.cpu_s(pid))
            self.moments.append(Moment(time.monotonic() - began, *seen))
            if rss > self._most:
                self.too_much = True
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class _Asked:
    latencies_ms: Sequence[float]
    failures: Sequence[str]
    wall_s: float
    cpu_s: float


def _start(job: Job, folder: Path) -> Child:
    """Start a scorer host that waits at the gate until it is held."""
    os.mkfifo(folder / _GATE)
    command = [str(job.python), "-u", "-m", "skerry_scorer"]
    gate = 'read -r _ <"$0"; exec "$@"'
    return Child(
        "scorer",
        ["/bin/sh", "-c", gate, str(folder / _GATE), *command],
        log=folder / "log.txt",
        env={
            **job.scorer.env,
            "PATH": f"{job.python.parent}:/usr/bin:/bin",
            "PYTHONPATH": f"{scorer_host().parent}:{job.scorer.folder.resolve()}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "AML_APP_ROOT": str(job.scorer.folder.resolve()),
            "AZUREML_ENTRY_SCRIPT": job.scorer.entry_script,
            "AZUREML_MODEL_DIR": str(job.model_dir),
            "SKERRY_RUN_DIR": str(folder),
        },
    )


def _wait(child: Child, folder: Path, start_s: float, watch: Watch) -> None:
    """Return when ``init()`` has returned."""
    ends = time.monotonic() + start_s
    while True:
        _check(child, folder, watch)
        with suppress(OSError, http.client.HTTPException, ValueError):
            if json.loads(_request(folder, "GET", "/skerry/status").body)["ready"]:
                return
        if time.monotonic() > ends:
            raise DeadlineError(
                f"init() did not return within {start_s:.0f} s",
                remedy="Allow more with --start-timeout.",
                detail=child.last_lines(),
            )
        time.sleep(0.01)


def _check(child: Child, folder: Path, watch: Watch) -> None:
    """Raise what ended the scorer, if it has ended."""
    status = child.ended()
    if status is None:
        return
    if told := read_failure(folder):
        raise InitFailedError(told.text, detail=told.detail)
    if watch.too_much or status == -signal.SIGKILL:
        text = "the scorer needs more memory than the limit"
        raise RuntimeFailedError(text, remedy="Raise --memory-gb.", detail=child.last_lines())
    raise RuntimeFailedError(f"the scorer ended with status {status}", detail=child.last_lines())


def _ask(child: Child, job: Job, folder: Path, watch: Watch) -> _Asked:
    latencies: list[float] = []
    failures: list[str] = []
    before, began = procfs.cpu_s(child.pid), time.monotonic()
    while len(latencies) + len(failures) < job.queries and time.monotonic() < began + job.seconds:
        body = job.bodies[(len(latencies) + len(failures)) % len(job.bodies)]
        asked = time.perf_counter()
        try:
            reply = _request(folder, "POST", "/score", body)
        except (OSError, http.client.HTTPException) as error:
            _check_soon(child, folder, watch)
            failures.append(f"{body.name}: no answer: {error!r}")
            continue
        taken_ms = (time.perf_counter() - asked) * 1000
        if reply.status == http.HTTPStatus.OK:
            latencies.append(taken_ms)
        else:
            failures.append(f"{body.name}: {reply.status} {_text(reply.body)}")
    wall_s = time.monotonic() - began
    return _Asked(latencies, failures, wall_s, procfs.cpu_s(child.pid) - before)


def _check_soon(child: Child, folder: Path, watch: Watch) -> None:
    """Raise what ended the scorer, if it ends within a second."""
    for _ in range(20):
        _check(child, folder, watch)
        time.sleep(0.05)


def _text(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return body[:500].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes


def _request(folder: Path, method: str, path: str, body: Body | None = None) -> _Reply:
    connection = HostConnection(folder, REQUEST_S)
    try:
        headers = {"Content-Type": body.content_type} if body else {}
        connection.request(method, path, body.data if body else None, headers)
        answer = connection.getresponse()
        return _Reply(answer.status, answer.read())
    finally:
        connection.close()
