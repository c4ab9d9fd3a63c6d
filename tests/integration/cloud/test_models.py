"""Registered models over real HTTP: what may change, what is found, and what must be allowed."""

import hashlib
import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from support.cloud_server import CloudServer

pytestmark = pytest.mark.integration

MANIFEST = """\
name: {name}
target: {{devices: [{device}]}}
modules:
  scorer: {{image: "{image}"{more}}}
"""


def refused(answer: Any, status: int, code: str) -> Any:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code, error
    return error


def register(server: CloudServer, name: str, data: bytes = b"weights", **more: Any) -> Any:
    files = [server.upload(data, more.pop("path", "w.bin"))]
    return server.post("/v1/models", {"name": name, "files": files, **more})


def names(server: CloudServer, query: str = "") -> list[str]:
    return [f"{m['name']}:{m['version']}" for m in server.get(f"/v1/models{query}")["models"]]


def test_a_model_is_found_by_version_by_content_and_as_the_latest(server: CloudServer) -> None:
    first = register(server, "Azure_Style.Name-1")
    second = register(server, "Azure_Style.Name-1", b"others")
    assert (first["version"], second["version"], first["created_by"]) == (1, 2, "admin")
    digest = hashlib.sha256(
        json.dumps([["w.bin", first["files"][0]["digest"]]], separators=(",", ":")).encode()
    )
    assert first["digest"] == f"sha256:{digest.hexdigest()}"
    path = "/v1/models/Azure_Style.Name-1"
    for which, version in ((first["digest"], 1), ("latest", 2), ("2", 2)):
        assert server.get(f"{path}/{which}")["version"] == version
    build = server.build("scorer", models=[f"Azure_Style.Name-1@{first['digest']}"])
    assert build["module"]["models"] == ["Azure_Style.Name-1:1"]
    assert server.build("scorer", models=["Azure_Style.Name-1"])["module"]["models"] == [
        "Azure_Style.Name-1:2"
    ]


def test_tags_change_and_properties_do_not(server: CloudServer) -> None:
    register(server, "tagged", tags={"a": "1", "b": "2"}, properties={"auc": "0.9"})
    change = {"add_tags": {"c": "3"}, "remove_tags": ["a"], "description": "New."}
    changed = server.ask("PATCH", "/v1/models/tagged/1", change).json()
    assert (changed["tags"], changed["description"]) == ({"b": "2", "c": "3"}, "New.")
    added = server.ask("PATCH", "/v1/models/tagged/1", {"add_properties": {"n": "7"}}).json()
    assert added["properties"] == {"auc": "0.9", "n": "7"}
    error = refused(
        server.ask("PATCH", "/v1/models/tagged/1", {"add_properties": {"auc": "1"}}),
        409,
        "CONFLICT",
    )
    assert "auc" in error["text"]
    assert server.ask("PATCH", "/v1/models/tagged/1", {"tags": {}}).json()["tags"] == {}


def test_lists_hold_what_fits_every_filter_page_by_page(server: CloudServer) -> None:
    register(server, "l-a", tags={"kind": "text"}, framework="Onnx", run_id="r1")
    register(server, "l-a", tags={"kind": "image"}, framework="Onnx")
    register(server, "l-b", tags={"kind": "text"}, properties={"auc": "0.9"})
    assert names(server, "?tag=kind") == ["l-a:2", "l-b:1"]
    assert names(server, "?tag=kind&latest=false") == ["l-a:2", "l-a:1", "l-b:1"]
    assert names(server, "?tag=kind%3Dtext") == ["l-a:1", "l-b:1"]
    assert names(server, "?tag=kind&property=auc") == ["l-b:1"]
    assert names(server, "?framework=onnx&run_id=r1") == ["l-a:1"]
    assert names(server, "/l-a") == ["l-a:2", "l-a:1"]
    refused(server.ask("GET", "/v1/models/none"), 404, "NOT_FOUND")
    seen, after = [], ""
    for _ in range(3):
        page = server.get(f"/v1/models?tag=kind&latest=false&limit=1&after={after}")
        seen += [f"{m['name']}:{m['version']}" for m in page["models"]]
        after = page["next"]
    assert (seen, after) == (["l-a:2", "l-a:1", "l-b:1"], "")


def test_an_archived_version_is_hidden_and_not_built_from_until_it_is_restored(
    server: CloudServer,
) -> None:
    register(server, "old")
    register(server, "old")
    assert server.post("/v1/models/old/2/archive")["archived"]
    assert names(server, "/old") == ["old:1"]
    assert names(server, "/old?archived=true") == ["old:2", "old:1"]
    assert server.get("/v1/models/old/latest")["version"] == 1
    assert server.get("/v1/models/old/2")["version"] == 2
    files = [server.upload(b"def run(d): ...", "score.py")]
    order = {"name": "m", "files": files, "entry_script": "score.py", "models": ["old:2"]}
    error = refused(server.ask("POST", "/v1/modules", order), 409, "CONFLICT")
    assert "restore" in error["remedy"]
    assert not server.post("/v1/models/old/2/restore")["archived"]
    assert server.build("m", models=["old:2"])["state"] == "succeeded"


