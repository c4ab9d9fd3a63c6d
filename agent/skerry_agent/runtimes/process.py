"""Run modules as processes of this device, held in by what a sandbox and control groups can do.

Each instance has a folder below ``instances``, named by its key, with what its keeper writes
there; ``keeper`` says what that is. There is no other memory of what runs.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from skerry_agent.core.world import Key
from skerry_agent.pulling.images import Image
from skerry_agent.pulling.store import BlobStore
from skerry_agent.runtimes import (
    STOP_GRACE_S,
    Exited,
    InstanceSpec,
    InstanceStatus,
    Running,
    bubblewrap,
    keeper,
)
from skerry_agent.runtimes.cgroups import Cgroups
from skerry_agent.runtimes.run_folder import INPUTS_IN_CONTAINER, write_settings
from skerry_agent.runtimes.sandbox import Place, Sandbox
from skerry_agent.runtimes.unpacked import UnpackedImages
from skerry_contract.errors import RuntimeFailedError
from skerry_contract.messages import RuntimeCaps
from skerry_contract.names import Digest

_START_S = 30.0
_KILL_S = 10.0
_LOOK_S = 0.02
_MAX_RECORD_BYTES = 4096


class ProcessRuntime:
    """Modules as processes; see ``Runtime`` for what each method promises.

    Args:
        state: The agent's folder: unpacked images go to ``images``, records to ``instances``.
        sandbox: What holds modules in.
        cgroups: What limits them.
    """

    def __init__(self, state: Path, *, sandbox: Sandbox, cgroups: Cgroups) -> None:
        self._images = UnpackedImages(
            state / "images", folders=bubblewrap.FOLDERS, files=bubblewrap.FILES
        )
        self._instances = state / "instances"
        self._instances.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sandbox = sandbox
        self._cgroups = cgroups

    def caps(self) -> RuntimeCaps:
        """See ``Runtime.caps``; what holds for each process only is no limit of the module."""
        enforces = (*self._cgroups.controllers, *self._sandbox.enforces)
        return RuntimeCaps("process", self._sandbox.isolation, enforces)

    def prepare(self, image: Image, store: BlobStore) -> None:
        """See ``Runtime.prepare``."""
        self._images.add(image, store)

    def prepared(self) -> frozenset[Digest]:
        """See ``Runtime.prepared``."""
        return self._images.digests()

    def discard(self, digest: Digest) -> None:
        """See ``Runtime.discard``."""
        self._images.discard(digest)

    def start(self, spec: InstanceSpec) -> None:
        """See ``Runtime.start``."""
        rootfs = self._images.rootfs(spec.image)
        folder = self._folder(spec.key)
        if _keeper_of(folder) is not None:
            return
        self._clear(spec.key)
        try:
            (folder / "tmp").mkdir(mode=0o700, parents=True)
            for path in spec.inputs.values():
                path.mkdir(parents=True, exist_ok=True)
            write_settings(spec.run_dir, spec.run, self._input_paths(spec))
            job = self._sandbox.job(spec, Place(rootfs, folder, self._name(spec.key)))
        except OSError as error:
            raise RuntimeFailedError(f"{spec.key} cannot be started: {error}") from error
        groups = self._cgroups.make(
            str(spec.key), spec.run.resources, spare_pids=self._sandbox.spare_pids
        )
        limits = {"join": groups, "data_bytes": self._data_bytes(spec)}
        try:
            _launch(spec.key, {**job, **limits, "folder": str(folder)})
        except RuntimeFailedError:
            self._clear(spec.key)
            raise

    def stop(self, key: Key, *, grace_s: float = STOP_GRACE_S) -> None:
        """See ``Runtime.stop``."""
        folder = self._folder(key)
        asked = ((signal.SIGTERM, grace_s),) if grace_s > 0 else ()
        for number, wait_s in (*asked, (signal.SIGUSR1, _KILL_S)):
            if not _signal_and_wait(folder, number, wait_s):
                break
        else:
            raise RuntimeFailedError(f"{key} still runs {_KILL_S:.0f} s after it was killed")
        self._clear(key)

    def instances(self) -> Mapping[Key, InstanceStatus]:
        """See ``Runtime.instances``."""
        found = {}
        for folder in self._instances.iterdir():
            module, _, revision = folder.name.partition(".")
            status = _status(folder)
            if not revision or status is None:
                continue
            if isinstance(status, Exited):
                status = replace(status, pressure=self._cgroups.pressure(folder.name))
            found[Key(module, revision)] = status
        return found

    def tail(self, key: Key, *, max_bytes: int) -> str:
        """See ``Runtime.tail``."""
        text = b""
        for name in ("log", "log.1"):
            text = _end_of(self._folder(key) / name, max_bytes - len(text)) + text
        return text.decode(errors="replace")

    def _folder(self, key: Key) -> Path:
        return self._instances / str(key)

    def _name(self, key: Key) -> str:
        return self._cgroups.name(str(key))

    def _clear(self, key: Key) -> None:
        """Remove what is left of an instance: processes first, whoever keeps them or not."""
        self._sandbox.clear(self._name(key))
        self._cgroups.remove(str(key))
        shutil.rmtree(self._folder(key), ignore_errors=True)

    def _input_paths(self, spec: InstanceSpec) -> dict[str, str]:
        if self._sandbox.own_root:
            return {name: f"{INPUTS_IN_CONTAINER}/{name}" for name in spec.inputs}
        return {name: str(path) for name, path in spec.inputs.items()}

    def _data_bytes(self, spec: InstanceSpec) -> int | None:
        """Return the limit of each process, where nothing limits the module as a whole.

        It is on what a process may write to, and not on its address space: libraries reserve much
        that they never use, and a limit on that would stop modules that are far below it.
        """
        memory_mb = spec.run.resources.memory_mb
        whole = "memory" in self._cgroups.controllers
        return None if memory_mb is None or whole else memory_mb * 1024 * 1024


def _launch(key: Key, job: dict[str, Any]) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", keeper.__file__],
            input=json.dumps(job).encode(),
            capture_output=True,
            check=False,
            timeout=_START_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeFailedError(f"{key} cannot be started: {error}") from error
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()[-2000:]
        raise RuntimeFailedError(f"{key} cannot be started: {reason}")


def _signal_and_wait(folder: Path, number: int, wait_s: float) -> bool:
    """Send a signal to the keeper of an instance; return whether it still runs after the wait."""
    pid = _keeper_of(folder)
    if pid is None:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if _keeper_of(folder) is None:
            return False
        time.sleep(_LOOK_S)
    return _keeper_of(folder) is not None


def _status(folder: Path) -> InstanceStatus | None:
    record = _read(folder / "record.json")
    if record is None:
        return None
    started = float(record["started"])
    if _locked(folder):
        return Running(started)
    ended = _read(folder / "exit.json")
    return Exited(started, ended["code"] if ended else None)


def _keeper_of(folder: Path) -> int | None:
    """Return the process that keeps an instance, or None if the instance does not run."""
    # The lock second: while it is held, what the record says is about its holder.
    record = _read(folder / "record.json")
    return int(record["keeper"]) if record is not None and _locked(folder) else None


def _locked(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MAX_RECORD_BYTES))
    except (FileNotFoundError, ValueError):
        # Records are not synced: after a power cut one may be empty, and it says nothing then.
        return None
    return found if isinstance(found, dict) else None


def _end_of(path: Path, max_bytes: int) -> bytes:
    if max_bytes <= 0:
        return b""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - max_bytes))
            return file.read(max_bytes)
    except FileNotFoundError:
        return b""
