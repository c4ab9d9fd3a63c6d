"""ONNX to ONNX: constants folded, operators fused, weights or arithmetic in int8."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime import quantization

from . import golden
from .order import RefusedError, say, versions
from .samples import Input

_TYPES = {"float": "float32", "double": "float64"}


def do(order: dict[str, Any]) -> dict[str, Any]:
    """Optimise and quantise, and write ``result.onnx`` and ``samples.npz``."""
    folder = Path(order["folder"])
    say("optimising the graph")
    try:
        inputs = optimise(order["source"], str(folder / "optimised.onnx"), order["quantize"])
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
        raise RefusedError(f"onnxruntime cannot load it: {error}") from error
    about = golden.prepare(order, inputs)
    result = folder / "result.onnx"
    match order["quantize"]:
        case "none":
            (folder / "optimised.onnx").replace(result)
        case "dynamic":
            say("making the weights int8")
            quantization.quantize_dynamic(folder / "optimised.onnx", result)
        case _:
            say("finding the ranges of int8")
            reader = _Reader(golden.calibration(order, inputs) or {})
            quantization.quantize_static(folder / "optimised.onnx", result, reader)
    return {**about, "result": result.name, "versions": versions("onnx", "onnxruntime")}


def optimise(source: str, target: str, quantize: str) -> list[Input]:
    """Write the graph as any processor can run it, and return what it takes.

    Layouts that fit this machine alone are not written: the device is another one. Operators are
    fused only where nothing is quantised, for quantising knows the standard's operators alone.
    """
    level = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        level.ORT_ENABLE_EXTENDED if quantize == "none" else level.ORT_ENABLE_BASIC
    )
    options.optimized_model_filepath = target
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return session_inputs(session)


def session_inputs(session: Any) -> list[Input]:
    """Return what a loaded graph takes."""
    found = []
    for one in session.get_inputs():
        inner = one.type.removeprefix("tensor(").removesuffix(")")
        shape = tuple(size if isinstance(size, int) else None for size in one.shape)
        found.append(Input(one.name, shape, _TYPES.get(inner, inner)))
    return found


class _Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Hands out samples one by one."""

    def __init__(self, arrays: dict[str, Any]) -> None:
        self._left = self._each(arrays)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._left, None)

    @staticmethod
    def _each(arrays: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for n in range(len(next(iter(arrays.values()), ()))):
            yield {name: array[n, ...] for name, array in arrays.items()}
