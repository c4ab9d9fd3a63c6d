"""Tensors in JSON and in bytes, and the requests that carry them."""

import json
import math
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_scorer.http.wire import Request
from skerry_scorer.open_inference.messages import (
    JSON_LENGTH,
    InferRequest,
    ModelName,
    infer_answer,
    read_infer,
)
from skerry_scorer.open_inference.tensors import (
    CODES,
    NUMPY_NAMES,
    TensorError,
    tensor_of_bytes,
    tensor_of_json,
    tensor_of_value,
)
from skerry_scorer.script.arguments import InputError

SHAPES = st.lists(st.integers(0, 3), max_size=4)


@given(st.sampled_from(sorted(NUMPY_NAMES)), SHAPES, st.randoms(use_true_random=False))
def test_numbers_are_the_same_in_json_in_bytes_and_as_numpy_has_them(
    datatype: str, shape: list[int], random: Any
) -> None:
    array = np.array([random.randrange(2) for _ in range(math.prod(shape))]).reshape(shape)
    array = array.astype(NUMPY_NAMES[datatype])
    from_json = tensor_of_json("x", datatype, shape, array.tolist())
    from_flat = tensor_of_json("x", datatype, shape, array.ravel().tolist())
    from_bytes = tensor_of_bytes("x", datatype, shape, array.tobytes())
    from_value = tensor_of_value("x", array)
    assert from_value is not None
    assert from_value.datatype == datatype
    for tensor in (from_json, from_flat, from_bytes):
        assert tensor.nested() == array.tolist()
        assert tensor.packed() == array.tobytes()
        assert list(tensor.elements) == array.ravel().tolist()
    assert from_value.packed() == array.tobytes()


@given(st.lists(st.text() | st.binary(), max_size=5))
def test_bytes_come_back_as_they_went(elements: list[str | bytes]) -> None:
    packed = b"".join(
        len(raw).to_bytes(4, "little") + raw
        for raw in (e.encode() if isinstance(e, str) else e for e in elements)
    )
    tensor = tensor_of_bytes("x", "BYTES", [len(elements)], packed)
    assert tensor.packed() == packed


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "match"),
    [
        ("FP99", [1], [1], "none of BOOL"),
        ("FP32", [2], [1], "has 2 elements, data has 1"),
        ("FP32", [-1], [1], "at least 0"),
        ("FP32", [True], [1], "at least 0"),
        ("FP32", [2**31, 2], [1], "too large"),
        ("FP32", [2**30, 0], [], "too large"),
        ("FP32", [1] * 40, [1], "whole numbers"),
        ("FP32", [1], ["1.5"], "'1.5' is no FP32"),
        ("FP32", [1], [None], "is no FP32"),
        ("INT32", [1], [1.5], "'1.5' is no INT32"),
        ("INT32", [1], [True], "is no INT32"),
        ("UINT8", [2], [0, 256], "does not fit into UINT8"),
        ("INT8", [1], [-129], "does not fit into INT8"),
        ("BOOL", [1], [1], "is no BOOL"),
        ("BYTES", [1], [1], "is no BYTES"),
        ("BYTES", [1, 1], [[["a"]]], "is no BYTES"),
    ],
)
def test_what_does_not_fit_together_is_told(
    datatype: str, shape: list[int], data: Any, match: str
) -> None:
    with pytest.raises(TensorError, match=match):
        tensor_of_json("x", datatype, shape, data)


@pytest.mark.parametrize(
    ("datatype", "raw"),
    [("FP32", b"123"), ("BYTES", b"\1\0\0"), ("BYTES", b"\2\0\0\0a"), ("BYTES", b"")],
)
def test_bytes_that_do_not_fit_are_told(datatype: str, raw: bytes) -> None:
    with pytest.raises(TensorError, match="x: "):
        tensor_of_bytes("x", datatype, [1], raw)


@pytest.mark.parametrize(
    ("value", "datatype", "shape"),
    [
        (1, "INT64", (1,)),
        (1.5, "FP64", (1,)),
        ("a", "BYTES", (1,)),
        (True, "BOOL", (1,)),
        ([[1, 2], [3, 4.5]], "FP64", (2, 2)),
        ([], "FP64", (0,)),
        ([[], []], "FP64", (2, 0)),
        (["a", "b"], "BYTES", (2,)),
        (np.float32(1.5), "FP32", (1,)),
        (np.zeros((2, 1), np.int8), "INT8", (2, 1)),
        (np.array(["a", "b"]), "BYTES", (2,)),
        (np.array([1], ">i4"), "INT32", (1,)),
    ],
)
def test_what_a_script_returns_has_a_datatype_and_a_shape(
    value: Any, datatype: str, shape: tuple[int, ...]
) -> None:
    tensor = tensor_of_value("x", value)
    assert tensor is not None
    assert (tensor.datatype, tensor.shape) == (datatype, shape)


@pytest.mark.parametrize("value", [None, {"a": 1}, [[1], [2, 3]], [1, "a"], [1, [2]], 2**70])
def test_what_is_no_regular_array_is_no_tensor(value: Any) -> None:
    assert tensor_of_value("x", value) is None


