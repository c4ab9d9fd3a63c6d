"""The API over real HTTP: registering, building, pushing, and who may do what."""

import hashlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from skerry_cloud.compiler.reports import reports_named
from skerry_cloud.database import Database, devices
from skerry_contract import shape
from skerry_contract.envelope import Trust, verify
from support.cloud_server import CloudServer, check_ed25519
from support.waiting import eventually

pytestmark = pytest.mark.integration

MANIFEST = """\
name: {name}
target: {{devices: [{devices}]}}
modules:
  detector: {{image: "{image}"}}
"""


def refused(answer: Any, status: int, code: str) -> Any:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    assert set(error) == {"code", "text", "remedy", "detail"}
    return error


def push(server: CloudServer, name: str, image: str, *devices: str) -> Any:
    text = MANIFEST.format(name=name, image=image, devices=", ".join(devices))
    return server.post("/v1/deployments", text.encode())


def desired(server: CloudServer, device: str, trust: Any) -> Any:
    answer = server.ask("GET", f"/v1/devices/{device}/desired")
    assert answer.status_code == 200, answer.text
    return verify(
        answer.content,
        trust=shape.read(Trust, trust),
        fleet="home",
        device=device,
        check=check_ed25519,
    )


def test_a_server_says_that_it_is_well_and_where_its_broker_is(server: CloudServer) -> None:
    assert server.ask("GET", "/healthz", token="").status_code == 200
    info = server.get("/v1/info")
    assert (info["fleet"], info["broker"]["port"]) == ("home", server.broker_port)
    assert info["broker"]["username"] == "_viewer"


def test_models_are_numbered_per_name_and_never_change(server: CloudServer) -> None:
    files = [server.upload(b"one", "models/a.bin"), server.upload(b"", "models/empty")]
    first = server.post("/v1/models", {"name": "face", "files": files, "tags": {"team": "x"}})
    second = server.post("/v1/models", {"name": "face", "files": files[:1]})
    assert (first["version"], second["version"]) == (1, 2)
    assert first["size"] == 3
    assert server.get("/v1/models/face/1") == first
    versions = server.get("/v1/models/face")["models"]
    assert [model["version"] for model in versions] == [2, 1]
    assert second in server.get("/v1/models")["models"]


def test_a_deleted_version_is_gone_and_its_number_is_not_used_again(server: CloudServer) -> None:
    files = [server.upload(b"two", "a.bin")]
    server.post("/v1/models", {"name": "gone", "files": files})
    assert server.ask("DELETE", "/v1/models/gone/1").status_code == 204
    refused(server.ask("GET", "/v1/models/gone/1"), 404, "NOT_FOUND")
    assert server.post("/v1/models", {"name": "gone", "files": files})["version"] == 2


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        pytest.param({"files": []}, 400, "MODEL", id="no files"),
        pytest.param({"name": "Bad Name"}, 400, "CONTRACT", id="a wrong name"),
        pytest.param({"name": None}, 400, "CONTRACT", id="no name"),
        pytest.param({"path": "../../etc/passwd"}, 400, "MODEL", id="a path that leads out"),
        pytest.param({"path": "/etc/passwd"}, 400, "MODEL", id="an absolute path"),
        pytest.param({"digest": "sha256:" + "0" * 64}, 404, "NOT_FOUND", id="bytes not uploaded"),
        pytest.param({"size": 4}, 400, "MODEL", id="a wrong size"),
    ],
)
def test_a_model_that_cannot_be_is_refused(
    server: CloudServer, change: dict[str, Any], status: int, code: str
) -> None:
    file = server.upload(b"abc", "a.bin")
    file.update({key: value for key, value in change.items() if key in file})
    body = {"name": "odd", "files": [file]}
    body.update({key: value for key, value in change.items() if key in body})
    refused(server.ask("POST", "/v1/models", body), status, code)


def test_bytes_that_are_not_what_their_digest_says_are_refused(server: CloudServer) -> None:
    digest = "sha256:" + hashlib.sha256(b"right").hexdigest()
    refused(server.ask("PUT", f"/v1/blobs/{digest}", b"wrong"), 400, "DIGEST")
    assert server.ask("HEAD", f"/v1/blobs/{digest}").status_code == 404
    refused(server.ask("PUT", "/v1/blobs/sha256:xyz", b"wrong"), 400, "NAME")


def test_a_large_blob_crosses_in_pieces_and_comes_back_the_same(server: CloudServer) -> None:
    data = bytes(range(256)) * 40_000
    file = server.upload(data, "large.bin")
    server.upload(data, "again.bin")
    assert server.ask("GET", f"/v1/blobs/{file['digest']}").content == data


