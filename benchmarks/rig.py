"""What all benchmarks run on: servers, devices and an engine of their own, and the end of them.

Everything is below one temporary folder, and nothing of it is left when ``rig`` is over, however
that comes about. Import this first: it makes the stand-ins of ``tests/support`` importable.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from listener import Account
from results import Results
from support.dockerd import Dockerd, own_dockerd
from support.edge import Edge
from support.site import Site

ECHO = Path(__file__).resolve().parents[1] / "module-templates" / "echo"
INPUTS = {"frames": {"folder": "frames", "pattern": "*.json"}}
DEVICE_PYTHON = "/usr/bin/python3"
LIMIT_S = 300
"""No benchmark takes longer; one that hangs fails."""


@dataclass
class Rig:
    """Makes servers, devices and an engine, which end with the rig.

    Attributes:
        folder: Everything is in it.
        caches: Downloads and environments of the compiler.
        rounds: How often each thing is measured.
    """

    folder: Path
    caches: Path
    rounds: int
    _undo: ExitStack = field(default_factory=ExitStack)

    def site(self, name: str, *options: str, **settings: object) -> Site:
        """Start a server with its broker."""
        note(f"starting server {name}")
        folder = self.folder / name
        folder.mkdir()
        site = Site(folder, options)
        site.prepare(self.caches, **settings)
        self._undo.callback(site.end)
        site.start()
        return site

    def device(self, site: Site, name: str, runtime: str, **config: Any) -> Edge:
        """Flash a device whose agent is to run on the system's own Python; do not start it."""
        device = Edge(site, name, self.folder / name, DEVICE_PYTHON)
        device.flash(runtime)
        if config:
            device.configure(**config)
        self._undo.callback(device.end)
        return device

    def dockerd(self) -> Dockerd:
        """Start a Docker engine."""
        note("starting a Docker engine")
        return self._undo.enter_context(own_dockerd())

    def process(self, *command: str | Path, **env: str) -> subprocess.Popen[bytes]:
        """Start a process."""
        process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._undo.callback(end, process)
        return process

    def close(self) -> None:
        """End everything, last made first."""
        self._undo.close()


@contextmanager
def rig(options: argparse.Namespace) -> Iterator[Rig]:
    """A rig that is gone after the block, and that fails after ``LIMIT_S`` seconds."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.signal(signal.SIGTERM, _told_to_end)
    signal.alarm(LIMIT_S)
    # Short: the path of a Unix socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="skb-", dir="/tmp"))
    caches = Path(options.caches or folder / "caches").resolve()
    caches.mkdir(parents=True, exist_ok=True)
    made = Rig(folder, caches, options.rounds)
    try:
        yield made
    finally:
        signal.alarm(0)
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def options(about: str, *, rounds: int) -> argparse.Namespace:
    """Read the options that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=about.partition("\n")[0],
        epilog="The first build of all downloads a base system; --caches keeps it.",
    )
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"default: {rounds}")
    parser.add_argument("--caches", help="the compiler's caches; default: new ones")
    return parser.parse_args()


def show(results: Results, options: argparse.Namespace) -> None:
    """Print results in the form that was asked for."""
    print(results.as_json() if options.output == "json" else results.as_text())


def note(text: str) -> None:
    """Say on standard error what is going on."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr)


def viewer(site: Site) -> Account:
    """Return the account with which anybody may read all topics of a server."""
    broker = site.info["broker"]
    return Account(broker["port"], broker["username"], broker["password"], site.ca)


def account_of(device: Edge) -> Account:
    """Return the account of a device, which need not run."""
    token = (device.folder / "token").read_text().strip()
    return Account(device.config["broker"]["port"], device.name, token, device.site.ca)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, by force if need be; harmless if it has ended."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def first_line(*command: str) -> str:
    """Return the first line that a command prints: its version, mostly."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return (done.stdout or done.stderr).partition("\n")[0]


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"not done within {LIMIT_S} s")


def _told_to_end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
