"""What is wrong with a motor, from an eighth of a second of its vibration."""

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

SAMPLES = 128
model: Any
kinds: list[str]


def init() -> None:
    """Load the model and the names of its classes from below ``AZUREML_MODEL_DIR``."""
    global model, kinds  # noqa: PLW0603 - init() and run() share state in no other way
    folder = Path(os.environ["AZUREML_MODEL_DIR"])
    # safe_mode is Keras's default: a file that holds code of its author is refused.
    model = keras.models.load_model(next(folder.rglob("*.keras")), compile=False, safe_mode=True)
    kinds = json.loads(next(folder.rglob("kinds.json")).read_text(encoding="utf-8"))
    model.predict_on_batch(np.zeros((1, SAMPLES, 1), np.float32))  # compiled now, not at the first


def run(data: str) -> dict[str, Any]:
    """Classify one window.

    Args:
        data: JSON: ``{"readings": [0.12, -0.03, …]}``, 128 readings at 1024 Hz, in units of
            gravity.

    Returns:
        ``kind``: steady, unbalanced or worn; ``probability``: of that kind.

    Raises:
        ValueError: There are other than 128 readings.
    """
    readings = np.asarray(json.loads(data)["readings"], dtype=np.float32)
    if readings.shape != (SAMPLES,):
        raise ValueError(f"readings must be a list of {SAMPLES} numbers")
    chances = np.asarray(model.predict_on_batch(readings[None, :, None]))[0]
    best = int(chances.argmax())
    return {"kind": kinds[best], "probability": round(float(chances[best]), 4)}
