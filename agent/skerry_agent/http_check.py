"""Ask a module over HTTP whether it is well, as its manifest says."""

import http.client
from http import HTTPStatus
from pathlib import Path

from skerry_agent.unix_http import UnixConnection
from skerry_contract.errors import ProbeError
from skerry_contract.manifest import Check

_READ_BYTES = 4096


def require(check: Check, run_dir: Path, *, timeout_s: float) -> None:
    """Ask, and return if the answer is a yes.

    Raises:
        ProbeError: It is a no, or there is none.
    """
    status = _status(check, run_dir, timeout_s)
    if not _is_yes(status):
        raise ProbeError(f"GET {_where(check)}: status {status}")


def passes(check: Check, run_dir: Path, *, timeout_s: float) -> bool:
    """Return whether the answer is a yes; no answer is a no."""
    try:
        return _is_yes(_status(check, run_dir, timeout_s))
    except ProbeError:
        return False


def _is_yes(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.BAD_REQUEST


def _where(check: Check) -> str:
    return check.path if check.port is None else f"port {check.port} {check.path}"


def _status(check: Check, run_dir: Path, timeout_s: float) -> int:
    if check.port is None:
        connection: http.client.HTTPConnection = UnixConnection(run_dir / "host.sock", timeout_s)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", check.port, timeout=timeout_s)
    try:
        connection.request("GET", check.path)
        response = connection.getresponse()
        response.read(_READ_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise ProbeError(f"GET {_where(check)}: {error}") from error
    else:
        return response.status
    finally:
        connection.close()
