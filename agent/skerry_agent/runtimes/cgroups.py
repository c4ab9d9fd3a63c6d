"""Control groups: limits on memory, processor time and processes that hold for a whole module.

Version 1 has one tree per controller, version 2 one for all, and a hybrid has both; each module
gets one group of the same name wherever a controller is. What works is tried and not asked about:
a kernel may list a controller that is switched off (Raspberry Pi OS does so with memory), and a
container may see a tree in which it must not write.

Sources: the kernel's ``Documentation/admin-guide/cgroup-v1`` and ``cgroup-v2.rst``.
"""

import hashlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skerry_agent.runtimes import Pressure
from skerry_contract.errors import RuntimeFailedError
from skerry_contract.manifest import Resources

CONTROLLERS = ("memory", "cpu", "pids")
"""What is limited; the words of ``caps``."""
DEFAULT_PIDS = 256
"""Processes and threads of a module whose manifest does not say."""
_PERIOD_US = 100_000
_GONE_S = 5.0
_LOOK_S = 0.01
_MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Tree:
    """Where groups with one controller are made.

    Attributes:
        version: 1 or 2.
        parent: The folder below which they are made.
    """

    version: int
    parent: Path


class Cgroups:
    """The groups of one device.

    Args:
        mark: Short text that no other device on this machine has.
        trees: Where groups are made, by controller, as ``working`` returns them.
    """

    def __init__(self, mark: str, trees: Mapping[str, Tree]) -> None:
        self._mark = mark
        self._trees = dict(trees)

    @property
    def controllers(self) -> tuple[str, ...]:
        """What can be limited here."""
        return tuple(name for name in CONTROLLERS if name in self._trees)

    def name(self, instance: str) -> str:
        """Return what the group of an instance is called."""
        return f"skerry-{self._mark}-{instance}"

    def make(self, instance: str, resources: Resources, *, spare_pids: int = 0) -> list[str]:
        """Make the group of an instance, and return the files that a process joins it by.

        A process joins by writing ``0`` to each of them.

        Args:
            instance: Which instance; a group that is left of an earlier run is removed first.
            resources: Its limits.
            spare_pids: Processes of the runtime's own that count in the group.

        Raises:
            RuntimeFailedError: The kernel refused a limit.
        """
        self.remove(instance)
        try:
            for folder in self._folders(instance):
                folder.mkdir()
            for controller, tree in self._trees.items():
                folder = tree.parent / self.name(instance)
                for file, value in settings(controller, tree.version, resources, spare_pids):
                    _set(folder / file, value)
        except OSError as error:
            self.remove(instance)
            raise RuntimeFailedError(
                f"{instance}: the kernel refuses its limits: {error}",
                remedy="Lower resources in the manifest, or see skerry-agent check.",
            ) from error
        return [str(folder / "cgroup.procs") for folder in self._folders(instance)]

    def pressure(self, instance: str) -> Pressure:
        """Return how an instance fared; as far as its group is still there."""
        found = Pressure()
        memory, pids = self._tree("memory"), self._tree("pids")
        if memory is not None:
            folder, old = memory.parent / self.name(instance), memory.version == 1
            kills = _counts(folder / ("memory.oom_control" if old else "memory.events"))
            peak = _number(folder / ("memory.max_usage_in_bytes" if old else "memory.peak"))
            limit = _number(folder / ("memory.limit_in_bytes" if old else "memory.max"))
            unlimited = limit is None or limit >= 2**62
            found = Pressure(kills.get("oom_kill", 0), peak, None if unlimited else limit)
        if pids is not None:
            folder = pids.parent / self.name(instance)
            refused = _counts(folder / "pids.events").get("max", 0)
            found = Pressure(
                found.memory_kills,
                found.memory_peak_bytes,
                found.memory_limit_bytes,
                refused,
                _number(folder / "pids.max"),
            )
        return found

    def remove(self, instance: str) -> None:
        """Kill whatever is in the group of an instance, and remove it; none is no error.

        Raises:
            RuntimeFailedError: Something in it does not end.
        """
        deadline = time.monotonic() + _GONE_S
        while any(self._clear(folder) for folder in self._folders(instance)):
            if time.monotonic() > deadline:
                raise RuntimeFailedError(
                    f"{instance}: its processes do not end, {_GONE_S:.0f} s after they were killed",
                    remedy="A process that waits for a device or a disk ends when that answers.",
                )
            time.sleep(_LOOK_S)

    def _folders(self, instance: str) -> list[Path]:
        parents = dict.fromkeys(tree.parent for tree in self._trees.values())
        return [parent / self.name(instance) for parent in parents]

    def _tree(self, controller: str) -> Tree | None:
        return self._trees.get(controller)

    def _clear(self, folder: Path) -> bool:
        """Kill what is in a group and try to remove it; return whether it is still there."""
        with suppress(OSError):
            _write(folder / "cgroup.kill", "1")
        for process in _processes(folder):
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        try:
            folder.rmdir()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False


def mark_of(state: Path) -> str:
    """Return what tells the groups of a device from those of others on this machine."""
    return hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:12]


