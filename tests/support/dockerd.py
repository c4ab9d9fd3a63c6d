"""A Docker daemon of the tests' own, next to none or any other on the machine.

It lives in namespaces of its own for network, mounts and processes, so it has its own bridge and
addresses, and the kernel removes its mounts and every process below it when it ends, whichever
way it ends. Its data is in a temporary folder.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.programs import need
from support.waiting import eventually

# From the range for benchmarks, which no real network uses; it exists inside the namespace only.
_BRIDGE = "198.18.255.1/24"
_POOL = "base=198.19.0.0/16,size=24"


class Dockerd:
    """A daemon with a folder of its own.

    Args:
        folder: Its folder, with a short path: one of a Unix socket has at most 107 bytes.
        options: Further options of the daemon.
        disk_mb: What its disk holds, in MiB; None for as much as there is.
    """

    def __init__(self, folder: Path, options: Sequence[str], disk_mb: int | None) -> None:
        self.socket = folder / "docker.sock"
        self.pid = 0
        self._folder = folder
        self._options = options
        self._disk_mb = disk_mb
        self._holder: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """Its data, as it sees it itself."""
        return Path(f"/proc/{self.pid}/root{self._folder}/data")

    def start(self) -> None:
        """Start it and wait until it answers."""
        for name in ("pid", "docker.sock"):
            (self._folder / name).unlink(missing_ok=True)
        # What an engine keeps in /run is gone after a power cut, process ids above all.
        shutil.rmtree(self._folder / "exec", ignore_errors=True)
        command = _command(self._folder, self._options, self._disk_mb)
        with (self._folder / "log").open("ab") as log:
            self._holder = subprocess.Popen(command, stdout=log, stderr=log)
        self.pid = _await(self._holder, self._folder)

    def kill(self) -> None:
        """End it and its containers as a power cut would; its data stays."""
        assert self._holder is not None
        os.kill(self.pid, signal.SIGKILL)
        self._holder.wait(30)

    def stop(self) -> None:
        """Ask it to stop its containers and to end; harmless if it does not run."""
        if self._holder is not None and self._holder.poll() is None:
            _end(self._holder)

    def docker(self, *arguments: str, timeout_s: float = 60) -> str:
        """Run the docker client against this daemon and return what it prints."""
        command = [need("docker", "docker.io"), "--host", f"unix://{self.socket}", *arguments]
        return self._run(command, timeout_s)

    def inside(self, *command: str, timeout_s: float = 30) -> str:
        """Run a command in the daemon's network, where published ports are to be found."""
        enter = [need("nsenter", "util-linux"), f"--net=/proc/{self.pid}/ns/net", "--"]
        return self._run([*enter, *command], timeout_s)

    def _run(self, command: Sequence[str], timeout_s: float) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def own_dockerd(*options: str, disk_mb: int | None = None) -> Iterator[Dockerd]:
    """Start a daemon, and leave nothing of it behind."""
    if os.geteuid() != 0:
        pytest.fail("a Docker daemon of the tests' own needs root", pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="skd-", dir="/tmp"))
    daemon = Dockerd(folder, options, disk_mb)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
        shutil.rmtree(folder)


def _command(folder: Path, options: Sequence[str], disk_mb: int | None) -> list[str]:
    config = folder / "daemon.json"
    config.write_text(json.dumps({"features": {}}))
    need("containerd", "containerd")
    need("runc", "runc")
    need("iptables", "iptables")
    daemon = [
        need("dockerd", "docker.io"),
        f"--config-file={config}",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--host=unix://{folder}/docker.sock",
        f"--bip={_BRIDGE}",
        f"--default-address-pool={_POOL}",
        *options,
    ]
    first = f"{need('ip', 'iproute2')} link set lo up"
    if disk_mb is not None:
        # In its own mount namespace: the kernel removes it with the daemon.
        disk = f"mount -t tmpfs -o size={disk_mb}m none {folder}/data"
        first += f" && mkdir -p {folder}/data && {disk}"
    loopback = f'{first} && exec "$@"'
    return [
        need("setpriv", "util-linux"),
        "--pdeathsig=KILL",  # when the tests are killed, so is this
        need("unshare", "util-linux"),
        *("--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
        *("sh", "-c", loopback, "sh"),
        *daemon,
    ]


def _await(holder: subprocess.Popen[bytes], folder: Path) -> int:
    """Wait until a daemon answers, and return its process."""
    socket = folder / "docker.sock"
    probe = [need("docker", "docker.io"), "--host", f"unix://{socket}", "version"]

    def answers() -> bool:
        if holder.poll() is not None:
            pytest.fail(f"dockerd ended: {(folder / 'log').read_text()[-2000:]}", pytrace=False)
        return subprocess.run(probe, capture_output=True, timeout=30, check=False).returncode == 0

    eventually(answers, 30, every_s=0.1, why="dockerd to answer")
    return _only_child(holder.pid)


def _end(holder: subprocess.Popen[bytes]) -> None:
    """Ask the daemon to stop its containers; the kernel does the rest."""
    try:
        os.kill(_only_child(holder.pid), signal.SIGTERM)
        holder.wait(30)
    except (ProcessLookupError, ValueError, subprocess.TimeoutExpired):
        holder.kill()
        holder.wait(10)


def _only_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())
