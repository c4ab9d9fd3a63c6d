"""Debian's tinyproxy on loopback: a real HTTP proxy, with a log of what went through it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.ports import free_port, listens
from support.programs import need
from support.waiting import eventually


@dataclass(frozen=True)
class Tinyproxy:
    """A proxy that runs; ``log`` names what went through it."""

    address: str
    log: Path


@contextmanager
def tinyproxy(folder: Path, *, login: str = "") -> Iterator[Tinyproxy]:
    """Yield a proxy; ``login`` is a user and a password with a blank between, or empty."""
    port = free_port()
    log, config = folder / "tinyproxy.log", folder / "tinyproxy.conf"
    auth = f"BasicAuth {login}\n" if login else ""
    config.write_text(
        f'Port {port}\nListen 127.0.0.1\nTimeout 600\nLogFile "{log}"\nLogLevel Connect\n'
        f"MaxClients 50\nAllow 127.0.0.1\nDisableViaHeader Yes\n{auth}"
    )
    process = subprocess.Popen([need("tinyproxy", "tinyproxy"), "-d", "-c", config])
    try:
        eventually(lambda: process.poll() is not None or listens(port), 30, why="tinyproxy")
        assert process.poll() is None
        yield Tinyproxy(f"127.0.0.1:{port}", log)
    finally:
        process.terminate()
        process.wait(10)