def find(state: Path) -> Cgroups:
    """Return the groups of the device whose state folder this is, with what works here."""
    mark = mark_of(state)
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
        own = Path("/proc/self/cgroup").read_text()
    except OSError:
        return Cgroups(mark, {})
    return Cgroups(mark, working(trees(mounts, own, root=os.geteuid() == 0), mark))


def trees(mountinfo: str, membership: str, *, root: bool) -> dict[str, Tree]:
    """Return where groups would be made, by controller, if the kernel lets us.

    Root makes them at the top, as engines do: there they stay when a service manager clears away
    the agent's own group. Anybody else can only have been given a part of version 2's tree.

    Args:
        mountinfo: Content of ``/proc/self/mountinfo``.
        membership: Content of ``/proc/self/cgroup``.
        root: Whether the agent runs as root.
    """
    found: dict[str, Tree] = {}
    unified: Path | None = None
    for line in mountinfo.splitlines():
        place, _, kind = line.partition(" - ")
        fields, about = place.split(" "), kind.split(" ")
        if len(fields) < 5 or len(about) < 3:
            continue
        if about[0] == "cgroup2" and unified is None:
            unified = Path(fields[4])
        if about[0] == "cgroup" and root:
            for controller in set(about[2].split(",")) & set(CONTROLLERS):
                found.setdefault(controller, Tree(1, Path(fields[4])))
    if unified is not None:
        own = next((one[3:] for one in membership.splitlines() if one.startswith("0::")), "/")
        parent = unified if root else unified / own.lstrip("/")
        found = {**{name: Tree(2, parent) for name in CONTROLLERS}, **found}
    return found


def working(candidates: Mapping[str, Tree], mark: str) -> dict[str, Tree]:
    """Return the trees in which a group with a limit can really be made."""
    parents = {tree.parent for tree in candidates.values() if tree.version == 2}
    for parent in parents:
        _hand_down(parent)
    return {name: tree for name, tree in candidates.items() if _works(name, tree, mark)}


def settings(
    controller: str, version: int, resources: Resources, spare_pids: int = 0
) -> Iterator[tuple[str, str]]:
    """Yield what to write to which file of a group, in this order; see ``Cgroups.make``.

    Memory never spills into swap. A name that begins with ``-`` is written if it is there.
    """
    old = version == 1
    if controller == "memory" and resources.memory_mb is not None:
        size = str(resources.memory_mb * 1024 * 1024)
        yield "memory.limit_in_bytes" if old else "memory.max", size
        yield ("-memory.memsw.limit_in_bytes", size) if old else ("-memory.swap.max", "0")
        if not old:
            yield "-memory.oom.group", "1"
    if controller == "cpu" and resources.cpu_percent is not None:
        quota = resources.cpu_percent * _PERIOD_US // 100
        if old:
            yield "cpu.cfs_period_us", str(_PERIOD_US)
            yield "cpu.cfs_quota_us", str(quota)
        else:
            yield "cpu.max", f"{quota} {_PERIOD_US}"
    if controller == "pids":
        yield "pids.max", str((resources.pids or DEFAULT_PIDS) + spare_pids)


def _hand_down(parent: Path) -> None:
    """Let groups below ``parent`` have controllers: no process may be in it itself then.

    The root of the tree may hold processes; a part that the agent was given may not.
    """
    wanted = set(CONTROLLERS) & set(_text(parent / "cgroup.controllers").split())
    wanted -= set(_text(parent / "cgroup.subtree_control").split())
    if not wanted:
        return
    with suppress(OSError):
        if (parent / "cgroup.type").exists():  # the root of the tree has none
            agent = parent / "agent"
            agent.mkdir(exist_ok=True)
            for process in _processes(parent):
                _write(agent / "cgroup.procs", str(process))
    for controller in wanted:  # one by one: one that is refused must not cost the others
        with suppress(OSError):
            _write(parent / "cgroup.subtree_control", f"+{controller}")


def _works(controller: str, tree: Tree, mark: str) -> bool:
    folder = tree.parent / f"skerry-{mark}-trial-{controller}"
    trial = Resources(memory_mb=64, cpu_percent=50, pids=64)
    try:
        folder.mkdir(exist_ok=True)
        for file, value in settings(controller, tree.version, trial):
            _set(folder / file, value)
            if not file.startswith("-") and _text(folder / file).strip() != value:
                return False
    except OSError:
        return False
    finally:
        with suppress(OSError):
            folder.rmdir()
    return True


def _set(path: Path, value: str) -> None:
    if path.name.startswith("-"):
        # Not every kernel counts swap, or kills a group as a whole.
        with suppress(OSError):
            _write(path.with_name(path.name[1:]), value)
        return
    _write(path, value)


def _write(path: Path, value: str) -> None:
    # Never made: on a tree that lacks the controller the file is not there, and that is the answer.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _counts(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _processes(folder: Path) -> list[int]:
    return [int(line) for line in _text(folder / "cgroup.procs").split() if line != "0"]