def infer(told: Any, binary: bytes = b"", length: str = "") -> InferRequest:
    head = told if isinstance(told, bytes) else json.dumps(told).encode()
    if binary:
        length = str(len(head))
    headers = {JSON_LENGTH: length} if length else {}
    return read_infer(Request("POST", "/v2/models/m/infer", headers=headers, body=head + binary))


X: dict[str, Any] = {"name": "x", "shape": [1], "datatype": "INT32"}


@pytest.mark.parametrize(
    ("told", "binary", "match"),
    [
        (b"{", b"", "cannot be read as JSON"),
        (b"[" * 100_000, b"", "cannot be read as JSON"),
        ([], b"", "must be a JSON object"),
        ({}, b"", "inputs: expected a list"),
        ({"inputs": []}, b"", "inputs: expected a list"),
        ({"inputs": [1]}, b"", r"inputs\[0\]: expected an object"),
        ({"inputs": [{**X, "name": ""}]}, b"", r"inputs\[0\]\.name"),
        ({"inputs": [{**X, "datatype": 1}]}, b"", r"inputs\[0\]\.datatype"),
        ({"inputs": [{**X, "shape": 1}]}, b"", r"inputs\[0\]\.shape"),
        ({"inputs": [X]}, b"", r"inputs\[0\]\.data: is missing"),
        ({"inputs": [{**X, "data": [1]}], "id": 1}, b"", "id: expected text"),
        ({"inputs": [{**X, "data": [1]}], "outputs": 1}, b"", "outputs: expected a list"),
        ({"inputs": [{**X, "data": [1]}], "outputs": [{}]}, b"", r"outputs\[0\]\.name"),
        ({"inputs": [{**X, "data": [1]}], "parameters": [1]}, b"", "parameters: expected"),
        ({"inputs": [{**X, "data": [1]}]}, b"1234", "4 bytes follow"),
        ({"inputs": [{**X, "parameters": {"binary_data_size": 8}}]}, b"1234", "8 bytes are"),
        ({"inputs": [{**X, "parameters": {"binary_data_size": -1}}]}, b"1234", "whole number"),
    ],
)
def test_a_request_outside_the_protocol_is_told_by_field(
    told: Any, binary: bytes, match: str
) -> None:
    with pytest.raises(InputError, match=match) as caught:
        infer(told, binary)
    assert caught.value.status == 400


@pytest.mark.parametrize("length", ["x", "-1", "99999", "٣"])
def test_a_length_that_cannot_be_is_refused(length: str) -> None:
    with pytest.raises(InputError, match="expected a number"):
        infer({"inputs": [{**X, "data": [1]}]}, length=length)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
SIZES = st.fixed_dictionaries({"binary_data_size": st.integers(-1, 9)})
TENSORS = st.fixed_dictionaries(
    {"name": st.text(max_size=3), "shape": SHAPES, "datatype": st.sampled_from(sorted(CODES))},
    optional={"data": JSON_VALUES, "parameters": SIZES},
)


@given(st.fixed_dictionaries({"inputs": st.lists(TENSORS | JSON_VALUES)}), st.binary(max_size=20))
def test_anything_is_a_request_or_a_refusal(told: Any, binary: bytes) -> None:
    with suppress(InputError):
        for tensor in infer(told, binary).inputs:
            assert len(tensor.elements) == math.prod(tensor.shape)


def test_results_become_outputs_by_name_in_json_or_bytes() -> None:
    asked = infer({"id": "7", "inputs": [{**X, "data": [1]}]})
    result = {"label": "cat", "scores": np.array([[0.5]], np.float32), "boxes": [{"x": 1}]}
    told = json.loads(infer_answer(ModelName("m", "3"), asked, result).body)
    assert told["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["cat"]},
        {"name": "scores", "datatype": "FP32", "shape": [1, 1], "data": [0.5]},
        {"name": "boxes", "datatype": "BYTES", "shape": [1], "data": ['[{"x":1}]']},
    ]
    assert (told["model_name"], told["model_version"], told["id"]) == ("m", "3", "7")

    some = {"name": "scores", "parameters": {"binary_data": True}}
    asked = infer({"inputs": [{**X, "data": [1]}], "outputs": [{"name": "label"}, some]})
    answer = infer_answer(ModelName("m"), asked, result)
    length = int(dict(answer.headers)["Inference-Header-Content-Length"])
    told = json.loads(answer.body[:length])
    assert [output["name"] for output in told["outputs"]] == ["label", "scores"]
    assert told["outputs"][1]["parameters"] == {"binary_data_size": 4}
    assert answer.body[length:] == np.float32(0.5).tobytes()
    assert "model_version" not in told

    asked = infer({"inputs": [{**X, "data": [1]}], "outputs": [{"name": "z"}]})
    with pytest.raises(InputError, match="there is no output 'z'; there is: label, scores, boxes"):
        infer_answer(ModelName("m"), asked, result)
