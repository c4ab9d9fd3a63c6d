"""Tell uv of a machine that it has no name for, and of packages that come from elsewhere.

uv asks a Python what machine it is on. The one that is made here answers for another machine, so
that markers and wheels' tags are judged for that one; nothing of that machine is run.
"""

import hashlib
import shlex
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from skerry_cloud.compiler.layers import replace_file
from skerry_cloud.compiler.platforms import Platform

_SCRIPT = """
import os, platform, sys, sysconfig
MACHINE, LIBC = {machine!r}, "glibc 2.36"
real, real_text = os.uname(), os.confstr
os.uname = lambda: os.uname_result((*real[:4], MACHINE))
os.confstr = lambda name: LIBC if name == "CS_GNU_LIBC_VERSION" else real_text(name)
platform.machine = lambda: MACHINE
sysconfig.get_platform = lambda: "linux-" + MACHINE
at = sys.argv.index("-c")
program, sys.argv = sys.argv[at + 1], ["-c", *sys.argv[at + 2 :]]
exec(program)
"""


def stand_in(folder: Path, machine: str) -> Path:
    """Return a program that answers uv as this Python would on another Linux machine.

    Args:
        folder: Where to put it.
        machine: What ``uname -m`` says there.
    """
    script = _SCRIPT.format(machine=machine).encode()
    name = f"{machine}-{hashlib.sha256(script + sys.executable.encode()).hexdigest()[:12]}"
    program, source = folder / f"python-{name}", folder / f"python-{name}.py"
    if not program.is_file():
        replace_file(source, script)
        command = shlex.join([sys.executable, str(source)])
        beside = program.with_suffix(".new")
        beside.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        beside.chmod(0o755)
        beside.replace(program)
    return program


def provide(packages: Mapping[str, str], platform: Platform, folder: Path) -> list[str | Path]:
    """Return options with which uv takes ``packages`` as there, and leaves them out of the lock.

    Args:
        packages: Names with their versions.
        platform: Where they are.
        folder: Where wheels without content are put, for uv to find.
    """
    options: list[str | Path] = []
    for name, version in packages.items():
        stem = f"{name}-{version}"
        wheel = folder / f"{stem}-cp311-cp311-linux_{platform.machines[0]}.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            facts = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            archive.writestr(f"{stem}.dist-info/METADATA", facts)
            archive.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\n")
            archive.writestr(f"{stem}.dist-info/RECORD", "")
        options += ["--no-emit-package", name]
    return ["--find-links", folder, *options] if options else []
