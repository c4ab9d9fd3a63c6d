"""Models as functions of one sample: each opener returns what is called with arrays by name."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Call = Callable[[dict[str, Any]], dict[str, Any]]


def stacked(said: list[dict[str, Any]]) -> dict[str, Any]:
    """Return all that was said, by output, one row a sample."""
    return {name: _column([one[name] for one in said]) for name in said[0]}


def _column(values: list[Any]) -> Any:
    column = np.stack([np.asarray(value).reshape(-1) for value in values])
    # Arrays of objects would be pickled.
    return column.astype(str) if column.dtype.kind == "O" else column


def _keras(path: str) -> Call:
    keras = _import(".keras_models")
    model = keras.load(path)

    def call(row: dict[str, Any]) -> dict[str, Any]:
        given = list(row.values())
        said = model(given[0] if len(given) == 1 else given, training=False)
        return _numbered([np.asarray(one) for one in keras.tf.nest.flatten(said)])

    return call


def _saved_model(path: str) -> Call:
    import tensorflow as tf  # noqa: PLC0415 - only the one runtime that is measured is loaded

    loaded = tf.saved_model.load(path)
    serve = loaded.signatures["serving_default"]

    def call(row: dict[str, Any], _keep: Any = loaded) -> dict[str, Any]:
        said = serve(**{name: tf.constant(array) for name, array in row.items()})
        return {name: said[name].numpy() for name in sorted(said, key=_numeric)}

    return call


def _sklearn(path: str) -> Call:
    model = _import(".sklearn_models").load(path)

    def call(row: dict[str, Any]) -> dict[str, Any]:
        matrix = next(iter(row.values()))
        for way in ("predict_proba", "predict", "transform"):
            if not hasattr(model, way):
                continue
            if way == "predict_proba":
                return {
                    "label": model.predict(matrix),
                    "probabilities": model.predict_proba(matrix),
                }
            return {"variable": getattr(model, way)(matrix)}
        raise TypeError("the estimator neither predicts nor transforms")

    return call


def _torchscript(path: str) -> Call:
    import torch  # noqa: PLC0415

    return _torch(torch.jit.load(path, map_location="cpu").eval())


def _exported_program(path: str) -> Call:
    import torch  # noqa: PLC0415

    return _torch(torch.export.load(path).module())


def _torch(model: Any) -> Call:
    import torch  # noqa: PLC0415

    def call(row: dict[str, Any]) -> dict[str, Any]:
        with torch.no_grad():
            said = model(*(torch.from_numpy(array) for array in row.values()))
        return _numbered([one.numpy() for one in _flat(said)])

    return call


def _onnx(path: str) -> Call:
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def call(row: dict[str, Any]) -> dict[str, Any]:
        given = dict(zip(names, row.values(), strict=True))
        return _numbered(session.run(None, given))

    return call


def _litert(path: str) -> Call:
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    runner = Interpreter(model_path=path, num_threads=1).get_signature_runner()
    names = sorted(runner.get_input_details(), key=_numeric)

    def call(row: dict[str, Any]) -> dict[str, Any]:
        given = row if set(row) == set(names) else dict(zip(names, row.values(), strict=True))
        said: Mapping[str, Any] = runner(**given)
        return {name: np.array(said[name]) for name in sorted(said, key=_numeric)}

    return call


def _numeric(name: str) -> tuple[int, str]:
    return len(name), name


def _numbered(outputs: list[Any]) -> dict[str, Any]:
    return {f"output_{n}": one for n, one in enumerate(outputs)}


def _flat(said: Any) -> list[Any]:
    if isinstance(said, Mapping):
        said = list(said.values())
    return [said] if not isinstance(said, list | tuple) else [o for s in said for o in _flat(s)]


def _import(name: str) -> Any:
    import importlib  # noqa: PLC0415

    return importlib.import_module(name, __package__)


OPEN: dict[str, Callable[[str], Call]] = {
    "keras": _keras,
    "saved-model": _saved_model,
    "sklearn": _sklearn,
    "torchscript": _torchscript,
    "exported-program": _exported_program,
    "onnx": _onnx,
    "litert": _litert,
}
