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
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, TypeVar

from skerry_agent.unix_http import UnixConnection, socket_address
from skerry_contract import shape
from skerry_contract.errors import ContractError, GoldenError, InitFailedError, ProbeError
from skerry_contract.messages import MAX_DETAIL_CHARS, Count, Failure, make_failure
from skerry_contract.shape import Range, Size, Text

T = TypeVar("T")

_MAX_BYTES = 1024 * 1024
_MAX_SAMPLE_BYTES = 16 * 1024 * 1024


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


@dataclass(frozen=True, slots=True)
class _Teed:
    text: bool
    ms: Annotated[float, Range(0)]
    result: Any = None


@dataclass(frozen=True, slots=True)
class Sample:
    """An input that an instance has scored.

    Attributes:
        data: The input.
        is_text: Whether ``run()`` got it as text.
        result: What ``run()`` returned.
        ms: Milliseconds that it took.
    """

    data: bytes
    is_text: bool
    result: Any
    ms: float


def tee(run_dir: Path, *, timeout_s: float) -> Sample | None:
    """Return an input that an instance has scored since it was asked last, if it did.

    Raises:
        ProbeError: It does not answer.
    """
    answer = _request(run_dir, "POST", "/skerry/tee", b"", {}, timeout_s)
    if answer.status == HTTPStatus.NO_CONTENT:
        return None
    head, _, data = answer.data.partition(b"\n")
    try:
        told = shape.parse(_Teed, head, max_bytes=_MAX_BYTES, subject=f"{run_dir.name} tee")
    except ContractError as error:
        raise ProbeError(f"POST /skerry/tee in {run_dir.name}: {error}") from error
    return Sample(data, told.text, told.result, told.ms)


def score(run_dir: Path, sample: Sample, *, timeout_s: float) -> tuple[Any, float]:
    """Have an instance score an input too; return its result and the milliseconds that it took.

    A result that is none, since ``run()`` raised, is the text that says so.

    Raises:
        ProbeError: It does not answer.
    """
    kind = "text/plain; charset=utf-8" if sample.is_text else "application/octet-stream"
    answer = _request(run_dir, "POST", "/score", sample.data, {"Content-Type": kind}, timeout_s)
    try:
        result = shape.load(answer.data, max_bytes=_MAX_BYTES)
        ms = float(answer.run_ms or 0.0)
    except (ContractError, ValueError):
        return f"status {answer.status}: no JSON", 0.0
    return result if answer.status == HTTPStatus.OK else f"status {answer.status}: {result}", ms


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    data: bytes
    run_ms: str


def _request(
    run_dir: Path,
    method: str,
    path: str,
    body: bytes,
    headers: dict[str, str],
    timeout_s: float,
) -> _Answer:
    connection = UnixConnection(run_dir / "host.sock", timeout_s)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        data = response.read(_MAX_SAMPLE_BYTES)
        return _Answer(response.status, data, response.getheader("x-ms-run-fn-exec-ms", ""))
    except (OSError, http.client.HTTPException) as error:
        raise ProbeError(f"{method} {path} in {run_dir.name}: {error}") from error
    finally:
        connection.close()


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
