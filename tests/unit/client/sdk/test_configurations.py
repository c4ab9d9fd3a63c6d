"""Environments, inference and deployment configurations, without anything to run them."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from skerry import deployment_config
from skerry.answers import DeviceProgress
from skerry.conda_dependencies import CondaDependencies
from skerry.deploying import Order
from skerry.edge_module import EdgeConfiguration, state_of
from skerry.environment import Environment
from skerry.explained import explained
from skerry.inference import InferenceConfig, Source
from skerry.local_deploy import LocalConfiguration
from skerry_contract.errors import (
    ConflictError,
    EnvironmentFileError,
    ManifestError,
    ScorerError,
    SkerryError,
)

SCRIPT = "def init():\n    pass\n\n\ndef run(data):\n    return data\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").write_text(SCRIPT)
    return tmp_path


# --- packages -----------------------------------------------------------------------------------


def test_packages_are_collected_as_a_conda_file_says_them() -> None:
    made = CondaDependencies.create(["flask"], ["numpy=1.26"], python_version="3.11")
    made.add_conda_package("scipy")
    made.add_conda_package("numpy=1.25")
    made.add_pip_package("azureml-defaults")
    made.add_channel("conda-forge")
    assert made.as_dict() == {
        "name": "project_environment",
        "channels": ["conda-forge"],
        "dependencies": [
            "python=3.11",
            "numpy=1.25",
            "scipy",
            {"pip": ["flask", "azureml-defaults"]},
        ],
    }
    assert made.conda_packages == ["numpy=1.25", "scipy"]
    assert set(made.requirements().lines) == {"flask", "numpy==1.25.*", "scipy"}
    assert "azureml-defaults is left out" in " ".join(made.requirements().notes)


def test_packages_can_be_taken_back() -> None:
    made = CondaDependencies.create(["a", "b"], ["c"])
    made.remove_pip_package("A")
    made.remove_conda_package("c")
    assert (made.pip_packages, made.conda_packages) == (["b"], [])
    made.set_pip_option("--index-url https://example.org/simple")
    made.set_pip_requirements(["d"])
    assert made.pip_packages == ["d"]
    assert made.requirements().indexes == ("--index-url", "https://example.org/simple")


def test_a_conda_file_comes_back_as_it_went(folder: Path) -> None:
    made = CondaDependencies.create(["flask==3.0"], ["numpy"])
    assert made.save_to_file(folder, "env.yml") == "env.yml"
    assert CondaDependencies(folder / "env.yml").as_dict() == made.as_dict()


@pytest.mark.parametrize("text", ["dependencies: [1]", "- a", "a: [", "dependencies: {pip: x}"])
def test_what_is_no_conda_file_is_refused(folder: Path, text: str) -> None:
    (folder / "env.yml").write_text(text)
    with pytest.raises(EnvironmentFileError, match=r"env\.yml"):
        CondaDependencies(folder / "env.yml")


def test_an_environment_comes_back_from_its_folder(folder: Path) -> None:
    made = Environment("one")
    made.python.conda_dependencies = CondaDependencies.create(["flask"])
    made.environment_variables = {"A": "b"}
    made.docker.base_image = "debian:12"
    made.save_to_directory(folder / "env")
    with pytest.raises(ConflictError):
        made.save_to_directory(folder / "env")
    assert Environment.load_from_directory(folder / "env").as_document() == made.as_document()


def test_a_requirements_file_makes_an_environment(folder: Path) -> None:
    (folder / "r.txt").write_text("--extra-index-url https://e.org/s\nflask==3.0  # web\n")
    made = Environment.from_pip_requirements("r", folder / "r.txt").requirements()
    assert (made.lines, made.indexes) == (("flask==3.0",), ("--extra-index-url", "https://e.org/s"))


def test_who_looks_after_the_packages_himself_gets_none_installed() -> None:
    made = Environment("mine")
    made.python.conda_dependencies.add_pip_package("flask")
    assert (made.interpreter(), made.requirements().lines) == (None, ("flask",))
    made.python.user_managed_dependencies = True
    assert (made.interpreter(), made.requirements().lines) == (sys.executable, ())


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"pyhton": {}}, "pyhton"),
        ({"python": {"interpreter": ""}}, "interpreter"),
        ({"docker": {"image": ""}}, "image"),
        ({"environmentVariables": []}, "environmentVariables"),
    ],
)
def test_unknown_keys_of_an_environment_are_named(document: Any, place: str) -> None:
    with pytest.raises(EnvironmentFileError, match=place):
        Environment.from_document(document, "here", Path())


# --- scorers ------------------------------------------------------------------------------------


def test_a_script_alone_brings_nothing_along(folder: Path) -> None:
    (folder / "large.bin").write_bytes(b"x")
    found = InferenceConfig("score.py").resolve()
    assert (found.folder, found.files, found.entry_script) == (folder, ("score.py",), "score.py")


def test_a_source_directory_is_taken_whole(folder: Path) -> None:
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "src" / "deep" / "main.py").write_text(SCRIPT)
    found = InferenceConfig("deep/main.py", source_directory="src").resolve()
    assert found == Source(folder / "src", (), "deep/main.py")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def init():\n    pass\ndef run(data)\n", "line 3"),
        ("def run(data): pass\n", r"init\(\)"),
        ("def init(): pass\n", r"run\(\)"),
    ],
)
def test_a_script_that_cannot_work_is_told_at_once(folder: Path, text: str, told: str) -> None:
    (folder / "score.py").write_text(text)
    with pytest.raises(ScorerError, match=told):
        InferenceConfig("score.py")


@pytest.mark.parametrize(
    "text",
    [
        "from others import *\n",
        "from others import init, run\n",
        "init = run = print\n",
        "if True:\n    def init(): pass\n    def run(data): pass\n",
    ],
)
def test_scripts_may_get_their_functions_from_elsewhere(folder: Path, text: str) -> None:
    (folder / "score.py").write_text(text)
    InferenceConfig("score.py").resolve()


@pytest.mark.parametrize("name", ["score.txt", "my-score.py", "1.py", "score"])
def test_scripts_are_called_like_modules(name: str) -> None:
    with pytest.raises(ScorerError):
        InferenceConfig(name)


def test_a_missing_script_is_told_when_it_is_needed(folder: Path) -> None:
    config = InferenceConfig("later.py")
    with pytest.raises(ScorerError, match=r"later\.py"):
        config.resolve()
    (folder / "later.py").write_text(SCRIPT)
    assert config.resolve().entry_script == "later.py"


def test_the_old_form_is_read_as_it_is(folder: Path) -> None:
    (folder / "myenv.yml").write_text(
        "name: e\ndependencies:\n- python=3.6.2\n- numpy\n- pip:\n  - flask\n"
    )
    (folder / "ic.json").write_text(
        '{\n  "entryScript": "score.py", "runtime": "python", "condaFile": "myenv.yml",\n'
        '  "extraDockerfileSteps": "steps", "enableGpu": true\n}'
    )
    found = InferenceConfig.from_file(folder / "ic.json").resolve()
    assert set(found.requirements.lines) == {"numpy", "flask"}
    notes = " ".join(found.notes)
    assert "3.6.2" in notes
    assert "extraDockerfileSteps" in notes
    assert "enableGpu" in notes


def test_the_new_form_is_read_as_it_is(folder: Path) -> None:
    (folder / "src").mkdir()
    (folder / "src" / "score.py").write_text(SCRIPT)
    environment = {
        "name": "e",
        "environmentVariables": {"A": 1},
        "docker": {"baseImage": "x", "enabled": False},
        "python": {"condaDependencies": {"channels": [], "dependencies": ["numpy"]}},
    }
    (folder / "ic.yml").write_text(
        json.dumps(
            {"entryScript": "score.py", "sourceDirectory": "src", "environment": environment}
        )
    )
    found = InferenceConfig.from_file(folder / "ic.yml").resolve()
    assert found.folder == folder / "src"
    assert found.requirements.lines == ("numpy",)
    assert found.env == {"A": "1"}
    assert "docker" in " ".join(found.notes)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"entryscript": "score.py"}', "entryscript"),
        ('{"runtime": "python"}', "entryScript"),
        ('{"entryScript": "score.py", "runtime": "spark-py"}', "spark-py"),
        ("[]", "object"),
        ("{", "JSON or YAML"),
    ],
)
def test_wrong_inference_files_are_refused_by_name(folder: Path, text: str, told: str) -> None:
    (folder / "ic.json").write_text(text)
    with pytest.raises(ManifestError, match=told):
        InferenceConfig.from_file(folder / "ic.json")


# --- targets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["LOCAL", "local", "Local"])
def test_a_local_target(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "dc.json"
    file.write_text(json.dumps({"computeType": kind}))
    assert deployment_config.read(file) == LocalConfiguration()
    file.write_text(json.dumps({"computeType": kind, "port": 9000}))
    assert deployment_config.read(file) == LocalConfiguration(9000)


def test_an_edge_target(tmp_path: Path) -> None:
    file = tmp_path / "dc.json"
    inputs = {"cam": {"folder": "frames"}}
    file.write_text(json.dumps({"computeType": "edge", "devices": ["line-1"], "inputs": inputs}))
    assert deployment_config.read(file) == EdgeConfiguration(("line-1",), (), {"inputs": inputs})


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"computeType": "aks"}, "Azure"),
        ({"computeType": "ACI"}, "Azure"),
        ({"computeType": "moon"}, "moon"),
        ({}, "None"),
        ({"computeType": "local", "prot": 1}, "prot"),
        ({"computeType": "local", "port": 0}, "port"),
        ({"computeType": "edge"}, "devices"),
        ({"computeType": "edge", "devices": "line-1"}, "devices"),
        ({"computeType": "edge", "devices": ["line-1"], "restart": "maybe"}, "restart"),
        ({"computeType": "edge", "devices": ["x-1"], "allow_code_in_models": 1}, "allow_code"),
    ],
)
def test_other_targets_are_refused_by_name(tmp_path: Path, document: Any, told: str) -> None:
    file = tmp_path / "dc.json"
    file.write_text(json.dumps(document))
    with pytest.raises(ManifestError, match=told):
        deployment_config.read(file)


def test_the_manifest_of_an_edge_target_holds_its_settings() -> None:
    config = EdgeConfiguration.checked(["line-1"], [], {"env": {"A": "1"}, "stream": "s"})
    order = Order("guard", [], Source(Path("/src"), (), "score.py", env={"A": "0", "B": "2"}))
    found = json.loads(config.manifest(order, "guard:3"))
    assert found["target"] == {"devices": ["line-1"]}
    assert found["modules"]["guard"] == {
        "env": {"A": "1", "B": "2"},
        "stream": "s",
        "image": "guard:3",
    }


@pytest.mark.parametrize(
    ("phases", "state"),
    [
        (["committed", "committed"], "Healthy"),
        (["committed", "pulling"], "Transitioning"),
        (["pulling", "refused"], "Failed"),
    ],
)
def test_how_devices_make_a_state(phases: list[str], state: str) -> None:
    assert state_of([DeviceProgress(f"d-{i}", phase) for i, phase in enumerate(phases)]) == state


def test_an_error_says_all_it_knows_where_python_shows_it() -> None:
    error = SkerryError("text", remedy="do this", detail="Traceback")
    for _ in range(2):
        with pytest.raises(SkerryError), explained():
            raise error
    assert error.__notes__ == ["do this", "Traceback"]