def test_a_build_makes_a_module_and_its_log_can_be_followed(server: CloudServer) -> None:
    files = [server.upload(b"weights", "w.bin")]
    server.post("/v1/models", {"name": "weights", "files": files})
    build = server.build("scorer", models=["weights:1"], platforms=["linux/amd64", "linux/arm64"])
    assert build["state"] == "succeeded"
    assert [line["n"] for line in build["log"]] == list(range(1, len(build["log"]) + 1))
    rest = server.get(f"/v1/builds/{build['id']}?after=1")["log"]
    assert rest == build["log"][1:]
    module = server.get("/v1/modules/scorer/1")
    assert build["module"] == module
    assert set(module["images"]) == {"linux/amd64", "linux/arm64"}
    assert {image["checked"] for image in module["images"].values()} == {"yes"}
    unchecked = server.build("scorer", check=False)["module"]["images"]["linux/amd64"]
    assert unchecked["checked"] == "not-asked"
    assert module["models"] == ["weights:1"]
    error = refused(server.ask("DELETE", "/v1/models/weights/1"), 409, "CONFLICT")
    assert "scorer:1" in error["text"]
    assert server.ask("DELETE", "/v1/modules/scorer/1").status_code == 204
    assert server.ask("DELETE", "/v1/models/weights/1").status_code == 204


def test_a_failing_build_keeps_its_reason_and_its_traceback(server: CloudServer) -> None:
    build = server.build("breaks", b"raise")
    assert build["state"] == "failed"
    assert build["error"]["code"] == "INIT_FAILED"
    assert build["error"]["detail"].startswith("Traceback")
    refused(server.ask("GET", "/v1/modules/breaks/1"), 404, "NOT_FOUND")


def test_an_order_that_names_what_is_not_there_is_refused_at_once(server: CloudServer) -> None:
    order = {
        "name": "odd",
        "files": [server.upload(b"x", "score.py")],
        "entry_script": "main.py",
    }
    error = refused(server.ask("POST", "/v1/modules", order), 400, "SCORER")
    assert "score.py" in error["remedy"]
    order["entry_script"] = "score.py"
    order["models"] = ["missing:7"]
    refused(server.ask("POST", "/v1/modules", order), 404, "NOT_FOUND")


def test_a_push_signs_a_document_for_each_device(server: CloudServer) -> None:
    server.build("pushed")
    trust = server.add_device("push-a")["trust"]
    server.add_device("push-b")
    pushed = push(server, "pushes", "pushed:1", "push-a", "push-b")
    assert (pushed["name"], pushed["version"]) == ("pushes", 1)
    assert [(d["device"], d["phase"]) for d in pushed["devices"]] == [
        ("push-a", "waiting"),
        ("push-b", "waiting"),
    ]
    wanted = desired(server, "push-a", trust)
    image = server.get("/v1/modules/pushed/1")["images"]["linux/amd64"]
    assert (wanted.version, wanted.deployment) == (1, "pushes:1")
    assert wanted.modules["detector"].digest == image["digest"]
    error = refused(server.ask("DELETE", "/v1/modules/pushed/1"), 409, "CONFLICT")
    assert "pushes:1" in error["text"]


def test_withdrawing_goes_back_step_by_step_and_versions_only_grow(server: CloudServer) -> None:
    server.build("steps")
    trust = server.add_device("step-cam")["trust"]
    replaced = [
        push(server, name, "steps:1", "step-cam")["replaces"] for name in ("one", "one", "two")
    ]
    assert replaced == [{}, {"step-cam": "one:1"}, {"step-cam": "one:2"}]
    told = []
    follows = [desired(server, "step-cam", trust)]
    for path in ("two/latest", "one/2", "one/latest"):
        told.append(server.ask("DELETE", f"/v1/deployments/{path}").json()["follows"])
        follows.append(desired(server, "step-cam", trust))
    assert [d.deployment for d in follows] == ["two:1", "one:2", "one:1", ""]
    assert told == [{"step-cam": d.deployment} for d in follows[1:]]
    assert [d.version for d in follows] == [3, 4, 5, 6]
    assert follows[-1].modules == {}


def test_a_push_that_no_longer_names_a_device_takes_it_out(server: CloudServer) -> None:
    server.build("moved")
    trust = server.add_device("move-a")["trust"]
    server.add_device("move-b")
    push(server, "moves", "moved:1", "move-a")
    push(server, "moves", "moved:1", "move-b")
    assert desired(server, "move-a", trust).deployment == ""


