"""Inference configurations: an entry script, what lies beside it, and its environment."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from skerry.environment import Environment
from skerry.environment_files import sources_in
from skerry_contract.environment import Requirements, with_schema_package
from skerry_contract.errors import ManifestError, ScorerError

MAX_FILE_BYTES = 1024 * 1024
RUNTIMES = ("python", "python-slim")
_OLD_FORM = frozenset(
    {
        "baseImage",
        "baseImageRegistry",
        "condaFile",
        "cudaVersion",
        "description",
        "enableGpu",
        "extraDockerfileSteps",
        "runtime",
    }
)
_KNOWN = _OLD_FORM | {"entryScript", "environment", "sourceDirectory"}
_OF_CONTAINERS = {
    "base_image": "baseImage",
    "base_image_registry": "baseImageRegistry",
    "cuda_version": "cudaVersion",
    "enable_gpu": "enableGpu",
    "extra_docker_file_steps": "extraDockerfileSteps",
}


@dataclass(frozen=True, slots=True)
class Source:
    """What an inference configuration comes to.

    Attributes:
        folder: Absolute path of the folder that the entry script is in.
        files: Paths in ``folder`` that belong to it; empty for all of them.
        entry_script: Path of the script in ``folder``.
        requirements: What must be installed.
        env: Environment variables.
        python: The Python that the user looks after, or None.
        notes: What was left out or changed, in words for its author.
    """

    folder: Path
    files: tuple[str, ...]
    entry_script: str
    requirements: Requirements = field(default_factory=Requirements)
    env: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    notes: tuple[str, ...] = ()


class InferenceConfig:
    """How a model is asked: by which script, in which environment.

    Args:
        entry_script: Path of the script with ``init()`` and ``run()``, in ``source_directory`` if
            that is given.
        runtime: ``python`` or ``python-slim``, which mean the same here.
        conda_file: A conda file instead of ``environment``.
        extra_docker_file_steps: Passed over, and said so: modules are made without a Dockerfile.
        source_directory: Folder that belongs to the scorer as a whole; without it the script does
            alone.
        enable_gpu: Passed over, and said so.
        description: For people.
        base_image: Passed over, and said so, like the next two.
        base_image_registry: See ``base_image``.
        cuda_version: See ``base_image``.
        environment: The environment; none means that the script needs Python only.

    Raises:
        ScorerError: The script is not called like one, cannot be parsed (the text names the line),
            or lacks ``init()`` or ``run()``. A script that is not there yet is looked at later.
        ManifestError: The parts contradict each other.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the original's parameters
        self,
        entry_script: str | Path,
        runtime: str | None = None,
        conda_file: str | Path | None = None,
        extra_docker_file_steps: str | Path | None = None,
        source_directory: str | Path | None = None,
        enable_gpu: bool | None = None,  # noqa: FBT001 - the original's parameter
        description: str | None = None,
        base_image: str | None = None,
        base_image_registry: object | None = None,
        cuda_version: str | None = None,
        environment: Environment | None = None,
    ) -> None:
        if environment is not None and (conda_file or runtime):
            raise ManifestError("takes an environment, or runtime and conda_file, not both")
        if runtime is not None and runtime not in RUNTIMES:
            raise ManifestError(f"runtime {runtime!r:.40}: known are {', '.join(RUNTIMES)}")
        self.entry_script = str(entry_script)
        self.runtime = runtime
        self.conda_file = conda_file
        self.extra_docker_file_steps = extra_docker_file_steps
        self.source_directory = source_directory
        self.enable_gpu = enable_gpu
        self.description = description
        self.base_image = base_image
        self.base_image_registry = base_image_registry
        self.cuda_version = cuda_version
        self.environment = environment
        check_script_name(self.entry_script)
        if self._script().is_file():
            check_script(self._script())

    @classmethod
    def from_file(cls, path: str | Path) -> "InferenceConfig":
        """Return what a JSON or YAML file says, in the old form or in the new one.

        Paths in it are relative to the file's folder, those of the old form's ``condaFile`` and of
        ``entryScript`` to ``sourceDirectory`` if there is one.

        Raises:
            ManifestError: It cannot be read, or has an unknown key.
            ScorerError, EnvironmentFileError: As the parts of it.
        """
        file = Path(path)
        told = read_configuration(file, _KNOWN)
        if not isinstance(told.get("entryScript"), str):
            raise ManifestError("entryScript must name the entry script", subject=str(file))
        base = file.parent
        source = told.get("sourceDirectory")
        folder = base / source if source else base
        given = told.get("environment")
        environment = None
        if isinstance(given, dict):
            environment = Environment.from_document(given, f"{file}: environment", folder)
        conda = told.get("condaFile")
        return cls(
            entry_script=told["entryScript"] if source else folder / told["entryScript"],
            runtime=told.get("runtime"),
            conda_file=folder / conda if conda else None,
            extra_docker_file_steps=told.get("extraDockerfileSteps"),
            source_directory=folder if source else None,
            enable_gpu=told.get("enableGpu"),
            description=told.get("description"),
            base_image=told.get("baseImage"),
            base_image_registry=told.get("baseImageRegistry"),
            cuda_version=told.get("cudaVersion"),
            environment=environment,
        )

    def resolve(self) -> Source:
        """Look at the files that it names, and return what it comes to.

        Raises:
            ScorerError: The script or its folder is not there, or the script cannot work.
            EnvironmentFileError: The environment cannot be used.
        """
        script = self._script()
        if not script.is_file():
            where = f" in {self.source_directory}" if self.source_directory else ""
            raise ScorerError(
                f"there is no {self.entry_script}{where}",
                remedy="Name the entry script, relative to source_directory if that is given.",
            )
        check_script(script)
        environment = self.effective_environment()
        folder = Path(self.source_directory or script.parent).resolve()
        sources = sources_in(folder) if self.source_directory else [script.read_text("utf-8")]
        wanted = with_schema_package(environment.requirements(), sources)
        return Source(
            folder=folder,
            files=() if self.source_directory else (script.name,),
            entry_script=self.entry_script if self.source_directory else script.name,
            requirements=wanted,
            env=environment.environment_variables,
            python=environment.interpreter(),
            notes=(*wanted.notes, *self._notes(environment)),
        )

    def validate_configuration(self) -> None:
        """Raise what is wrong with it, as ``resolve`` does."""
        self.resolve()

    def effective_environment(self) -> Environment:
        """Return its environment, whichever way it was given.

        Raises:
            EnvironmentFileError: The conda file cannot be used.
        """
        if self.environment is not None:
            return self.environment
        if self.conda_file is None:
            return Environment("plain")
        return Environment.from_conda_specification("inference", self.conda_file)

    def _script(self) -> Path:
        return Path(self.source_directory or "", self.entry_script)

    def _notes(self, environment: Environment) -> list[str]:
        named = [key for name, key in _OF_CONTAINERS.items() if getattr(self, name)]
        if environment.docker.base_image or environment.docker.base_dockerfile:
            named.append("docker")
        return [f"{key} is left out: there is no Dockerfile here" for key in named]


