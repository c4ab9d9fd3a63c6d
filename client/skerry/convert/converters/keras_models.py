"""Keras or SavedModel to LiteRT."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from . import golden
from .order import RefusedError, say, versions
from .samples import Input


def do(order: dict[str, Any]) -> dict[str, Any]:
    """Convert, and write ``result.tflite`` and ``samples.npz``."""
    folder = Path(order["folder"])
    say("loading the model")
    if order["form"] == "saved-model":
        source = order["source"]
        inputs = signature_inputs(tf.saved_model.load(source))
    else:
        model = load(order["source"])
        inputs = golden.concrete(order, model_inputs(model))
        source = str(folder / "saved")
        write_saved(model, inputs, source)
    about = golden.prepare(order, inputs)
    say("converting to LiteRT")
    source = without_fused(source, folder / "unfused", order["quantize"])
    data = convert(source, order["quantize"], golden.calibration(order, inputs))
    (folder / "result.tflite").write_bytes(data)
    return {
        **about,
        "result": "result.tflite",
        "versions": versions("tensorflow-cpu", "keras", "ai-edge-litert"),
    }


def load(path: str) -> Any:
    """Return the Keras model in a file.

    Raises:
        RefusedError: Keras cannot load it.
    """
    try:
        return tf.keras.models.load_model(path, compile=False)
    except (ValueError, TypeError, OSError) as error:
        raise RefusedError(
            f"Keras {versions('keras')['keras']} cannot load it: {str(error)[:1000]}",
            "Layers of your own must be registered with Keras, or saved as a SavedModel.",
        ) from error


def model_inputs(model: Any) -> list[Input]:
    """Return what a Keras model takes, in the order in which it is called."""
    taken = model.inputs
    if not taken:
        raise RefusedError("the model was saved without being built", "Call it once, and save it.")
    layers = getattr(model, "_flatten_layers", lambda: model.layers)()
    words = [one.input_dim for one in layers if isinstance(one, tf.keras.layers.Embedding)]
    return [
        Input(
            one.name.partition(":")[0],
            tuple(one.shape),
            tf.as_dtype(one.dtype).name,
            min(words, default=None),
        )
        for one in taken
    ]


def signature_inputs(loaded: Any) -> list[Input]:
    """Return what the serving signature of a SavedModel takes."""
    if "serving_default" not in loaded.signatures:
        raise RefusedError("the SavedModel has no signature serving_default")
    taken = loaded.signatures["serving_default"].structured_input_signature[1]
    return [
        Input(name, tuple(spec.shape.as_list()), spec.dtype.name)
        for name, spec in sorted(taken.items())
    ]


def write_saved(model: Any, inputs: list[Input], folder: str) -> None:
    """Write a SavedModel that takes one sample at a time, so that all shapes are known."""
    specs = [
        tf.TensorSpec((1, *one.shape[1:]), one.dtype, name=_name(n)) for n, one in enumerate(inputs)
    ]

    def serve(*given: Any) -> dict[str, Any]:
        said = model(given[0] if len(given) == 1 else list(given), training=False)
        return {f"output_{n}": one for n, one in enumerate(tf.nest.flatten(said))}

    module = tf.Module()
    # What is not tracked is not saved; Keras 3 wraps its variables.
    module.kept = [one if isinstance(one, tf.Variable) else one.value for one in model.variables]
    signature = tf.function(serve).get_concrete_function(*specs)
    tf.saved_model.save(module, folder, signatures={"serving_default": signature})


def without_fused(source: str, target: Path, quantize: str) -> str:
    """Copy a SavedModel so that recurrent layers are not fused, and return where it lies.

    LiteRT's fused operators keep their state from one call to the next, until somebody resets it.
    The original forgets after each sample, and so must the result.

    Raises:
        RefusedError: It has loops, and they cannot be quantised.
    """
    shutil.copytree(source, target)
    file = target / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    functions = [one for graph in saved.meta_graphs for one in graph.graph_def.library.function]
    for function in functions:
        function.attr.pop("api_implements", None)
    if quantize == "int8" and any("While" in node.op for f in functions for node in f.node_def):
        # TensorFlow's converter crashes on it.
        raise RefusedError(
            "recurrent layers cannot be calculated in int8", "Use --quantize dynamic."
        )
    file.write_bytes(saved.SerializeToString())
    return str(target)


def convert(folder: str, quantize: str, calibration: dict[str, Any] | None) -> bytes:
    """Return the LiteRT model of a SavedModel.

    Raises:
        RefusedError: It needs operations that LiteRT does not have.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "int8" and calibration is not None:
        names = list(_signature_names(folder))
        converter.representative_dataset = _one_by_one(names, calibration)
        builtins = tf.lite.OpsSet
        converter.target_spec.supported_ops = [builtins.TFLITE_BUILTINS_INT8]
    try:
        data: bytes = converter.convert()
    except Exception as error:
        text = str(error)
        if "Flex" in text or "is neither a custom op nor a flex op" in text:
            raise RefusedError(
                f"it needs operations that LiteRT does not have: {text[-1000:]}",
                "Fixed input shapes help where loops are unrolled: give a --golden set.",
            ) from error
        raise
    return data


def _name(number: int) -> str:
    return f"in{number}"


def _signature_names(folder: str) -> list[str]:
    loaded = tf.saved_model.load(folder)
    return sorted(loaded.signatures["serving_default"].structured_input_signature[1])


def _one_by_one(names: list[str], arrays: dict[str, Any]) -> Callable[[], Iterator[dict[str, Any]]]:
    columns = list(arrays.values())

    def each() -> Iterator[dict[str, Any]]:
        for n in range(len(columns[0])):
            yield {
                name: np.ascontiguousarray(column[n])
                for name, column in zip(names, columns, strict=True)
            }

    return each