def test_a_push_is_refused_as_a_whole_and_says_what_there_is(server: CloudServer) -> None:
    server.add_device("whole-cam")
    answer = server.ask(
        "POST",
        "/v1/deployments",
        MANIFEST.format(name="x", image="nothing:9", devices="whole-cam").encode(),
    )
    refused(answer, 404, "NOT_FOUND")
    server.build("whole")
    answer = server.ask(
        "POST",
        "/v1/deployments",
        MANIFEST.format(name="x", image="whole:1", devices="whole-cam, whole-can").encode(),
    )
    error = refused(answer, 404, "NOT_FOUND")
    assert "whole-can" in error["text"]
    assert "whole-cam" in error["remedy"]
    wrong = MANIFEST.format(name="x", image="whole:1", devices="whole-cam").replace("image", "imag")
    error = refused(server.ask("POST", "/v1/deployments", wrong.encode()), 400, "MANIFEST")
    assert "line 4, column 14" in error["text"]
    refused(server.ask("GET", "/v1/deployments/x/latest"), 404, "NOT_FOUND")
    refused(server.ask("GET", "/v1/devices/whole-cam/desired"), 404, "NOT_FOUND")


def test_a_deployment_may_name_the_agent_too(server: CloudServer) -> None:
    trust = server.add_device("led-cam")["trust"]
    server.build("led")
    text = MANIFEST.format(name="led", image="led:1", devices="led-cam")
    none = server.ask("POST", "/v1/deployments", f"{text}\nagent: led-agent:1\n".encode())
    assert "led-agent" in refused(none, 404, "NOT_FOUND")["text"]
    refused(server.ask("GET", "/v1/devices/led-cam/desired"), 404, "NOT_FOUND")
    server.build("led-agent")
    server.post("/v1/deployments", f"{text}\nagent: led-agent:1\n".encode())
    wanted = desired(server, "led-cam", trust).agent
    image = server.get("/v1/modules/led-agent/1")["images"]["linux/amd64"]
    assert (wanted.image, wanted.digest) == ("led-agent:1", image["digest"])
    error = refused(server.ask("DELETE", "/v1/modules/led-agent/1"), 409, "CONFLICT")
    assert "led:1" in error["text"]
    server.post("/v1/deployments", text.encode())
    assert desired(server, "led-cam", trust).agent is None


def test_a_device_reaches_only_what_is_its_own(server: CloudServer) -> None:
    server.build("owned")
    mine = server.add_device("own-a")["token"]
    server.add_device("own-b")
    push(server, "owns", "owned:1", "own-a", "own-b")

    def status(method: str, path: str, token: str) -> int:
        return server.ask(method, path, token=token).status_code

    assert status("GET", "/v1/devices/own-a/desired", mine) == 200
    assert status("GET", "/v2/owned/manifests/1", mine) == 200
    for method, path in (
        ("GET", "/v1/devices/own-b/desired"),
        ("GET", "/v1/devices"),
        ("GET", "/v1/devices/own-a"),
        ("POST", "/v1/devices/own-a/identity"),
        ("DELETE", "/v1/devices/own-b"),
        ("GET", "/v1/info"),
        ("GET", "/v1/telemetry"),
        ("GET", "/v1/models"),
        ("POST", "/v1/deployments"),
    ):
        assert status(method, path, mine) == 401, path
        assert status(method, path, "x" * 43) == 401, path
        assert status(method, path, "") == 401, path


def test_a_new_identity_ends_the_one_before_and_removal_ends_both(server: CloudServer) -> None:
    first = server.add_device("revoke-cam")["token"]
    second = server.post("/v1/devices/revoke-cam/identity")["token"]
    assert server.ask("GET", "/v2/", token=first).status_code == 401
    assert server.ask("GET", "/v2/", token=second).status_code == 200
    assert server.ask("DELETE", "/v1/devices/revoke-cam").status_code == 204
    assert server.ask("GET", "/v2/", token=second).status_code == 401
    refused(server.ask("GET", "/v1/devices/revoke-cam"), 404, "NOT_FOUND")


def test_no_token_is_kept_that_could_be_stolen_from_the_database(server: CloudServer) -> None:
    token = server.add_device("secret-cam")["token"]
    folder = server.settings.data
    for path in (p for p in folder.rglob("*") if p.is_file() and "login" not in p.name):
        assert token.encode() not in path.read_bytes(), path
    private = ["admin-token", "login.json", "keys/director.pem"]
    if server.settings.database_url is None:
        private.append("skerry.db")
    else:
        database = Database(server.settings.database_url)
        with database.read() as connection:
            assert token not in str(connection.execute(select(devices)).all())
        database.close()
    for name in private:
        assert (folder / name).stat().st_mode & 0o077 == 0, name


