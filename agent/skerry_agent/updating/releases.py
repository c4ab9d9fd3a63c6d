"""Releases of the agent on the disk: a folder for each, what the launcher goes by, last words."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from skerry_agent import durable, launcher
from skerry_agent.launcher import Record
from skerry_agent.pulling.images import Image
from skerry_agent.pulling.store import BlobStore
from skerry_agent.runtimes.unpacked import UnpackedImages
from skerry_contract import shape
from skerry_contract.desired import AGENT_LABEL
from skerry_contract.errors import ContractError, NoSpaceError
from skerry_contract.messages import Failure
from skerry_contract.names import Digest

_RELEASE = re.compile("[0-9a-f]{64}")
_WHY = ".why"
_AWAY = ".away"
_MAX_BYTES = 64 * 1024
_COMPILE_S = 300.0


class Releases:
    """Everything in the folder ``agent`` of a state folder; a release's name is its digest in hex.

    Args:
        state: The state folder.

    Raises:
        NoSpaceError: The folder cannot be made.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._folder = state / launcher.SLOTS
        with _room(self._folder):
            self._unpacked = UnpackedImages(self._folder, folders=(), files=())

    def here(self) -> frozenset[str]:
        """Return the releases that can be started."""
        with suppress(OSError):
            names = (entry.name for entry in self._folder.iterdir() if entry.is_dir())
            return frozenset(name for name in names if _RELEASE.fullmatch(name))
        return frozenset()

    def add(self, image: Image, store: BlobStore) -> None:
        """Unpack a release from verified blobs.

        Raises:
            ContractError: The image is no release of the agent.
            SkerryError: It cannot be unpacked; nothing is left behind.
        """
        if AGENT_LABEL not in image.labels:
            raise ContractError(
                f"{image.reference} is no release of the agent",
                remedy="Name one that 'skerry agent publish' has made.",
            )
        self._unpacked.add(image, store)
        # Beside the agent, for what a compiler takes it does not give back. If it fails, the
        # agent compiles itself.
        folder = self._folder / image.digest.removeprefix("sha256:")
        with suppress(OSError, subprocess.TimeoutExpired):
            line = [sys.executable, "-I", "-m", "compileall", "-q", str(folder)]
            subprocess.run(line, check=False, capture_output=True, timeout=_COMPILE_S)

    def keep(self, *releases: str) -> None:
        """Remove every release but these, and what these have said of themselves."""
        for name in self.here().difference(releases):
            with suppress(OSError):
                self._unpacked.discard(Digest(f"sha256:{name}"))
            self._forget(name)
        for name in releases:
            self._forget(name)

    def remove(self, release: str) -> None:
        """Remove one release, and what it said."""
        with suppress(OSError):
            shutil.rmtree(self._folder / release)
        self._forget(release)

    def record(self) -> Record:
        """Return what the launcher goes by."""
        return launcher.read(self._state)

    def write(self, record: Record) -> None:
        """Say what the launcher shall go by.

        Raises:
            NoSpaceError: It could not be written; what was said before stands.
        """
        with _room(self._folder):
            launcher.write(self._state, record)

    def say_why(self, release: str, why: Failure) -> None:
        """Leave word why a release gives itself up.

        Raises:
            NoSpaceError: It could not be written.
        """
        with _room(self._folder):
            durable.write(self._folder / (release + _WHY), shape.dump(why))

    def why(self, release: str) -> Failure | None:
        """Return why a release gave itself up, if it could say so."""
        try:
            data = (self._folder / (release + _WHY)).read_bytes()
            return shape.parse(Failure, data, max_bytes=_MAX_BYTES)
        except (OSError, ContractError):
            return None

    def count_away(self, release: str) -> int:
        """Count, and return, how often a release was tried while the broker was away.

        Raises:
            NoSpaceError: It could not be written.
        """
        path = self._folder / (release + _AWAY)
        try:
            count = int(path.read_bytes()[:20]) + 1
        except (OSError, ValueError):
            count = 1
        with _room(self._folder):
            durable.write(path, str(count).encode())
        return count

    def _forget(self, release: str) -> None:
        for ending in (_WHY, _AWAY):
            with suppress(OSError):
                (self._folder / (release + ending)).unlink(missing_ok=True)


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error with a remedy."""
    try:
        yield
    except OSError as error:
        raise NoSpaceError(
            f"{folder}: {error.strerror}",
            remedy="Free some space, or see whether the disk is sound.",
        ) from error
