"""Which iris a flower is, from the sizes of its leaves."""

import json
import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np

model: Any


def init() -> None:
    """Load the model; it is the one ``.joblib`` file below ``AZUREML_MODEL_DIR``."""
    global model  # noqa: PLW0603 - init() and run() share state in no other way
    model = joblib.load(next(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("*.joblib")))


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
    chances = model.predict_proba(flowers)
    best = chances.argmax(axis=1)
    return [
        {"class": str(model.classes_[n]), "probability": round(float(row[n]), 4)}
        for n, row in zip(best, chances, strict=True)
    ]
