"""The packages of an environment, as a conda file says them."""

import re
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement

from skerry.elsewhere import Elsewhere
from skerry.environment_files import text_beside
from skerry_contract import environment
from skerry_contract.environment import Requirements
from skerry_contract.errors import EnvironmentFileError
from skerry_contract.requirement_lines import with_files

FILE_NAME = "conda_dependencies.yml"
_ADD_IT = "Name the package and its version: add_pip_package('tensorflow-cpu==2.15.1')."
_NAME = re.compile(r"(?:[\w./-]+::)?([A-Za-z0-9._-]+)")


class CondaDependencies:
    """A conda environment in the making.

    Args:
        conda_dependencies_file_path: A conda file to begin with.

    Raises:
        EnvironmentFileError: The file cannot be read.
    """

    def __init__(self, conda_dependencies_file_path: str | Path | None = None) -> None:
        path = conda_dependencies_file_path
        self._document: dict[str, Any] = (
            {"name": "project_environment", "dependencies": []}
            if path is None
            else read_conda_file(Path(path))
        )
        self._place = "conda dependencies" if path is None else str(path)

    @classmethod
    def create(
        cls,
        pip_packages: Iterable[str] = (),
        conda_packages: Iterable[str] = (),
        python_version: str | None = None,
        pip_indexurl: str | None = None,
        pin_sdk_version: bool = True,  # noqa: FBT001, FBT002 - the original's parameter
    ) -> "CondaDependencies":
        """Return an environment of these packages.

        Args:
            pip_packages: Requirements in pip's form.
            conda_packages: Packages in conda's form.
            python_version: Which Python is asked for, such as ``3.11``.
            pip_indexurl: Index to take packages from, instead of the public one.
            pin_sdk_version: Accepted and without effect: the SDK is no part of an environment.
        """
        del pin_sdk_version
        made = cls()
        if python_version:
            made.set_python_version(python_version)
        for package in conda_packages:
            made.add_conda_package(package)
        if pip_indexurl:
            made.set_pip_option(f"--index-url {pip_indexurl}")
        for package in pip_packages:
            made.add_pip_package(package)
        return made

    @classmethod
    def from_document(cls, document: Any, place: str) -> "CondaDependencies":
        """Return the environment that a YAML or JSON parser made ``document`` of.

        Raises:
            EnvironmentFileError: It is none.
        """
        made = cls()
        made._document = _checked(document, place)
        made._place = place
        return made

    def add_conda_package(self, conda_package: str) -> None:
        """Ask for a package in conda's form, in the place of an earlier wish for the same one."""
        listed = self._document["dependencies"]
        _replace(listed, conda_package)

    def add_pip_package(self, pip_package: str) -> None:
        """Ask for a package in pip's form, in the place of an earlier wish for the same one."""
        _replace(self._pip(), pip_package)

    def set_pip_requirements(self, pip_requirements: Iterable[str]) -> None:
        """Ask for these packages in pip's form, and for none of the earlier ones."""
        pip = self._pip()
        pip[:] = [line for line in pip if line.startswith("-")]
        for package in pip_requirements:
            _replace(pip, package)

    def set_pip_option(self, pip_option: str) -> None:
        """Add an option of pip's, such as ``--extra-index-url https://…``."""
        if pip_option not in (pip := self._pip()):
            pip.insert(0, pip_option)

    def remove_pip_option(self, pip_option: str) -> None:
        """Take away an option of pip's; without effect if it is not there."""
        pip = self._pip()
        pip[:] = [line for line in pip if line != pip_option]

    def set_pip_index_url(self, index_url: str) -> None:
        """Take packages from this index, instead of the public one or an earlier wish."""
        pip = self._pip()
        pip[:] = [line for line in pip if not line.startswith(("-i ", "--index-url"))]
        self.set_pip_option(f"--index-url {index_url}")

    def remove_pip_package(self, pip_package: str) -> None:
        """Ask for a package no longer; without effect if it was not asked for."""
        pip = self._pip()
        pip[:] = [line for line in pip if _same_name(line) != _same_name(pip_package)]

    def remove_conda_package(self, conda_package: str) -> None:
        """Ask for a package no longer; without effect if it was not asked for."""
        listed = self._document["dependencies"]
        wanted = _same_name(conda_package)
        listed[:] = [x for x in listed if not isinstance(x, str) or _same_name(x) != wanted]

    def add_channel(self, channel: str) -> None:
        """Name a conda channel; only the public ones mean anything here."""
        channels = self._document.setdefault("channels", [])
        if channel not in channels:
            channels.append(channel)

    def remove_channel(self, channel: str) -> None:
        """Take away a conda channel; without effect if it is not there."""
        channels = self._document.get("channels") or []
        self._document["channels"] = [one for one in channels if one != channel]

    def set_python_version(self, version: str) -> None:
        """Ask for a Python; another than the base's is told when the environment is used."""
        self.add_conda_package(f"python={version}")

    def get_python_version(self) -> str | None:
        """Return the Python that is asked for, such as ``3.11``; None if any will do."""
        listed = (item for item in self._document["dependencies"] if isinstance(item, str))
        wanted = next((item for item in listed if _same_name(item) == "python"), "")
        return wanted.removeprefix("python").lstrip(" =") or None

    @staticmethod
    def merge_requirements(requirements: Iterable[str]) -> list[str]:
        """Return requirements in pip's form with one line for each package."""
        merged: dict[str, Requirement] = {}
        for line in requirements:
            try:
                read = Requirement(line)
            except InvalidRequirement as error:
                raise EnvironmentFileError(f"{line!r:.120}: {error}") from error
            name = _same_name(read.name)
            if name in merged:
                read.specifier &= merged[name].specifier
                read.extras |= merged[name].extras
            merged[name] = read
        return [str(one) for one in merged.values()]

    add_cntk_package = Elsewhere(_ADD_IT)
    add_tensorflow_conda_package = Elsewhere(_ADD_IT)
    add_tensorflow_pip_package = Elsewhere(_ADD_IT)
    get_default_number_of_packages = Elsewhere("There are no packages by default.")
    sdk_origin_url = Elsewhere("The SDK is no part of an environment.")

    @property
    def conda_channels(self) -> list[str]:
        """The conda channels."""
        return list(self._document.get("channels") or [])

    @property
    def pip_options(self) -> list[str]:
        """The options of pip's."""
        return [line for line in self._pip() if line.startswith("-")]

    @property
    def conda_packages(self) -> list[str]:
        """The packages in conda's form, without Python."""
        listed = (item for item in self._document["dependencies"] if isinstance(item, str))
        return [item for item in listed if _same_name(item) != "python"]

    @property
    def pip_packages(self) -> list[str]:
        """The packages in pip's form."""
        return [line for line in self._pip() if not line.startswith("-")]

    def as_dict(self) -> dict[str, Any]:
        """Return the conda file's content."""
        return deepcopy(self._document)

    def serialize_to_string(self) -> str:
        """Return the conda file's text."""
        return yaml.safe_dump(self._document, sort_keys=False, allow_unicode=True)

    def save(self, path: str | Path | None = None) -> str:
        """Write the conda file to ``path``, in this folder unless told otherwise; return where."""
        target = Path(path or FILE_NAME)
        target = target / FILE_NAME if target.is_dir() else target
        target.write_text(self.serialize_to_string(), encoding="utf-8")
        return str(target)

    def save_to_file(self, base_directory: str | Path, conda_file_path: str = FILE_NAME) -> str:
        """Write the conda file below ``base_directory``; return its path there."""
        Path(base_directory, conda_file_path).write_text(self.serialize_to_string(), "utf-8")
        return conda_file_path

    def requirements(self) -> Requirements:
        """Return the same in pip's form.

        Raises:
            EnvironmentFileError: An entry cannot be used; the text names it.
        """
        return environment.from_conda(self._place, self._document)

    def _pip(self) -> list[str]:
        listed = self._document["dependencies"]
        for item in listed:
            if isinstance(item, dict) and isinstance(item.get("pip"), list):
                found: list[str] = item["pip"]
                return found
        made: list[str] = []
        listed.append({"pip": made})
        return made


