"""Run the few programs that the compiler needs, within a time limit."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skerry_contract.errors import RuntimeFailedError


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended.

    Attributes:
        code: Its exit status.
        output: What it wrote, errors included.
    """

    code: int
    output: str


def run(
    command: Sequence[str | Path],
    *,
    timeout_s: float,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run ``command`` to its end, whatever its exit status.

    Args:
        command: Program and arguments.
        timeout_s: Kill it, with its children, after so many seconds.
        cwd: Folder to run it in.
        environment: Variables to set besides those of this process.

    Raises:
        RuntimeFailedError: It cannot be started, or took too long.
    """
    name = Path(command[0]).name
    try:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise missing_program(name, error) from error
    with child:
        try:
            output, _ = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise RuntimeFailedError(f"{name} took longer than {timeout_s:.0f} s") from error
        finally:
            kill_group(child)
    return Finished(child.returncode, output.decode("utf-8", "replace"))


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill a child that leads its own session, together with what it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def missing_program(name: str, error: OSError) -> RuntimeFailedError:
    """Return the error for a program that cannot be started on the machine that compiles."""
    remedies = {
        "apt-get": "Compile on Debian 12, or in a container of it: the base image is made of its "
        "packages.",
        "dpkg-deb": "Install dpkg.",
        "uv": "Install uv beside the server: pip install 'skerry[cloud]'.",
    }
    return RuntimeFailedError(
        f"{name} is needed to compile and cannot be started: {error.strerror}",
        remedy=remedies.get(name, f"Install {name}."),
    )
