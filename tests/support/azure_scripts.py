"""Entry scripts written for Azure's inference server, and requests to them."""

from dataclasses import dataclass, field

PLAIN = """
import json

def init():
    global calls
    calls = 0

def run(data):
    global calls
    calls += 1
    if data == "raise":
        raise RuntimeError("secret")
    if data == "none":
        return None
    if data == "text":
        return "a text"
    value = json.loads(data)
    return {"got": value, "n": len(data)}
"""

NAMED = """
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

def init(): ...

@input_schema("rows", NumpyParameterType(np.array([[1.0, 2.0]])))
@input_schema("scale", StandardPythonParameterType(2.0), optional=True)
@output_schema(NumpyParameterType(np.array([1.0])))
def run(rows, scale=3.0):
    assert isinstance(rows, np.ndarray), type(rows)
    return (rows.sum(axis=1) * scale).tolist()
"""

HEADERS = """
def init(): ...

def run(data, request_headers):
    told = request_headers.get
    return {"data": data, "x-mine": told("X-Mine"), "type": told("Content-Type")}
"""

RAW = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse

def init(): ...

@rawhttp
def run(request):
    kind = request.args.get("kind")
    if request.method == "GET" and not kind:
        return AMLResponse(str.encode(request.full_path), 200)
    if kind == "file":
        upload = request.files["image"]
        size = len(upload.read())
        return {"name": upload.filename, "size": size, "note": request.form.get("note")}
    if kind == "bytes":
        headers = {"Content-Type": "image/png", "X-One": "a,b"}
        return AMLResponse(request.get_data(False)[::-1], 201, headers)
    if kind == "json":
        return AMLResponse({"got": request.get_json()}, 202, json_str=True)
    if kind == "none":
        return AMLResponse(None, 200)
    if kind == "bad":
        return AMLResponse("bad", 503)
    if kind == "header":
        answer = AMLResponse("ok", 200)
        answer.headers["Access-Control-Allow-Origin"] = "http://here"
        return answer
    return {"method": request.method, "size": len(request.data)}
""".replace("azureml.contrib.services", "azureml_inference_server_http.api")


@dataclass(frozen=True)
class Asked:
    """One request to such a script."""

    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": 'multipart/form-data; boundary="x y"'}
UPLOAD = (
    b'--x y\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
    b'--x y\r\nContent-Disposition: form-data; name="image"; filename="a \\"b\\".png"\r\n'
    b"Content-Type: image/png\r\n\r\n\x89PNG\r\n\x00\xff\r\n--x y--\r\n"
)
LONG = "x" * 101

REQUESTS: dict[str, tuple[str, list[Asked]]] = {
    "plain": (
        PLAIN,
        [
            Asked("GET", "/"),
            Asked("GET", "/", headers={"x-request-id": LONG}),
            Asked("POST", "/", b"1"),
            Asked("GET", "/nothing"),
            Asked("DELETE", "/score"),
            Asked("OPTIONS", "/score"),
            Asked("OPTIONS", "/score", headers={"Origin": "http://a"}),
            Asked("POST", "/score", b'{"a": "\xc3\xa9"}', JSON),
            Asked("POST", "/score", b'{"a": 1}', {**JSON, "x-ms-request-id": "m"}),
            Asked("POST", "/score", b"[1]", {"x-request-id": "r", "x-ms-client-request-id": "c"}),
            Asked("POST", "/score", b"[1]", {"TraceId": "t"}),
            Asked("POST", "/score", b"[1]", {"x-ms-request-id": LONG}),
            Asked("POST", "/score", b"[1]", {"x-ms-client-request-id": LONG}),
            Asked("POST", "/score", b"\xff", JSON),
            Asked("POST", "/score", b"none"),
            Asked("POST", "/score", b"text"),
            Asked("POST", "/score", b"raise"),
            Asked("POST", "/score", b"?"),
            Asked("GET", "/score?a=1&b=[1,2]&c=x&d=null&a=%22z%22"),
            Asked("GET", "/swagger.json"),
            Asked("GET", "/swagger.json?version=3"),
            Asked("GET", "/swagger.json?version=3.1"),
            Asked("GET", "/swagger.json?version=4"),
        ],
    ),
    "named": (
        NAMED,
        [
            Asked("POST", "/score", b'{"rows": [[1, 2], [3, 4]]}', JSON),
            Asked("POST", "/score", b'{"rows": [[1, 2]], "scale": 10, "more": 1}', JSON),
            Asked(
                "POST", "/score", b'{"rows": [[1, 2]]}', {"Content-Type": "application/foo+json"}
            ),
            Asked("POST", "/score", b'{"rows": [[1, 2]]}', {"Content-Type": "text/plain"}),
            Asked("POST", "/score", b'{"rows": [[1, 2]]}'),
            Asked("POST", "/score", b"", JSON),
            Asked("POST", "/score", b"[1]", JSON),
            Asked("POST", "/score", b"{", JSON),
            Asked("POST", "/score", b'{"scale": 1}', JSON),
            Asked("POST", "/score", b'{"rows": "no"}', JSON),
            Asked("GET", "/score?rows=[[1,2]]&scale=2"),
            Asked("GET", "/score?scale=2"),
            Asked("GET", "/swagger.json"),
            Asked("GET", "/swagger.json?version=2.0"),
            Asked("GET", "/swagger.json?version=3.0"),
            Asked("GET", "/swagger.json?version=3.1"),
        ],
    ),
    "headers": (HEADERS, [Asked("POST", "/score", b"abc", {**JSON, "x-mine": "yes"})]),
    "raw": (
        RAW,
        [
            Asked("GET", "/score"),
            Asked("GET", "/score?a=1"),
            Asked("OPTIONS", "/score"),
            Asked("POST", "/score?kind=file", UPLOAD, FORM),
            Asked("POST", "/score?kind=bytes", b"\x00\x01\xff"),
            Asked("POST", "/score?kind=json", b'{"a": 1}', JSON),
            Asked("POST", "/score?kind=none", b""),
            Asked("POST", "/score?kind=bad", b""),
            Asked("POST", "/score?kind=header", b""),
            Asked("POST", "/score", b"abc"),
            Asked("PUT", "/score", b"abc"),
        ],
    ),
}
