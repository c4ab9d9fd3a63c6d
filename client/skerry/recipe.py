"""``module.toml``: what a module is made from, written beside its ``score.py``.

name = "face-detector"
models = ["face:1"]
entry_script = "score.py"
environment = "environment.txt"
platforms = ["linux/amd64"]
leave_out = ["samples"]
base = "registry.example.org/team/python:3.11"
"""

import platform
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from skerry_contract import shape
from skerry_contract.errors import ContractError, ManifestError, ScorerError
from skerry_contract.manifest import ModelText, Name, RelativePath
from skerry_contract.pyproject import split_choice
from skerry_contract.shape import Size, Text

RECIPE = "module.toml"
MAX_RECIPE_BYTES = 64 * 1024
ENVIRONMENTS = ("environment.txt", "requirements.txt", "environment.yml", "pyproject.toml")
"""Where an environment is looked for if none is named; the first that exists counts."""

EnvironmentPath = Annotated[
    str,
    Text(r"[A-Za-z0-9_][A-Za-z0-9_./-]*(\[[A-Za-z0-9_., -]+\])?", 255, "a relative path"),
]
Platform = Annotated[str, Text(r"linux/[a-z0-9]+(/[a-z0-9]+)?", 40, "a platform: linux/amd64")]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a module is made from.

    Attributes:
        name: What the module is called.
        models: Models as ``name:version``.
        entry_script: The file that defines ``init()`` and ``run()``.
        environment: The file that says what it needs; empty for nothing. Extras and groups of a
            project follow in brackets: ``pyproject.toml[serve]``.
        platforms: What to build for.
        leave_out: Files and folders beside the entry script that stay out of the module.
        base: Image to build on, as ``skerry module import`` names one; Skerry's own if None.
    """

    name: Name | None = None
    models: Annotated[tuple[ModelText, ...], Size(0, 50)] = ()
    entry_script: RelativePath = "score.py"
    environment: EnvironmentPath | None = None
    platforms: Annotated[tuple[Platform, ...], Size(0, 8)] = ()
    leave_out: Annotated[tuple[RelativePath, ...], Size(0, 100)] = ()
    base: Annotated[str, Text(max_length=1024)] | None = None


def read(path: Path) -> Recipe:
    """Return the recipe in ``path``.

    Raises:
        ManifestError: It cannot be read, is no TOML, or has a wrong field.
    """
    try:
        data = path.read_bytes()
        if len(data) > MAX_RECIPE_BYTES:
            raise ManifestError(f"{len(data)} bytes, at most {MAX_RECIPE_BYTES}", subject=str(path))
        value = tomllib.loads(data.decode())
        return shape.read(Recipe, value, strict=True)
    except OSError as error:
        raise ManifestError(f"cannot be read: {error.strerror}", subject=str(path)) from error
    except ContractError as error:
        raise ManifestError(error.reason, error.path, subject=str(path)) from error
    except ValueError as error:
        raise ManifestError(f"is no TOML: {error}", subject=str(path)) from error


def complete(recipe: Recipe, folder: Path) -> Recipe:
    """Fill in what a recipe leaves open, by looking at the scorer's folder and at this machine.

    Raises:
        ScorerError: The folder, or a file that it names, is not there.
    """
    if not folder.is_dir():
        text = f"{folder} is no folder" if folder.exists() else f"there is no folder {folder}"
        raise ScorerError(text, remedy="Name the folder that the entry script is in.")
    environment = recipe.environment
    if environment is None:
        found = (name for name in ENVIRONMENTS if (folder / name).is_file())
        environment = next(found, None)
    for name in filter(None, (recipe.entry_script, split_choice(environment or "")[0])):
        if not (folder / name).is_file():
            there = ", ".join(sorted(path.name for path in folder.glob("*"))[:20]) or "nothing"
            raise ScorerError(f"{folder} has no {name}", remedy=f"It holds: {there}.")
    platforms = recipe.platforms or (this_platform(platform.machine()),)
    return replace(recipe, environment=environment, platforms=platforms)


def this_platform(machine: str) -> str:
    """Return the OCI platform of a machine, given what ``uname -m`` says."""
    known = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7"}
    return f"linux/{known.get(machine, machine)}"
