"""How a module is started as a plain process, where nothing better works.

Its program, libraries and files are those of the unpacked image, found through the image's own
dynamic loader and through rewritten variables. Nothing holds it in, and ``caps`` says so.
"""

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skerry_agent.rootfs import inside
from skerry_agent.runtimes import InstanceSpec, grants
from skerry_agent.runtimes.run_folder import VARIABLE
from skerry_agent.runtimes.sandbox import Place
from skerry_contract.errors import RuntimeFailedError

_PT_INTERP = 3
_MAX_HEADERS = 64
_MAX_PATH_BYTES = 256
_LIBRARY_FOLDERS = ("lib", "usr/lib", "lib64", "usr/lib64", "usr/local/lib")
_OUTSIDE = ("/dev", "/inputs", "/proc", "/run", "/sys", "/tmp")  # noqa: S108 - paths in images
"""What belongs to the machine, even where an image has a folder of that name."""


class Plain:
    """See ``Sandbox`` for what each part promises; nothing is held in here."""

    isolation = "none"
    enforces: tuple[str, ...] = ()
    own_root = False
    spare_pids = 0

    def job(self, spec: InstanceSpec, place: Place) -> dict[str, Any]:
        """See ``Sandbox.job``."""
        grants.resolve(spec)  # all of it is there for everybody, or it is not there at all
        namespace = grants.network_namespace(spec.key.module, spec.run.network)
        env = environment(place.rootfs, {**spec.image.env, **spec.run.env})
        argv = command(place.rootfs, spec.image.command, spec.image.env)
        env |= {VARIABLE: str(spec.run_dir), "TMPDIR": str(place.folder / "tmp")}
        cwd = folder_of(place.rootfs, spec.image.cwd)
        network = None if namespace is None else str(namespace)
        return {"argv": argv, "env": env, "cwd": str(cwd), "sandbox": False, "network": network}

    def clear(self, name: str) -> None:
        """See ``Sandbox.clear``: it dies with its keeper, or with its group."""


def command(rootfs: Path, argv: tuple[str, ...], env: Mapping[str, str]) -> list[str]:
    """Return the command that runs ``argv`` of an image without entering its root.

    Raises:
        RuntimeFailedError: The image has no such program, or it is no ELF file.
    """
    program = inside(rootfs, _find(rootfs, argv[0], env.get("PATH", "")))
    linker = loader(program)
    if linker is None:
        return [str(program), *argv[1:]]
    paths = ":".join([*_library_folders(rootfs), env.get("LD_LIBRARY_PATH", "")]).rstrip(":")
    return [str(inside(rootfs, linker)), "--library-path", paths, str(program), *argv[1:]]


def environment(rootfs: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return ``env`` with each path that the image has turned into where it lies really."""
    return {
        name: ":".join(_moved(rootfs, part) for part in value.split(":"))
        for name, value in env.items()
    }


def folder_of(rootfs: Path, folder: str) -> Path:
    """Return where a folder of the image lies really; the image's root if it has none such."""
    found = inside(rootfs, folder)
    return found if found.is_dir() else rootfs


def _moved(rootfs: Path, part: str) -> str:
    outside = not part.startswith("/") or part == "/" or part.startswith(_OUTSIDE)
    if outside or not inside(rootfs, part).exists():
        return part
    return f"{rootfs}{part}"


def _find(rootfs: Path, name: str, search: str) -> str:
    """Return the path in the image of the program that is called ``name``."""
    folders = [""] if "/" in name else search.split(":")
    for folder in folders:
        path = f"{folder}/{name}"
        if os.access(inside(rootfs, path), os.X_OK):
            return path
    raise RuntimeFailedError(f"the image has no program {name!r}")


def _library_folders(rootfs: Path) -> list[str]:
    """Return the image's folders of shared libraries, those of the architecture first."""
    tops = [folder for name in _LIBRARY_FOLDERS if (folder := inside(rootfs, name)).is_dir()]
    triplets = [sub for top in tops for sub in sorted(top.glob("*-linux-*")) if sub.is_dir()]
    return list(dict.fromkeys(str(folder) for folder in (*triplets, *tops)))


def loader(program: Path) -> str | None:
    """Return the dynamic loader that an ELF file asks for, or None if it needs none.

    Source: System V ABI, "Program Header".

    Raises:
        RuntimeFailedError: It is no ELF file for a little-endian machine.
    """
    with program.open("rb") as file:
        ident = file.read(64)
        if ident[:4] != b"\x7fELF" or ident[5] != 1 or len(ident) < 64:
            raise RuntimeFailedError(
                f"{program} is no program that can run without bubblewrap",
                remedy="Install bubblewrap or Docker on the device.",
            )
        wide = ident[4] == 2
        start = struct.unpack_from("<Q", ident, 32)[0] if wide else _word(ident, 28)
        size, count = struct.unpack_from("<HH", ident, 54 if wide else 42)
        for i in range(min(count, _MAX_HEADERS)):
            file.seek(start + i * size)
            header = file.read(size)
            if _word(header, 0) == _PT_INTERP:
                offset, length = (
                    struct.unpack_from("<Q", header, 8)[0] if wide else _word(header, 4),
                    struct.unpack_from("<Q", header, 32)[0] if wide else _word(header, 16),
                )
                file.seek(offset)
                return file.read(min(length, _MAX_PATH_BYTES)).rstrip(b"\0").decode()
    return None


def _word(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "little")
