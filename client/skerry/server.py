"""The server as a child process: started, waited for, and put where the login points."""

import selectors
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skerry import login as logins
from skerry.answers import BrokerAddress
from skerry.api import Api
from skerry.children import Child
from skerry.durable import write_file
from skerry.login import Login
from skerry.transport import Transport
from skerry_contract import shape
from skerry_contract.errors import (
    DeadlineError,
    RuntimeFailedError,
)

MAX_READY_BYTES = 64 * 1024
START_DEADLINE_S = 60.0
STOP_GRACE_S = 30.0


def command(data: Path, options: Mapping[str, str | int | bool | None]) -> list[str]:
    """Return the command line of a server.

    Args:
        data: Folder of all that it stores.
        options: Its options by name; those that are None are left to the server, which may have
            them in a file.
    """
    line = [sys.executable, "-m", "skerry_cloud", "serve", "--data", str(data)]
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            line.append(f"--{option}" if value else f"--no-{option}")
        elif value is not None:
            line += [f"--{option}", str(value)]
    return line


@dataclass(frozen=True, slots=True)
class Ready:
    """What the server writes to stdout once it serves: one line of JSON.

    Attributes:
        url: Where its API is.
        login: File that holds a login with all rights.
    """

    ready: bool
    url: str
    login: str


@dataclass(frozen=True, slots=True)
class Server:
    """A server that serves.

    Attributes:
        child: Its process.
        ready: What it said.
        login: A login with all rights.
        broker: Where any MQTT client may read, and as whom.
        fleet: Id of its fleet.
    """

    child: Child
    ready: Ready
    login: Login = field(repr=False)
    broker: BrokerAddress = field(repr=False)
    fleet: str

    def stop(self) -> bool:
        """End it in order; tell whether it went by itself."""
        return self.child.stop(STOP_GRACE_S)


def start(child: Child, *, deadline_s: float = START_DEADLINE_S) -> Server:
    """Wait until a server that was just started serves; else end it.

    Args:
        child: Its process, with its stdout for us to read.
        deadline_s: Seconds it may take to get ready.

    Raises:
        RuntimeFailedError: It ended instead; what it said is on its stderr.
        ContractError: What it wrote makes no sense.
        DeadlineError: It was not ready in time.
    """
    try:
        said = _first_line(child, deadline_s)
        ready = shape.parse(Ready, said, max_bytes=MAX_READY_BYTES, subject="server's first line")
        login = logins.read(Path(ready.login))
        info = Api(Transport(login)).info()
        return Server(child, ready, login, info.broker, info.fleet)
    except BaseException:
        child.stop(STOP_GRACE_S)
        raise


def put_login(server: Server, login_file: Path) -> bool:
    """Store the server's login where commands look for it; False if another server's is there."""
    if logins.belongs_elsewhere(login_file, server.login):
        return False
    logins.write(login_file, server.login)
    return True


def put_ca(server: Server) -> Path | None:
    """Store whom to believe beside the server's own login, as a file; None without TLS."""
    if not server.broker.ca:
        return None
    path = Path(server.ready.login).with_name("ca.pem")
    write_file(path, server.broker.ca.encode())
    return path


def _first_line(child: Child, deadline_s: float) -> bytes:
    """Return the first line that the server writes, bounded in time and size."""
    deadline = time.monotonic() + deadline_s
    line = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0 and len(line) < MAX_READY_BYTES:
            if not selector.select(left):
                continue
            piece = child.stdout.read1(4096)  # type: ignore[attr-defined]  # a pipe is buffered
            if not piece:
                raise _ended(child)
            line += piece
            if b"\n" in piece:
                return bytes(line.partition(b"\n")[0])
    raise DeadlineError(
        f"the server was not ready within {deadline_s:g} s", detail=child.last_lines()
    )


def _ended(child: Child) -> RuntimeFailedError:
    status = child.wait(STOP_GRACE_S)
    text = f"the server ended with status {status} before it served"
    return RuntimeFailedError(text, detail=child.last_lines())
