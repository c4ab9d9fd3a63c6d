"""Sockets of this process, found from outside of whoever holds them."""

import os
import socket
from contextlib import suppress
from pathlib import Path


def sends_at_once(port: int) -> list[bool]:
    """Return of each connection of this process to ``port`` whether small packets never wait."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as copy:
            if copy.family == socket.AF_INET and copy.getpeername()[1] == port:
                found.append(bool(copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
    return found
