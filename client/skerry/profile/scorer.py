"""What to profile: a module's folder, or the entry script that an inference configuration names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skerry import recipe as recipes
from skerry.api import Api
from skerry.conda_dependencies import CondaDependencies
from skerry.environment_files import sources_in, text_beside
from skerry.inference import Source
from skerry.recipe import RECIPE, Recipe
from skerry.upload import download
from skerry_contract import environment
from skerry_contract.environment import Requirements
from skerry_contract.names import ModelReference
from skerry_contract.pyproject import from_pyproject, split_choice


@dataclass(frozen=True, slots=True)
class Scorer:
    """An entry script and what it needs.

    Attributes:
        folder: Where it lies, with what it imports.
        entry_script: Its path in ``folder``.
        models: The models that its recipe names, as ``name:version``.
        requirements: Packages that it needs.
        env: Environment variables of its own.
        python: The Python that its author looks after; None if its packages are to be installed.
    """

    folder: Path
    entry_script: str
    models: tuple[str, ...]
    requirements: Requirements
    env: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None


def from_folder(folder: Path) -> Scorer:
    """Return the scorer in a module's folder.

    Raises:
        ScorerError: A file that it needs is not there.
        ManifestError: Its ``module.toml`` has a wrong field.
        EnvironmentFileError: Its environment cannot be read.
    """
    file = folder / RECIPE
    recipe = recipes.complete(recipes.read(file) if file.is_file() else Recipe(), folder)
    needs = _file(folder, recipe.environment) if recipe.environment else Requirements()
    needs = environment.with_schema_package(needs, sources_in(folder))
    return Scorer(folder, recipe.entry_script, recipe.models, needs)


def from_source(source: Source) -> Scorer:
    """Return the scorer that an inference configuration comes to."""
    return Scorer(
        source.folder, source.entry_script, (), source.requirements, source.env, source.python
    )


def model_folder(api: Api, models: Sequence[ModelReference], target: Path) -> Path:
    """Fetch models below ``target``; return what AZUREML_MODEL_DIR would name in a module.

    Raises:
        NotFoundError: One is not registered.
        DigestError: What came is not what was promised.
    """
    target.mkdir()
    folders = []
    for which in models:
        found = api.model(which)
        folder = target / found.name / str(found.version)
        folders.append(folder)
        folder.parent.mkdir(exist_ok=True)
        download(api, found.files, folder, force=False, on_bytes=lambda _count: None)
    return folders[0] if len(folders) == 1 else target


def _file(folder: Path, named: str) -> Requirements:
    name, chosen = split_choice(named)
    if Path(name).suffix in {".yml", ".yaml"}:
        return CondaDependencies(folder / name).requirements()
    beside = text_beside(folder)
    if Path(name).suffix == ".toml":
        return from_pyproject(name, beside(name), chosen)
    return environment.from_pip(name, beside(name), beside)
