"""What every module template brings, and that its files say the same of each other."""

import json
import re
from pathlib import Path

import pytest

from skerry import recipe as recipes
from skerry.demo.material import templates

TEMPLATES = Path(__file__).parents[2] / "module-templates"
SCORERS = sorted(path.parent.name for path in TEMPLATES.glob("*/score.py"))
MADE = {"model", "program"}
"""Folders that a template's own commands make."""


def test_each_can_be_started_from() -> None:
    folders = (path for path in TEMPLATES.iterdir() if path.is_dir() and path.name[0] != ".")
    assert templates() == sorted(path.name for path in folders)


def test_there_is_one_for_every_framework() -> None:
    wanted = {"face-detector", "keras", "onnx", "python", "pytorch", "scikit-learn"}
    assert wanted <= set(SCORERS)


@pytest.mark.parametrize("name", SCORERS)
def test_its_recipe_names_files_that_are_there(name: str) -> None:
    folder = TEMPLATES / name
    recipe = recipes.complete(recipes.read(folder / "module.toml"), folder)
    assert recipe.environment == "environment.txt"
    for left_out in set(recipe.leave_out) - MADE:
        assert (folder / left_out).exists(), left_out
    for page in ("README.md", "samples"):
        assert not (folder / page).exists() or page in recipe.leave_out


@pytest.mark.parametrize("name", SCORERS)
def test_its_golden_set_has_its_inputs(name: str) -> None:
    folder = TEMPLATES / name
    cases = json.loads((folder / "golden.json").read_text())
    named = {case["input"] for case in cases}
    assert named == {path.relative_to(folder).as_posix() for path in folder.glob("golden/*")}


@pytest.mark.parametrize("name", [one for one in SCORERS if one != "echo"])
def test_its_page_and_samples_are_there(name: str) -> None:
    folder = TEMPLATES / name
    assert list(folder.glob("samples/*"))
    page = (folder / "README.md").read_text()
    for program in re.findall(r"python (\w+\.py)", page):
        assert (folder / program).exists()
    for command in re.findall(r"cp ((?:variants|samples)/\S+)", page):
        assert list(folder.glob(command)), command


@pytest.mark.parametrize("name", SCORERS)
def test_its_environment_is_pinned(name: str) -> None:
    for file in (TEMPLATES / name).rglob("environment.txt"):
        lines = [line for line in file.read_text().splitlines() if line and line[0] != "#"]
        assert all("==" in line for line in lines), file
