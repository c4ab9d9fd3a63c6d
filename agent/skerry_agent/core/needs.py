"""Decide whether a runtime can hold a module to what its manifest requires."""

from collections.abc import Sequence

from skerry_contract.errors import UnenforcedError
from skerry_contract.manifest import RunSettings
from skerry_contract.messages import RuntimeCaps

_REMEDIES = {
    "memory": (
        "Switch the memory controller on: cgroup_enable=memory on the kernel's command line"
        " (Raspberry Pi OS has it off)"
    ),
    "network": "Install bubblewrap, or Docker",
    "device_files": "Install bubblewrap, or Docker",
    "root": "Install bubblewrap, or Docker",
    "seccomp": "Install bubblewrap or Docker, on a kernel with seccomp",
}
_LIMITS = "Install Docker, or run the agent as root on a kernel with control groups"
_OR_ELSE = "; or take it out of requires in the manifest."


def check(module: str, run: RunSettings, caps: RuntimeCaps) -> None:
    """Refuse a module that requires more than the runtime enforces.

    Args:
        module: Its name.
        run: How it is to run.
        caps: What the runtime of this device says it enforces.

    Raises:
        UnenforcedError: It does; what is missing stands in the text.
    """
    missing = [one for one in dict.fromkeys(run.requires) if one not in caps.enforces]
    if not missing:
        return
    enforced = ", ".join(caps.enforces) or "nothing"
    raise UnenforcedError(
        f"{module} requires that {_listed(missing)} be enforced, and the runtime of this device "
        f"({caps.name}, isolation: {caps.isolation}) enforces {enforced}",
        remedy=_REMEDIES.get(missing[0], _LIMITS) + _OR_ELSE,
    )


def _listed(words: Sequence[str]) -> str:
    *some, last = words
    return f"{', '.join(some)} and {last}" if some else last
