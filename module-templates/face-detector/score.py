"""How many faces are in a picture, and where."""

import os
from pathlib import Path
from typing import Any

from blazeface import Detector

detector: Detector


def init() -> None:
    """Load the model; it is the one ``.tflite`` file below ``AZUREML_MODEL_DIR``."""
    global detector  # noqa: PLW0603 - init() and run() share state in no other way
    folder = Path(os.environ["AZUREML_MODEL_DIR"])
    detector = Detector(next(folder.rglob("*.tflite")))


def run(data: bytes) -> dict[str, Any]:
    """Find faces.

    Args:
        data: A picture: JPEG, PNG, WebP or BMP.

    Returns:
        ``faces``: their number; ``score``: the highest confidence, 0 without a face; ``boxes``:
        left, top, right and bottom edge of each as fractions of the picture, the surest first.

    Raises:
        ValueError: The data is no picture.
    """
    faces = detector(data)
    return {
        "faces": len(faces),
        "score": round(faces[0].score, 4) if faces else 0.0,
        "boxes": [face.box for face in faces],
    }
