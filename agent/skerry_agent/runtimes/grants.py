"""Find what a manifest grants on this device: device files, folders, networks."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skerry_agent.runtimes import InstanceSpec
from skerry_contract.errors import RuntimeFailedError, UnenforcedError

FOLDERS_IN_CONTAINER = "/folders"
"""Below it lie the granted folders, by name, for a module with a root of its own."""
NETWORKS = Path("/run/netns")
"""Where named network namespaces are (ip-netns(8))."""


@dataclass(frozen=True, slots=True)
class GrantedDevice:
    """A device file.

    Attributes:
        path: Where it is, and where the module finds it.
        block: Whether it is a block device.
        major: Its major number.
        minor: Its minor number.
        gid: The group that may use it, besides its owner.
    """

    path: str
    block: bool
    major: int
    minor: int
    gid: int


@dataclass(frozen=True, slots=True)
class Grants:
    """What a module gets besides what every module has.

    Attributes:
        devices: Device files.
        folders: Folders of the device, by where the module finds them.
    """

    devices: tuple[GrantedDevice, ...] = ()
    folders: Mapping[str, Path] = field(default_factory=dict)

    @property
    def groups(self) -> tuple[int, ...]:
        """Groups that the module has to be in to use the device files."""
        return tuple(sorted({device.gid for device in self.devices} - {0}))


def resolve(spec: InstanceSpec) -> Grants:
    """Look up what an instance is granted, as it is on this device now.

    Raises:
        RuntimeFailedError: Something is not there; a camera may be plugged in again.
        UnenforcedError: What no module is given.
    """
    run = spec.run
    return Grants(
        tuple(_device(spec.key.module, path) for path in run.device_files),
        {
            f"{FOLDERS_IN_CONTAINER}/{name}": _folder(spec, name, path)
            for name, path in run.folders.items()
        },
    )


def network_namespace(module: str, network: str) -> Path | None:
    """Return the network namespace that a module is to join; None for ``none`` and ``host``.

    Raises:
        RuntimeFailedError: There is none of that name.
        UnenforcedError: Only root may join one.
    """
    if network in ("none", "host"):
        return None
    if os.geteuid() != 0:
        raise UnenforcedError(
            f"{module}: only an agent that runs as root can give it the network {network!r}",
            remedy="Use Docker on the device, or network: none or host in the manifest.",
        )
    path = NETWORKS / network
    if not path.exists():
        raise RuntimeFailedError(
            f"{module} cannot be started: there is no network {network!r} on this device",
            remedy=f"Make it with: ip netns add {network}",
        )
    return path


def _device(module: str, path: str) -> GrantedDevice:
    try:
        found = Path(path).stat()
    except OSError as error:
        raise RuntimeFailedError(
            f"{module} cannot be started: {path}: {error.strerror}",
            remedy="Connect what it stands for, or take it out of device_files in the manifest.",
        ) from error
    if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        raise UnenforcedError(
            f"{module}: {path} is no device file", remedy="Correct device_files in the manifest."
        )
    major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    return GrantedDevice(path, stat.S_ISBLK(found.st_mode), major, minor, found.st_gid)


def _folder(spec: InstanceSpec, name: str, path: str) -> Path:
    module, folder = spec.key.module, Path(path).resolve()
    if not folder.is_dir():
        raise RuntimeFailedError(
            f"{module} cannot be started: there is no folder {path} on this device",
            remedy=f"Make it, or correct folders.{name} in the manifest.",
        )
    for private in (one.resolve() for one in spec.private):
        if private.is_relative_to(folder) or folder.is_relative_to(private):
            raise UnenforcedError(
                f"{module}: {path} is not given to any module, for {private} would be in reach",
                remedy=f"Name a folder of its own under folders.{name} in the manifest.",
            )
    return folder
