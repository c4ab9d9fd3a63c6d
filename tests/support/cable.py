"""A cable between a device and its server, that can be cut, held still, and mended."""

import ctypes
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_LOOK_S = 0.2
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of linux/sched.h
_PIECE = 64 * 1024


class Cable:
    """Forwards TCP connections to a port of this machine, from one of its own.

    Args:
        target: The port.
        namespace: Process whose network it listens in; None for ours.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, target: int, namespace: int | None = None) -> None:
        self._target = target
        self._listener = _listener() if namespace is None else _listener_in(namespace)
        self._listener.settimeout(_LOOK_S)
        self.port = int(self._listener.getsockname()[1])
        self._whole = threading.Event()
        self._flowing = threading.Event()
        self._ended = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._listen)]
        self.mend()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self.cut()
        self._flowing.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def cut(self) -> None:
        """End every connection, and every new one at once, until it is mended."""
        self._whole.clear()
        while self._pairs:
            for end in self._pairs.pop():
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Let no byte through any more, and nobody notice."""
        self._flowing.clear()

    def mend(self) -> None:
        """Let everything through again, what was held back included."""
        self._flowing.set()
        self._whole.set()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            near.settimeout(None)
            self._connect(near)

    def _connect(self, near: socket.socket) -> None:
        try:
            if not self._whole.is_set():
                raise ConnectionRefusedError("the cable is cut")
            far = socket.create_connection(("127.0.0.1", self._target), timeout=10)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        self._pairs.append((near, far))
        ways = [threading.Thread(target=self._pump, args=way) for way in ((near, far), (far, near))]
        closer = threading.Thread(target=_close_after, args=(ways, (near, far)))
        for thread in (*ways, closer):
            self._threads.append(thread)
            thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                self._flowing.wait()
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def _listener_in(process: int) -> socket.socket:
    """Return a listener in the network of another process; a socket stays where it was made."""
    made: list[socket.socket] = []

    def make() -> None:
        with Path(f"/proc/{process}/ns/net").open("rb") as namespace:
            # Moves this thread only, which ends at once.
            failed = ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NEW_NETWORK)
        assert not failed, os.strerror(ctypes.get_errno())
        made.append(_listener())

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


def _close_after(ways: list[threading.Thread], ends: tuple[socket.socket, socket.socket]) -> None:
    for way in ways:
        way.join()
    for end in ends:
        end.close()
