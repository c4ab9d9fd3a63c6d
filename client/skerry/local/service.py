"""One local service: deployed, reloaded, looked at and deleted.

A new generation is started beside the old one, on the same port; only when its ``init()`` has
returned does it listen, does the record name it, and does the old one end. So a script that is
broken changes nothing, and no request is turned away. Whatever belongs to no generation that counts
is ended and removed by the next operation.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from skerry.docker_engine import DockerEngine
from skerry.durable import write_file
from skerry.local import container, processes
from skerry.local.answers import Failure, is_ready, read_failure
from skerry.local.layout import CONTAINER, Layout
from skerry.local.logs import Follower, last_lines, length, trim
from skerry.local.ports import check_port
from skerry.local.processes import HostProcess
from skerry.local.record import Record, State, state_of
from skerry_contract import shape
from skerry_contract.errors import (
    ConflictError,
    ContractError,
    DeadlineError,
    InitFailedError,
    NotFoundError,
)

MAX_RECORD_BYTES = 1024 * 1024
INIT_S = 600.0
"""Seconds that ``init()`` may take unless the caller says otherwise."""
_LOOK_S = 0.02
_HAND_OVER_S = 0.05
"""Seconds in which the old host gets the requests of those who had connected to it."""
_LOCK_S = INIT_S + 60.0
_TAIL_LINES = 40
_LOG_START = "log-start"
"""File of a run folder with the length that the log had when its host was started."""

Show = Callable[[str], object]


class LocalService:
    """One service of this user; every method sees the world anew.

    Args:
        folder: The service's folder, which need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self._at = Layout(folder.resolve())

    @property
    def name(self) -> str:
        """What it is called."""
        return self._at.folder.name

    def record(self) -> Record:
        """Return what is wanted of it.

        Raises:
            NotFoundError: There is no such service.
            ContractError: Its record is damaged.
        """
        try:
            data = self._at.record.read_bytes()
        except OSError as error:
            raise NotFoundError(
                f"there is no local service {self.name}", remedy="List them: skerry service list"
            ) from error
        return shape.parse(Record, data, max_bytes=MAX_RECORD_BYTES, subject=str(self._at.record))

    def exists(self) -> bool:
        """Tell whether it was deployed and not deleted since."""
        return self._at.record.exists()

    def state(self) -> State:
        """Return its state, as it is at this moment."""
        try:
            record = self.record()
        except NotFoundError:
            return "deleted"
        run_dir = self._at.run_dir(record.generation)
        process = self._process(record.generation)
        ready = is_ready(run_dir) if process else None
        if process and ready is None and not (run_dir / "host.sock").exists():
            ready = False  # it has not even begun to listen
        return state_of(record, alive=process is not None, ready=ready)

    def failure(self) -> Failure:
        """Return why it does not run, as far as anything tells.

        Raises:
            NotFoundError: There is no such service.
        """
        return self._failure(self.record())

    def last_lines(self, count: int) -> str:
        """Return the last ``count`` lines that its hosts wrote."""
        return last_lines(self._at.log, count)

    def deploy(self, record: Record) -> None:
        """Take ``record`` as what is wanted, and start it; return before it is ready.

        Raises:
            ConflictError: Its port is taken.
            RuntimeFailedError: Its Python cannot be started.
            OSError: The disk said no.
        """
        self._at.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone():
            self._end_all()
            check_port(record.port)
            wanted = replace(record, generation=self._next_generation(), created=time.time())
            self._at.prepare(wanted)
            self._write(wanted)
            self._start(wanted)

    def renew(self, record: Record, *, deadline_s: float = INIT_S) -> None:
        """Serve ``record`` in the place of what serves now, once it has proven itself.

        Raises:
            NotFoundError: There is no such service.
            InitFailedError: Its script cannot be imported, or ``init()`` raised; what served
                before goes on.
            DeadlineError: ``init()`` took longer than ``deadline_s``; the same.
        """
        self.record()
        with self._alone():
            before = self.record()
            self._end_all(but=before.generation)
            wanted = replace(
                record, generation=self._next_generation(), created=before.created, port=before.port
            )
            try:
                self._at.prepare(wanted)
                self._start(wanted)
                self._await_ready(wanted, deadline_s)
            except BaseException:
                self._end_all(but=before.generation)
                raise
            self._write(wanted)
            time.sleep(_HAND_OVER_S)
            self._end_all(but=wanted.generation)

    def move(self, record: Record, port: int) -> None:
        """Serve ``record`` on another port; nothing serves until it is ready.

        Raises:
            ConflictError: The port is taken; what served before goes on.
        """
        check_port(port)
        self.deploy(replace(record, port=port))

    def reload(self, *, deadline_s: float = INIT_S) -> None:
        """Serve the source folder as it is now.

        Raises:
            As ``renew``.
        """
        self.renew(self.record(), deadline_s=deadline_s)

    def wait(self, *, deadline_s: float = INIT_S, show: Show | None = None) -> None:
        """Wait until it runs.

        Args:
            deadline_s: Seconds that it may take.
            show: Is given each line that the host writes meanwhile, or has written before.

        Raises:
            NotFoundError: There is no such service.
            InitFailedError: It has ended instead; ``detail`` says why.
            DeadlineError: It is not ready in time, and goes on trying.
        """
        record = self.record()
        self._await_ready(record, deadline_s, Follower(self._at.log, show, from_start=True).look)

    def delete(self) -> None:
        """End it and remove its folder; harmless to repeat."""
        if not self._at.folder.exists():
            return
        with self._alone():
            # Without a record it is gone for everybody, whatever stops us from here on.
            self._at.record.unlink(missing_ok=True)
            self._end_all()
            shutil.rmtree(self._at.folder, ignore_errors=True)

    # --- inside -------------------------------------------------------------------------------

    def _await_ready(
        self, record: Record, deadline_s: float, look: Callable[[], None] = lambda: None
    ) -> None:
        deadline = time.monotonic() + deadline_s
        run_dir = self._at.run_dir(record.generation)
        while True:
            alive = self._process(record.generation) is not None
            ready = alive and is_ready(run_dir)
            look()
            if ready:
                return
            if not alive:
                raise self._init_failed(record)
            if time.monotonic() > deadline:
                raise DeadlineError(
                    f"{record.name}: init() of {record.entry_script} has not returned within "
                    f"{deadline_s:g} s",
                    remedy="Look at its log, or give it more time.",
                    detail=self._said(record),
                )
            time.sleep(_LOOK_S)

    def _init_failed(self, record: Record) -> InitFailedError:
        told = self._failure(record)
        return InitFailedError(
            f"{record.name}: {told.text}",
            remedy=f"Mend {record.entry_script} and deploy it again.",
            detail=told.detail,
        )

    def _failure(self, record: Record) -> Failure:
        found = read_failure(self._at.run_dir(record.generation))
        told = found or Failure("the scorer host has ended", self._said(record))
        # Paths as the script's author knows them, not as it was copied.
        code = container.APP_ROOT if record.image else str(self._at.code(record.generation))
        detail = told.detail.replace(f"{code}{os.sep}", f"{record.source}{os.sep}")
        return replace(told, detail=detail)

    def _said(self, record: Record) -> str:
        """Return the end of what was written since the host of this generation was started."""
        mark = self._at.run_dir(record.generation) / _LOG_START
        try:
            start = int(mark.read_text())
        except (OSError, ValueError):
            start = 0
        return last_lines(self._at.log, _TAIL_LINES, start=start)

    def _start(self, record: Record) -> None:
        trim(self._at.log)
        mark = self._at.run_dir(record.generation) / _LOG_START
        mark.write_text(str(length(self._at.log)))
        command = [record.python, "-m", "skerry_scorer"]
        if record.image:
            container.make_room(self._at, record)
            command = container.command(DockerEngine.here(), self._at, record)
        processes.start(command, self._at.environment(record, os.environ), self._at.log)

    def _end_all(self, *, but: int | None = None) -> None:
        """End every host and remove every folder that is not generation ``but``'s."""
        kept = self._at.run_dir(but) if but is not None else None
        for process in processes.find(self._at.folder):
            if process.run_dir != kept:
                processes.stop(process)
        for folder in self._at.leftovers(but):
            if (folder / CONTAINER).exists():
                container.remove(self._at, int(folder.name))
            shutil.rmtree(folder, ignore_errors=True)

    def _process(self, generation: int) -> HostProcess | None:
        run_dir = self._at.run_dir(generation)
        return next((p for p in processes.find(self._at.folder) if p.run_dir == run_dir), None)

    def _next_generation(self) -> int:
        try:
            return self.record().generation + 1
        except (NotFoundError, ContractError):
            return 1

    def _write(self, record: Record) -> None:
        write_file(self._at.record, shape.dump(record) + b"\n", mode=0o600)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the service; whoever else works on it is waited for.

        Raises:
            ConflictError: That took too long.
        """
        handle = os.open(self._at.folder, os.O_RDONLY | os.O_DIRECTORY)
        deadline = time.monotonic() + _LOCK_S
        try:
            while not _lock(handle):
                if time.monotonic() > deadline:
                    raise ConflictError(f"somebody else has been working on {self.name} for long")
                time.sleep(_LOOK_S)
            yield
        finally:
            os.close(handle)


def services(folder: Path) -> list[LocalService]:
    """Return all services below ``folder``, by name."""
    found = sorted(folder.glob("*/service.json")) if folder.is_dir() else []
    return [LocalService(path.parent) for path in found]


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
