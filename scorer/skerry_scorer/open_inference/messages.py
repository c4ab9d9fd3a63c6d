"""Requests and answers of the Open Inference Protocol, version 2: bytes in, bytes out.

Source: the protocol's REST specification, "Inference", and its extension for binary tensor data.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skerry_scorer.http.wire import Answer, Request
from skerry_scorer.open_inference.tensors import (
    Tensor,
    TensorError,
    tensor_of_bytes,
    tensor_of_json,
    tensor_of_value,
)
from skerry_scorer.script.arguments import InputError
from skerry_scorer.script.entry import to_json

JSON_LENGTH = "inference-header-content-length"
"""Header field with the length of the JSON part, where bytes of tensors follow it."""
EXTENSIONS = ("binary_tensor_data",)
"""What the server can besides."""
MAX_INPUTS = 1000
"""Most tensors of a request."""
OUTPUT = "output"
"""Name of what ``run()`` returned, where it did not name it itself."""


@dataclass(frozen=True)
class Wanted:
    """An output that the client asks for.

    Attributes:
        name: Its name.
        binary: Whether it is to come as bytes.
    """

    name: str
    binary: bool


@dataclass(frozen=True)
class InferRequest:
    """A request to infer.

    Attributes:
        id: What the client calls it; "" where it does not.
        inputs: Tensors.
        outputs: What the client asks for; empty for all.
        binary: Whether outputs that it says nothing else of are to come as bytes.
    """

    id: str
    inputs: Sequence[Tensor]
    outputs: Sequence[Wanted]
    binary: bool


@dataclass(frozen=True)
class ModelName:
    """What a model is called in answers.

    Attributes:
        name: Its name.
        version: Its version; "" for none.
    """

    name: str
    version: str = ""

    @property
    def fields(self) -> dict[str, str]:
        """The fields of an answer to an inference."""
        versioned = {"model_version": self.version} if self.version else {}
        return {"model_name": self.name, **versioned}


def read_infer(request: Request) -> InferRequest:
    """Return what a request asks for.

    Raises:
        InputError: It does not keep to the protocol; the text says where.
    """
    head, binary = _split(request)
    try:
        told = json.loads(head)
    except (ValueError, RecursionError) as error:
        raise InputError(400, f"the request cannot be read as JSON: {error}") from error
    if not isinstance(told, dict):
        raise InputError(400, "the request must be a JSON object")
    inputs = told.get("inputs")
    if not isinstance(inputs, list) or not 0 < len(inputs) <= MAX_INPUTS:
        raise InputError(400, f"inputs: expected a list of 1 to {MAX_INPUTS} tensors")
    rest = _Bytes(binary)
    try:
        tensors = [_tensor(entry, i, rest) for i, entry in enumerate(inputs)]
    except TensorError as error:
        raise InputError(400, str(error)) from error
    if rest.left:
        raise InputError(400, f"{rest.left} bytes follow the tensors")
    own = _parameters(told, "parameters")
    outputs = told.get("outputs", [])
    if not isinstance(outputs, list):
        raise InputError(400, "outputs: expected a list")
    called = told.get("id", "")
    if not isinstance(called, str):
        raise InputError(400, "id: expected text")
    wanted = [_wanted(entry, i) for i, entry in enumerate(outputs)]
    return InferRequest(called, tensors, wanted, own.get("binary_data_output") is True)


def infer_answer(model: ModelName, asked: InferRequest, result: Any) -> Answer:
    """Return what ``run()`` returned as the answer to a request.

    An object becomes an output for each of its keys, anything else the output ``output``. What is
    no regular array of numbers, truth values or texts becomes one element of JSON text.

    Args:
        model: What the model is called.
        asked: The request.
        result: What ``run()`` returned.

    Raises:
        InputError: It asks for an output that there is not.
        TypeError, ValueError, RecursionError: JSON has no form for something in the result.
    """
    named = result if isinstance(result, dict) and result else {OUTPUT: result}
    tensors = {str(name): _output(str(name), value) for name, value in named.items()}
    wanted = asked.outputs or [Wanted(name, asked.binary) for name in tensors]
    outputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for want in wanted:
        if want.name not in tensors:
            there = ", ".join(tensors)
            raise InputError(400, f"there is no output {want.name!r}; there is: {there}")
        tensor = tensors[want.name]
        told: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype}
        told["shape"] = list(tensor.shape)
        if want.binary or asked.binary:
            parts.append(tensor.packed())
            told["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            told["data"] = list(tensor.elements)
        outputs.append(told)
    said = {"id": asked.id} if asked.id else {}
    head = to_json({**model.fields, **said, "outputs": outputs})
    if not parts:
        return Answer(200, head)
    length = (("Inference-Header-Content-Length", str(len(head))),)
    return Answer(200, b"".join([head, *parts]), "application/octet-stream", length)


def error_of(answer: Answer) -> Answer:
    """Return an answer in the protocol's form, if it is the host's own word of what is wrong."""
    if answer.status < 400 or not answer.body.startswith(b'{"message":'):
        return answer
    text = json.loads(answer.body)["message"]
    body = json.dumps({"error": text}, ensure_ascii=False).encode("utf-8", "replace")
    return Answer(answer.status, body, answer.content_type, answer.headers)


# --- the parts of a request -------------------------------------------------------------------


class _Bytes:
    """What follows the JSON part, taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise TensorError(f"{size} bytes are announced, {self.left} are left")
        self._at += size
        return self._data[self._at - size : self._at]


def _split(request: Request) -> tuple[bytes, bytes]:
    text = request.headers.get(JSON_LENGTH)
    if text is None:
        return request.body, b""
    if not (text.isascii() and text.isdigit()) or int(text[:18]) > len(request.body):
        raise InputError(400, f"{JSON_LENGTH}: expected a number up to {len(request.body)}")
    return request.body[: int(text)], request.body[int(text) :]


def _tensor(entry: Any, i: int, rest: _Bytes) -> Tensor:
    where = f"inputs[{i}]"
    if not isinstance(entry, dict):
        raise TensorError(f"{where}: expected an object")
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if not isinstance(name, str) or not name:
        raise TensorError(f"{where}.name: expected text")
    if not isinstance(datatype, str):
        raise TensorError(f"{where}.datatype: expected text")
    if not isinstance(shape, list):
        raise TensorError(f"{where}.shape: expected a list")
    size = _parameters(entry, f"{where}.parameters").get("binary_data_size")
    if size is None:
        if "data" not in entry:
            raise TensorError(f"{where}.data: is missing")
        return tensor_of_json(name, datatype, shape, entry["data"])
    if type(size) is not int or size < 0:
        raise TensorError(f"{where}: binary_data_size must be a whole number of at least 0")
    return tensor_of_bytes(name, datatype, shape, rest.take(size))


def _wanted(entry: Any, i: int) -> Wanted:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise InputError(400, f"outputs[{i}].name: expected text")
    return Wanted(entry["name"], _parameters(entry, "parameters").get("binary_data") is True)


def _parameters(entry: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    found = entry.get("parameters") or {}
    if not isinstance(found, dict):
        raise InputError(400, f"{where}: expected an object")
    return found


def _output(name: str, value: Any) -> Tensor:
    tensor = tensor_of_value(name, value)
    if tensor is not None:
        return tensor
    return Tensor(name, "BYTES", (1,), flat=[to_json(value).decode()])
