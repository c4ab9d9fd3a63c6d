"""How warm it will be in the next hours, from the temperatures of the last two days."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from network import HOURS, Forecaster
from safetensors.torch import load_file

MOST_HOURS = 24
model: Forecaster


def init() -> None:
    """Load the weights; they are the one ``.safetensors`` file below ``AZUREML_MODEL_DIR``."""
    global model  # noqa: PLW0603 - init() and run() share state in no other way
    torch.set_num_threads(1)  # a device has other things to do
    model = Forecaster()
    model.load_state_dict(
        load_file(next(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("*.safetensors")))
    )
    model.eval()


def run(data: str) -> dict[str, Any]:
    """Forecast temperatures, each from the readings and the forecasts before it.

    Args:
        data: JSON: ``{"celsius": [14.2, 14.0, …], "hours": 6}``: 48 readings, one an hour, the
            latest one last; for how many hours, 1 to 24, 1 unless given.

    Returns:
        ``celsius``: a forecast for each hour.

    Raises:
        ValueError: There are other than 48 readings, or ``hours`` is out of bounds.
    """
    asked = json.loads(data)
    readings = torch.tensor(asked["celsius"], dtype=torch.float32)
    hours = int(asked.get("hours", 1))
    if readings.shape != (HOURS,) or not 1 <= hours <= MOST_HOURS:
        raise ValueError(f"celsius must be {HOURS} numbers, and hours 1 to {MOST_HOURS}")
    with torch.inference_mode():
        for _ in range(hours):
            forecast = model(readings[-HOURS:].unsqueeze(0))[0]
            readings = torch.cat([readings, forecast])
    return {"celsius": [round(value, 2) for value in readings[HOURS:].tolist()]}
