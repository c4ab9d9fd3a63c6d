"""What else the SDK's users try: profiles, services by name, modules updated, models described."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.model import InferenceConfig, Model
from skerry.resource_configuration import ResourceConfiguration
from skerry.webservice import EdgeModule, LocalWebservice, Webservice
from skerry.workspace import Workspace
from skerry_contract.errors import (
    ModelError,
    NameInvalidError,
    NotFoundError,
    RuntimeFailedError,
    ScorerError,
)
from support.cloud_server import CloudServer
from support.skerry_command import Skerry

pytestmark = pytest.mark.integration

SCRIPT = """
import json, os
def init():
    global words
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "words.json")) as file:
        words = json.load(file)
def run(data):
    return words[json.loads(data)["text"]]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("words.json").write_text('{"great": "POSITIVE"}')
    Path("score.py").write_text(SCRIPT)
    Path("inputs.jsonl").write_text('{"text": "great"}\n')
    yield tmp_path
    for service in Webservice.list():
        service.delete()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudServer]:
    with CloudServer(tmp_path / "server") as running:
        yield running


@pytest.fixture
def ws(cloud: CloudServer) -> Workspace:
    return Workspace.from_config(cloud.ready.login)


def test_a_profile_says_what_a_scorer_needs(ws: Workspace, folder: Path) -> None:
    model = Model.register(ws, "words.json", "words")
    config = InferenceConfig("score.py")

    profile = Model.profile(ws, "words-small", [model], config, "inputs.jsonl", cpu=0.5)

    profile.wait_for_completion(show_output=True)
    details = profile.get_details()
    assert (details["name"], details["requestedCpu"], profile.state) == (
        "words-small",
        0.5,
        "Succeeded",
    )
    assert details["totalQueries"] == details["successQueries"] > 0
    assert 0 < profile.recommended_cpu <= 0.5
    assert 0 < profile.recommended_memory < 0.5
    profile.plot(folder / "profile.svg")
    assert (folder / "profile.svg").read_text().startswith("<svg")

    failed = Model.profile(ws, "words-wrong", [model], config, ['{"text": "?"}'])
    assert failed.state == "Failed"
    with pytest.raises(ScorerError) as caught:
        failed.wait_for_completion()
    assert "KeyError" in caught.value.detail
    with pytest.raises(ScorerError, match="no request bodies"):
        Model.profile(ws, "words-none", [model], config, [])
    with pytest.raises(RuntimeFailedError, match="more memory"):
        Model.profile(ws, "words-tiny", [model], config, "inputs.jsonl", memory_in_gb=0.005)


def test_a_service_is_found_by_its_name_whatever_it_is(ws: Workspace, cloud: CloudServer) -> None:
    cloud.add_device("line-1")
    model = Model.register(ws, "words.json", "words")
    config = InferenceConfig("score.py")
    local = Model.deploy(ws, "here", [model], config, show_output=True)
    local.wait_for_deployment()
    Model.deploy(ws, "there", [model], config, EdgeModule.deploy_configuration(["line-1"]))

    here, there = Webservice(ws, "here"), Webservice(ws, "there")

    assert isinstance(here, LocalWebservice)
    assert (here.run('{"text": "great"}'), here.error) == ("POSITIVE", None)
    assert isinstance(there, EdgeModule)
    assert there.serialize()["devices"] == {"line-1": "waiting"}
    assert Webservice.deserialize(ws, here.serialize()).name == "here"
    assert [one.name for one in Webservice.list(ws, compute_type="LOCAL")] == ["here"]
    assert [one.name for one in Webservice.list(ws, model_name="words")] == ["here"]
    assert Webservice.list(ws, model_id="words:2") == []
    assert Webservice.list(ws, compute_type="AKS") == []
    for missing in (Webservice, LocalWebservice):
        with pytest.raises(NotFoundError):
            missing(ws, "nowhere")
    assert LocalWebservice(ws, "nowhere", must_exist=False).state == "deleted"


