"""Keras: ``.keras`` (a zip with config.json) and what Keras wrote into HDF5 before it."""

import json
from collections.abc import Iterator
from typing import Any

from skerry_cloud.formats.finding import MAX_TENSORS, Finding, Tensor
from skerry_cloud.formats.source import Source

MAX_CONFIG = 16 * 1024 * 1024
"""Longest configuration that is read, in bytes."""
MAX_NODES = 1_000_000
HDF5 = b"\x89HDF\r\n\x1a\n"
_PIECE = 1024 * 1024
_EDGE = 16
"""Mebibytes at each end of an HDF5 file in which its configuration is looked for."""
_OVERLAP = 64
_MARK = b'{"class_name"'
_LAMBDA = "holds a Lambda layer, whose Python code is stored with it"
_UNSEEN = "its configuration was not found, so it may hold a Lambda layer"


def from_config(data: bytes, path: str, form: str, facts: dict[str, str]) -> Finding:
    """Tell of a model by its configuration, as JSON."""
    try:
        config, _end = json.JSONDecoder().raw_decode(data.decode("utf-8", "ignore"))
    except (ValueError, RecursionError):
        return Finding(path, form, _UNSEEN, facts=facts)
    objects = list(_objects(config))
    unsafe = any(
        one.get("class_name") in ("Lambda", "__lambda__", "function_lambda") for one in objects
    )
    if len(objects) >= MAX_NODES:
        return Finding(path, form, _UNSEEN, facts=facts)
    kind = str(config.get("class_name", ""))[:100] if isinstance(config, dict) else ""
    told = {**facts, "class": kind} if kind else facts
    return Finding(path, form, _LAMBDA if unsafe else "", _inputs(objects), facts=told)


def version(metadata: bytes) -> dict[str, str]:
    """Return as a fact which Keras wrote a ``.keras`` file, by its ``metadata.json``."""
    try:
        told = json.loads(metadata)["keras_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return {"keras_version": told[:40]} if isinstance(told, str) else {}


def read_hdf5(source: Source, path: str) -> Finding | None:
    """Tell of an HDF5 file, and of the Keras model in it; None if it is something else.

    The configuration is a text in the file; it is looked for instead of following HDF5's trees.

    Raises:
        TooCostlyError: The budget is used up.
    """
    # HDF5 specification, III.A: the superblock is at 0, 512, 1024, 2048 …
    starts = [0, *(512 << n for n in range(8))]
    if not any(at + 8 <= source.size and source.at(at, 8) == HDF5 for at in starts):
        return None
    is_keras, config = False, b""
    for at in _places(source.size):
        piece = source.at(at, min(_PIECE + _OVERLAP, source.size - at))
        is_keras |= b"keras_version" in piece or b"model_config" in piece or b"layer_names" in piece
        found = piece.find(_MARK)
        if found >= 0 and not config:
            config = source.at(at + found, min(MAX_CONFIG, source.size - at - found))
    if not is_keras and not config:
        return Finding(path, "hdf5")
    if not config and source.size <= 2 * _EDGE * _PIECE:
        return Finding(path, "hdf5", facts={"class": "weights of Keras"})
    # The version itself lies apart from its name in HDF5; how shapes are called tells as much.
    third = b'"batch_shape":' in config and b'"batch_input_shape":' not in config
    return from_config(config, path, "keras-h5", {"keras_generation": "3" if third else "2"})


def _places(size: int) -> Iterator[int]:
    edge = _EDGE * _PIECE
    for at in range(0, size, _PIECE):
        if at < edge or at >= size - edge - _PIECE:
            yield at


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects within a value, at most ``MAX_NODES``."""
    left, seen = [config], 0
    while left and seen < MAX_NODES:
        one = left.pop(0) if len(left) < 1000 else left.pop()  # in order, if cheap
        seen += 1
        if isinstance(one, dict):
            yield one
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)


def _inputs(objects: list[dict[str, Any]]) -> tuple[Tensor, ...]:
    found = []
    for one in objects:
        config = one.get("config")
        if one.get("class_name") != "InputLayer" or not isinstance(config, dict):
            continue
        shape = config.get("batch_shape", config.get("batch_input_shape"))
        axes = shape if isinstance(shape, list) else []
        name, dtype = config.get("name"), config.get("dtype")
        if isinstance(dtype, dict):
            inner = dtype.get("config")
            dtype = inner.get("name") if isinstance(inner, dict) else ""
        sizes = tuple(axis if isinstance(axis, int) else -1 for axis in axes[:64])
        found.append(Tensor(str(name or "")[:200], str(dtype or "")[:50], sizes))
    return tuple(found[:MAX_TENSORS])
