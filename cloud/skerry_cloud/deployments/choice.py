"""Which deployment a device follows, and which image each of its modules is: decisions only."""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from skerry_cloud.registry.modules import Image, Module
from skerry_contract.desired import AgentSpec, ModuleSpec
from skerry_contract.errors import NotFoundError
from skerry_contract.manifest import Manifest

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One version of a deployment that names a device, or did.

    Attributes:
        name: Name of the deployment.
        version: Its version.
        push: Grows with every push of any deployment.
        names_device: Whether this version is for the device in question.
    """

    name: str
    version: int
    push: int
    names_device: bool


def current(candidates: Iterable[Candidate]) -> Candidate | None:
    """Return what a device follows, or None.

    Of each name only the latest version counts: a push replaces the one before, on devices that it
    names no longer too. Among those that name the device, the one pushed last wins.
    """
    latest: dict[str, Candidate] = {}
    for candidate in candidates:
        known = latest.get(candidate.name)
        if known is None or candidate.version > known.version:
            latest[candidate.name] = candidate
    meant = [candidate for candidate in latest.values() if candidate.names_device]
    return max(meant, key=lambda candidate: candidate.push, default=None)


def specs(
    manifest: Manifest, modules: Mapping[str, Module], *, device: str, platform: str
) -> dict[str, ModuleSpec]:
    """Return what a device of ``platform`` runs under ``manifest``.

    Args:
        manifest: What was pushed.
        modules: Built modules by ``name:version``, all that the manifest names.
        device: For the error's text.
        platform: OCI platform of the device.

    Raises:
        NotFoundError: A module was not built for the platform.
    """
    found = {}
    for name, wanted in manifest.modules.items():
        image = _image(wanted.image, modules, device, platform)
        found[name] = ModuleSpec(wanted.image, image.digest, image.size, wanted.run)
    return found


def agent_spec(
    manifest: Manifest, modules: Mapping[str, Module], *, device: str, platform: str
) -> AgentSpec | None:
    """Return which agent a device of ``platform`` runs under ``manifest``, if that says so.

    Raises:
        NotFoundError: There is no such agent for the platform.
    """
    if manifest.agent is None:
        return None
    image = _image(manifest.agent, modules, device, platform)
    return AgentSpec(manifest.agent, image.digest, image.size)


def _image(reference: str, modules: Mapping[str, Module], device: str, platform: str) -> Image:
    module = modules[reference]
    image = module.images.get(platform)
    if image is None:
        raise NotFoundError(
            f"module {reference} has no image for {platform}, which {device} is; "
            f"it has {', '.join(sorted(module.images))}",
            remedy=f"Build it with --platform {platform}.",
        )
    return image


def host_platform() -> str:
    """Return the OCI platform of this machine: what a device is taken for until it tells."""
    machine = platform.machine().lower()
    return f"linux/{_MACHINES.get(machine, machine)}"
