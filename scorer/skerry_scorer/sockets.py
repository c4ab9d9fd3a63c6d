"""Unix sockets below folders whose paths are too long for one, and ports that change hands."""

import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MAX_SOCKET_PATH_BYTES = 107
"""Longest path that ``sun_path`` takes, its closing zero left out (unix(7))."""


_SO_ATTACH_REUSEPORT_CBPF = 51
"""From asm-generic/socket.h."""
_SECOND = struct.pack("=HBBI", 0x06, 0, 0, 1)
"""Classic BPF: return 1, the index of the socket that joined second."""


def take_over(listener: socket.socket) -> None:
    """Send all new connections of a shared port to ``listener``, the second one to listen there.

    The first one can then accept what waits for it, and close without turning anybody away. Where
    it is alone, or Linux knows no such thing, connections go where they would go anyway.

    Source: socket(7), ``SO_ATTACH_REUSEPORT_CBPF``, Linux 4.5.
    """
    import ctypes  # noqa: PLC0415 - modules on devices never need it

    program = ctypes.create_string_buffer(_SECOND, len(_SECOND))
    # struct sock_fprog: the number of instructions, and where they are.
    about = struct.pack("@HP", 1, ctypes.addressof(program))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, about)


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Give a path of a Unix socket that is short enough, valid within the ``with`` block.

    Raises:
        OSError: The folder is not there, or cannot be opened.
    """
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen_unix(path: Path, *, backlog: int) -> socket.socket:
    """Return a listening Unix socket at ``path``, in the place of one that nobody serves any more.

    Raises:
        OSError: It cannot be made there.
    """
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with reachable(path) as short:
            listener.bind(short)
        # Module and agent may be different users; the run folder says who gets here at all.
        path.chmod(0o666)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