def test_every_error_has_the_same_form(server: CloudServer) -> None:
    refused(server.ask("GET", "/v1/nothing"), 404, "NOT_FOUND")
    refused(server.ask("PATCH", "/v1/models"), 405, "CONTRACT")
    refused(server.ask("GET", "/v1/telemetry?limit=0"), 400, "CONTRACT")
    refused(server.ask("GET", "/v1/models/face/x"), 400, "NAME")
    refused(server.ask("POST", "/v1/models", b"{" * 10), 400, "CONTRACT")
    refused(server.ask("POST", "/v1/devices", {"id": "x"}), 400, "CONTRACT")
    refused(server.ask("POST", "/v1/models", b"x" * (16 * 1024 * 1024 + 1)), 413, "CONTRACT")
    server.post("/v1/devices", {"id": "twice-cam"})
    refused(server.ask("POST", "/v1/devices", {"id": "twice-cam"}), 409, "CONFLICT")


def test_telemetry_of_what_is_not_there_or_too_much_is_refused(server: CloudServer) -> None:
    error = refused(server.ask("GET", "/v1/telemetry?limit=1001"), 400, "CONTRACT")
    assert "limit" in error["text"]
    assert "at most 1000" in error["remedy"]
    error = refused(server.ask("GET", "/v1/telemetry?device=nobody-here"), 404, "NOT_FOUND")
    assert "nobody-here" in error["text"]


def test_builds_under_way_are_given_up_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with CloudServer(data) as first:
        build = first.build("restarted")
    # As a server leaves it that lost its power in the middle of a build.
    with sqlite3.connect(data / "skerry.db") as database:
        database.execute("UPDATE builds SET state = 'running'")
    database.close()
    with CloudServer(data) as again:
        found = eventually(lambda: again.get(f"/v1/builds/{build['id']}"))
        assert found["state"] == "failed"
        assert "restarted during the build" in found["error"]["text"]


def test_bytes_that_nothing_needs_any_more_are_removed(tmp_path: Path) -> None:
    with CloudServer(tmp_path / "data") as server:
        weights = [server.upload(b"weights", "w.bin"), server.upload(b"shared", "s.bin")]
        server.post("/v1/models", {"name": "going", "files": weights})
        server.post("/v1/models", {"name": "staying", "files": weights[1:]})
        gone = server.build("going", b"gone = 1", models=["going:1"])
        stays = server.build("staying", b"stays = 1", models=["staying:1"])
        young = server.upload(b"young", "y.bin")["digest"]
        asked = server.upload(b"asked", "a.bin")["digest"]
        folder = tmp_path / "data" / "blobs" / "sha256"
        for path in folder.glob("*/*"):
            if path.name not in young:
                os.utime(path, (1.0, 1.0))

        assert server.ask("HEAD", f"/v1/blobs/{asked}").status_code == 200

        def stored() -> set[str]:
            return {f"sha256:{path.name}" for path in folder.glob("*/*")}

        image = gone["module"]["images"]["linux/amd64"]
        assert image["digest"] in stored()
        assert server.ask("DELETE", "/v1/modules/going/1").status_code == 204
        eventually(lambda: image["digest"] not in stored())
        assert {file["digest"] for file in weights} <= stored()
        assert server.ask("DELETE", "/v1/models/going/1").status_code == 204
        eventually(lambda: weights[0]["digest"] not in stored())
        kept = stays["module"]["images"]["linux/amd64"]
        manifest = server.ask("GET", f"/v2/staying/manifests/{kept['digest']}").json()
        config, reports = manifest["config"], reports_named(manifest).values()
        layers = {layer["digest"] for layer in kept["layers"]}
        assert stored() == {young, asked, kept["digest"], config["digest"], *layers, *reports}


def test_the_openapi_document_describes_every_route(server: CloudServer) -> None:
    document = json.loads(server.ask("GET", "/openapi.json", token="").content)
    routes = {path for path in document["paths"] if path.startswith("/v")}
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    for path in routes:
        # docs/api.md names a thing's own noun where the route names its parameter.
        stem = path.replace("{device}", "{id}").replace("{build}", "{id}")
        assert stem in text, f"{stem} is not in docs/api.md"
