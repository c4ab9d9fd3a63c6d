"""How many faces are in a picture, which is the largest, and where its eyes are.

Second version: it speaks of the face that is nearest to the camera, and of its keypoints.
"""

import os
from pathlib import Path
from typing import Any

from blazeface import Detector, Face

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
        What the first version says, and ``largest``: score, box, share of the picture, and
        keypoints of the largest face, or None.

    Raises:
        ValueError: The data is no picture.
    """
    faces = detector(data)
    return {
        "faces": len(faces),
        "score": round(faces[0].score, 4) if faces else 0.0,
        "boxes": [face.box for face in faces],
        "largest": _described(max(faces, key=lambda face: face.area)) if faces else None,
    }


def _described(face: Face) -> dict[str, Any]:
    return {
        "score": round(face.score, 4),
        "box": face.box,
        "share": round(face.area, 4),
        "keypoints": face.keypoints,
    }
