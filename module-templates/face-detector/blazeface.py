"""BlazeFace, short range: from the bytes of a picture to the faces in it.

Source: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", CVPR
Workshop on Computer Vision for Augmented and Virtual Reality, 2019; the numbers are those of
MediaPipe's ``face_detection_short_range_common.pbtxt``.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tflite_runtime.interpreter import Interpreter

SIDE = 128
"""Width and height of the model's input, in pixels."""
MAX_PIXELS = 50_000_000
"""Largest picture; a small file can unpack to a very large one."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""Formats that are decoded."""
KEYPOINTS = ("right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear")
"""What the model marks in a face; sides are the person's own."""

_GRIDS = ((16, 2), (8, 6))  # cells per side, anchors per cell: 512 + 384 = 896

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Face:
    """One face; coordinates are fractions of the picture's width and height.

    Attributes:
        score: Confidence, from 0 to 1.
        points: ``(2 + 6, 2)``: upper left and lower right corner of the box, then the keypoints,
            each as x and y.
    """

    score: float
    points: Floats

    @property
    def box(self) -> list[float]:
        """Left, top, right and bottom edge, within the picture."""
        corners = np.clip(self.points[:2].astype(np.float64), 0.0, 1.0)
        edges: list[float] = corners.round(4).reshape(4).tolist()
        return edges

    @property
    def keypoints(self) -> dict[str, list[float]]:
        """Where each of ``KEYPOINTS`` is, as x and y."""
        marks = self.points[2:].astype(np.float64).round(4).tolist()
        return dict(zip(KEYPOINTS, marks, strict=True))

    @property
    def area(self) -> float:
        """Share of the picture that the box covers."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


class Detector:
    """The model, loaded.

    Args:
        model: The ``.tflite`` file.
        min_score: Confidence below which nothing counts as a face.
        min_overlap: Boxes whose intersection over union is above it are the same face.
    """

    def __init__(self, model: Path, *, min_score: float = 0.5, min_overlap: float = 0.3) -> None:
        self._interpreter = Interpreter(model_path=str(model), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [tensor["index"] for tensor in self._interpreter.get_output_details()]
        self._anchors = anchors()
        self._min_score = min_score
        self._min_overlap = min_overlap

    def __call__(self, picture: bytes) -> list[Face]:
        """Return the faces in an encoded picture, the surest first.

        Raises:
            ValueError: The bytes are no picture that can be decoded, or it is too large.
        """
        pixels, scale, offset = letterbox(decode(picture))
        self._interpreter.set_tensor(self._input, pixels[np.newaxis])
        self._interpreter.invoke()
        raw_points, raw_scores = (self._interpreter.get_tensor(i)[0] for i in self._outputs)
        scores = sigmoid(raw_scores[:, 0])
        sure = scores >= self._min_score
        points = decode_points(raw_points[sure], self._anchors[sure])
        faces = merge(points, scores[sure], self._min_overlap)
        return [Face(face.score, (face.points - offset) / scale) for face in faces]


def decode(picture: bytes) -> Image.Image:
    """Return a picture in RGB, upright.

    Raises:
        ValueError: The bytes are no picture that can be decoded, or it is too large.
    """
    try:
        image = Image.open(io.BytesIO(picture), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels, at most {MAX_PIXELS} in all")
        # A JPEG can be decoded at an eighth of its size at an eighth of the work.
        image.draft("RGB", (2 * SIDE, 2 * SIDE))
        return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{len(picture)} bytes are no picture: {error}") from error


def letterbox(image: Image.Image) -> tuple[Floats, Floats, Floats]:
    """Fit a picture into the model's square and leave black what it does not fill.

    Returns:
        Pixels ``(128, 128, 3)`` in [-1, 1]; and scale and offset, x and y each, that lead from
        fractions of the picture to fractions of the square: ``scale * fraction + offset``.
    """
    fitted = ImageOps.contain(image, (SIDE, SIDE), Image.Resampling.BILINEAR)
    left, top = (SIDE - fitted.width) // 2, (SIDE - fitted.height) // 2
    square = Image.new("RGB", (SIDE, SIDE))
    square.paste(fitted, (left, top))
    pixels = np.asarray(square, np.float32) / np.float32(127.5) - np.float32(1.0)
    scale = np.array([fitted.width, fitted.height], np.float32) / np.float32(SIDE)
    return pixels, scale, np.array([left, top], np.float32) / np.float32(SIDE)


def anchors() -> Floats:
    """Return the centres of the 896 anchors, ``(896, 2)``, as x and y in fractions of the square.

    They lie on two grids, row by row, several in the middle of each cell.
    """
    return np.concatenate([_grid(cells, per_cell) for cells, per_cell in _GRIDS])


def _grid(cells: int, per_cell: int) -> Floats:
    middles = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / cells
    y, x = np.meshgrid(middles, middles, indexing="ij")
    return np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), per_cell, axis=0)


def decode_points(raw: Floats, centres: Floats) -> Floats:
    """Turn what the model says relative to its anchors into fractions of the square.

    Args:
        raw: ``(n, 16)`` in pixels: centre, size and six keypoints, x and y each; all but the size
            relative to the anchor.
        centres: ``(n, 2)``, the anchors.

    Returns:
        ``(n, 8, 2)``: the box's upper left and lower right corner, then the keypoints.
    """
    points: Floats = raw.reshape(-1, 8, 2) / np.float32(SIDE)
    centre, half = points[:, 0] + centres, points[:, 1] / 2
    points[:, 2:] += centres[:, np.newaxis]
    points[:, 0], points[:, 1] = centre - half, centre + half
    return points


def sigmoid(raw: Floats) -> Floats:
    """Return ``1 / (1 + exp(-raw))``; beyond 80 it is 0 or 1 in single precision anyway."""
    one, bound = np.float32(1), np.float32(80)
    result: Floats = one / (one + np.exp(-np.clip(raw, -bound, bound)))
    return result


def merge(points: Floats, scores: Floats, min_overlap: float) -> list[Face]:
    """Make one face of boxes that overlap: their mean, weighted by score (BlazeFace, section 3.4).

    Args:
        points: ``(n, 8, 2)``, the box's corners first.
        scores: ``(n,)``.
        min_overlap: Intersection over union above which two boxes are the same face.

    Returns:
        Faces with the highest score of their boxes, the surest first.
    """
    return list(_merged(points, scores, min_overlap))


def _merged(points: Floats, scores: Floats, min_overlap: float) -> Iterator[Face]:
    left = np.argsort(-scores, kind="stable")
    while len(left):
        best = left[0]
        same = overlap(points[best, :2], points[left, :2]) > min_overlap
        same[0] = True  # a box without area overlaps nothing, itself included
        group, left = left[same], left[~same]
        weights = scores[group] / scores[group].sum()
        yield Face(float(scores[best]), np.tensordot(weights, points[group], axes=1))


def overlap(box: Floats, boxes: Floats) -> Floats:
    """Return intersection over union of one box, ``(2, 2)``, with each of ``(n, 2, 2)``."""
    sides: Any = np.minimum(box[1], boxes[:, 1]) - np.maximum(box[0], boxes[:, 0])
    common = np.clip(sides, 0, None).prod(axis=1)
    union = (box[1] - box[0]).prod() + (boxes[:, 1] - boxes[:, 0]).prod(axis=1) - common
    result: Floats = common / np.maximum(union, np.float32(1e-9))
    return result
