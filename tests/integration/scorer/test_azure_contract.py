"""Entry scripts written for Azure's server, unchanged, with the real inference-schema package.

That the answers are those of the real server is judged in ``tests/slow``; here is what they are.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from support.azure_scripts import FORM, HEADERS, JSON, NAMED, PLAIN, RAW, UPLOAD
from support.scorer_host import MakeHost, Reply, ScorerHost

pytestmark = pytest.mark.integration

NAMED_CASES = [
    (b'{"rows": [[1, 2], [3, 4]]}', "application/json", 200, [9.0, 21.0]),
    (b'{"rows": [[1, 2]], "scale": 10, "more": 1}', "application/json; charset=x", 200, [30.0]),
    (b'{"rows": [[1, 2]]}', "text/plain", 415, "Expects Content-Type to be application/json"),
    (b"", "application/json", 400, "POST body is empty. Expecting a JSON dictionary."),
    (b"[1]", "application/json", 400, "POST body should be a JSON dictionary."),
    (b"{", "application/json", 400, "POST body could not be decoded as JSON: "),
    (b"{}", "application/json", 400, "A value is not provided for the 'rows' parameter."),
    (b'{"rows": "no"}', "application/json", 500, "score.py: run() raised "),
]


def ask(host: ScorerHost, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
    return host.request(method, path, body, **headers)


def test_decorated_parameters_get_arrays_by_name_and_wrong_bodies_their_reasons(
    make_host: MakeHost,
) -> None:
    host = make_host(NAMED).ready()
    for body, content_type, status, expected in NAMED_CASES:
        reply = host.score(body, content_type)
        assert (reply.status, body) == (status, body)
        if status == 200:
            assert reply.json == expected
        else:
            assert reply.json["message"].startswith(expected)
            assert reply.headers["x-ms-run-function-failed"] == str(status == 500)
    assert host.request("GET", "/score?rows=[[1,2]]&scale=2").json == [6.0]
    assert (host.status()["scored"], host.status()["failed"]) == (3, 1)


def test_an_input_of_a_decorated_script_is_a_json_object(make_host: MakeHost) -> None:
    host = make_host(NAMED)
    app = host.run_dir.parent / "app-0"
    (app / "rows.json").write_text('{"rows": [[1, 2]]}')
    (app / "none.json").write_text("{}")
    (app / "golden.json").write_text(
        json.dumps([{"input": f"{name}.json", "expect": [9.0]} for name in ("rows", "none")])
    )
    cases = host.ready().request("POST", "/skerry/golden").json["cases"]
    assert [case["passed"] for case in cases] == [True, False]
    assert "A value is not provided for the 'rows' parameter" in cases[1]["text"]


def test_the_description_holds_the_schemas_of_the_decorators(make_host: MakeHost) -> None:
    host = make_host(NAMED, SERVICE_NAME="rows", SERVICE_PATH_PREFIX="/api/").ready()
    second = host.request("GET", "/swagger.json").json
    assert second["swagger"] == "2.0"
    assert second["info"]["title"] == "rows"
    assert second["definitions"]["ServiceInput"]["example"] == {"rows": [[1.0, 2.0]], "scale": 2.0}
    assert "/api/score" in second["paths"]
    for asked, version in [("3", "3.0.3"), ("3.0", "3.0.3"), ("3.1", "3.1.0")]:
        third = host.request("GET", f"/swagger.json?version={asked}").json
        assert third["openapi"] == version
        assert third["components"]["schemas"]["ServiceOutput"]["example"] == [1.0]
    assert host.request("GET", "/swagger.json?version=4").status == 404
    assert host.request("GET", "/api/swagger.json").json == second


def test_a_description_of_ones_own_is_answered_as_it_is(make_host: MakeHost) -> None:
    host = make_host(PLAIN)
    app = host.run_dir.parent / "app-0"
    (app / "swagger.json").write_text('{"mine": 2}')
    (app / "swagger3.json").write_text('{"mine": 3}')
    host.ready()
    assert host.request("GET", "/swagger.json?version=2").json == {"mine": 2}
    assert host.request("GET", "/swagger.json?version=3").json == {"mine": 3}
    assert host.request("GET", "/swagger.json?version=3.1").json["openapi"] == "3.1.0"


@pytest.mark.parametrize("names", ["azureml.contrib.services", "azureml_inference_server_http.api"])
def test_raw_http_works_without_the_packages_that_it_is_imported_from(
    make_host: MakeHost, names: str
) -> None:
    script = RAW.replace("azureml_inference_server_http.api", names)
    host = make_host(script).ready()

    assert ask(host, "GET", "/score?a=1").body == b"/score?a=1"
    assert ask(host, "OPTIONS", "/score").json == {"method": "OPTIONS", "size": 0}
    uploaded = ask(host, "POST", "/score?kind=file", UPLOAD, content_type=FORM["Content-Type"])
    assert uploaded.json == {"name": 'a "b".png', "size": 8, "note": "hello"}

    own = ask(host, "POST", "/score?kind=bytes", b"\x00\x01\xff")
    assert (own.status, own.body) == (201, b"\xff\x01\x00")
    assert own.headers["content-type"] == "image/png"
    assert own.headers["x-ms-run-function-failed"] == "False"
    assert "x-ms-run-fn-exec-ms" in own.headers

    told = ask(host, "POST", "/score?kind=json", b'{"a": 1}', content_type=JSON["Content-Type"])
    assert (told.status, told.json) == (202, {"got": {"a": 1}})
    bad = ask(host, "POST", "/score?kind=bad")
    assert (bad.status, bad.headers["x-ms-run-function-failed"]) == (503, "True")
    assert ask(host, "POST", "/score?kind=none").json == {}
    assert ask(host, "PUT", "/score").status == 405


def test_a_package_that_is_installed_is_never_hidden(make_host: MakeHost, tmp_path: Path) -> None:
    package = tmp_path / "site" / "azureml" / "contrib" / "services"
    package.mkdir(parents=True)
    (package / "aml_request.py").write_text("class AMLRequest: real = True\n")
    script = (
        "from azureml.contrib.services.aml_request import AMLRequest\n"
        "from azureml.contrib.services.aml_response import AMLResponse\n"
        "def init(): ...\ndef run(d): return [AMLRequest.real, AMLResponse.__module__]\n"
    )
    host = make_host(script)
    host._env["PYTHONPATH"] = f"{tmp_path / 'site'}:{_scorer_folder()}"
    assert host.ready().score(b"").json == [True, "skerry_scorer.azure.raw_http"]


def _scorer_folder() -> Path:
    return Path(__file__).parents[3] / "scorer"


def test_request_headers_come_beside_the_data(make_host: MakeHost) -> None:
    reply = make_host(HEADERS).ready().request("POST", "/score", b"abc", x_mine="yes")
    assert reply.json == {"data": "abc", "x-mine": "yes", "type": None}


def test_pages_of_named_origins_may_read_the_answers(make_host: MakeHost) -> None:
    host = make_host(PLAIN, AML_CORS_ORIGINS="http://a, http://b").ready()
    allowed = host.request("POST", "/score", b"1", origin="http://b").headers
    assert allowed["access-control-allow-origin"] == "http://b"
    preflight = host.request(
        "OPTIONS", "/score", origin="http://a", access_control_request_method="POST"
    )
    assert preflight.headers["access-control-allow-methods"] == "GET, POST"
    other = host.request("POST", "/score", b"1", origin="http://c")
    assert (other.status, "access-control-allow-origin" in other.headers) == (200, False)


@pytest.mark.parametrize("place", ["azureml-models", "azureml-models/3"])
def test_where_a_model_lies_can_be_asked_by_its_name(
    make_host: MakeHost, tmp_path: Path, place: str
) -> None:
    models = tmp_path / place
    for version, name in [("9", "old.tflite"), ("10", "new.tflite")]:
        (models / "wake" / version).mkdir(parents=True)
        (models / "wake" / version / name).touch()
    script = (
        "from azureml.core.model import Model\n"
        "def init(): ...\n"
        "def run(data): return Model.get_model_path(*data.split())\n"
    )
    host = make_host(script, AZUREML_MODEL_DIR=str(models / "wake" / "10")).ready()
    assert host.score(b"wake").json == str(models / "wake" / "10" / "new.tflite")
    assert host.score(b"wake 9").json == str(models / "wake" / "9" / "old.tflite")
    assert "no model sleep:" in host.score(b"sleep").json["message"]


BOTH = """
from inference_schema.schema_decorators import input_schema
from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType,
)
from azureml.contrib.services.aml_request import rawhttp

@rawhttp
@input_schema("a", StandardPythonParameterType(1))
"""


@pytest.mark.parametrize(
    ("head", "run", "reason"),
    [
        (BOTH, "def run(a): ...", "both @rawhttp and"),
        ("", "def run(): ...", "run() must take one argument"),
        ("", "def run(request_headers): ...", "run() must take one argument"),
    ],
)
def test_a_run_that_cannot_be_called_fails_at_the_start(
    make_host: MakeHost, head: str, run: str, reason: str
) -> None:
    host = make_host(f"def init(): ...\n{head}{run}\n").start()
    assert host.wait() == 3
    told: dict[str, Any] = json.loads((host.run_dir / "failure.json").read_text())
    assert reason in told["text"]
