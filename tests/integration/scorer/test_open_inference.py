"""The Open Inference Protocol over HTTP, judged by Triton's own client and by the specification."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tritonclient.http import (  # type: ignore[import-untyped]
    InferenceServerClient,
    InferInput,
    InferRequestedOutput,
)
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from support.azure_scripts import NAMED, PLAIN, RAW
from support.scorer_host import MakeHost, Reply, ScorerHost, eventually, port_of

pytestmark = pytest.mark.integration

MODEL = {"AZUREML_MODEL_DIR": "/var/azureml-app/azureml-models/rows/7"}
TCP = {"SKERRY_PORT": "0", "SKERRY_ADDRESS": "127.0.0.1"}
ECHO = """
import json
def init(): ...
def run(data):
    value = json.loads(data)
    if value.get("fail"):
        raise RuntimeError("no")
    return value
"""


def infer(host: ScorerHost, told: Any, path: str = "/v2/models/model/infer") -> Reply:
    return host.request("POST", path, json.dumps(told).encode())


def tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


@pytest.fixture
def rows(make_host: MakeHost) -> ScorerHost:
    """A host of a decorated script, for a model of a name and a version, on TCP too."""
    return make_host(NAMED, **MODEL, **TCP).ready()


@pytest.fixture
def triton(rows: ScorerHost) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(f"127.0.0.1:{port_of(rows)}", network_timeout=20.0)
    yield client
    client.close()


@pytest.mark.usefixtures("rows")
def test_tritons_client_sees_a_server_that_is_ready(triton: InferenceServerClient) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("rows")
    assert triton.is_model_ready("rows", "7")
    assert not triton.is_model_ready("rows", "8")
    assert triton.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert triton.get_model_metadata("rows") == {
        "name": "rows",
        "versions": ["7"],
        "platform": "python",
        "inputs": [
            {"name": "rows", "datatype": "FP64", "shape": [-1, -1]},
            {"name": "scale", "datatype": "FP64", "shape": [1]},
        ],
        "outputs": [{"name": "output", "datatype": "FP64", "shape": [-1]}],
    }


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("version", ["", "7"])
def test_tritons_client_infers_with_tensors_in_json_and_in_bytes(
    triton: InferenceServerClient, version: str, *, binary: bool
) -> None:
    array = np.array([[1, 2], [3, 4]], np.float32)
    given = InferInput("rows", list(array.shape), "FP32")
    given.set_data_from_numpy(array, binary_data=binary)
    scale = InferInput("scale", [1], "FP64")
    scale.set_data_from_numpy(np.array([10.0]), binary_data=binary)
    wanted = InferRequestedOutput("output", binary_data=binary)
    result = triton.infer(
        "rows", [given, scale], model_version=version, outputs=[wanted], request_id="one"
    )
    assert result.as_numpy("output").tolist() == [30.0, 70.0]
    told = result.get_response()
    assert (told["model_name"], told["model_version"], told["id"]) == ("rows", "7", "one")


def test_tritons_client_is_told_what_is_wrong(triton: InferenceServerClient) -> None:
    given = InferInput("cols", [1], "FP32")
    given.set_data_from_numpy(np.ones(1, np.float32))
    with pytest.raises(InferenceServerException, match="not provided for the 'rows' parameter"):
        triton.infer("rows", [given])
    with pytest.raises(InferenceServerException, match="there is no model 'other', but 'rows'"):
        triton.infer("other", [given])
    with pytest.raises(InferenceServerException, match="there is no version '8', but '7'"):
        triton.infer("rows", [given], model_version="8")


def test_texts_and_truth_values_reach_a_plain_script_and_come_back(make_host: MakeHost) -> None:
    host = make_host(ECHO, **TCP).ready()
    client = InferenceServerClient(f"127.0.0.1:{port_of(host)}", network_timeout=20.0)
    texts = InferInput("texts", [2, 1], "BYTES")
    texts.set_data_from_numpy(np.array([["é"], ["b"]], dtype=np.object_))
    flags = InferInput("flags", [2], "BOOL")
    flags.set_data_from_numpy(np.array([True, False]))
    result = client.infer("model", [texts, flags])
    assert [row[0].decode() for row in result.as_numpy("texts").tolist()] == ["é", "b"]
    assert result.as_numpy("flags").tolist() == [True, False]
    client.close()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2", {"name": "skerry-scorer", "version": "1", "extensions": ["binary_tensor_data"]}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/model/ready", {"name": "model", "ready": True}),
        (
            "/v2/models/model",
            {"name": "model", "platform": "python", "inputs": [], "outputs": []},
        ),
    ],
)
def test_health_and_metadata_have_the_fields_of_the_specification(
    make_host: MakeHost, path: str, expected: dict[str, Any]
) -> None:
    host = make_host(ECHO).ready()
    for asked in (path, f"{path}/"):
        reply = host.request("GET", asked)
        assert (reply.status, reply.json) == (200, expected)
        assert reply.headers["content-type"] == "application/json"
    assert host.request("POST", path).status == 405


def test_an_inference_has_the_fields_of_the_specification(make_host: MakeHost) -> None:
    host = make_host(ECHO).ready()
    given = [tensor("a", "INT32", [2, 2], [1, 2, 3, 4]), tensor("b", "FP32", [1], [0.5])]
    told = infer(host, {"id": "x", "inputs": given, "outputs": [{"name": "a"}]}).json
    assert told == {
        "model_name": "model",
        "id": "x",
        "outputs": [tensor("a", "INT64", [2, 2], [1, 2, 3, 4])],
    }
    assert host.status()["scored"] == 1


@pytest.mark.parametrize(
    ("told", "status", "text"),
    [
        ({}, 400, "inputs: expected a list"),
        ({"inputs": [tensor("a", "FP99", [1], [1])]}, 400, "datatype 'FP99' is none of"),
        ({"inputs": [tensor("a", "FP32", [3], [1])]}, 400, "has 3 elements, data has 1"),
        ({"inputs": [tensor("fail", "FP32", [1], [1])]}, 500, "score.py: run() raised"),
    ],
)
def test_errors_have_the_form_of_the_specification(
    make_host: MakeHost, told: Any, status: int, text: str
) -> None:
    host = make_host(ECHO).ready()
    reply = infer(host, told)
    assert reply.status == status
    assert list(reply.json) == ["error"]
    assert text in reply.json["error"]


def test_what_is_not_there_is_told_in_the_same_form(make_host: MakeHost) -> None:
    host = make_host(ECHO).ready()
    for method, path in [
        ("GET", "/v2/nothing"),
        ("GET", "/v2/models"),
        ("GET", "/v2/models/other"),
        ("GET", "/v2/models/model/versions/1"),
        ("GET", "/v2/models/model/nothing"),
    ]:
        reply = host.request(method, path)
        assert (reply.status, list(reply.json)) == (404, ["error"])
    refused = host.request("GET", "/v2/models/model/infer")
    assert (refused.status, refused.headers["allow"]) == (405, "POST")


def test_a_script_that_wants_raw_http_has_no_tensors(make_host: MakeHost) -> None:
    host = make_host(RAW).ready()
    reply = infer(host, {"inputs": [tensor("a", "FP32", [1], [1])]})
    assert (reply.status, "raw HTTP" in reply.json["error"]) == (400, True)


def test_before_init_has_returned_it_is_live_and_not_ready(make_host: MakeHost) -> None:
    host = make_host("import time\ndef init(): time.sleep(600)\ndef run(d): ...\n").start()
    eventually((host.run_dir / "host.sock").exists)
    assert host.request("GET", "/v2/health/live").status == 200
    for path in ("/v2/health/ready", "/v2/models/model/ready"):
        reply = host.request("GET", path)
        assert (reply.status, reply.json["ready"]) == (503, False)
    early = infer(host, {"inputs": []})
    assert (early.status, list(early.json), early.headers["retry-after"]) == (503, ["error"], "1")


def test_a_plain_script_gets_what_a_post_to_score_would_hold(make_host: MakeHost) -> None:
    host = make_host(PLAIN).ready()
    told = infer(host, {"inputs": [tensor("text", "BYTES", [], "hello")]}).json
    outputs = {output["name"]: output["data"] for output in told["outputs"]}
    assert json.loads(outputs["got"][0]) == {"text": "hello"}
