"""How a module is started under runc, without a daemon: an OCI bundle that is made here.

The agent has to be root for it. A module runs as the user that its image names, in a user
namespace that has only that user and root, so even what becomes root inside has no power outside.
The keeper, and no monitor of runc's, is the parent of what runs: it sees it end.

Source: OCI runtime specification 1.0.2.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skerry_agent.runtimes import InstanceSpec, grants, plain, seccomp
from skerry_agent.runtimes.bubblewrap import FILES, TMP_BYTES
from skerry_agent.runtimes.grants import GrantedDevice, Grants
from skerry_agent.runtimes.run_folder import (
    IN_CONTAINER,
    INPUTS_IN_CONTAINER,
    VARIABLE,
    open_to,
)
from skerry_agent.runtimes.sandbox import Place
from skerry_contract.errors import ContractError, RuntimeFailedError

PID_FILE, LOG_FILE, CONFIG_FILE = "pid", "runc.log", "config.json"
_INIT = "/run/init"
_INITS = ("docker-init", "tini-static", "catatonit", "tini")
"""Programs that reap what a module's processes leave behind; the first that is static is used."""
_TRIAL_S = 20.0
_CALL_S = 30.0
_NAMESPACES = ("pid", "ipc", "uts", "mount", "user")


@dataclass(frozen=True, slots=True)
class Cell:
    """What one module gets to see.

    Attributes:
        rootfs: Its root, read-only.
        argv: What runs.
        env: Its variables.
        cwd: Where it starts.
        user: Its ``uid:gid``, inside and outside.
        hostname: Name of the machine that it believes to be on.
        network: ``none``, ``host``, or the path of a network namespace.
        binds: Folders and files of the device that it may write to, by where it finds them.
        grants: What else it may use.
        init: A static program that reaps orphans, if there is one on the device.
    """

    rootfs: Path
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str = "/"
    user: str = "65532:65532"
    hostname: str = "module"
    network: str = "none"
    binds: Mapping[str, Path] = field(default_factory=dict)
    grants: Grants = field(default_factory=Grants)
    init: str | None = None


class Runc:
    """See ``Sandbox`` for what each part promises.

    Args:
        program: Path of runc, as ``find`` returns it.
        state: Folder for what runc remembers of its containers; made if it is missing.
    """

    isolation = "runc"
    own_root = True

    def __init__(self, program: str, state: Path) -> None:
        self._program = program
        self._state = state
        self._init = static_init()
        self.spare_pids = 0 if self._init is None else 1
        self.enforces: tuple[str, ...] = ("network", "device_files", "root", "seccomp")

    def job(self, spec: InstanceSpec, place: Place) -> dict[str, Any]:
        """See ``Sandbox.job``."""
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        namespace = grants.network_namespace(spec.key.module, spec.run.network)
        binds = {IN_CONTAINER: spec.run_dir}
        binds |= {f"{INPUTS_IN_CONTAINER}/{name}": path for name, path in spec.inputs.items()}
        for folder in binds.values():
            open_to(folder, spec.image.user)
        cell = Cell(
            place.rootfs,
            spec.image.command,
            {**spec.image.env, **spec.run.env, VARIABLE: IN_CONTAINER},
            spec.image.cwd,
            spec.image.user,
            spec.key.module,
            str(namespace or spec.run.network),
            binds,
            grants.resolve(spec),
            self._init,
        )
        config = configuration(cell, place.name)
        (place.folder / CONFIG_FILE).write_text(json.dumps(config))
        argv = _run(self._program, self._state, place.folder, place.name)
        return {
            "argv": argv,
            "env": {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")},
            "cwd": "/",
            "sandbox": False,
            "detached": {"pid": str(place.folder / PID_FILE), "log": str(place.folder / LOG_FILE)},
        }

    def clear(self, name: str) -> None:
        """See ``Sandbox.clear``."""
        if not (self._state / name).exists():
            return
        _delete(self._program, self._state, name)


def find(state: Path) -> str | None:
    """Return the path of runc, if it is installed and really works here.

    Args:
        state: Where to try it; made if it is missing.
    """
    program = shutil.which("runc")
    if program is None or os.geteuid() != 0:
        return None
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".trial-", dir=state) as made:
        bundle = Path(made)
        rootfs = bundle / "rootfs"
        for folder in ("proc", "dev", "tmp", "run"):
            (rootfs / folder).mkdir(parents=True)
        # The device's own programs: nothing else is sure to be there.
        own = {f"/{name}": Path(f"/{name}") for name in ("usr", "lib", "lib64", "bin")}
        binds = {inside: path for inside, path in own.items() if path.is_dir()}
        for inside in binds:
            (rootfs / inside[1:]).mkdir()
        cell = Cell(rootfs, ("/bin/true",), {}, grants=Grants(folders=binds))
        name = bundle.name.removeprefix(".")
        (bundle / CONFIG_FILE).write_text(json.dumps(configuration(cell, f"skerry-{name}")))
        trial = [program, "--root", str(bundle / "state"), "run", "--bundle", made, name]
        try:
            done = subprocess.run(trial, capture_output=True, check=False, timeout=_TRIAL_S)
        except (OSError, subprocess.TimeoutExpired):
            return None
        finally:
            _delete(program, bundle / "state", name)
    return program if done.returncode == 0 else None


