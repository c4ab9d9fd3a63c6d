"""The SDK from files to answers: a real server, real scorer hosts, and the command line."""

import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

import skerry
from skerry.conda_dependencies import CondaDependencies
from skerry.environment import Environment
from skerry.model import InferenceConfig, Model
from skerry.webservice import EdgeModule, LocalWebservice, Webservice
from skerry.workspace import Workspace
from skerry_contract.errors import (
    ConflictError,
    InitFailedError,
    ManifestError,
    ModelError,
    NameInvalidError,
    NotFoundError,
    ScorerError,
    UnauthorizedError,
)
from support.cloud_server import CloudServer
from support.skerry_command import Skerry

SCRIPT = """\
import json
import os

def init():
    global words
    folder = os.path.join(os.environ["AZUREML_MODEL_DIR"], "models")
    with open(os.path.join(folder, "words.json")) as file:
        words = json.load(file)

def run(data):
    text = json.loads(data)["text"]
    return {"label": words.get(text, "NEUTRAL"), "greeting": os.environ.get("GREETING")}
"""


@pytest.fixture(name="folder", autouse=True)
def folder_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with models and a script, and places of the test's own for services."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    work = tmp_path / "work"
    (work / "models").mkdir(parents=True)
    (work / "models" / "words.json").write_text('{"great": "POSITIVE"}')
    (work / "models" / "notes.txt").write_text("not needed")
    (work / "score.py").write_text(SCRIPT)
    monkeypatch.chdir(work)
    yield work
    for service in Webservice.list():
        service.delete()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudServer]:
    with CloudServer(tmp_path / "server") as running:
        yield running


