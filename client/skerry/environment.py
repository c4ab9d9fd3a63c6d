"""Environments: the packages, the variables and the Python that a scorer runs with."""

import json
import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skerry.conda_dependencies import FILE_NAME, CondaDependencies
from skerry.elsewhere import Elsewhere
from skerry.environment_files import text_beside
from skerry_contract import environment
from skerry_contract.environment import Requirements
from skerry_contract.errors import ConflictError, EnvironmentFileError

DOCUMENT_NAME = "azureml_environment.json"
"""File of an environment that was saved, beside its conda file."""
_KNOWN = frozenset({"name", "version", "python", "docker", "environmentVariables"})
_PASSED_OVER = frozenset(
    {"assetId", "databricks", "inferencingStackVersion", "mutability", "r", "spark", "arm"}
)
_PYTHON = {
    "interpreterPath": "interpreter_path",
    "userManagedDependencies": "user_managed_dependencies",
    "condaDependenciesFile": "conda_dependencies_file",
}
_DOCKER = {
    "arguments": "arguments",
    "baseDockerfile": "base_dockerfile",
    "baseImage": "base_image",
    "enabled": "enabled",
    "sharedVolumes": "shared_volumes",
    "shmSize": "shm_size",
}
_DOCKER_PASSED_OVER = frozenset({"baseImageRegistry", "buildContext", "platform"})


_FILES = (
    "Environments live in files: save_to_directory(…) and load_from_directory(…), or a conda file."
)
_BUILT = "An environment is resolved when it is used: Model.deploy(…) or Model.package(…)."
_BASES = "A module may stand on an image of your own: 'skerry module build --base IMAGE'."


@dataclass
class PythonSection:
    """Which Python, with which packages.

    Attributes:
        conda_dependencies: The packages.
        conda_dependencies_file: A conda file that says them instead.
        user_managed_dependencies: Whether the Python has its packages already; then nothing is
            installed.
        interpreter_path: That Python; ``python`` stands for the one that runs this program.
    """

    conda_dependencies: CondaDependencies = field(default_factory=CondaDependencies)
    conda_dependencies_file: str | Path | None = None
    user_managed_dependencies: bool = False
    interpreter_path: str = "python"


@dataclass
class DockerSection:
    """What is asked of a container; a process of this machine has no use for it.

    Attributes:
        base_image: Image that a container begins with.
        base_dockerfile: The same as the text of a Dockerfile.
        enabled: Whether a container is wanted.
        arguments: For ``docker run``.
        shared_volumes: Whether folders are shared with the container.
        shm_size: Size of its shared memory.
    """

    base_image: str | None = None
    base_dockerfile: str | None = None
    enabled: bool = False
    arguments: list[str] = field(default_factory=list)
    shared_volumes: bool = True
    shm_size: str | None = None