def read_conda_file(path: Path) -> dict[str, Any]:
    """Return the content of a conda file, with that of the files that it names by ``-r``.

    Raises:
        EnvironmentFileError: It cannot be read, or is none.
    """
    beside = text_beside(path.parent)
    try:
        document = yaml.safe_load(beside(path.name))
    except yaml.YAMLError as error:
        raise EnvironmentFileError(f"{path} is no YAML: {error}") from error
    for item in _listed(document):
        if isinstance(item, dict) and isinstance(item.get("pip"), list):
            places = [(f"{path}: pip[{i}]", str(line)) for i, line in enumerate(item["pip"])]
            item["pip"] = [line for _, line in with_files(path.name, places, beside)]
    return _checked(document, str(path))


def _listed(document: Any) -> list[Any]:
    listed = document.get("dependencies") if isinstance(document, dict) else None
    return listed if isinstance(listed, list) else []


def _checked(document: Any, place: str) -> dict[str, Any]:
    environment.from_conda(place, document)
    copied: dict[str, Any] = deepcopy(document)
    copied.setdefault("dependencies", [])
    return copied


def _replace(lines: list[Any], line: str) -> None:
    name = _same_name(line)
    for number, there in enumerate(lines):
        if isinstance(there, str) and _same_name(there) == name:
            lines[number] = line
            return
    # Conda's packages come before the list of pip's.
    dictionaries = [n for n, there in enumerate(lines) if isinstance(there, dict)]
    lines.insert(dictionaries[0] if dictionaries else len(lines), line)


def _same_name(line: str) -> str:
    found = _NAME.match(line.strip())
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else line
