"""Train the model: python make_model.py FOLDER; needs what environment.txt lists."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from keras import layers

KINDS = ("steady", "unbalanced", "worn")
SAMPLES = 128
"""Readings of one window, which is an eighth of a second."""
PER_KIND = 300
_BLOW_S = 8 / 1024


def window(kind: str, rng: np.random.Generator) -> list[float]:
    """Return made-up readings of a motor, in units of gravity, of shape ``(SAMPLES,)``.

    A steady motor hums at 50 Hz; an unbalanced one throws its weight about at the speed of its
    shaft, 25 Hz; in a worn bearing something knocks about 107 times a second, and rings.
    """
    at_s = np.arange(SAMPLES) / 1024 + rng.uniform(0, 1)
    reading = 0.2 * np.sin(2 * np.pi * 50 * at_s) + rng.normal(0, 0.05, SAMPLES)
    if kind == "unbalanced":
        reading += rng.uniform(0.4, 0.8) * np.sin(2 * np.pi * 25 * at_s)
    if kind == "worn":
        since_s = np.mod(at_s, 1 / 107)
        ringing = np.exp(-since_s / _BLOW_S * 4) * np.sin(2 * np.pi * 400 * since_s)
        reading += rng.uniform(0.6, 1.2) * ringing
    return [round(float(value), 3) for value in reading]


def network() -> Any:
    """Return the untrained network: a window in, the chance of each kind out."""
    return keras.Sequential(
        [
            layers.Input((SAMPLES, 1)),
            layers.Conv1D(8, 9, strides=2, activation="relu"),
            layers.Conv1D(16, 9, strides=2, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(len(KINDS), activation="softmax"),
        ]
    )


def dataset(seed: int, per_kind: int) -> tuple[Any, Any]:
    """Return windows, of shape ``(windows, SAMPLES, 1)``, and the number of each one's kind."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(len(KINDS)), per_kind)
    windows = np.array([window(KINDS[kind], rng) for kind in kinds], dtype=np.float32)
    return windows[..., None], kinds


def main() -> None:
    """Train on made-up readings, and write ``vibration.keras`` and ``kinds.json``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="is made if it is not there")
    parser.add_argument(
        "--windows", type=Path, metavar="FILE.npz", help="write windows to try, too"
    )
    chosen = parser.parse_args()
    keras.utils.set_random_seed(7)
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*dataset(seed=7, per_kind=PER_KIND), epochs=12, batch_size=32, verbose=0)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    model.save(chosen.folder / "vibration.keras")
    (chosen.folder / "kinds.json").write_text(json.dumps(KINDS), encoding="utf-8")
    if chosen.windows:
        np.savez(chosen.windows, dataset(seed=8, per_kind=100)[0])


if __name__ == "__main__":
    main()
