"""What a small Keras LSTM costs as Keras and as LiteRT.

    python benchmarks/convert_keras.py

The model is of the shape of a classic: words, an embedding, an LSTM, three classes. Both answer the
same inputs, one at a time; each runs in a process of its own that imports nothing but its runtime.
TensorFlow is fetched at the first run.
"""

import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from results import Results
from rig import note, options, show
from skerry.convert.child import Child, Limits, bubblewrap_works
from skerry.convert.families import Families, default_cache
from skerry.convert.forms import Form
from skerry.convert.plan import FamilyName, Pins, Quantize, Wish
from skerry.convert.proof import Measured
from skerry.convert.work import Comparison, Conversion, convert

MAKE = """
import sys, numpy as np, tensorflow as tf
layers = tf.keras.layers
words = np.random.default_rng(1).integers(0, 60, (200, 300))
model = tf.keras.Sequential([
    layers.Input((300,)), layers.Embedding(60, 300), layers.LSTM(100),
    layers.Dense(3, activation="softmax"),
])
model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
model.fit(words, words[:, -1] % 3, epochs=1, verbose=0)
model.save(f"{sys.argv[1]}/model.h5")
np.savez(f"{sys.argv[1]}/inputs.npz", words[:50].astype("float32"))
"""
NOT_SHOWN = (
    "The device: this machine's processor is another one, and has more cache.",
    "predict(): Keras is called as a function here, which is quicker.",
    "Training to a purpose: the weights are nearly random, and cost the same.",
)


def main() -> None:
    """Measure, and print what came out."""
    given = options(__doc__, rounds=3)
    results = Results("convert_keras", NOT_SHOWN)
    families = Families(default_cache(os.environ), note)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        python = families.provide("keras2")
        subprocess.run([python, "-I", "-c", MAKE, folder], check=True, timeout=600)
        for quantize in ("none", "dynamic"):
            found = []
            for number in range(given.rounds):
                note(f"{quantize}, round {number + 1} of {given.rounds}")
                found.append(one(families, folder, quantize))
            tell(results, quantize, found)
    show(results, given)


def one(families: Families, folder: Path, quantize: Quantize) -> Conversion:
    """Convert once."""

    def child(work: Path, family: FamilyName, pins: Pins) -> Child:
        python = families.provide(family, pins)
        return Child(python, work, Limits(), lambda _text: None, bubblewrap_works())

    with tempfile.TemporaryDirectory() as work:
        golden = Comparison(golden=folder / "inputs.npz")
        form = Form("keras-h5", folder / "model.h5", made_with="2")
        return convert(Path(work), form, Wish("litert", quantize), golden, child)


def tell(results: Results, quantize: str, found: list[Conversion]) -> None:
    """Note the medians and how they compare."""

    def medians(of: str, when: str) -> float:
        each: list[Measured] = [getattr(one, when) for one in found]
        return float(statistics.median(getattr(measured, of) for measured in each))

    for what, of, unit, scale in (
        ("latency", "latency_ms", "ms", 1.0),
        ("load", "load_ms", "ms", 1.0),
        ("memory", "memory_bytes", "MiB", 1024.0**2),
        ("model", "size_bytes", "KiB", 1024.0),
        ("runtime, installed", "installed_bytes", "MiB", 1024.0**2),
    ):
        before, after = medians(of, "before"), medians(of, "after")
        results.add(f"{what}, Keras", before / scale, unit)
        results.add(f"{what}, LiteRT ({quantize})", after / scale, unit)
        results.add(f"{what}, ratio ({quantize})", before / after, "x")
    agreement = min(one.agreement.share for one in found)
    results.add(f"agreement ({quantize})", agreement * 100, "%")
    worst = max(one.max_abs or 0 for each in found for one in each.agreement.outputs)
    results.add(f"largest difference ({quantize})", worst * 1e6, "millionths")


if __name__ == "__main__":
    main()
