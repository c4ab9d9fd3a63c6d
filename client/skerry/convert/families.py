"""Environments with the heavy libraries: made when they are first needed, from a lock, and kept.

One family, one environment, apart from ours and from each other: what reads models of 2019 cannot
live with what reads those of today.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skerry.convert.plan import FamilyName, Pins
from skerry_contract.errors import DeadlineError, EnvironmentFileError, NotFoundError

LOCKS = Path(__file__).parent / "locks"
PYTHON = (3, 11)
"""Version that the environments have: the newest that old TensorFlow has wheels for."""
INSTALL_S = 1800.0
"""Seconds that making an environment may take: TensorFlow and PyTorch are large."""

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Families:
    """Provides environments.

    Attributes:
        cache: Folder that they are kept in.
        say: Called with what takes time.
    """

    cache: Path
    say: Say

    def provide(self, family: FamilyName, pins: Pins = ()) -> Path:
        """Return the interpreter of a family's environment, made if need be.

        Args:
            family: Whose libraries.
            pins: Versions to use instead of the lock's, by package.

        Raises:
            EnvironmentFileError: It cannot be made; the detail is what the installer says.
            NotFoundError: uv is not there.
            DeadlineError: It took too long.
        """
        self.cache.mkdir(parents=True, exist_ok=True)
        with self._alone(family):
            lock = self._lock(family, pins)
            name = f"{family}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
            made = self.cache / name
            if not made.exists():
                self._make(family, lock, made)
            return made / "bin" / "python"

    @contextlib.contextmanager
    def _alone(self, family: str) -> Iterator[None]:
        """Let one command at a time make an environment; the next one finds it."""
        with (self.cache / f".{family}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _lock(self, family: FamilyName, pins: Pins) -> Path:
        if family == "torch":
            return LOCKS / "torch.txt"
        lock = LOCKS / f"{family}.lock"
        text = lock.read_text("utf-8")
        wanted = [f"{name}=={version}" for name, version in pins if _lacks(text, name, version)]
        if not wanted:
            return lock
        resolved = self.cache / f"{family}-{'-'.join(wanted)}.lock"
        if not resolved.exists():
            self.say(f"resolving an environment with {', '.join(wanted)}")
            _resolve(LOCKS / f"{family}.in", wanted, resolved)
        return resolved

    def _make(self, family: str, lock: Path, made: Path) -> None:
        self.say(f"making the {family} environment: once, and it is kept in {self.cache}")
        making = made.with_name(f".{made.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        python = sys.executable if sys.version_info[:2] == PYTHON else ".".join(map(str, PYTHON))
        try:
            for command in _install(family, lock, making, python):
                run_installer(command, f"the {family} environment")
            making.replace(made)
        finally:
            shutil.rmtree(making, ignore_errors=True)


def default_cache(env: Mapping[str, str]) -> Path:
    """Return where environments are kept: ``$XDG_CACHE_HOME/skerry/converters`` or the like."""
    base = env.get("XDG_CACHE_HOME") or Path(env.get("HOME") or "~").expanduser() / ".cache"
    return Path(base) / "skerry" / "converters"


def _install(family: str, lock: Path, folder: Path, python: str) -> list[list[str]]:
    uv = find_uv()
    inside = str(folder / "bin" / "python")
    if family == "torch":
        # pip, and not uv: it follows the machine's own configuration, which says where builds for
        # its processor come from; the index's own build of PyTorch brings 3 GB of CUDA.
        return [
            [uv, "venv", "--quiet", "--seed", "--python", python, str(folder)],
            # -I: what PYTHONPATH has would count as installed, and the converter does not see it.
            [inside, "-I", "-m", "pip", "install", "--quiet", "--requirement", str(lock)],
        ]
    install = [uv, "pip", "install", "--quiet", "--python", inside, "--require-hashes"]
    return [
        [uv, "venv", "--quiet", "--python", python, str(folder)],
        [*install, "--only-binary", ":all:", "--requirement", str(lock)],
    ]


def _resolve(wanted: Path, pins: Sequence[str], target: Path) -> None:
    made = target.with_name(f".{target.name}.making")
    asked = made.with_suffix(".in")
    asked.write_text(_without(wanted.read_text("utf-8"), pins))
    command = [
        find_uv(),
        "pip",
        "compile",
        "--quiet",
        "--python-version",
        "3.11",
        "--generate-hashes",
    ]
    command += ["--only-binary", ":all:", "--no-header", "--no-annotate"]
    try:
        run_installer([*command, str(asked), "--output-file", str(made)], f"{', '.join(pins)}")
        made.replace(target)
    finally:
        asked.unlink(missing_ok=True)
        made.unlink(missing_ok=True)


def _without(text: str, pins: Sequence[str]) -> str:
    """Return requirements in which pinned packages have the pinned version alone."""
    names = {pin.partition("==")[0] for pin in pins}
    kept = [
        line
        for line in text.splitlines()
        if not any(line.startswith((f"{name}=", f"{name}>", f"{name}<")) for name in names)
    ]
    return "\n".join((*kept, *pins, ""))


def _lacks(lock: str, name: str, version: str) -> bool:
    return not any(line.startswith(f"{name}=={version} ") for line in lock.splitlines())


def find_uv() -> str:
    """Return the program uv: the one beside us, else that on the PATH.

    Raises:
        NotFoundError: There is none.
    """
    beside = Path(sysconfig.get_path("scripts")) / "uv"
    if found := str(beside) if beside.exists() else shutil.which("uv"):
        return found
    raise NotFoundError(
        "uv is not installed, and it makes the converters' environments",
        remedy="pip install 'skerry[convert]', or name an environment of your own with --python.",
    )


def run_installer(command: Sequence[str], what: str) -> None:
    """Run a command that installs something.

    Raises:
        EnvironmentFileError: It failed; the detail is what it said.
        DeadlineError: It took too long.
    """
    kept = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_S, check=False, env=kept
        )
    except subprocess.TimeoutExpired as error:
        raise DeadlineError(f"{what} was not made within {INSTALL_S:.0f} s") from error
    if done.returncode != 0:
        raise EnvironmentFileError(
            f"{what} cannot be made on this machine",
            remedy="Name an environment that has what is needed with --python.",
            detail=(done.stderr or done.stdout)[-4000:],
        )
