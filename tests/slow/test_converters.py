"""Models of every framework, made by it, converted by it, and the result run without it.

Slow because TensorFlow (twice) and PyTorch are fetched: some gigabytes.
"""

import subprocess
from pathlib import Path

import pytest

from skerry.convert import forms
from skerry.convert.child import Child, Limits, bubblewrap_works
from skerry.convert.families import Families
from skerry.convert.plan import FamilyName, Pins, Quantize, Target, Wish, forms_for
from skerry.convert.proof import Agreement
from skerry.convert.work import Comparison, Conversion, convert
from support.findings import findings_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

KERAS = """
import sys, numpy as np, tensorflow as tf
folder, layers = sys.argv[1], tf.keras.layers
words = np.random.default_rng(1).integers(0, 60, (200, 20))
lstm = tf.keras.Sequential([
    layers.Input((20,)), layers.Embedding(60, 16), layers.LSTM(24),
    layers.Dense(3, activation="softmax"),
])
lstm.compile(loss="sparse_categorical_crossentropy")
lstm.fit(words, words[:, 0] % 3, epochs=2, verbose=0)
cnn = tf.keras.Sequential([
    layers.Input((16, 16, 1)), layers.Conv2D(8, 3, activation="relu"),
    layers.GlobalAveragePooling2D(), layers.Dense(4, activation="softmax"),
])
lstm.save(f"{folder}/lstm.h5")
lstm.save(f"{folder}/lstm.keras")
cnn.save(f"{folder}/cnn.keras")
(cnn.save if tf.__version__ < "2.16" else cnn.export)(f"{folder}/saved")
np.savez(f"{folder}/words.npz", words.astype("float32"))
np.savez(f"{folder}/images.npz", np.random.default_rng(2).random((100, 16, 16, 1)).astype("f"))
"""
TORCH = """
import sys, torch, numpy as np
folder, nn = sys.argv[1], torch.nn
model = nn.Sequential(
    nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    nn.Softmax(1),
).eval()
torch.jit.script(model).save(f"{folder}/script.pt")
shapes = ({0: torch.export.Dim.DYNAMIC},)
program = torch.export.export(model, (torch.zeros(2, 1, 16, 16),), dynamic_shapes=shapes)
torch.export.save(program, f"{folder}/program.pt2")
np.savez(f"{folder}/images.npz", np.random.default_rng(2).random((100, 1, 16, 16)).astype("f"))
"""
SKLEARN = """
import sys, pickle, numpy as np
from sklearn.linear_model import LogisticRegression
x = np.random.default_rng(0).standard_normal((100, 4)).astype("f")
with open(f"{sys.argv[1]}/old.pkl", "wb") as file:
    pickle.dump(LogisticRegression().fit(x, x[:, 0] > 0), file)
"""
OLD: Pins = (("scikit-learn", "1.5.2"),)


class Workshop:
    """Makes models in a family's own environment, and converts them."""

    def __init__(self, cache: Path, folder: Path) -> None:
        self._families = Families(cache, print)
        self._folder = folder

    def make(self, family: FamilyName, script: str, pins: Pins = ()) -> Path:
        made = self._folder / "made"
        made.mkdir()
        python = self._families.provide(family, pins)
        subprocess.run([python, "-I", "-c", script, made], check=True, timeout=600)
        return made

    def convert(self, model: Path, target: Target, quantize: Quantize, golden: Path) -> Conversion:
        root, work = self._folder / "model", self._folder / "work"
        root.mkdir()
        work.mkdir()
        model.rename(root / model.name)
        wish = Wish(target, quantize, calibrated=True, trust=True)
        given = Comparison(golden=golden, calibration=golden)
        form = forms.find(root, findings_of(root), fit=forms_for(target))
        return convert(work, form, wish, given, self._child)

    def _child(self, folder: Path, family: FamilyName, pins: Pins) -> Child:
        assert bubblewrap_works()
        return Child(self._families.provide(family, pins), folder, Limits(), print, sandbox=True)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("converters")


@pytest.fixture
def workshop(cache: Path, tmp_path: Path) -> Workshop:
    return Workshop(cache, tmp_path)


def worst(agreement: Agreement) -> float:
    return max(one.max_abs or 0 for one in agreement.outputs)


@pytest.mark.parametrize(
    ("family", "model", "quantize", "golden"),
    [
        ("keras2", "lstm.h5", "none", "words.npz"),
        ("keras2", "lstm.keras", "dynamic", "words.npz"),
        ("keras2", "cnn.keras", "int8", "images.npz"),
        ("keras2", "saved", "none", "images.npz"),
        ("keras3", "lstm.h5", "none", "words.npz"),
        ("keras3", "cnn.keras", "int8", "images.npz"),
        ("keras3", "saved", "dynamic", "images.npz"),
    ],
)
def test_keras_becomes_litert(
    workshop: Workshop, family: FamilyName, model: str, quantize: Quantize, golden: str
) -> None:
    made = workshop.make(family, KERAS)

    done = workshop.convert(made / model, "litert", quantize, made / golden)

    assert done.plan.family == family
    assert done.agreement.share >= (1.0 if quantize == "none" else 0.9)
    # Recurrent layers that kept their state from sample to sample would differ by 1e-3.
    assert worst(done.agreement) < (1e-5 if quantize == "none" else 0.1)
    assert done.before.size_bytes > 2 * done.after.size_bytes
    assert done.before.memory_bytes > 4 * done.after.memory_bytes
    assert done.before.installed_bytes > 4 * done.after.installed_bytes


@pytest.mark.parametrize("model", ["script.pt", "program.pt2"])
def test_pytorch_becomes_onnx(workshop: Workshop, model: str) -> None:
    made = workshop.make("torch", TORCH)

    done = workshop.convert(made / model, "onnx", "none", made / "images.npz")

    assert (done.agreement.share, done.samples) == (1.0, 100)
    assert worst(done.agreement) < 1e-5
    assert done.before.memory_bytes > 2 * done.after.memory_bytes


def test_a_pickle_of_an_older_scikit_learn_is_read_by_that_one(workshop: Workshop) -> None:
    made = workshop.make("sklearn", SKLEARN, OLD)
    inputs = made / "golden.npz"
    python = workshop._families.provide("sklearn", OLD)
    save = "import sys, numpy as np; np.savez(sys.argv[1], np.eye(4, dtype='f') - 0.5)"
    subprocess.run([python, "-I", "-c", save, inputs], check=True, timeout=60)

    done = workshop.convert(made / "old.pkl", "onnx", "none", inputs)

    assert done.versions["scikit-learn"] == "1.5.2"
    assert done.agreement.share == 1.0
