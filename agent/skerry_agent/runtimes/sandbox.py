"""What the ways of holding a process in have in common; there is one module for each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from skerry_agent.runtimes import InstanceSpec


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance lives.

    Attributes:
        rootfs: The unpacked image.
        folder: The keeper's folder of this instance, made anew for each start.
        name: What it is called on this machine; no other instance of any device has that name.
    """

    rootfs: Path
    folder: Path
    name: str


class Sandbox(Protocol):
    """A way of holding processes in."""

    isolation: str
    """What ``caps`` calls it."""
    enforces: tuple[str, ...]
    """What it holds modules to, besides limits."""
    own_root: bool
    """Whether a module has a root of its own, with the device's folders at fixed places in it."""
    spare_pids: int
    """Processes of its own that run beside the module's."""

    def job(self, spec: InstanceSpec, place: Place) -> dict[str, Any]:
        """Return what the keeper is told: how to start an instance.

        Raises:
            RuntimeFailedError: Something that it needs is not there.
            UnenforcedError: What the manifest grants cannot be granted.
            OSError: The disk refused.
        """
        ...

    def clear(self, name: str) -> None:
        """Kill what a keeper that died has left of an instance, and forget it.

        Raises:
            RuntimeFailedError: It is still there.
        """
        ...
