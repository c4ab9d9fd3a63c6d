"""The API's listener and the thread that serves it."""

import errno
import socket
import threading
import time

import uvicorn
from starlette.types import ASGIApp

from skerry_cloud.broker import TlsFiles
from skerry_contract.errors import ConflictError, NetworkError, SkerryError

_START_S = 15.0
_STOP_S = 5
_BACKLOG = 512


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on ``host`` and ``port``; port 0 takes a free one.

    Raises:
        ConflictError: The port is taken.
        NetworkError: This machine has no such address, or the port is not for us.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConflictError(
                f"port {port} of {host} is taken by another program",
                remedy="Choose another with --port, or stop the program that uses it.",
            ) from error
        raise NetworkError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}",
            remedy="Choose another address with --host, or another port with --port.",
        ) from error
    return listener


class Web:
    """Serves an application on a listener, in a thread of its own."""

    def __init__(self, app: ASGIApp, listener: socket.socket, tls: TlsFiles | None) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=_STOP_S,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
        )
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)

    def start(self) -> None:
        """Serve, and return once requests are answered.

        Raises:
            SkerryError: It did not start.
        """
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise SkerryError("the API did not start", remedy="See the server's log.")
            time.sleep(0.01)

    def check(self) -> None:
        """Raise SkerryError if it has ended by itself."""
        if not self._thread.is_alive():
            raise SkerryError("the API has ended by itself", remedy="See the server's log.")

    def stop(self) -> None:
        """End; requests under way have a few seconds."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(2 * _STOP_S)

    def _serve(self) -> None:
        self._server.run(sockets=[self._listener])