def check_script_name(entry_script: str) -> None:
    """Refuse an entry script that cannot be imported by its name.

    Raises:
        ScorerError: It is called otherwise than ``name.py``.
    """
    name = Path(entry_script).name
    if not name.endswith(".py") or not re.fullmatch(r"[^\W\d]\w*", name.removesuffix(".py")):
        raise ScorerError(
            f"{name!r:.80} is no entry script's name",
            remedy="Call it like a Python module: letters, digits and _, then .py.",
        )


def check_script(path: Path) -> None:
    """Refuse an entry script that cannot work, without running it.

    Raises:
        ScorerError: Its syntax is wrong (the text names the line), or ``init()`` or ``run()`` is
            missing.
    """
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise ScorerError(
            f"{path}, line {error.lineno}: {error.msg}",
            remedy="Mend the entry script.",
            detail=(error.text or "").rstrip(),
        ) from error
    except (OSError, ValueError) as error:
        raise ScorerError(f"{path} cannot be read: {error}") from error
    named = {name for node in tree.body for name in _names(node)}
    if "*" in named:
        return  # what another module brings in is seen when it runs
    for name in ("init", "run"):
        if name not in named:
            raise ScorerError(
                f"{path} defines no {name}()", remedy="It needs init() and run(data)."
            )


def read_configuration(file: Path, known: frozenset[str] | None) -> dict[str, Any]:
    """Return the content of a JSON or YAML file that is one mapping.

    Raises:
        ManifestError: It cannot be read, is none, or has a key that is not in ``known``, if any
            are.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ManifestError(f"is larger than {MAX_FILE_BYTES} bytes", subject=str(file))
        told = yaml.safe_load(data)
    except OSError as error:
        raise ManifestError(f"cannot be read: {error.strerror}", subject=str(file)) from error
    except yaml.MarkedYAMLError as error:
        mark, what = error.problem_mark, error.problem or error.context
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ManifestError(f"is no JSON or YAML: {place}{what}", subject=str(file)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ManifestError(f"is no JSON or YAML: {error}", subject=str(file)) from error
    if not isinstance(told, dict):
        raise ManifestError("expected an object", subject=str(file))
    if known is not None:
        check_keys(told, known, file)
    return told


def check_keys(told: Mapping[str, Any], known: frozenset[str], file: Path) -> None:
    """Refuse a key that is not in ``known``, most likely a typing error.

    Raises:
        ManifestError: There is one; the text names it.
    """
    for key in told:
        if key not in known:
            remedy = f"Known are: {', '.join(sorted(known))}."
            raise ManifestError(f"unknown key {key!r:.60}", subject=str(file), remedy=remedy)


def _names(node: ast.stmt) -> list[str]:
    """Return the names that a statement at the top of a module may bring in."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case _:
            inner = (n for n in ast.walk(node) if isinstance(n, ast.FunctionDef))
            return [found.name for found in inner]
