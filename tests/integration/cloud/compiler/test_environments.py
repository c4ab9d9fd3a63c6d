"""Environment files as people bring them, resolved and installed by the real compiler."""

import pytest

from skerry_cloud.blobs import BlobStore
from skerry_contract.errors import EnvironmentFileError, InitFailedError
from support.modules import Build, stored

# The first build fetches and compresses a whole base.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

DECORATED = """
import idna, six
from inference_schema.schema_decorators import input_schema
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
def init():
    pass
@input_schema("data", StandardPythonParameterType("four"))
def run(data):
    return len(data)
"""
OF_AZURE = {
    "score.py": DECORATED,
    "env/conda.yml": """
name: project
channels: [anaconda, conda-forge]
dependencies:
- python=3.8
- _libgcc_mutex=0.1=main
- pip:
  - azureml-defaults>=1.0.45
  - -r ../more.txt
""",
    "more.txt": "--prefer-binary\nsix==1.17.0\nidna  # both are imported\n",
}
PROJECT = """
[project]
name = "scorer"
dependencies = ["six==1.17.0"]
[dependency-groups]
serve = ["idna==3.10"]
"""
CHOOSES = """
import importlib.util
def init():
    assert importlib.util.find_spec("six") and importlib.util.find_spec("idna")
def run(data):
    return 1
"""


def test_a_conda_file_of_azure_brings_what_its_script_imports(
    build: Build, blobs: BlobStore, log: list[str]
) -> None:
    image = build(files=stored(blobs, OF_AZURE), environment="env/conda.yml")
    assert image.checked == "yes"
    told = "\n".join(log)
    assert "asks for Python 3.8; modules run on Python 3.11" in told
    assert "azureml-defaults is left out: the scorer host takes its place" in told
    assert "inference-schema is added" in told
    assert "of it: _libgcc_mutex" in told


def test_a_group_of_a_project_is_installed_where_it_is_named(
    build: Build, blobs: BlobStore
) -> None:
    files = stored(blobs, {"score.py": CHOOSES, "pyproject.toml": PROJECT})
    assert build(files=files, environment="pyproject.toml[serve]").checked == "yes"
    with pytest.raises(InitFailedError):
        build(files=files, environment="pyproject.toml")


def test_a_file_that_is_named_and_not_there_is_told(build: Build, blobs: BlobStore) -> None:
    files = stored(blobs, {"score.py": CHOOSES, "e.txt": "-r gone.txt"})
    with pytest.raises(EnvironmentFileError, match=r"there is no 'gone\.txt'"):
        build(files=files, environment="e.txt")
