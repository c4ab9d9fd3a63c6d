"""Local services in containers of a real engine, with a real image."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.conda_dependencies import CondaDependencies
from skerry.environment import Environment
from skerry.local import processes
from skerry.local.places import Places
from skerry.model import InferenceConfig, Model
from skerry.webservice import LocalWebservice, Webservice
from skerry.workspace import Workspace
from skerry_contract.errors import EnvironmentFileError, InitFailedError, UnauthorizedError
from support.dockerd import Dockerd
from support.doubler import Doubler
from support.skerry_command import Skerry
from support.waiting import eventually

# The first build of a module fetches and compresses a whole base.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SCRIPT = """
import os, sys
import six

def init():
    global word
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "weights.txt")) as file:
        word = file.read()

def run(data):
    return ["ahoy", word, six.__version__, os.environ["SITE"], sys.executable, os.getcwd()]
"""
ASK = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], data=b"{}", timeout=20).read().decode())
"""


@pytest.fixture
def ws(doubler: Doubler) -> Workspace:
    return Workspace.from_config(doubler.skerry.login_file)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a script, places of the test's own, and the way to the engine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{dockerd.socket}")
    monkeypatch.chdir(tmp_path)
    Path("score.py").write_text(SCRIPT)
    yield tmp_path
    for service in Webservice.list():
        service.delete()
    assert dockerd.docker("ps", "--all", "--quiet") == ""


@pytest.fixture
def config() -> InferenceConfig:
    environment = Environment("boats")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["six==1.17.0"])
    environment.environment_variables["SITE"] = "porch"
    return InferenceConfig("score.py", environment=environment)


def deployed(ws: Workspace, config: InferenceConfig) -> LocalWebservice:
    target = LocalWebservice.deploy_configuration(container=True)
    model = Model(ws, name="weights")
    service = Model.deploy(ws, "boats", [model], config, target, overwrite=True)
    assert isinstance(service, LocalWebservice)
    return service


def ask(dockerd: Dockerd, service: LocalWebservice) -> list[str]:
    """Score where the engine's network is."""
    url = f"http://127.0.0.1:{service.port}/score"
    found: list[str] = json.loads(dockerd.inside(sys.executable, "-c", ASK, url))
    return found


def test_it_serves_reloads_and_is_gone(
    ws: Workspace, dockerd: Dockerd, config: InferenceConfig
) -> None:
    before = {one.name for one in ws.api.modules()}
    service = deployed(ws, config)
    service.wait_for_deployment(timeout_sec=120)
    assert service.state == "running"
    expected = ["ahoy", "2", "1.17.0", "porch", "/usr/bin/python3.11", "/var/azureml-app"]
    assert ask(dockerd, service) == expected
    assert {one.name for one in ws.api.modules()} == before
    [container] = dockerd.docker("ps", "--format", "{{.Names}}").split()
    assert container.startswith("skerry-boats-")

    images = sorted(dockerd.docker("images", "--quiet").split())
    Path("score.py").write_text(SCRIPT.replace("ahoy", "adieu"))
    LocalWebservice(ws, "boats").reload()
    assert ask(dockerd, service) == ["adieu", *expected[1:]]
    assert sorted(dockerd.docker("images", "--quiet").split()) == images
    assert "ready" in service.get_logs()

    service.delete()
    assert dockerd.docker("ps", "--all", "--quiet") == ""


def test_a_script_that_cannot_start_says_why_and_what_served_goes_on(
    ws: Workspace, dockerd: Dockerd, config: InferenceConfig, folder: Path
) -> None:
    service = deployed(ws, config)
    service.wait_for_deployment(timeout_sec=120)
    Path("score.py").write_text(SCRIPT.replace("import six", "import sixty"))
    with pytest.raises(InitFailedError) as caught:
        service.reload()
    assert "No module named 'sixty'" in caught.value.detail
    assert f'"{folder}/score.py"' in caught.value.detail
    assert ask(dockerd, service)[0] == "ahoy"


def test_what_a_killed_client_leaves_is_removed(
    ws: Workspace, dockerd: Dockerd, config: InferenceConfig
) -> None:
    service = deployed(ws, config)
    service.wait_for_deployment(timeout_sec=120)
    [host] = processes.find(Places.standard().services / "boats")
    os.kill(host.pid, signal.SIGKILL)
    eventually(lambda: service.state == "failed", within_s=30)
    assert len(dockerd.docker("ps", "--quiet").split()) == 1
    again = deployed(ws, config)
    again.wait_for_deployment(timeout_sec=120)
    assert ask(dockerd, again)[0] == "ahoy"
    assert len(dockerd.docker("ps", "--quiet").split()) == 1


def test_what_a_container_cannot_have_is_refused(ws: Workspace, config: InferenceConfig) -> None:
    target = LocalWebservice.deploy_configuration(container=True)
    with pytest.raises(UnauthorizedError, match="built by a server"):
        Model.deploy(None, "boats", [], config, target)
    own = Environment("own")
    own.python.user_managed_dependencies = True
    with pytest.raises(EnvironmentFileError):
        Model.deploy(ws, "boats", [], InferenceConfig("score.py", environment=own), target)


def test_a_package_is_pulled_into_docker(
    ws: Workspace, doubler: Doubler, dockerd: Dockerd, config: InferenceConfig, folder: Path
) -> None:
    Path("score.py").write_text(SCRIPT.replace('os.environ["SITE"]', '"nowhere"'))
    model = Model(ws, name="weights")
    package = Model.package(ws, [model], config, image_name="boat-scorer", image_label="blue")
    package.wait_for_creation()
    name = package.pull()
    assert name == "skerry/boat-scorer:blue"
    shown = json.loads(dockerd.docker("image", "inspect", name, "skerry/boat-scorer:1"))
    assert shown[0]["Id"] == shown[1]["Id"]
    assert package.serialize()["location"].endswith("/boat-scorer:1")
    dockerd.docker("rmi", name, "skerry/boat-scorer:1")

    Path("conda.yml").write_text("dependencies:\n- six=1.17.0\n")
    command = Skerry(doubler.skerry.login_file, folder, timeout_s=100, inherits=True)
    asked = ("-m", "weights:1", "--entry-script", "score.py", "--conda-file", "conda.yml")
    said = command.ok("model", "package", *asked, "--in", "boat-scorer", "--pull")
    assert "skerry/boat-scorer:2" in said
    dockerd.docker("rmi", "skerry/boat-scorer:2")
    context = ("--generate-docker-context", "--output-path", "context")
    command.ok("model", "package", *asked, "--in", "boat-scorer", *context)
    assert Path("context/Dockerfile").is_file()
    command.ok("model", "deploy", "-n", "boats", *asked, "--container")
    service = LocalWebservice(ws, "boats")
    assert ask(dockerd, service)[:3] == ["ahoy", "2", "1.17.0"]
    assert service.serialize()["image"].startswith("skerry-local:")
