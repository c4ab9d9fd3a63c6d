"""TCP ports of loopback for local services."""

import socket
from collections.abc import Container

from skerry_contract.errors import ConflictError

_TRIES = 50


def free_port(taken: Container[int] = ()) -> int:
    """Return a port that nobody listens on at this moment and that is not in ``taken``.

    Raises:
        ConflictError: None was found.
    """
    for _ in range(_TRIES):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
    raise ConflictError("no free port was found on this machine", remedy="Name one.")


def check_port(port: int) -> None:
    """Refuse a port that somebody listens on.

    Raises:
        ConflictError: Somebody does, or this user may not listen on it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConflictError(
                f"port {port} of this machine cannot be used: {error.strerror}",
                remedy="Name another port, or none to get a free one.",
            ) from error
