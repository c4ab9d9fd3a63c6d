"""``module.toml`` and what is made of what it leaves open."""

from pathlib import Path

import pytest

from skerry import recipe
from skerry.recipe import Recipe
from skerry_contract.errors import ManifestError, ScorerError


def test_a_recipe_is_read_with_all_its_fields(tmp_path: Path) -> None:
    file = tmp_path / "module.toml"
    file.write_text(
        'name = "cam"\nmodels = ["face:1"]\nentry_script = "src/score.py"\n'
        'environment = "conda.yml"\nplatforms = ["linux/arm/v7"]\nleave_out = ["samples"]\n'
    )
    assert recipe.read(file) == Recipe(
        "cam", ("face:1",), "src/score.py", "conda.yml", ("linux/arm/v7",), ("samples",)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "is no TOML"),
        ('nmae = "cam"', "did you mean 'name'"),
        ('models = ["face 1"]', r"models\[0\]: expected 'name:version'"),
        ('entry_script = "../score.py"', "entry_script"),
        ("name = " + '"' + "x" * 70_000 + '"', "at most"),
        ("\udcff", "is no TOML"),
    ],
)
def test_a_wrong_recipe_says_where_it_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "module.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ManifestError, match=said) as caught:
        recipe.read(file)
    assert str(file) in caught.value.text


def test_an_environment_is_found_by_its_usual_names(tmp_path: Path) -> None:
    (tmp_path / "score.py").touch()
    assert recipe.complete(Recipe(), tmp_path).environment is None
    (tmp_path / "requirements.txt").touch()
    assert recipe.complete(Recipe(), tmp_path).environment == "requirements.txt"
    (tmp_path / "environment.txt").touch()
    assert recipe.complete(Recipe(), tmp_path).environment == "environment.txt"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "main.py").touch()
    with pytest.raises(ScorerError, match=r"has no score\.py") as caught:
        recipe.complete(Recipe(), tmp_path)
    assert "main.py" in caught.value.remedy


@pytest.mark.parametrize(
    ("machine", "platform"),
    [("x86_64", "linux/amd64"), ("aarch64", "linux/arm64"), ("armv7l", "linux/arm/v7")],
)
def test_machines_have_platforms(machine: str, platform: str) -> None:
    assert recipe.this_platform(machine) == platform
