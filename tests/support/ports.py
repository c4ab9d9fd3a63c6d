"""Ports that nobody listens on."""

import secrets
import socket
from contextlib import suppress
from pathlib import Path

_LOWEST = 10_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago, and is given to nobody else.

    It lies below those that the kernel gives to clients: one of them could have it by the time
    that a server is told to listen there.
    """
    highest = int(_RANGE.read_text().split()[0]) - 1
    while True:
        port = secrets.SystemRandom().randint(_LOWEST, highest)
        with socket.socket() as probe, suppress(OSError):
            if port not in _given:
                probe.bind(("127.0.0.1", port))
                _given.add(port)
                return port


def listens(port: int) -> bool:
    """Return whether somebody takes connections on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
