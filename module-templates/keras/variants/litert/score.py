"""What is wrong with a motor, from an eighth of a second of its vibration, without Keras."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

SAMPLES = 128
model: Any
kinds: list[str]


def init() -> None:
    """Load the model and the names of its classes from below ``AZUREML_MODEL_DIR``."""
    global model, kinds  # noqa: PLW0603 - init() and run() share state in no other way
    folder = Path(os.environ["AZUREML_MODEL_DIR"])
    model = Interpreter(str(next(folder.rglob("*.tflite"))), num_threads=1)
    model.allocate_tensors()
    kinds = json.loads(next(folder.rglob("kinds.json")).read_text(encoding="utf-8"))


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
    model.set_tensor(model.get_input_details()[0]["index"], readings[None, :, None])
    model.invoke()
    chances = model.get_tensor(model.get_output_details()[0]["index"])[0]
    best = int(chances.argmax())
    return {"kind": kinds[best], "probability": round(float(chances[best]), 4)}
