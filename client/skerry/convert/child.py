"""Run one order of a converter in a process of its own, held in, watched, and ended in time.

What comes out is a report, or an error; a child that crashes, hangs or eats the memory is an error
like any other. Where bubblewrap works, the child has no network, sees nobody's home, and can write
into its work folder alone.
"""

import functools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry.procfs import resident_bytes
from skerry_contract.errors import DeadlineError, ModelError, RuntimeFailedError

CODE = Path(__file__).parent
_START = "import sys; sys.path.append(sys.argv[1]); from converters.order import main; main()"
_PROGRESS = "skerry: "
MAX_REPORT_BYTES = 16 * 1024 * 1024
LOOK_S = 0.1
"""Seconds between two looks at the memory and the clock."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may take.

    Attributes:
        timeout_s: Seconds, above 0.
        memory_bytes: Resident memory of the child and all below it, looked at ten times a second.
    """

    timeout_s: float = 1800.0
    memory_bytes: int = 8 * 1024**3


@dataclass(frozen=True, slots=True)
class Child:
    """Carries out orders.

    Attributes:
        python: Interpreter of the environment with the libraries.
        folder: Where everything lies that it reads and writes.
        limits: What it may take.
        say: Called with each line that people should see.
        sandbox: Whether bubblewrap holds it in.
        code: The folder that the package ``converters`` is imported from.
    """

    python: Path
    folder: Path
    limits: Limits
    say: Callable[[str], object]
    sandbox: bool
    code: Path = CODE

    def run(self, module: str, order: Mapping[str, Any]) -> Any:
        """Carry out one order and return its report.

        Args:
            module: Which module of ``converters`` does it.
            order: What to do, as plain JSON; paths lie below ``folder``.

        Raises:
            ModelError: The child says that it cannot be done.
            DeadlineError: It was not done in time.
            RuntimeFailedError: It crashed, or needed too much memory.
        """
        report, log = self.folder / "report.json", self.folder / f"{module}.log"
        report.unlink(missing_ok=True)
        file = self.folder / "order.json"
        file.write_text(json.dumps({**order, "module": module, "folder": str(self.folder)}))
        with log.open("wb") as out:
            process = subprocess.Popen(
                self._command(file),
                cwd=self.folder,
                env=_environment(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._watch(process, module, log)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return _read(report, module, process.returncode, log)

    def _command(self, order: Path) -> list[str]:
        # -I: neither the user's packages nor the working folder are looked into.
        command = [str(self.python), "-I", "-c", _START, str(self.code), str(order)]
        return (
            [*_held_in(self.python, self.folder, self.code), *command] if self.sandbox else command
        )

    def _watch(self, process: subprocess.Popen[bytes], module: str, log: Path) -> None:
        """Return when the process has ended by itself."""
        ends, told = time.monotonic() + self.limits.timeout_s, 0
        while process.poll() is None:
            told = self._tell(log, told)
            if time.monotonic() > ends:
                raise DeadlineError(
                    f"{module} was not done within {self.limits.timeout_s:.0f} s",
                    remedy="Allow more time with --timeout.",
                    detail=_last_lines(log),
                )
            if (held := resident_bytes(process.pid)) > self.limits.memory_bytes:
                raise RuntimeFailedError(
                    f"{module} needs more memory than the {_gib(self.limits.memory_bytes)} GiB "
                    f"that it may take: {_gib(held)} GiB",
                    remedy="Allow more with --memory-limit-gb, on a machine that has it.",
                )
            time.sleep(LOOK_S)
        self._tell(log, told)

    def _tell(self, log: Path, start: int) -> int:
        """Say what was written for people since ``start``, and return where to look next."""
        with log.open("rb") as file:
            file.seek(start)
            whole, newline, _ = file.read(1024 * 1024).rpartition(b"\n")
        for line in whole.decode("utf-8", "replace").splitlines():
            if line.startswith(_PROGRESS):
                self.say(line.removeprefix(_PROGRESS)[:200])
        return start + len(whole) + len(newline)


@functools.cache
def bubblewrap_works() -> bool:
    """Tell whether programs can be held in on this machine."""
    if shutil.which("bwrap") is None:
        return False
    command = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    try:
        done = subprocess.run([*command, "true"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _held_in(python: Path, folder: Path, code: Path) -> list[str]:
    """Return the words before a command that runs it without network, and with few files to see."""
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session"]
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - its own
    for place in _SYSTEM:
        command += ["--ro-bind-try", place, place]
    for shown in (*_prefixes(python), code):
        command += ["--ro-bind", str(shown), str(shown)]
    return [*command, "--bind", str(folder), str(folder), "--chdir", str(folder)]


_SYSTEM = (
    "/usr",
    "/bin",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/sys/devices/system/cpu",
)
"""What libraries need of the machine; nothing else of it is seen."""


def _prefixes(python: Path) -> Iterator[Path]:
    """Yield the folders that an interpreter lies in, from link to link."""
    for _ in range(40):  # as many as Linux follows
        yield python.parents[1]
        if not python.is_symlink():
            return
        python = python.parent / python.readlink()


def _read(report: Path, module: str, status: int, log: Path) -> Any:
    if not report.is_file():
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        raise RuntimeFailedError(
            f"{module} {how} without a result",
            remedy="The end of its log may say why; status 137 is most often want of memory.",
            detail=_last_lines(log),
        )
    try:
        # The child wrote it, and could have put a link to something of ours there.
        with os.fdopen(os.open(report, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            data = file.read(MAX_REPORT_BYTES + 1)
        found = json.loads(data)
        failure = found.get("error")
    except (OSError, ValueError, AttributeError) as error:
        raise RuntimeFailedError(f"the report of {module} cannot be read: {error}") from error
    if isinstance(failure, dict):
        text, remedy, detail = (str(failure.get(key, "")) for key in ("text", "remedy", "detail"))
        raise ModelError(text, remedy=remedy, detail=detail)
    return found


def _last_lines(log: Path, count: int = 20) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-count:])


def _gib(size: int) -> str:
    return f"{size / 1024**3:.2f}".rstrip("0").rstrip(".")