def test_lineage_samples_and_needs_are_kept(server: CloudServer) -> None:
    register(server, "parent")
    child = register(
        server,
        "child",
        parent="parent",
        run_id="run-7",
        experiment_name="faces",
        sample_input=server.upload(b"[1]", "in.json"),
        resources={"cpu": 0.5, "memory_gb": 1},
        datasets=[{"scenario": "training", "reference": "s3://faces"}],
    )
    assert (child["parent"], child["run_id"]) == ("parent:1", "run-7")
    assert child["sample_input"]["path"] == "in.json"
    assert child["resources"]["memory_gb"] == 1
    assert server.get("/v1/models/parent/1")["derived"] == ["child:1"]
    body = {"name": "x", "files": [server.upload(b"w", "w")], "parent": "none:1"}
    refused(server.ask("POST", "/v1/models", body), 404, "NOT_FOUND")


def test_what_is_in_use_is_not_deleted_and_the_error_says_by_whom(server: CloudServer) -> None:
    register(server, "used")
    server.build("user", models=["used:1"])
    server.add_device("used-porch")
    server.post(
        "/v1/deployments",
        MANIFEST.format(name="using", device="used-porch", image="user:1", more="").encode(),
    )
    error = refused(server.ask("DELETE", "/v1/models/used/1"), 409, "CONFLICT")
    assert "user:1" in error["text"]
    assert "using:1" in error["text"]


def test_code_in_models_is_told_and_needs_a_line_in_the_manifest(
    server: CloudServer, tmp_path: Path
) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "canary"), "w")

    model = register(server, "net", pickle.dumps(Trap()), path="net/model.tflite")
    (found,) = model["findings"]
    assert (found["format"], found["path"]) == ("pickle", "net/model.tflite")
    assert "io.open" in found["executes_code"]
    server.build("netty", models=["net:1"])
    server.add_device("net-porch")
    plain = {"name": "net", "device": "net-porch", "image": "netty:1"}
    refusal = server.ask("POST", "/v1/deployments", MANIFEST.format(**plain, more="").encode())
    error = refused(refusal, 400, "MANIFEST")
    assert "net/model.tflite of net:1" in error["text"]
    assert "allow_code_in_models: true" in error["remedy"]
    allowed = MANIFEST.format(**plain, more=", allow_code_in_models: true")
    server.post("/v1/deployments", allowed.encode())
    assert not (tmp_path / "canary").exists()


def test_an_archive_is_kept_or_stands_for_its_files(server: CloudServer) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("sub/a.txt", "a")
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w:gz") as folder:
        info = tarfile.TarInfo("./sub/a.txt")
        info.size = 1
        folder.addfile(info, io.BytesIO(b"a"))
    kept = register(server, "kept", packed.getvalue(), path="m.zip")
    assert [file["path"] for file in kept["files"]] == ["m.zip"]
    opened = [
        register(server, "open", data.getvalue(), path="m", unpack=True)
        for data in (packed, tarred)
    ]
    assert [[file["path"] for file in one["files"]] for one in opened] == [["sub/a.txt"]] * 2
    assert opened[0]["digest"] == opened[1]["digest"]
    body = {"name": "x", "unpack": True, "files": [server.upload(b"text", "m.zip")]}
    refused(server.ask("POST", "/v1/models", body), 400, "MODEL")


def test_what_mlflow_wrote_becomes_part_of_the_model(server: CloudServer) -> None:
    text = b"""\
flavors:
  python_function: {loader_module: mlflow.sklearn}
  sklearn: {sklearn_version: 1.5.0, pickled_model: model.pkl}
mlflow_version: 2.15.0
run_id: 0123abcd
utc_time_created: '2024-08-01 10:00:00.000000'
signature:
  inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}]'
  outputs: '[{"type": "long", "name": "label"}]'
"""
    model = register(server, "iris", text, path="iris/MLmodel")
    assert (model["framework"], model["framework_version"]) == ("ScikitLearn", "1.5.0")
    assert model["run_id"] == "0123abcd"
    assert model["properties"]["mlflow.utc_time_created"].startswith("2024-08-01")
    (found,) = model["findings"]
    assert found["inputs"] == [{"name": "", "dtype": "float64", "shape": [-1, 4]}]
    assert found["outputs"] == [{"name": "label", "dtype": "long", "shape": []}]
