"""Which Python a local service runs on: this one if it has what is asked for, else one of its own.

A virtual environment is made once for each set of requirements and kept, named by their hash. It is
made beside and renamed, so that one that exists is whole.
"""

import fcntl
import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from skerry.durable import sync_folder
from skerry_contract.environment import Requirements
from skerry_contract.errors import DeadlineError, EnvironmentFileError, RuntimeFailedError

INSTALL_S = 3600.0
"""Seconds that installing an environment may take."""
Progress = Callable[[str], object]
_BUILDS = {
    "onnxruntime": ("onnxruntime-gpu",),
    "opencv-python": ("opencv-python-headless", "opencv-contrib-python"),
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python-headless"),
    "tensorflow": ("tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"),
    "xgboost": ("xgboost-cpu",),
}
"""Other names of what is the same software for a scorer, by the name that people ask for."""


def unmet(lines: Sequence[str], installed: Mapping[str, str]) -> list[str]:
    """Return the requirements that ``installed`` does not satisfy.

    Args:
        lines: Requirements in pip's form.
        installed: Versions of what there is, by canonical name.
    """
    return [line for line in lines if not _is_met(line, installed)]


def installed_here() -> dict[str, str]:
    """Return the versions of all packages of this interpreter, by canonical name."""
    return {
        canonicalize_name(found.metadata["Name"]): found.version
        for found in importlib.metadata.distributions()
        if found.metadata["Name"]
    }


def provide(wanted: Requirements, cache: Path, progress: Progress) -> Path:
    """Return the program of a Python that has what ``wanted`` asks for.

    Args:
        wanted: What the environment asks for.
        cache: Folder of the environments that were made before.
        progress: Is told what takes time.

    Raises:
        EnvironmentFileError: There is no set of packages that satisfies it.
        RuntimeFailedError: uv is missing.
        DeadlineError: It took longer than ``INSTALL_S``.
    """
    missing = unmet(wanted.lines, installed_here())
    if not missing:
        return Path(sys.executable)
    key = hashlib.sha256("\n".join([sys.version, *wanted.lines, *wanted.indexes]).encode())
    home = cache / key.hexdigest()[:32]
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache / f"{home.name}.lock"):
        if not home.exists():
            progress(f"installing {len(wanted.lines)} packages, {missing[0]} first among them")
            _make(wanted, home)
    return home / "bin" / "python"


def own_python(given: str) -> Path:
    """Return the program of the Python that an environment's author looks after.

    Raises:
        RuntimeFailedError: There is none.
    """
    found = shutil.which(given)
    if found is None:
        raise RuntimeFailedError(
            f"there is no program {given}", remedy="interpreter_path names a Python."
        )
    return Path(found).absolute()  # resolve() would leave a virtual environment


def _is_met(line: str, installed: Mapping[str, str]) -> bool:
    try:
        wanted = Requirement(line.split(" --hash=", 1)[0])
    except InvalidRequirement as error:
        raise EnvironmentFileError(f"{line!r:.120}: {error}") from error
    if wanted.marker is not None and not wanted.marker.evaluate():
        return True
    name = canonicalize_name(wanted.name)
    known = (installed.get(each) for each in (name, *_BUILDS.get(name, ())))
    version = next(filter(None, known), None)
    if version is None or wanted.extras:
        return False  # whether an extra is there cannot be seen from outside
    return wanted.specifier.contains(version, prereleases=True)


def _make(wanted: Requirements, home: Path) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))
    try:
        made = scratch / "venv"
        _uv("venv", "--quiet", "--relocatable", "--python", sys.executable, str(made))
        asked = scratch / "environment.txt"
        asked.write_text("\n".join(wanted.lines) + "\n", encoding="utf-8")
        python = ["--python", str(made / "bin" / "python")]
        # Building a source package would run its author's code, and a module takes wheels only.
        only = ["--only-binary", ":all:"]
        _uv("pip", "install", "--quiet", *python, *only, *wanted.indexes, "-r", str(asked))
        made.rename(home)
        sync_folder(home.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _uv(*arguments: str) -> None:
    beside = Path(sys.executable).parent / "uv"
    program = str(beside) if beside.is_file() else shutil.which("uv")
    if program is None:
        raise RuntimeFailedError("uv is not installed", remedy="pip install uv")
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DeadlineError(f"uv {arguments[0]} took more than {INSTALL_S:g} s") from error
    if done.returncode != 0:
        raise EnvironmentFileError(
            "the environment cannot be installed on this machine",
            remedy="Is the package index in reach, and are there wheels for this Python? "
            "Or install the packages into this Python yourself.",
            detail=done.stderr[-4000:],
        )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
