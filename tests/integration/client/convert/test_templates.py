"""Templates as people start from them: made, given a model, and held to their golden sets."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skerry.convert.families import LOCKS, Families
from skerry.demo.material import templates
from support.fake_cloud import FakeCloud
from support.scorer_host import HOST_FOLDER, TEMPLATES, ScorerHost
from support.skerry_command import Skerry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def python(converters: Path) -> Path:
    """Has what the templates' environment files ask for, and what their models are made with."""
    return Families(converters, print).provide("sklearn")


@contextmanager
def scoring(folder: Path, model: Path, python: Path, run_dir: Path) -> Iterator[ScorerHost]:
    packages = next(python.parents[1].glob("lib/python*/site-packages"))
    env = {"AZUREML_MODEL_DIR": str(model), "PYTHONPATH": f"{HOST_FOLDER}:{packages}"}
    run_dir.mkdir()
    host = ScorerHost(run_dir, folder, **env)
    try:
        yield host.ready()
    finally:
        host.kill()


def passes(host: ScorerHost) -> bool:
    found = host.request("POST", "/skerry/golden").json
    return bool(found["passed"] and found["cases"])


@pytest.mark.parametrize("name", ["scikit-learn", "onnx"])
def test_what_a_template_asks_for_is_what_it_is_tested_with(name: str) -> None:
    lock = (LOCKS / "sklearn.lock").read_text()
    wanted = (TEMPLATES / name / "environment.txt").read_text().split()
    assert wanted
    assert all(f"\n{need} " in f"\n{lock}" for need in wanted)


def test_the_plain_template_passes_its_golden_set(
    skerry: Skerry, python: Path, tmp_path: Path
) -> None:
    skerry.ok("module", "init", "--template", "python", tmp_path / "made")
    with scoring(tmp_path / "made", tmp_path, python, tmp_path / "run") as host:
        assert passes(host)


def test_scikit_learn_and_its_converted_model_pass_the_same_golden_set(
    skerry: Skerry, cloud: FakeCloud, converters: Path, python: Path, tmp_path: Path
) -> None:
    skerry.inherits, skerry.timeout_s = True, 200
    for name in ("scikit-learn", "onnx"):
        skerry.ok("module", "init", "--template", name)
    made = tmp_path / "scikit-learn"
    subprocess.run([python, made / "make_model.py", made / "model"], check=True, timeout=120)
    with scoring(made, made / "model", python, tmp_path / "run") as host:
        assert passes(host)

    skerry.ok("model", "register", "-p", made / "model", "-n", "iris")
    convert = ("model", "convert", "iris:1", "--to", "onnx", "--trust", "--cache", converters)
    skerry.ok(*convert)
    skerry.ok("model", "download", "iris:2", "--to", tmp_path / "iris")
    with scoring(tmp_path / "onnx", tmp_path / "iris", python, tmp_path / "run2") as host:
        assert passes(host)
    assert len(cloud.models["iris"]) == 2


def test_a_folder_that_holds_something_is_left_alone(skerry: Skerry, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "score.py").write_text("mine")

    done = skerry("module", "init", "--template", "python", tmp_path / "mine", "--output", "json")

    assert done.returncode == 1
    assert "holds files already" in json.loads(done.stdout)["error"]["text"]
    assert (tmp_path / "mine" / "score.py").read_text() == "mine"


def test_the_help_lists_all_templates(skerry: Skerry) -> None:
    said = skerry.ok("module", "init", "--help")
    assert templates()
    assert all(name in said for name in templates())
