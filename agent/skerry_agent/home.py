"""The device folder as the agent finds it; see ``docs/device-folder.md``."""

import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from skerry_contract import shape
from skerry_contract.device import MAX_CONFIG_BYTES, DeviceConfig
from skerry_contract.envelope import Trust
from skerry_contract.errors import (
    ConflictError,
    ContractError,
    NoSpaceError,
    NotFoundError,
    UnauthorizedError,
)
from skerry_contract.topics import DeviceTopics

STATUS_FILE = "status.json"
"""What the agent does and how its link is, in the state folder, for people on the device."""
_FLASH = "Flash the device again: skerry device flash NAME --output FOLDER"


@dataclass(frozen=True, slots=True)
class Home:
    """A device folder that was read and checked.

    Attributes:
        folder: The folder itself.
        config: Who this is and whom it talks to.
        trust: Keys that may sign what it obeys.
        token: Its secret.
    """

    folder: Path
    config: DeviceConfig
    trust: Trust
    token: str

    @property
    def state(self) -> Path:
        """What the agent keeps."""
        return self.folder / "state"

    @property
    def inputs(self) -> Path:
        """Local input, below which a manifest names folders."""
        return self.folder / "inputs"

    @property
    def data(self) -> Path:
        """What modules collect, in one folder for each."""
        return self.folder / "data"

    @property
    def ca(self) -> Path | None:
        """Certificates to believe, if the folder names any."""
        path = self.folder / "ca.pem"
        return path if path.exists() else None

    @property
    def topics(self) -> DeviceTopics:
        """The device's MQTT topics."""
        return DeviceTopics(self.config.fleet, self.config.device)


def read_home(folder: Path) -> Home:
    """Read a device folder.

    Raises:
        NotFoundError: It is none.
        ContractError: A file in it has a wrong field.
        UnauthorizedError: Its token is missing, no word of ASCII, or open to others.
    """
    folder = folder.absolute()
    config = shape.parse(
        DeviceConfig,
        _content(folder / "device.json"),
        max_bytes=MAX_CONFIG_BYTES,
        subject=f"{folder}/device.json",
    )
    trust = shape.parse(
        Trust,
        _content(folder / "trust.json"),
        max_bytes=MAX_CONFIG_BYTES,
        subject=f"{folder}/trust.json",
    )
    if "targets" not in trust.roles:
        raise ContractError("is missing", ("roles", "targets"), subject=f"{folder}/trust.json")
    return Home(folder, config, trust, _token(folder / "token"))


def lock(home: Home) -> IO[bytes]:
    """Make the state folder and hold it, for as long as the file is open.

    Raises:
        ConflictError: Another agent holds it.
        NoSpaceError: It cannot be written.
    """
    file = _lock_file(home)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        pid = file.read(20).decode(errors="replace").strip()
        file.close()
        raise ConflictError(
            f"{home.config.device}: an agent runs already on {home.folder} (process {pid})",
            remedy="Stop it first, or look at it: skerry-agent status",
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()).encode())
    file.flush()
    return file


def is_running(home: Home) -> bool:
    """Return whether an agent holds the state folder."""
    try:
        lock(home).close()
    except ConflictError:
        return True
    return False


def _lock_file(home: Home) -> IO[bytes]:
    try:
        home.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        return (home.state / "lock").open("a+b")
    except OSError as error:
        raise NoSpaceError(
            f"{home.config.device}: {home.state}: {error.strerror}",
            remedy="See that the agent's user may write there, and that the disk is sound.",
        ) from error


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"{path}: {error.strerror}", remedy=_FLASH) from error


def _token(path: Path) -> str:
    try:
        token = _content(path).decode("ascii", errors="replace").strip()
    except NotFoundError as error:
        raise UnauthorizedError(error.text, remedy=_FLASH) from error
    if not re.fullmatch("[!-~]{1,1000}", token):
        raise UnauthorizedError(f"{path} holds no token", remedy=_FLASH)
    if path.stat().st_mode & 0o077:
        raise UnauthorizedError(
            f"{path} can be read by others", remedy=f"chmod 600 {path}; if in doubt, flash again."
        )
    return token
