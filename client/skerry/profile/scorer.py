"""What to profile: a module's folder, or the entry script that an inference configuration names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from skerry import recipe as recipes
from skerry.environment_files import sources_in, text_beside
from skerry.recipe import RECIPE, Recipe
from skerry_contract import environment
from skerry_contract.environment import Requirements
from skerry_contract.errors import EnvironmentFileError, ManifestError, ScorerError
from skerry_contract.pyproject import from_pyproject, split_choice


@dataclass(frozen=True, slots=True)
class Scorer:
    """An entry script and what it needs.

    Attributes:
        folder: Where it lies, with what it imports.
        entry_script: Its path in ``folder``.
        models: The models that its recipe names, as ``name:version``.
        requirements: Packages that it needs.
    """

    folder: Path
    entry_script: str
    models: tuple[str, ...]
    requirements: Requirements


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
    return _scorer(folder, recipe.entry_script, recipe.models, needs)


def from_inference_config(file: Path) -> Scorer:
    """Return the scorer that an inference configuration (JSON, as of Azure ML) names.

    Raises:
        ManifestError: It cannot be read, or names no entry script.
        ScorerError: The entry script is not there.
        EnvironmentFileError: Its environment cannot be read.
    """
    try:
        told = json.loads(file.read_text("utf-8"))
        entry_script = str(told["entryScript"])
        folder = (file.parent / (told.get("sourceDirectory") or ".")).resolve()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(
            f"is no inference configuration: {error!r}", subject=str(file)
        ) from error
    if not (folder / entry_script).is_file():
        raise ScorerError(f"{folder} has no {entry_script}", remedy="entryScript names it.")
    return _scorer(folder, entry_script, (), _configured(told, folder, file))


def _scorer(
    folder: Path, entry_script: str, models: tuple[str, ...], needs: Requirements
) -> Scorer:
    needs = environment.with_schema_package(needs, sources_in(folder))
    return Scorer(folder, entry_script, models, needs)


def _configured(told: Mapping[str, Any], folder: Path, file: Path) -> Requirements:
    if conda := told.get("condaFile"):
        return _file(folder, str(conda))
    python = (told.get("environment") or {}).get("python") or {}
    inline = python.get("condaDependencies")
    return environment.from_conda(str(file), inline) if inline else Requirements()


def _file(folder: Path, named: str) -> Requirements:
    name, chosen = split_choice(named)
    beside = text_beside(folder)
    text = beside(name)
    match Path(name).suffix.lower():
        case ".yml" | ".yaml":
            try:
                document = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise EnvironmentFileError(f"{name} is no YAML: {error}") from error
            return environment.from_conda(name, document, beside)
        case ".toml":
            return from_pyproject(name, text, chosen)
        case _:
            return environment.from_pip(name, text, beside)