@pytest.fixture
def ws(cloud: CloudServer, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("SKERRY_LOGIN", cloud.ready.login)
    return Workspace.from_config()


def environment() -> Environment:
    made = Environment(name="myenv")
    packages = CondaDependencies()
    packages.add_conda_package("click")
    packages.add_pip_package("azureml-defaults")
    made.python.conda_dependencies = packages
    made.environment_variables["GREETING"] = "hello"
    return made


def test_from_a_folder_of_files_to_an_answer(folder: Path, ws: Workspace) -> None:
    model = Model.register(
        model_path="./models",
        model_name="sentiment",
        description="Made elsewhere",
        tags={"task": "text"},
        workspace=ws,
    )
    assert (model.id, model.tags, model.description) == (
        "sentiment:1",
        {"task": "text"},
        "Made elsewhere",
    )
    inference_config = InferenceConfig(entry_script="score.py", environment=environment())
    deployment_config = LocalWebservice.deploy_configuration()
    service = Model.deploy(
        ws, "myservice", [Model(ws, name="sentiment")], inference_config, deployment_config
    )
    assert isinstance(service, LocalWebservice)
    service.wait_for_deployment(True)
    assert service.state == "running"
    body = json.dumps({"text": "great"})
    answer = requests.post(
        service.scoring_uri, data=body, headers={"Content-Type": "application/json"}, timeout=20
    )
    assert answer.json() == {"label": "POSITIVE", "greeting": "hello"}
    assert service.run(body) == answer.json()
    assert "paths" in requests.get(service.swagger_uri, timeout=20).json()
    assert "ready" in service.get_logs()
    assert service.models == ["sentiment:1"]

    again = LocalWebservice(ws, "myservice")
    with pytest.raises(ConflictError):
        Model.deploy(ws, "myservice", [model], inference_config, deployment_config)
    (folder / "score.py").write_text(SCRIPT.replace("NEUTRAL", "UNSURE"))
    again.reload()
    assert again.run('{"text": "?"}')["label"] == "UNSURE"

    (folder / "models" / "words.json").write_text('{"great": "SUPERB"}')
    newer = Model.register(ws, "models", "sentiment")
    port = again.port
    again.update(models=[newer])
    assert again.run(body)["label"] == "SUPERB"
    assert (again.port, again.models) == (port, ["sentiment:2"])
    again.delete()
    assert service.state == "deleted"
    with pytest.raises(NotFoundError):
        _ = service.scoring_uri


def test_the_registry(folder: Path, ws: Workspace, tmp_path: Path) -> None:
    Model.register(ws, "models", "words", tags={"a": "1"}, child_paths=["words.json"])
    Model.register(ws, "models", "words", tags={"a": "2"}, model_framework=Model.Framework.CUSTOM)
    Model.register(ws, folder / "score.py", "script")
    names = [one.id for one in Model.list(ws)]
    assert names == ["script:1", "words:2", "words:1"]
    assert [one.id for one in Model.list(ws, latest=True)] == ["script:1", "words:2"]
    assert [one.id for one in Model.list(ws, tags=[["a", "1"]])] == ["words:1"]
    assert [one.id for one in Model.list(ws, tags=["a"], model_framework="Custom")] == ["words:2"]
    first = Model(ws, name="words", version=1)
    assert [file.path for file in first.files] == ["models/words.json"]
    assert Model(ws, name="words").version == 2
    assert Model(ws, id="words:1").id == "words:1"
    assert Model(ws, id="words").id == Model(ws, id="words:latest").id == "words:2"
    assert Model(ws, id=f"words@{first.with_files().digest}").id == "words:1"
    with pytest.raises(NotFoundError):
        Model(ws, id=f"words@sha256:{'0' * 64}")
    with pytest.raises(NameInvalidError):
        Model(ws, id="words:one")
    assert Model(ws, name="words", tags=[["a", "1"]]).id == "words:1"
    assert first.download(tmp_path / "there") == str(tmp_path / "there" / "models")
    assert sorted(p.name for p in (tmp_path / "there" / "models").iterdir()) == ["words.json"]
    with pytest.raises(ConflictError):
        first.download(tmp_path / "there")
    first.download(tmp_path / "there", exist_ok=True)
    assert Path(Model.get_model_path("script")).read_text() == SCRIPT
    with pytest.raises(ModelError, match="absent"):
        Model.register(ws, "models", "words", child_paths=["absent"])
    first.add_tags({"b": "3"})
    first.remove_tags(["a"])
    first.add_properties({"accuracy": "0.9"})
    with pytest.raises(ConflictError):
        first.add_properties({"accuracy": "1"})
    first.update(description="words")
    again = Model(ws, name="words", version=1)
    assert (again.tags, again.properties) == ({"b": "3"}, {"accuracy": "0.9"})
    assert again.description == "words"
    again.update(tags={"c": "4"})
    assert (again.tags, again.description) == ({"c": "4"}, "words")
    first.delete()
    with pytest.raises(NotFoundError):
        Model(ws, name="words", version=1)
    with pytest.raises(NotFoundError):
        Model(ws, name="nobody")


def test_without_a_server_files_can_be_served() -> None:
    config = InferenceConfig("score.py")
    service = Model.deploy(None, "files", ["models"], config)
    service.wait_for_deployment()
    assert isinstance(service, LocalWebservice)
    assert service.run('{"text": "great"}')["label"] == "POSITIVE"
    assert [one.name for one in Webservice.list()] == ["files"]
    with pytest.raises(ScorerError, match="500"):
        service.run("{}")


def test_a_broken_script_says_why(folder: Path) -> None:
    (folder / "score.py").write_text("def init():\n    import absent\n\ndef run(d):\n    pass\n")
    service = Model.deploy(None, "broken", [], InferenceConfig("score.py"))
    assert isinstance(service, LocalWebservice)
    with pytest.raises(InitFailedError) as caught:
        service.wait_for_deployment()
    assert any("No module named 'absent'" in note for note in caught.value.__notes__)
    assert service.state == "failed"
    assert "No module named 'absent'" in service.get_logs()


def test_without_a_login_the_remedy_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKERRY_LOGIN", str(tmp_path / "none.json"))
    with pytest.raises(UnauthorizedError) as caught:
        Workspace.from_config()
    assert "skerry up" in caught.value.remedy


def test_the_target_changes_with_the_configuration_only(ws: Workspace, cloud: CloudServer) -> None:
    cloud.add_device("line-1")
    model = Model.register(ws, "models", "sentiment")
    config = InferenceConfig("score.py", environment=environment())
    target = EdgeModule.deploy_configuration(["line-1"], stream="labels")
    service = Model.deploy(ws, "guard", [model], config, target)
    assert isinstance(service, EdgeModule)
    assert service.state == "Transitioning"
    assert list(service.devices) == ["line-1"]
    pushed = cloud.get("/v1/deployments/guard/latest")
    assert "labels" in json.dumps(pushed)
    assert "hello" in json.dumps(pushed)
    built = cloud.get("/v1/modules/guard/1")
    assert built["models"] == ["sentiment:1"]
    with pytest.raises(ConflictError):
        Model.deploy(ws, "guard", [model], config, target)
    Model.deploy(ws, "guard", [model], config, target, overwrite=True)
    service.delete()


def test_code_in_models_is_refused_before_the_long_build(ws: Workspace, cloud: CloudServer) -> None:
    cloud.add_device("line-1")
    Path("models", "words.pkl").write_bytes(pickle.dumps({"great": "POSITIVE"}))
    model = Model.register(ws, "models", "sentiment")
    assert model.executes_code == ("models/words.pkl",)
    config = InferenceConfig("score.py")
    with pytest.raises(ManifestError, match=r"models/words\.pkl of sentiment:1") as caught:
        Model.deploy(ws, "guard", [model], config, EdgeModule.deploy_configuration(["line-1"]))
    assert "allow_code_in_models=True" in caught.value.remedy
    assert cloud.get("/v1/modules")["modules"] == []
    allowed = EdgeModule.deploy_configuration(["line-1"], allow_code_in_models=True)
    Model.deploy(ws, "guard", [model], config, allowed).delete()


def test_a_package_is_a_module_that_is_deployed_nowhere(ws: Workspace) -> None:
    model = Model.register(ws, "models", "sentiment")
    package = Model.package(ws, [model], InferenceConfig("score.py"))
    package.wait_for_creation()
    assert package.state == "Succeeded"
    assert package.location.endswith("/sentiment-scorer:1")
    assert package.get_logs()
    saved = package.save("saved")
    assert (saved, Path(saved).is_file()) == ("saved/image.tar", True)
    with pytest.raises(ConflictError):
        package.save("saved")


@pytest.mark.parametrize("name", ["Model", "Workspace", "Environment", "LocalWebservice"])
def test_names_come_from_the_package_itself(name: str) -> None:
    assert getattr(skerry, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = skerry.Absent


def test_the_command_line_reads_the_same_files(folder: Path, ws: Workspace) -> None:
    Model.register(ws, "models", "sentiment")
    (folder / "inferenceConfig.json").write_text(
        '{\n   "entryScript": "score.py", "runtime": "python",\n   "condaFile": "myenv.yml"\n}\n'
    )
    (folder / "myenv.yml").write_text(
        "name: e\ndependencies:\n- python=3.6.2\n- click\n- pip:\n    - azureml-defaults\n"
    )
    (folder / "deploymentConfig.json").write_text('{\n    "computeType": "LOCAL"\n}\n')
    skerry_command = Skerry(Path(os.environ["SKERRY_LOGIN"]), folder, inherits=True)
    files = ("--ic", "inferenceConfig.json", "--dc", "deploymentConfig.json")
    deploy = ("model", "deploy", "-n", "myservice", "-m", "sentiment:1", *files)
    assert "running" in skerry_command.ok(*deploy)
    assert skerry_command(*deploy).returncode == 1
    by_content = f"sentiment@{Model(ws, id='sentiment').with_files().digest}"
    again = ("model", "deploy", "-n", "myservice", "--overwrite", *files)
    for reference in (by_content, "sentiment", "sentiment:latest"):
        skerry_command.ok(*again, "-m", reference)
    refused = skerry_command(*again, "-m", "sentiment:one")
    assert (refused.returncode, "reference to a model" in refused.stderr) == (2, True)
    [listed] = json.loads(skerry_command.ok("service", "list", "--output", "json"))
    assert (listed["name"], listed["state"]) == ("myservice", "running")
    answer = skerry_command.ok("service", "run", "myservice", "-d", '{"text": "great"}')
    assert json.loads(answer)["label"] == "POSITIVE"
    (folder / "score.py").write_text(SCRIPT.replace("NEUTRAL", "UNSURE"))
    skerry_command.ok("service", "reload", "myservice")
    assert "UNSURE" in skerry_command.ok("service", "run", "myservice", stdin='{"text": "?"}')
    assert "ready" in skerry_command.ok("service", "logs", "myservice")
    (folder / "score.py").write_text("def init():\n    1 / 0\ndef run(d):\n    pass\n")
    failed = skerry_command("service", "reload", "myservice")
    assert failed.returncode == 1
    assert "ZeroDivisionError" in failed.stderr
    assert "running" in skerry_command.ok("service", "show", "myservice")
    assert skerry_command.ok("service", "delete", "myservice")
    (folder / "score.py").write_text(SCRIPT)
    packaged = skerry_command.ok("model", "package", "-m", "sentiment:latest", *files[:2])
    assert packaged.startswith("sentiment-scorer:1")
