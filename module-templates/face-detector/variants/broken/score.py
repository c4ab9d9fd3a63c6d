"""How many faces are in a picture, with a word for what was found.

A version with a mistake that is easily made: ``labels.txt`` was on the author's machine, and is
neither in the model nor beside this script.
"""

import os
from pathlib import Path
from typing import Any

from blazeface import Detector

detector: Detector
labels: list[str]


def init() -> None:
    """Load the model and the words."""
    global detector, labels  # noqa: PLW0603 - init() and run() share state in no other way
    folder = Path(os.environ["AZUREML_MODEL_DIR"])
    labels = (folder / "labels.txt").read_text().splitlines()
    detector = Detector(next(folder.rglob("*.tflite")))


def run(data: bytes) -> dict[str, Any]:
    """Find faces, and say with the words of ``labels.txt`` how many they are."""
    faces = detector(data)
    return {"faces": len(faces), "label": labels[min(len(faces), len(labels) - 1)]}