def static_init() -> str | None:
    """Return the path of an init that runs in any image, for it needs no library of one."""
    for name in _INITS:
        path = shutil.which(name)
        try:
            if path is not None and plain.loader(Path(path)) is None:
                return path
        except (OSError, ContractError, RuntimeFailedError):
            continue
    return None


def configuration(cell: Cell, name: str) -> dict[str, Any]:
    """Return the ``config.json`` of a bundle.

    Limits are not in it: the group that ``name`` names has them already.
    """
    uid, gid = (int(number) for number in cell.user.split(":"))
    groups = cell.grants.groups
    start = (_INIT, "--", *cell.argv) if cell.init else cell.argv
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": uid, "gid": gid, "additionalGids": list(groups)},
            "args": list(start),
            "env": [f"{key}={value}" for key, value in cell.env.items()],
            "cwd": cell.cwd,
            "capabilities": {kind: [] for kind in ("bounding", "effective", "permitted")},
            "noNewPrivileges": True,
            "oomScoreAdj": 500,
            "rlimits": [{"type": "RLIMIT_CORE", "hard": 0, "soft": 0}],
        },
        "root": {"path": str(cell.rootfs), "readonly": True},
        "hostname": cell.hostname,
        "mounts": _mounts(cell),
        "linux": {
            "cgroupsPath": f"/{name}",
            "namespaces": [*({"type": kind} for kind in _NAMESPACES), *_network(cell.network)],
            "uidMappings": _mapped({0, uid}),
            "gidMappings": _mapped({0, gid, *groups}),
            "devices": [_device(device) for device in cell.grants.devices],
            "resources": {"devices": _device_rules(cell.grants.devices)},
            "seccomp": seccomp.profile(),
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/sched_debug", "/proc/timer_list"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"],
        },
    }


def _mounts(cell: Cell) -> list[dict[str, Any]]:
    scratch = ["nosuid", "nodev", "noexec"]
    mounts = [
        _mount("/proc", "proc", ["nosuid", "noexec", "nodev"]),
        _mount("/dev", "tmpfs", ["nosuid", "ro", "strictatime", "mode=755", "size=65536k"]),
        _mount("/dev/shm", "tmpfs", [*scratch, "mode=1777", f"size={TMP_BYTES}"]),  # noqa: S108
        _mount("/tmp", "tmpfs", [*scratch, "mode=1777", f"size={TMP_BYTES}"]),  # noqa: S108
    ]
    below = {str(Path(inside).parent) for inside in (*cell.binds, *cell.grants.folders)} - {"/"}
    if cell.init:
        below.add("/run")
    mounts += [_mount(top, "tmpfs", [*scratch, "ro", "mode=755"]) for top in sorted(below)]
    mounts += [_bind(inside, path, "rw") for inside, path in cell.binds.items()]
    mounts += [_bind(inside, path, "ro") for inside, path in cell.grants.folders.items()]
    if cell.init:
        mounts.append(_bind(_INIT, Path(cell.init), "ro"))
    if cell.network != "none":
        names = (Path(f"/{file}") for file in FILES)
        mounts += [_bind(str(path), path, "ro") for path in names if path.exists()]
    return mounts


def _mount(inside: str, kind: str, options: list[str]) -> dict[str, Any]:
    return {"destination": inside, "type": kind, "source": kind, "options": options}


def _bind(inside: str, path: Path, mode: str) -> dict[str, Any]:
    options = ["rbind", mode, "nosuid", *(() if inside == _INIT else ("nodev",))]
    return {"destination": inside, "type": "bind", "source": str(path), "options": options}


def _network(network: str) -> list[dict[str, str]]:
    if network == "host":
        return []
    return [{"type": "network"} | ({} if network == "none" else {"path": network})]


def _mapped(ids: set[int]) -> list[dict[str, int]]:
    return [{"containerID": one, "hostID": one, "size": 1} for one in sorted(ids)]


def _device(device: GrantedDevice) -> dict[str, Any]:
    kind = "b" if device.block else "c"
    return {"path": device.path, "type": kind, "major": device.major, "minor": device.minor}


def _device_rules(devices: tuple[GrantedDevice, ...]) -> list[dict[str, Any]]:
    allowed = [
        {
            "allow": True,
            "type": "b" if device.block else "c",
            "major": device.major,
            "minor": device.minor,
            "access": "rw",
        }
        for device in devices
    ]
    return [{"allow": False, "access": "rwm"}, *allowed]


def _run(program: str, state: Path, bundle: Path, name: str) -> list[str]:
    options = ["--root", str(state), "--log", str(bundle / LOG_FILE), "--log-format", "json"]
    run = ["run", "--detach", "--bundle", str(bundle), "--pid-file", str(bundle / PID_FILE), name]
    return [program, *options, *run]


def _delete(program: str, state: Path, name: str) -> None:
    """Kill a container and forget it; one that is not there is no error.

    Raises:
        RuntimeFailedError: It is still there.
    """
    command = [program, "--root", str(state), "delete", "--force", name]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_CALL_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeFailedError(f"runc cannot remove {name}: {error}") from error
    if (state / name).exists():
        reason = done.stderr.decode(errors="replace").strip()[-500:]
        raise RuntimeFailedError(f"runc cannot remove {name}: {reason}")
