"""What environment files ask for, beyond the forms that the compiler's own test goes through."""

import pytest

from skerry_contract.conda_names import LEFT_OUT, OF_THE_SYSTEM, OTHER_NAMES, REPLACED
from skerry_contract.environment import from_conda, from_lines, from_pyproject
from skerry_contract.errors import EnvironmentFileError


def test_the_same_software_is_found_under_its_other_name_and_said() -> None:
    read = from_conda("env.yml", {"dependencies": ["pytables=3.9", "Py-OpenCV"]})
    assert read.lines == ("tables==3.9.*", "opencv-python-headless")
    assert read.notes == (
        "pytables is called tables here",
        "py-opencv is called opencv-python-headless here",
    )


def test_what_only_conda_needs_is_left_out_and_said() -> None:
    read = from_conda("env.yml", {"dependencies": ["mkl", "pip", "numpy"]})
    assert read.lines == ("numpy",)
    assert len(read.notes) == 1
    assert read.notes[0].startswith("mkl is left out: NumPy computes with another library")


def test_what_belongs_to_the_operating_system_is_named_with_a_remedy() -> None:
    with pytest.raises(EnvironmentFileError, match=r"dependencies\[1\]: ffmpeg is no") as told:
        from_conda("env.yml", {"dependencies": ["numpy", "ffmpeg=4"]})
    assert "imageio-ffmpeg" in told.value.remedy


@pytest.mark.parametrize("name", ["azureml-defaults", "AzureML_Defaults", "azureml-core"])
def test_the_scorer_host_takes_the_place_of_the_other_server(name: str) -> None:
    read = from_lines("pip", [name, "numpy"])
    assert read.lines == ("numpy",)
    assert "the scorer host takes its place" in read.notes[0]


def test_no_name_is_in_two_tables_and_all_are_lower_case() -> None:
    tables = (OTHER_NAMES, LEFT_OUT, OF_THE_SYSTEM, REPLACED)
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)


def test_a_projects_dependencies_are_read() -> None:
    listed = """["numpy==1.26.4", "pillow>=10; os_name == 'posix'"]"""
    text = f'[project]\nname = "x"\ndependencies = {listed}'
    assert from_pyproject("pyproject.toml", text).lines == (
        "numpy==1.26.4",
        "pillow>=10; os_name == 'posix'",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[project", "is no TOML"),
        ("[tool.x]", "no list project.dependencies"),
        ('[project]\ndependencies = "numpy"', "no list project.dependencies"),
        ('[project]\ndependencies = ["x @ https://example.org/x.whl"]', r"dependencies\[0\]"),
    ],
)
def test_a_project_that_cannot_be_used_is_refused(text: str, said: str) -> None:
    with pytest.raises(EnvironmentFileError, match=said):
        from_pyproject("pyproject.toml", text)


@pytest.mark.parametrize("document", [None, [], "x", {"dependencies": {}}, {"channels": 3}])
def test_what_is_no_conda_environment_is_refused(document: object) -> None:
    with pytest.raises(EnvironmentFileError, match=r"env\.yml"):
        from_conda("env.yml", document)
