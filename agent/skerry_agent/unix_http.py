"""HTTP over a Unix socket: to the Docker engine, and to scorer hosts."""

import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UnixConnection(http.client.HTTPConnection):
    """A connection to the server that listens at a path.

    Args:
        path: The socket, however long its path is.
        timeout_s: How long one operation on the socket may take, in seconds.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of to a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with socket_address(self._path) as address:
            self.sock.connect(address)


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Yield a name under which a socket can be bound or connected to, however long its path is.

    A socket's address holds 107 bytes, and the folder of a device may well be longer.

    Raises:
        OSError: The socket's folder is not there.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
