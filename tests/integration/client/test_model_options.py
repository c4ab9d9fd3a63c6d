"""The options of ``skerry model`` as people type them, against a whole server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.cloud_server import CloudServer
from support.skerry_command import Skerry

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudServer]:
    with CloudServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def skerry(cloud: CloudServer, tmp_path: Path) -> Skerry:
    (tmp_path / "net").mkdir()
    for name in ("weights.bin", "labels.txt", "notes.md"):
        (tmp_path / "net" / name).write_text(f"{name} of {tmp_path.name}")
    return Skerry(Path(cloud.ready.login), tmp_path)


def told(skerry: Skerry, *args: object) -> Any:
    return json.loads(skerry.ok("model", *args, "--output", "json"))


def ids(listed: Any) -> list[str]:
    return [f"{one['name']}:{one['version']}" for one in listed]


def test_what_is_registered_with_a_model_is_shown(skerry: Skerry, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text("[1]")
    (tmp_path / "out.json").write_text("[2]")
    first = told(skerry, "register", "-p", "net", "-n", "Full_1", "--child-path", "weights.bin")
    assert [file["path"] for file in first["files"]] == ["net/weights.bin"]
    skerry.ok(
        *("model", "register", "-p", "net", "-n", "Full_1", "-d", "Both"),
        *("--child-path", "labels.txt", "--child-path", "weights.bin", "--parent", "Full_1:1"),
        *("--tag", "stage=test", "--property", "accuracy=0.9", "-mf", "Custom"),
        *("--framework-version", "7", "--cc", "0.5", "--gb", "1.5", "--gc", "1"),
        *("--sample-input", "in.json", "--sample-output", "out.json"),
        *("--dataset", "training=s3://bucket/train", "--run-id", "run-1"),
        *("--experiment-name", "night", "-t", "written.json"),
    )
    shown = told(skerry, "show", "-i", "Full_1:2")
    assert json.loads((tmp_path / "written.json").read_bytes()) == shown
    assert [file["path"] for file in shown["files"]] == ["net/labels.txt", "net/weights.bin"]
    assert (shown["tags"], shown["properties"]) == ({"stage": "test"}, {"accuracy": "0.9"})
    assert (shown["framework"], shown["framework_version"]) == ("Custom", "7")
    assert shown["sample_input"]["path"] == "in.json"
    assert shown["sample_output"]["path"] == "out.json"
    assert shown["datasets"] == [{"scenario": "training", "reference": "s3://bucket/train"}]
    assert (shown["run_id"], shown["experiment_name"]) == ("run-1", "night")
    assert (shown["description"], shown["parent"]) == ("Both", "Full_1:1")
    for reference in ("Full_1", "Full_1:latest", f"Full_1@{shown['digest']}"):
        assert told(skerry, "show", reference)["version"] == 2
    for command in (("show", "Full_1:1", "-i", "Full_1:1"), ("show",)):
        wrong = skerry("model", *command)
        assert (wrong.returncode, "Name one model" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (("--child-path", "absent"), "holds nothing called 'absent'"),
        (("--dataset", "testing=here"), "is not training|validation|inferencing=WHERE"),
        (("--tag", "stage"), "is not KEY=VALUE"),
        (("--sample-input", "absent.json"), "does not exist"),
        (("--parent", "nobody:1"), "nobody"),
    ],
)
def test_what_cannot_be_registered_is_refused(
    skerry: Skerry, option: tuple[str, str], reason: str
) -> None:
    done = skerry("model", "register", "-p", "net", "-n", "refused", *option, "-t", "written.json")
    assert done.returncode in {1, 2}
    assert reason in done.stderr
    assert not (skerry.cwd / "written.json").exists()
    assert skerry("model", "show", "refused").returncode == 1


def test_lists_are_narrowed_by_each_option(skerry: Skerry) -> None:
    register = ("register", "-p", "net", "-n")
    told(skerry, *register, "cat", "--tag", "kind=pet", "--framework", "Onnx", "--run-id", "r7")
    told(skerry, *register, "cat", "--tag", "kind=wild", "--property", "legs=4")
    told(skerry, *register, "cod", "--tag", "kind=fish")
    assert {"cat:2", "cod:1"} <= set(ids(told(skerry, "list")))
    assert "cat:1" not in ids(told(skerry, "list", "-l"))
    assert {"cat:1", "cat:2", "cod:1"} <= set(ids(told(skerry, "list", "--all")))
    assert sorted(ids(told(skerry, "list", "cat"))) == ["cat:1", "cat:2"]
    assert ids(told(skerry, "list", "-n", "cat", "--latest")) == ["cat:2"]
    assert ids(told(skerry, "list", "--all", "--tag", "kind=pet")) == ["cat:1"]
    kinds = told(skerry, "list", "--all", "--tag", "kind")
    assert sorted(ids(kinds)) == ["cat:1", "cat:2", "cod:1"]
    assert ids(told(skerry, "list", "--all", "--property", "legs=4")) == ["cat:2"]
    assert ids(told(skerry, "list", "--all", "--framework", "Onnx")) == ["cat:1"]
    assert ids(told(skerry, "list", "--all", "--run-id", "r7")) == ["cat:1"]
    assert told(skerry, "list", "--all", "--tag", "kind=pet", "--tag", "absent") == []


def test_what_may_change_changes_and_the_rest_stays(skerry: Skerry) -> None:
    told(skerry, "register", "-p", "net", "-n", "moving", "--tag", "a=1", "--property", "p=1")
    changed = told(
        skerry,
        *("update", "-i", "moving:1", "-d", "New", "--add-tag", "b=2", "--remove-tag", "a"),
        *("--add-property", "q=2"),
    )
    assert changed == told(skerry, "show", "moving:1")
    assert (changed["tags"], changed["properties"]) == ({"b": "2"}, {"p": "1", "q": "2"})
    assert changed["description"] == "New"
    refused = skerry("model", "update", "moving:1", "--add-property", "p=2")
    assert (refused.returncode, "[CONFLICT]" in refused.stderr) == (1, True)
    assert told(skerry, "show", "moving:1")["properties"] == {"p": "1", "q": "2"}


def test_an_archived_version_is_hidden_until_it_is_restored(skerry: Skerry) -> None:
    for _ in range(2):
        told(skerry, "register", "-p", "net", "-n", "hidden")
    assert skerry.ok("model", "archive", "-i", "hidden:2").startswith("hidden:2 is archived")
    assert ids(told(skerry, "list", "hidden")) == ["hidden:1"]
    assert sorted(ids(told(skerry, "list", "hidden", "--archived"))) == ["hidden:1", "hidden:2"]
    assert told(skerry, "show", "hidden:2")["archived"]
    assert not told(skerry, "restore", "hidden:2")["archived"]
    assert "hidden:2" in ids(told(skerry, "list", "hidden"))
