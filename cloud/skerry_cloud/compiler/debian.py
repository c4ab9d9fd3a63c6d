"""Ask apt for packages of any architecture, as any user, beside the system's own state.

The sources, keys and proxies are those that the machine is configured with, so that the archive's
signatures are checked as usual; the state is private and holds no installed package.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skerry_cloud.compiler.platforms import Platform
from skerry_cloud.compiler.programs import Finished, run
from skerry_contract.errors import EnvironmentFileError, NetworkError, SkerryError

_UPDATE_S = 180.0
_DOWNLOAD_S = 600.0
_PLANNED = re.compile(r"^Inst (\S+) \((\S+) .*\[(\w+)\]\)", re.MULTILINE)
_COMPLAINT = re.compile(r"^(?:E|W|Err):.*", re.MULTILINE)


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """One Debian package at one version.

    Attributes:
        name: Its name.
        version: Its version, epoch included.
        architecture: Its architecture, or ``all``.
    """

    name: str
    version: str
    architecture: str


class Apt:
    """Plans and downloads packages for one platform.

    Args:
        folder: Where to keep lists; made if it is not there.
        platform: Whose packages to look at.
    """

    def __init__(self, folder: Path, platform: Platform) -> None:
        self._folder = folder
        self._platform = platform
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()

    def plan(self, names: Sequence[str]) -> list[Package]:
        """Fetch the newest lists, and return all that installing ``names`` would bring.

        Raises:
            NetworkError: The archive is out of reach.
            EnvironmentFileError: The configured suite has no such packages.
            RuntimeFailedError: There is no apt here.
        """
        updated = self._call("update", timeout_s=_UPDATE_S)
        planned = self._call("--simulate", "install", *names, timeout_s=_UPDATE_S)
        if planned.code != 0:
            raise self._failure(f"find {', '.join(names)}", updated, planned)
        return read_plan(planned.output)

    def download(self, packages: Sequence[Package], target: Path) -> None:
        """Put the packages' files into ``target``, checked against the archive's signatures.

        Raises:
            NetworkError: The archive is out of reach.
            RuntimeFailedError: There is no apt here.
        """
        wanted = [f"{package.name}={package.version}" for package in packages]
        done = self._call("download", *wanted, timeout_s=_DOWNLOAD_S, cwd=target)
        missing = len(packages) - len(list(target.glob("*.deb")))
        if done.code != 0 or missing:
            raise NetworkError(
                f"{missing} of {len(packages)} Debian packages for {self._platform.name} could "
                "not be downloaded",
                remedy="Check the way to the Debian archive and build again.",
                detail=_complaints(done),
            )

    def _call(self, *arguments: str, timeout_s: float, cwd: Path | None = None) -> Finished:
        architecture = self._platform.debian
        options = {
            "Dir::State": self._folder,
            "Dir::State::lists": self._folder / "lists",
            "Dir::State::status": self._folder / "status",
            "Dir::Cache": self._folder / "cache",
            "Debug::NoLocking": 1,
            "APT::Sandbox::User": "",
            "APT::Install-Recommends": 0,
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "Acquire::Languages": "none",
            "Acquire::Retries": 3,
        }
        settings = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
        command = ["apt-get", *settings, "--quiet", "--yes", *arguments]
        return run(command, timeout_s=timeout_s, cwd=cwd or self._folder)

    def _failure(self, what: str, updated: Finished, planned: Finished) -> SkerryError:
        detail = "\n".join(filter(None, (_complaints(updated), _complaints(planned))))
        # A list that could not be fetched looks, one step later, like a package that is not there.
        if "Failed to fetch" in updated.output or updated.code != 0:
            return NetworkError(
                f"the lists of the Debian archive for {self._platform.name} could not be fetched",
                remedy="Check the way to the Debian archive and build again.",
                detail=detail,
            )
        return EnvironmentFileError(
            f"cannot {what} for {self._platform.name} in the Debian suite of this machine",
            remedy="Compile on Debian 12, or in a container of it.",
            detail=detail,
        )


def read_plan(output: str) -> list[Package]:
    """Return the packages that ``apt-get --simulate install`` named, in order of their names."""
    return sorted(Package(*match) for match in _PLANNED.findall(output))


def _complaints(finished: Finished) -> str:
    return "\n".join(_COMPLAINT.findall(finished.output)[-10:])
