"""The process of a trial, with the end of what it writes; nothing of it stays behind."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from skerry_cloud.blobs import CHUNK
from skerry_cloud.compiler.programs import kill_group
from skerry_cloud.compiler.trial_watch import family
from skerry_contract.errors import RuntimeFailedError

_TAIL_BYTES = 16 * 1024
_END_S = 5.0


@contextmanager
def started(
    command: Sequence[str], variables: dict[str, str], cwd: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """Run ``command`` as long as the block lasts; yield it, and what gives the end of its output.

    Args:
        command: Program and arguments.
        variables: All its variables.
        cwd: Folder to run it in.

    Raises:
        RuntimeFailedError: It cannot be started.
    """
    try:
        child = subprocess.Popen(
            command,
            env=variables,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise RuntimeFailedError(f"{command[0]} cannot be started: {error}") from error
    with child:
        assert child.stdout is not None  # noqa: S101  # it is PIPE
        tail = _Tail(child.stdout)
        try:
            yield child, tail.text
        finally:
            all_of_it = list(family(child.pid))
            kill_group(child)
            child.wait()
            _await_end(all_of_it)
            tail.close()


def _await_end(pids: Sequence[int]) -> None:
    """Wait until none of these processes writes anywhere any more."""
    deadline = time.monotonic() + _END_S
    while time.monotonic() < deadline and any(map(_runs, pids)):
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return False
    return fields[0] not in (b"Z", b"X")


class _Tail:
    """Reads all that a child writes, and keeps the end of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._kept = b""
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def text(self) -> str:
        # The last words of a child that has ended may still be on their way.
        self._thread.join(timeout=1.0)
        return self._kept.decode("utf-8", "replace")

    def close(self) -> None:
        self._thread.join(timeout=5.0)

    def _read(self, stream: IO[bytes]) -> None:
        while chunk := os.read(stream.fileno(), CHUNK):
            self._kept = (self._kept + chunk)[-_TAIL_BYTES:]
