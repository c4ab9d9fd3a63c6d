"""scikit-learn to ONNX."""

from pathlib import Path
from typing import Any

import joblib
import skl2onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator, is_classifier

from . import golden
from .order import RefusedError, say, versions
from .samples import Input


def do(order: dict[str, Any]) -> dict[str, Any]:
    """Convert, and write ``result.onnx`` and ``samples.npz``."""
    folder = Path(order["folder"])
    say("loading the model")
    model = load(order["source"])
    inputs = model_inputs(model)
    about = golden.prepare(order, inputs)
    say("converting to ONNX")
    options = {id(model): {"zipmap": False}} if is_classifier(model) else None
    types = [(inputs[0].name, FloatTensorType([None, inputs[0].shape[1]]))]
    result = folder / "result.onnx"
    result.write_bytes(convert(model, types, options).SerializeToString())
    if order["quantize"] != "none":
        raise RefusedError(
            "models of scikit-learn are not quantised",
            "Leave out --quantize: trees and linear models gain nothing from it.",
        )
    used = versions("scikit-learn", "skl2onnx", "onnx", "onnxruntime")
    return {**about, "result": result.name, "versions": used}


def load(path: str) -> Any:
    """Return the estimator in a pickle or joblib file; this runs what the file says.

    Raises:
        RefusedError: It holds something else, or this version of scikit-learn cannot read it.
    """
    try:
        model = joblib.load(path)
    except (ImportError, AttributeError, ValueError, TypeError, KeyError) as error:
        raise RefusedError(
            f"it cannot be unpickled here: {type(error).__name__}: {error}",
            "Use --python with an environment that has what it was made with.",
        ) from error
    if not isinstance(model, BaseEstimator):
        raise RefusedError(f"it holds a {type(model).__name__}, no estimator of scikit-learn")
    return model


def model_inputs(model: Any) -> list[Input]:
    """Return what an estimator takes: one matrix of so many features."""
    count = getattr(model, "n_features_in_", None)
    if count is None:
        raise RefusedError(
            "the estimator does not say how many features it takes",
            "Only fitted estimators of numeric matrices can be converted.",
        )
    return [Input("input", (None, int(count)), "float32")]


def convert(model: Any, types: Any, options: Any) -> Any:
    """Return the ONNX model of an estimator."""
    try:
        return skl2onnx.to_onnx(model, initial_types=types, options=options)
    except skl2onnx.common.exceptions.MissingShapeCalculator as error:
        raise RefusedError(f"there is no converter: {str(error)[:500]}") from error
