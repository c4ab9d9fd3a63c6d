"""The Open Inference Protocol's paths: health, metadata and inference, for one model.

Tensors reach ``run()`` by name: under the decorators of ``inference_schema`` as what the parameter
is declared to be, else as the JSON object that a POST to ``/score`` would hold.
"""

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from skerry_scorer.http.answers import error_answer, json_answer
from skerry_scorer.http.connection import Pending
from skerry_scorer.http.wire import Answer, Request
from skerry_scorer.open_inference.messages import (
    EXTENSIONS,
    JSON_LENGTH,
    ModelName,
    error_of,
    infer_answer,
    read_infer,
)
from skerry_scorer.open_inference.tensors import NUMPY_NAMES, Tensor
from skerry_scorer.script.arguments import InputError
from skerry_scorer.script.entry import RunFailedError, Scorer
from skerry_scorer.serving.exchange import Exchange
from skerry_scorer.serving.scoring import Scoring

SERVER_NAME = "skerry-scorer"
SERVER_VERSION = "1"
"""What module images say under ``io.skerry.scorer-host``."""
PREFIX = "/v2"


class OpenInference:
    """Answers what is below ``/v2``.

    Args:
        model: What the model is called.
        scoring: Takes what is to be scored.
    """

    def __init__(self, model: ModelName, scoring: Scoring) -> None:
        self._model = model
        self._scoring = scoring

    def answer(self, path: str, exchange: Exchange) -> Answer | Pending:
        """Answer a request.

        Args:
            path: Its path, without a prefix of the service.
            exchange: All of it.
        """
        request = exchange.request
        parts = [part for part in path[len(PREFIX) :].split("/") if part]
        if parts[:1] == ["models"]:
            outcome = self._of_model(parts[1:], exchange)
        elif found := {(): self._server, ("health", "live"): self._live,
                       ("health", "ready"): self._ready}.get(tuple(parts)):  # fmt: skip
            outcome = found() if request.method in ("GET", "HEAD") else _not_allowed("GET")
        else:
            outcome = error_answer(404, f"there is nothing at {path}")
        return error_of(outcome) if isinstance(outcome, Answer) else outcome

    def _of_model(self, parts: list[str], exchange: Exchange) -> Answer | Pending:
        version, request = self._model.version, exchange.request
        if len(parts) >= 3 and parts[1] == "versions":
            if parts[2] != version or not version:
                return error_answer(404, f"there is no version {parts[2]!r:.80}, but {version!r}")
            parts = [parts[0], *parts[3:]]
        if not parts or parts[0] != self._model.name:
            asked = parts[0] if parts else ""
            return error_answer(404, f"there is no model {asked!r:.80}, but {self._model.name!r}")
        if parts[1:] == ["infer"]:
            return self._infer(exchange) if request.method == "POST" else _not_allowed("POST")
        if parts[1:] not in ([], ["ready"]):
            return error_answer(404, f"there is nothing at {request.path}")
        if request.method not in ("GET", "HEAD"):
            return _not_allowed("GET")
        return self._model_ready() if parts[1:] else self._metadata()

    def _server(self) -> Answer:
        return json_answer(
            {"name": SERVER_NAME, "version": SERVER_VERSION, "extensions": list(EXTENSIONS)}
        )

    def _live(self) -> Answer:
        return json_answer({"live": True})

    def _ready(self) -> Answer:
        ready = self._scoring.scorer is not None
        return json_answer({"ready": ready}, 200 if ready else 503)

    def _model_ready(self) -> Answer:
        ready = self._scoring.scorer is not None
        return json_answer({"name": self._model.name, "ready": ready}, 200 if ready else 503)

    def _metadata(self) -> Answer:
        versions = {"versions": [self._model.version]} if self._model.version else {}
        scorer = self._scoring.scorer
        given, returned = declared(scorer) if scorer is not None else ([], [])
        return json_answer(
            {
                "name": self._model.name,
                **versions,
                "platform": "python",
                "inputs": given,
                "outputs": returned,
            }
        )

    def _infer(self, exchange: Exchange) -> Answer | Pending:
        def translated(answer: Answer) -> None:
            exchange.deliver(error_of(answer))

        return self._scoring.score(exchange, partial(_inferred, self._model), translated)


def declared(scorer: Scorer) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the inputs and outputs that decorators declare, as the protocol describes them."""
    util = sys.modules.get("inference_schema.schema_util")
    if util is None or not util.is_schema_decorated(scorer.run_function):
        return [], []
    given = util.get_input_schema(scorer.run_function).get("properties", {})
    returned = util.get_output_schema(scorer.run_function)
    inputs = [_described(name, schema) for name, schema in given.items()]
    if returned.get("type") == "object":
        named = returned.get("properties", {})
        return inputs, [_described(name, schema) for name, schema in named.items()]
    return inputs, [_described("output", returned)]


def values_of(scorer: Scorer, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what tensors are to ``run()``: arrays where they are declared, else plain values."""
    util = sys.modules.get("inference_schema.schema_util")
    schemas: Mapping[str, Any] = {}
    if util is not None and util.is_schema_decorated(scorer.run_function):
        schemas = util.get_input_schema(scorer.run_function).get("properties", {})
    return {name: _value(tensor, schemas.get(name, {})) for name, tensor in tensors.items()}


def _value(tensor: Tensor, schema: Mapping[str, Any]) -> Any:
    if schema.get("format") == "numpy.ndarray":
        return _array(tensor)
    # A declared number or text is a single value, which a tensor has in a list of one.
    if schema.get("type", "array") not in ("array", "object") and len(tensor.elements) == 1:
        return tensor.elements[0]
    return tensor.nested()


def _array(tensor: Tensor) -> Any:
    numpy = sys.modules["numpy"]  # the declared type is NumPy's
    if tensor.raw is not None:
        found = numpy.frombuffer(tensor.raw, NUMPY_NAMES[tensor.datatype])
        # A copy: scripts may write into what they get.
        return found.reshape(tensor.shape).copy()
    dtype = NUMPY_NAMES.get(tensor.datatype, "object")
    return numpy.array(tensor.elements, dtype).reshape(tensor.shape)


def _inferred(model: ModelName, scorer: Scorer, request: Request) -> Answer:
    asked = read_infer(request)
    tensors = {tensor.name: tensor for tensor in asked.inputs}
    headers = {n: v for n, v in request.headers.items() if n != JSON_LENGTH}
    call = scorer.arguments.of_values(values_of(scorer, tensors), headers)
    result = scorer.values(call)
    try:
        return infer_answer(model, asked, result)
    except InputError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise RunFailedError(f"what run() returned cannot be sent as tensors: {error}") from error


_FORMATS = {
    "double": "FP64", "float": "FP32", "int64": "INT64", "int32": "INT32",
    "number": "FP64", "integer": "INT64", "boolean": "BOOL",
}  # fmt: skip


def _described(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    shape = []
    while schema.get("type") == "array":
        shape.append(-1)
        schema = schema.get("items", {})
    kind = str(schema.get("format") or schema.get("type"))
    datatype = _FORMATS.get(kind) or _FORMATS.get(str(schema.get("type")), "BYTES")
    return {"name": name, "datatype": datatype, "shape": shape or [1]}


def _not_allowed(method: str) -> Answer:
    return error_answer(405, f"it takes {method}").with_headers(("Allow", method))
