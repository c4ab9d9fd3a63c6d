"""``skerry model convert`` with real libraries: what is registered, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from skerry import login
from skerry.login import Login
from support.fake_cloud import TOKEN, FakeCloud
from support.skerry_command import Skerry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def skerry(cloud: FakeCloud, tmp_path: Path) -> Skerry:
    file = tmp_path / "login.json"
    login.write(file, Login(cloud.url, TOKEN))
    return Skerry(file, tmp_path, timeout_s=240, inherits=True)


@pytest.fixture
def convert(skerry: Skerry, converters: Path) -> Any:
    def run(*args: object) -> Any:
        return skerry("model", "convert", *args, "--cache", converters, "--output", "json")

    return run


def test_scikit_learn_becomes_a_new_version_that_says_the_same(
    skerry: Skerry, cloud: FakeCloud, convert: Any, models: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "iris.joblib").write_bytes((models / "iris.joblib").read_bytes())
    (folder / "labels.txt").write_text("setosa\n")
    skerry.ok("model", "register", "-p", folder, "-n", "iris", "--tag", "site=lisbon")

    done = convert("iris:1", "--to", "onnx", "--trust", "--golden", models / "iris.npz")

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["agreement"], said["samples"], said["random_samples"]) == (1.0, 150, False)
    assert [one["task"] for one in said["outputs"]] == ["labels", "classification"]
    assert said["after"]["memory_bytes"] < said["before"]["memory_bytes"]
    made = cloud.models["iris"][1]
    assert [file["path"] for file in made["files"]] == ["models/iris.onnx", "models/labels.txt"]
    assert (made["parent"], made["properties"]["converted-from"]) == ("iris:1", "pickle")
    assert "parent" not in made["properties"]
    assert (made["framework"], made["tags"]) == ("ONNX", {"site": "lisbon"})
    assert "bubblewrap does not work" not in done.stderr


def test_code_of_others_does_not_run_unless_it_is_trusted(
    skerry: Skerry, cloud: FakeCloud, convert: Any, models: Path
) -> None:
    skerry.ok("model", "register", "-p", models / "line.pkl", "-n", "line")

    refused = convert("line:1", "--to", "onnx")
    assert refused.returncode == 1
    assert "--trust" in json.loads(refused.stdout)["error"]["remedy"]
    assert len(cloud.models["line"]) == 1

    done = convert("line:1", "--to", "onnx", "--trust", "--name", "line-onnx")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"][0]["task"] == "regression"
    assert "weak proof" in done.stderr
    assert cloud.models["line-onnx"][0]["properties"]["compared-on"] == "32 made-up samples"


def test_a_pickle_of_something_else_says_what_it_is(
    skerry: Skerry, cloud: FakeCloud, convert: Any, models: Path
) -> None:
    skerry.ok("model", "register", "-p", models / "other.pkl", "-n", "other")
    done = convert("other:1", "--to", "onnx", "--trust")
    assert (done.returncode, len(cloud.models["other"])) == (1, 1)
    assert "holds a dict" in json.loads(done.stdout)["error"]["text"]


@pytest.mark.parametrize("quantize", ["none", "dynamic", "int8"])
def test_an_onnx_graph_is_optimised(
    skerry: Skerry, cloud: FakeCloud, convert: Any, models: Path, quantize: str
) -> None:
    skerry.ok("model", "register", "-p", models / "mlp.onnx", "-n", "mlp")
    given = ("--quantize", quantize, "--golden", models / "mlp.npz", "--min-agreement", "0.9")

    done = convert("mlp:1", "--to", "onnx", *given, "--calibration", models / "mlp.npz")

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    if quantize != "none":
        assert said["after"]["size_bytes"] * 3 < said["before"]["size_bytes"]
    assert cloud.models["mlp"][1]["properties"]["quantize"] == quantize


def test_what_agrees_too_little_is_not_registered_and_the_numbers_are_shown(
    skerry: Skerry, cloud: FakeCloud, convert: Any, models: Path
) -> None:
    skerry.ok("model", "register", "-p", models / "mlp.onnx", "-n", "mlp")
    given = ("--quantize", "int8", "--golden", models / "mlp.npz")

    # Ranges from inputs that are ten thousand times too small: all others are cut off.
    done = convert("mlp:1", "--to", "onnx", *given, "--calibration", models / "far-off.npz")

    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "GOLDEN"
    assert "at least 99.00% are wanted" in error["text"]
    assert "latency, median" in error["detail"]
    assert "classification" in error["detail"]
    assert len(cloud.models["mlp"]) == 1


def test_a_golden_set_of_another_shape_is_refused_with_both_shapes(
    skerry: Skerry, cloud: FakeCloud, convert: Any, models: Path
) -> None:
    skerry.ok("model", "register", "-p", models / "mlp.onnx", "-n", "mlp")
    done = convert("mlp:1", "--to", "onnx", "--golden", models / "iris.npz")
    assert done.returncode == 1
    assert "[64], not [4]" in json.loads(done.stdout)["error"]["text"]
    assert len(cloud.models["mlp"]) == 1


def test_nothing_is_registered_when_the_time_is_up(
    skerry: Skerry, cloud: FakeCloud, convert: Any, models: Path
) -> None:
    skerry.ok("model", "register", "-p", models / "mlp.onnx", "-n", "mlp")
    done = convert("mlp:1", "--to", "onnx", "--timeout", "0.01")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "DEADLINE"
    assert len(cloud.models["mlp"]) == 1
