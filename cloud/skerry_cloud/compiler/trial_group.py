"""What the kernel holds a trial to: its memory and its processes, all together, in a control group.

There is one where this server may make one: as root, or where its own group was handed to it. Else
the trial is watched only. Sources: the kernel's cgroup-v1 (``memory``, ``pids``) and cgroup-v2
documents.
"""

import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MOUNTED = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_NAME = "skerry-trial-"
_V1 = {"memory": "memory.limit_in_bytes", "pids": "pids.max"}
_V2 = {"memory": "memory.max", "pids": "pids.max"}
_GONE_S = 5.0
_ENTER = 'for each in "$@"; do shift; [ "$each" = -- ] && break; echo $$ >"$each" || exit; done\n'


@dataclass(frozen=True, slots=True)
class Group:
    """A control group, or one for each controller; without folders it holds nothing.

    Attributes:
        folders: Where it is, by controller; the same folder twice in version 2.
    """

    folders: Mapping[str, Path]

    def entering(self, command: Sequence[str]) -> list[str]:
        """Return ``command`` so that it runs in the group with all that it starts."""
        files = [str(folder / "cgroup.procs") for folder in dict.fromkeys(self.folders.values())]
        if not files:
            return list(command)
        return ["sh", "-c", f'{_ENTER}exec "$@"', "sh", *files, "--", *command]

    def broken(self) -> str:
        """Return which limit was met, as a reason, or "" if none was."""
        memory, pids = self.folders.get("memory"), self.folders.get("pids")
        if pids and _counted(pids / "pids.events", "max"):
            return "processes"
        if memory and any(
            _counted(memory / name, "oom_kill") for name in ("memory.events", "memory.oom_control")
        ):
            return "memory"
        return ""


@contextmanager
def own_group(memory_bytes: int, processes: int) -> Iterator[Group]:
    """Yield a group of its own for one trial, as far as there may be one; it ends empty.

    Args:
        memory_bytes: Memory that all its processes may have together, swap included.
        processes: How many processes and threads it may have.
    """
    limits = {"memory": memory_bytes, "pids": processes}
    made: dict[Path, Path] = {}
    folders: dict[str, Path] = {}
    try:
        for name, (parent, file) in _parents(_OWN.read_text() if _OWN.exists() else "").items():
            folder = made.get(parent) or _made(parent)
            if folder is None:
                continue
            made[parent] = folder
            if _limited(folder / file, limits[name]):
                folders[name] = folder
        if "memory" in folders:
            _without_swap(folders["memory"], memory_bytes)
        yield Group(folders)
    finally:
        for folder in made.values():
            _remove(folder)


def _parents(own: str) -> dict[str, tuple[Path, str]]:
    """Return where a group may be made, and the file of its limit, by controller."""
    lines = [line.split(":", 2) for line in own.splitlines() if line.count(":") >= 2]
    found: dict[str, tuple[Path, str]] = {}
    for name in ("memory", "pids"):
        for _, controllers, path in lines:
            if name in controllers.split(","):
                found[name] = (MOUNTED / name / path.lstrip("/"), _V1[name])
            elif not controllers and (MOUNTED / "cgroup.controllers").exists():
                found.setdefault(name, (MOUNTED / path.lstrip("/"), _V2[name]))
    return found


def _made(parent: Path) -> Path | None:
    folder = parent / f"{_NAME}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        folder.mkdir()
    except OSError:
        return None
    return folder


def _limited(file: Path, limit: int) -> bool:
    """Set a limit; False where the controller was not handed to this group."""
    try:
        # Made by the kernel together with the folder, or not there at all.
        with file.open("r+") as opened:
            opened.write(str(limit))
    except OSError:
        return False
    return True


def _without_swap(folder: Path, memory_bytes: int) -> None:
    """Let swap be no way around the limit, where the kernel counts it."""
    both = {"memory.memsw.limit_in_bytes": memory_bytes, "memory.swap.max": 0}
    for name, limit in both.items():
        _limited(folder / name, limit)


def _counted(file: Path, key: str) -> bool:
    with suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == key and int(count):
                return True
    return False


def _remove(folder: Path) -> None:
    """Kill who is left in a group, and remove it."""
    deadline = time.monotonic() + _GONE_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            (folder / "cgroup.kill").write_text("1")
        with suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.02)
