"""How a module is started under bubblewrap: a root of its own, no capabilities, no network.

Inside it is the user that its image names; outside it is the agent's own, so no folder has to be
opened for it.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skerry_agent.runtimes import InstanceSpec, grants, seccomp
from skerry_agent.runtimes.grants import FOLDERS_IN_CONTAINER, Grants
from skerry_agent.runtimes.keeper import FILTER_FD, INFO_FD
from skerry_agent.runtimes.run_folder import IN_CONTAINER, INPUTS_IN_CONTAINER, VARIABLE
from skerry_agent.runtimes.sandbox import Place

FOLDERS = ("dev", "folders", "inputs", "proc", "run", "tmp")
"""Folders that an unpacked image must have: its root is read-only when others are mounted there."""
FILES = ("etc/hosts", "etc/resolv.conf")
"""Files that it must have, for the same reason: with the device's network come its names."""
TMP_BYTES = 64 * 1024 * 1024
"""What fits into a module's ``/tmp``."""
_TRIAL_S = 10.0


@dataclass(frozen=True, slots=True)
class Room:
    """What one module gets to see.

    Attributes:
        rootfs: Its root, read-only.
        run_dir: Its run folder.
        inputs: Its input folders, by name.
        user: ``uid:gid`` that it believes to be.
        hostname: Name of the machine that it believes to be on.
        network: Whether it shares the network of whoever starts it.
        grants: What else it may use.
    """

    rootfs: Path
    run_dir: Path | None = None
    inputs: Mapping[str, Path] | None = None
    user: str = "65532:65532"
    hostname: str = "module"
    network: bool = False
    grants: Grants = field(default_factory=Grants)


class Bubblewrap:
    """See ``Sandbox`` for what each part promises.

    Args:
        program: Path of bubblewrap, as ``find`` returns it.
    """

    isolation = "bubblewrap"
    own_root = True
    spare_pids = 2

    def __init__(self, program: str) -> None:
        self._program = program
        self._filter = seccomp.program()
        known = ("seccomp",) if self._filter is not None else ()
        self.enforces: tuple[str, ...] = ("network", "device_files", "root", *known)

    def job(self, spec: InstanceSpec, place: Place) -> dict[str, Any]:
        """See ``Sandbox.job``."""
        env = {**spec.image.env, **spec.run.env, VARIABLE: IN_CONTAINER}
        namespace = grants.network_namespace(spec.key.module, spec.run.network)
        room = Room(
            place.rootfs,
            spec.run_dir,
            spec.inputs,
            user=spec.image.user,
            hostname=spec.key.module,
            network=spec.run.network != "none",
            grants=grants.resolve(spec),
        )
        options = []
        told: dict[str, Any] = {}
        if self._filter is not None:
            path = place.folder / "filter"
            path.write_bytes(self._filter)
            options, told = ["--seccomp", str(FILTER_FD)], {"filter": str(path)}
        argv = command(
            self._program, room, spec.image.command, env=env, cwd=spec.image.cwd, options=options
        )
        told["network"] = None if namespace is None else str(namespace)
        return {"argv": argv, "env": env, "cwd": "/", "sandbox": True, **told}

    def clear(self, name: str) -> None:
        """See ``Sandbox.clear``: it dies with its keeper."""


def find() -> str | None:
    """Return the path of bubblewrap, if it is installed and really works here.

    Kernels and containers forbid what it needs in many ways, so it is tried and not asked about.
    """
    program = shutil.which("bwrap")
    if program is None:
        return None
    trial = [program, *arguments(Room(Path("/"))), "--", "/bin/true"]
    try:
        done = subprocess.run(trial, capture_output=True, check=False, timeout=_TRIAL_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return program if done.returncode == 0 else None


def arguments(room: Room) -> list[str]:
    """Return the arguments that make the room, without the program to run in it."""
    uid, _, gid = room.user.partition(":")
    options = ["--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
    options += ["--uid", uid, "--gid", gid, "--hostname", room.hostname]
    # The parent is the keeper and not the agent: a module has to end with the one who sees it end.
    options += ["--new-session", "--die-with-parent"]
    options += ["--ro-bind", str(room.rootfs), "/", "--proc", "/proc", "--dev", "/dev"]
    for scratch in ("/dev/shm", "/tmp"):  # noqa: S108 - inside
        options += ["--perms", "1777", "--size", str(TMP_BYTES), "--tmpfs", scratch]
    if room.network:
        options.append("--share-net")
        for file in FILES:
            options += ["--ro-bind-try", f"/{file}", f"/{file}"]
    if room.run_dir is not None:
        options += ["--tmpfs", "/run", "--bind", str(room.run_dir), IN_CONTAINER]
        options += ["--remount-ro", "/run"]
    if room.inputs:
        options += ["--tmpfs", INPUTS_IN_CONTAINER]
        for name, folder in sorted(room.inputs.items()):
            options += ["--bind", str(folder), f"{INPUTS_IN_CONTAINER}/{name}"]
        options += ["--remount-ro", INPUTS_IN_CONTAINER]
    return options + _granted(room.grants)


def _granted(given: Grants) -> list[str]:
    options = []
    for device in given.devices:
        options += ["--dev-bind", device.path, device.path]
    options += ["--remount-ro", "/dev"]
    if given.folders:
        options += ["--tmpfs", FOLDERS_IN_CONTAINER]
        for inside, folder in sorted(given.folders.items()):
            options += ["--ro-bind", str(folder), inside]
        options += ["--remount-ro", FOLDERS_IN_CONTAINER]
    return options


def command(
    program: str,
    room: Room,
    argv: tuple[str, ...],
    *,
    env: Mapping[str, str],
    cwd: str,
    options: Sequence[str] = (),
) -> list[str]:
    """Return the whole command that runs ``argv`` in the room, telling its process to the keeper.

    What steers the dynamic loader is set inside: bubblewrap itself must not load from the image.
    """
    told = ["--info-fd", str(INFO_FD), "--chdir", cwd, *options]
    for name in sorted(env):
        if name.startswith("LD_"):
            told += ["--setenv", name, env[name]]
    return [program, *arguments(room), *told, "--", *argv]
