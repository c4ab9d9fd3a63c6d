"""Talk to the scorer host of an instance, over the Unix socket in its run folder.

See ``docs/module-image.md`` for what it answers.
"""

import errno
import http.client
import os
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from skerry_agent.unix_http import UnixConnection, socket_address
from skerry_contract import shape
from skerry_contract.errors import ContractError, GoldenError, InitFailedError, ProbeError
from skerry_contract.messages import MAX_DETAIL_CHARS, Count, Failure, make_failure
from skerry_contract.shape import Range, Size, Text

T = TypeVar("T")

_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Status:
    """What a scorer host says of itself.

    Attributes:
        ready: Whether ``init()`` has returned.
        serving: Whether its inputs are released.
        scored: Inputs scored since it started.
        failed: Inputs that made ``run()`` raise.
        busy_s: Seconds that the call of ``run()`` under way has taken.
    """

    ready: bool
    serving: bool
    scored: Count = 0
    failed: Count = 0
    busy_s: Annotated[float, Range(0)] = 0.0


@dataclass(frozen=True, slots=True)
class _Case:
    input: str = ""
    passed: bool = False
    text: Annotated[str, Text(max_length=100_000)] = ""


@dataclass(frozen=True, slots=True)
class _Golden:
    passed: bool
    cases: Annotated[tuple[_Case, ...], Size(0, 10_000)] = ()


@dataclass(frozen=True, slots=True)
class _Failed:
    text: Annotated[str, Text(max_length=100_000)]
    code: str = InitFailedError.code
    detail: Annotated[str, Text(max_length=1_000_000)] = ""


def status(run_dir: Path, *, timeout_s: float) -> Status:
    """Ask an instance how it is.

    Raises:
        ProbeError: It does not answer within ``timeout_s``, or not with a status.
    """
    return _call(Status, run_dir, "GET", "/skerry/status", timeout_s=timeout_s)


def process(run_dir: Path) -> int | None:
    """Return the process that listens on the socket of an instance, as this machine numbers it.

    None where it cannot be told. Source: ``SO_PEERCRED`` of unix(7).
    """
    try:
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
            socket_address(run_dir / "host.sock") as address,
        ):
            connection.settimeout(1.0)
            connection.connect(address)
            told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    except OSError:
        return None
    (number,) = struct.unpack("iii", told)[:1]
    return number or None


def serve(run_dir: Path, *, timeout_s: float = 10.0) -> None:
    """Release the inputs of an instance.

    Raises:
        ProbeError: It does not answer.
    """
    _call(dict, run_dir, "POST", "/skerry/serve", timeout_s=timeout_s)


def prove(run_dir: Path, name: str, *, timeout_s: float) -> None:
    """Run the golden set of an instance.

    Raises:
        ProbeError: It does not answer.
        GoldenError: An answer differs from what the set expects; ``detail`` has the cases.
    """
    golden = _call(_Golden, run_dir, "POST", "/skerry/golden", timeout_s=timeout_s)
    if golden.passed:
        return
    failed = [case for case in golden.cases if not case.passed]
    detail = "\n".join(f"{case.input}: {case.text}" for case in failed)
    raise GoldenError(
        f"{name}: {len(failed)} of {len(golden.cases)} golden cases failed",
        remedy="Compare the environment on this device with the one the set was made in.",
        detail=detail[:MAX_DETAIL_CHARS],
    )


def left_failure(run_dir: Path) -> Failure | None:
    """Return what an instance wrote before it gave up, if it did."""
    try:
        # The module could have put a pipe there, which nobody writes to, or a link to our secrets.
        with open(run_dir / "failure.json", "rb", opener=_open_plain) as file:
            data = file.read(_MAX_BYTES + 1)
        found = shape.parse(_Failed, data, max_bytes=_MAX_BYTES)
    except (OSError, ContractError):
        return None
    # Only this code may come from inside a module: nothing in it can claim another failure.
    remedy = "Mend the scorer, build it again and push the new version."
    return make_failure(InitFailedError.code, found.text, remedy, found.detail)


def _open_plain(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "is no plain file", path)


def _call(kind: type[T], run_dir: Path, method: str, path: str, *, timeout_s: float) -> T:
    connection = UnixConnection(run_dir / "host.sock", timeout_s)
    try:
        connection.request(method, path, headers={"Content-Length": "0"})
        response = connection.getresponse()
        data = response.read(_MAX_BYTES + 1)
        if response.status != 200:
            raise ProbeError(f"{method} {path} in {run_dir.name}: status {response.status}")
        if kind is dict:
            return kind()
        return shape.parse(kind, data, max_bytes=_MAX_BYTES, subject=f"{run_dir.name} {path}")
    except (OSError, http.client.HTTPException, ContractError) as error:
        raise ProbeError(f"{method} {path} in {run_dir.name}: {error}") from error
    finally:
        connection.close()