def test_an_edge_module_is_updated_with_what_it_had(ws: Workspace, cloud: CloudServer) -> None:
    cloud.add_device("line-1")
    model = Model.register(ws, "words.json", "words")
    target = EdgeModule.deploy_configuration(["line-1"], stream="labels")
    service = Model.deploy(ws, "guard", [model], InferenceConfig("score.py"), target)
    assert isinstance(service, EdgeModule)
    Path("score.py").write_text(SCRIPT + "# mended\n")

    service.update(inference_config=InferenceConfig("score.py"))

    pushed = cloud.get("/v1/deployments/guard/latest")
    manifest = json.loads(pushed["manifest"])
    assert pushed["version"] == 2
    assert manifest["modules"]["guard"] == {"image": "guard:2", "stream": "labels"}
    assert cloud.get("/v1/modules/guard/2")["models"] == ["words:1"]
    with pytest.raises(ScorerError, match="no inference_config"):
        service.update()


def test_a_model_says_all_that_is_known_of_it(ws: Workspace) -> None:
    first = Model.register(ws, "words.json", "words")
    model = Model.register(
        ws,
        "words.json",
        "words",
        datasets=[("training", "s3://bucket/words")],
        sample_input_dataset="inputs.jsonl",
        resource_configuration=ResourceConfiguration(cpu=0.5, memory_in_gb=0.25),
    )
    model.update_tags_properties(add_tags={"site": "porch"}, add_properties={"accuracy": "0.9"})
    told = model.serialize()
    assert (told["id"], told["tags"], told["properties"]) == (
        "words:2",
        {"site": "porch"},
        {"accuracy": "0.9"},
    )
    assert told["datasets"] == {"training": ["s3://bucket/words"]}
    assert model.resource_configuration == ResourceConfiguration(0.5, 0.25, None)
    assert model.sample_input_dataset is not None
    assert (first.resource_configuration, first.sample_output_dataset) == (None, None)
    assert Model.deserialize(ws, told).id == "words:2"
    assert [one.id for one in Model.list(ws, dataset_id="s3://bucket/words")] == ["words:2"]
    assert Model.list(ws, run_id="run-7") == []
    with pytest.raises(NotFoundError):
        Model(ws, name="words", run_id="run-7")
    with pytest.raises(ModelError, match="resource_configuration") as caught:
        model.update(resource_configuration=ResourceConfiguration(1))  # type: ignore[arg-type]
    assert "next version" in caught.value.remedy


def test_what_was_not_said_is_asked_for(ws: Workspace) -> None:
    model = Model.register(ws, "words.json", "words")
    for call in (Model.deploy, Model.package):
        arguments = (ws, "guess", [model]) if call is Model.deploy else (ws, [model])
        with pytest.raises(ScorerError, match="no inference_config") as caught:
            call(*arguments)
        assert "score.py" in caught.value.remedy
    with pytest.raises(NameInvalidError, match="image_label"):
        Model.package(ws, [model], InferenceConfig("score.py"), image_label="a b")
    made = Path(ws.write_config(Path.cwd()))
    assert Workspace.from_config(made).get_details() == ws.get_details()


def test_the_command_packages_for_elsewhere(ws: Workspace, cloud: CloudServer) -> None:
    Model.register(ws, "words.json", "words")
    skerry = Skerry(Path(cloud.ready.login), Path.cwd(), inherits=True)
    package = ("model", "package", "-m", "words:1", "--entry-script", "score.py")

    said = skerry.ok(*package, "--output-path", "image", "--output", "json")
    assert (json.loads(said)["saved"], Path("image/image.tar").is_file()) == (
        "image/image.tar",
        True,
    )
    refused = skerry(*package, "--generate-docker-context")
    assert (refused.returncode, "--output-path" in refused.stderr) == (2, True)
    refused = skerry("model", "deploy", "-n", "a", "--entry-script", "score.py", "--container")
    assert (refused.returncode, "SKERRY" not in refused.stderr) == (1, True)