class Environment:
    """What a scorer needs around it.

    Args:
        name: What it is called.

    Attributes:
        name: The same.
        version: For people.
        python: Which Python, with which packages.
        docker: What is asked of a container.
        environment_variables: Variables of the process.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.version: str | None = None
        self.python = PythonSection()
        self.docker = DockerSection()
        self.environment_variables: dict[str, str] = {}

    @classmethod
    def from_conda_specification(cls, name: str, file_path: str | Path) -> "Environment":
        """Return the environment that a conda file says.

        Raises:
            EnvironmentFileError: It cannot be read, or has an entry that cannot be used.
        """
        made = cls(name)
        made.python.conda_dependencies = CondaDependencies(file_path)
        return made

    @classmethod
    def from_pip_requirements(
        cls, name: str, file_path: str | Path, pip_version: str | None = None
    ) -> "Environment":
        """Return the environment that a requirements file in pip's form says.

        Args:
            name: What it is called.
            file_path: The file.
            pip_version: Accepted and without effect: packages are resolved by uv.

        Raises:
            EnvironmentFileError: It cannot be read, or has a line that cannot be used.
        """
        del pip_version
        path = Path(file_path)
        beside = text_beside(path.parent)
        read = environment.from_pip(path.name, beside(path.name), beside)
        options = [
            " ".join(pair) for pair in zip(read.indexes[::2], read.indexes[1::2], strict=True)
        ]
        made = cls(name)
        made.python.conda_dependencies = CondaDependencies.from_document(
            {"name": name, "dependencies": [{"pip": [*options, *read.lines]}]}, str(file_path)
        )
        return made

    @classmethod
    def from_document(cls, value: Any, place: str, folder: Path) -> "Environment":
        """Return the environment that an inference configuration or a saved file says.

        Args:
            value: What a JSON or YAML parser made of it.
            place: Where it stands, for errors.
            folder: What the path of a conda file in it is relative to.

        Raises:
            EnvironmentFileError: A key is unknown or has a wrong value; the text names it.
        """
        told = object_of(value, place, _KNOWN | _PASSED_OVER)
        made = cls(str(told.get("name") or "environment"))
        made.version = told.get("version")
        made._read_python(_or_empty(told.get("python")), f"{place}.python", folder)
        docker = _or_empty(told.get("docker"))
        object_of(docker, f"{place}.docker", frozenset(_DOCKER) | _DOCKER_PASSED_OVER)
        _take(docker, _DOCKER, made.docker)
        variables = object_of(
            _or_empty(told.get("environmentVariables")), f"{place}.environmentVariables"
        )
        made.environment_variables = {key: str(each) for key, each in variables.items()}
        return made

    @classmethod
    def load_from_directory(cls, path: str | Path) -> "Environment":
        """Return the environment that was saved in a folder.

        Raises:
            EnvironmentFileError: There is none, or it cannot be read.
        """
        file = Path(path) / DOCUMENT_NAME
        try:
            told = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise EnvironmentFileError(f"{file} cannot be read: {error}") from error
        made = cls.from_document(told, str(file), Path(path))
        conda = Path(path) / FILE_NAME
        if conda.exists():
            made.python.conda_dependencies = CondaDependencies(conda)
        return made

    def save_to_directory(self, path: str | Path, overwrite: bool = False) -> None:  # noqa: FBT001, FBT002 - the original's parameter
        """Save it in a folder, which is made if it is not there.

        Raises:
            ConflictError: One is saved there already, and ``overwrite`` was not given.
            OSError: The disk said no.
        """
        folder = Path(path)
        if (folder / DOCUMENT_NAME).exists() and not overwrite:
            raise ConflictError(f"{folder} holds an environment", remedy="Pass overwrite=True.")
        folder.mkdir(parents=True, exist_ok=True)
        self.python.conda_dependencies.save(folder / FILE_NAME)
        text = json.dumps(self.as_document(), indent=2, ensure_ascii=False)
        (folder / DOCUMENT_NAME).write_text(text + "\n", encoding="utf-8")

    def clone(self, new_name: str) -> "Environment":
        """Return another one of the same content."""
        made = deepcopy(self)
        made.name = new_name
        return made

    register = Elsewhere(_FILES)
    get = Elsewhere(_FILES)
    list = Elsewhere(_FILES)
    label = Elsewhere(_FILES)
    build = Elsewhere(_BUILT)
    build_local = Elsewhere(_BUILT)
    get_image_details = Elsewhere(_BUILT)
    from_docker_image = Elsewhere(_BASES)
    from_dockerfile = Elsewhere(_BASES)
    from_docker_build_context = Elsewhere(_BASES)
    from_existing_conda_environment = Elsewhere(
        "Export it, and read the file: 'conda env export --from-history > conda.yml', then "
        "Environment.from_conda_specification(name, 'conda.yml')."
    )
    add_private_pip_wheel = Elsewhere(
        "Name the index that has it: CondaDependencies.set_pip_option('--extra-index-url …')."
    )

    def as_document(self) -> dict[str, Any]:
        """Return it as ``from_document`` reads it."""
        python = {key: getattr(self.python, name) for key, name in _PYTHON.items()}
        if python["condaDependenciesFile"] is not None:
            python["condaDependenciesFile"] = str(python["condaDependenciesFile"])
        return {
            "name": self.name,
            "version": self.version,
            "environmentVariables": dict(self.environment_variables),
            "python": {**python, "condaDependencies": self.conda().as_dict()},
            "docker": {key: getattr(self.docker, name) for key, name in _DOCKER.items()},
        }

    def conda(self) -> CondaDependencies:
        """Return its packages, from the conda file if one is named.

        Raises:
            EnvironmentFileError: The file cannot be read.
        """
        file = self.python.conda_dependencies_file
        return CondaDependencies(file) if file else self.python.conda_dependencies

    def requirements(self) -> Requirements:
        """Return what must be installed, in pip's form; nothing if that is the user's business.

        Raises:
            EnvironmentFileError: An entry cannot be used; the text names it.
        """
        if self.python.user_managed_dependencies:
            return Requirements()
        return self.conda().requirements()

    def interpreter(self) -> str | None:
        """Return the Python that the user looks after; None if it is not the user's business."""
        if not self.python.user_managed_dependencies:
            return None
        given = self.python.interpreter_path
        return sys.executable if given in ("", "python", "python3") else given

    def _read_python(self, value: Any, place: str, folder: Path) -> None:
        known = frozenset(_PYTHON) | {"condaDependencies", "baseCondaEnvironment"}
        told = object_of(value, place, known)
        _take(told, _PYTHON, self.python)
        if self.python.conda_dependencies_file:
            self.python.conda_dependencies_file = folder / self.python.conda_dependencies_file
        if (conda := told.get("condaDependencies")) is not None:
            where = f"{place}.condaDependencies"
            self.python.conda_dependencies = CondaDependencies.from_document(conda, where)

    def __repr__(self) -> str:
        return f"Environment({self.name!r})"


def object_of(value: Any, place: str, known: frozenset[str] | None = None) -> dict[str, Any]:
    """Return ``value`` if it is a mapping with no other keys than ``known``.

    Raises:
        EnvironmentFileError: It is not; the text names the first unknown key.
    """
    if not isinstance(value, dict):
        raise EnvironmentFileError(f"{place}: expected an object, got {value!r:.60}")
    unknown = sorted(set(map(str, value)) - known) if known is not None else []
    if unknown and known is not None:
        raise EnvironmentFileError(
            f"{place}: unknown key {unknown[0]!r:.60}",
            remedy=f"Known are: {', '.join(sorted(known))}.",
        )
    return value


def _or_empty(value: Any) -> Any:
    return {} if value is None else value


def _take(told: Mapping[str, Any], names: Mapping[str, str], target: object) -> None:
    for key, name in names.items():
        if told.get(key) is not None:
            setattr(target, name, told[key])
