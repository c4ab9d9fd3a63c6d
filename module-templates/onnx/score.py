"""Which iris a flower is, from the sizes of its leaves, by onnxruntime."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

session: Any


def init() -> None:
    """Load the model; it is the one ``.onnx`` file below ``AZUREML_MODEL_DIR``."""
    global session  # noqa: PLW0603 - init() and run() share state in no other way
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a device has other things to do
    file = next(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("*.onnx"))
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def run(data: str) -> list[dict[str, Any]]:
    """Classify flowers.

    Args:
        data: JSON: ``{"flowers": [[5.1, 3.5, 1.4, 0.2]]}``, each the length and width of sepal and
            petal, in centimetres.

    Returns:
        For each flower its ``class`` and the ``probability`` of that class.

    Raises:
        ValueError: A flower has other than four sizes.
    """
    flowers = np.asarray(json.loads(data)["flowers"], dtype=np.float32)
    if flowers.ndim != 2 or flowers.shape[1] != 4:
        raise ValueError("flowers must be a list of lists of four numbers")
    labels, chances = session.run(None, {session.get_inputs()[0].name: flowers})
    return [
        {"class": str(label), "probability": round(float(row.max()), 4)}
        for label, row in zip(labels, chances, strict=True)
    ]
