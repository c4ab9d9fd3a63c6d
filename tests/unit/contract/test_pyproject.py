"""Projects as environments: dependencies, extras and groups."""

import pytest

from skerry_contract.errors import EnvironmentFileError
from skerry_contract.pyproject import from_pyproject, split_choice

PROJECT = """
[project]
name = "My_Project"
requires-python = ">=3.9,<4"
dependencies = ["numpy==1.26.4", "pillow>=10; os_name == 'posix'"]
[project.optional-dependencies]
serve = ["tqdm", "my.project[Extra_Two]"]
extra-two = ["six", "my-project[serve]"]
[dependency-groups]
edge = ["certifi", {include-group = "Deep.Er"}]
deep-er = ["idna"]
"""


def test_the_dependencies_are_read_and_what_is_chosen_is_added() -> None:
    plain = ("numpy==1.26.4", "pillow>=10; os_name == 'posix'")
    assert from_pyproject("pyproject.toml", PROJECT).lines == plain
    extra = from_pyproject("pyproject.toml", PROJECT, ("serve",))
    assert extra.lines == (*plain, "tqdm", "six")
    both = from_pyproject("pyproject.toml", PROJECT, ("edge", "Extra.Two"))
    assert both.lines == (*plain, "certifi", "idna", "six", "tqdm")


def test_a_group_needs_no_project() -> None:
    text = '[dependency-groups]\nedge = ["six"]'
    assert from_pyproject("pyproject.toml", text, ("edge",)).lines == ("six",)
    with pytest.raises(EnvironmentFileError, match=r"no list project\.dependencies"):
        from_pyproject("pyproject.toml", text)


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("[project", "is no TOML", ""),
        ("[tool.x]", "no list project.dependencies", "Write [project]"),
        ('[tool.poetry]\nname = "x"', "no list project.dependencies", "poetry export"),
        ('[project]\ndynamic = ["dependencies"]', "no list project.dependencies", "Write"),
        ('[project]\ndependencies = "numpy"', "no list project.dependencies", "Write"),
        ('[project]\ndependencies = ["x @ https://x.org/x.whl"]', r"dependencies\[0\]", "URLs"),
        ("[project]\ndependencies = [3]", r"dependencies\[0\]: 3", "Write"),
        ("[project]\ndependencies = []", "no extra or group 'serve'", "none at all"),
        (f"{PROJECT}serve = []", "an extra and a group 'serve'", "another name"),
        (
            '[project]\ndependencies = []\noptional-dependencies = ["x"]',
            "does not hold lists",
            "Write",
        ),
    ],
)
def test_a_project_that_cannot_be_used_is_refused(text: str, said: str, remedy: str) -> None:
    chosen = ("serve",) if "serve" in said else ()
    with pytest.raises(EnvironmentFileError, match=said) as told:
        from_pyproject("pyproject.toml", text, chosen)
    assert remedy in told.value.remedy


@pytest.mark.parametrize(
    ("wanted", "is_other"),
    [
        (">=3.9", False),
        (">=3.11.4", False),
        ("==3.11.*", False),
        ("~=3.10", False),
        ("~=3.11.2", False),
        ("!=3.11.1", False),
        (">3.11.1,<3.12", False),
        (">3.11", False),
        ("<=3.11.9", False),
        (">=2.7, !=3.0.*", False),
        ("whatever", False),
        (">=3.12", True),
        ("<3.11", True),
        ("<=3.10", True),
        ("==3.8.*", True),
        ("<=3.11", True),
        ("~=3.10.1", True),
        ("!=3.11.*", True),
    ],
)
def test_a_project_for_another_python_is_told(wanted: str, *, is_other: bool) -> None:
    text = f'[project]\nrequires-python = "{wanted}"\ndependencies = []'
    notes = from_pyproject("pyproject.toml", text).notes
    assert bool(notes) == is_other
    assert not is_other or wanted in notes[0]


@pytest.mark.parametrize(
    ("text", "path", "names"),
    [
        ("a/pyproject.toml[serve, dev]", "a/pyproject.toml", ("serve", "dev")),
        ("pyproject.toml", "pyproject.toml", ()),
        ("pyproject.toml[]", "pyproject.toml[]", ()),
        ("env[1].txt", "env[1].txt", ()),
        ("", "", ()),
    ],
)
def test_a_choice_stands_in_brackets(text: str, path: str, names: tuple[str, ...]) -> None:
    assert split_choice(text) == (path, names)
