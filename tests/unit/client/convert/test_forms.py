"""Models are told by what they hold, without loading them."""

import gzip
import json
import pickle
import zipfile
from collections.abc import Callable, Container
from pathlib import Path

import pytest

from skerry.convert import forms
from skerry.convert.forms import Form, FormName
from skerry.convert.plan import forms_for
from skerry_contract.errors import ModelError
from support.findings import findings_of


def find(root: Path, named: str = "", fit: Container[FormName] = ()) -> Form:
    return forms.find(root, findings_of(root), named, fit)


def zipped(path: Path, **members: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_json", ".json"), text)


def keras(path: Path, version: str, layer: str = "Dense") -> None:
    metadata = json.dumps({"keras_version": version})
    zipped(path, metadata_json=metadata, config_json=json.dumps({"class_name": layer}))


def hdf5(path: Path, shape: str = "batch_input_shape") -> None:
    config = {"class_name": "Sequential", "config": {"layers": [{"config": {shape: [None, 20]}}]}}
    text = b"model_config" + json.dumps(config).encode()
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 60 + text)


def torch(path: Path, *members: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(f"model/{member}", "")


def estimator(path: Path) -> None:
    path.write_bytes(PICKLE)


PICKLE = pickle.dumps({"coef_": 1, "_sklearn_version": "1.5.2"})
# SavedModel: schema version 1, a graph of TensorFlow 2.4.1.
SAVED = b"\x08\x01\x12\x09\x0a\x07\x2a\x052.4.1"
# ModelProto: ir_version 9, a graph with one node "Abs", opset 17.
ONNX = bytes.fromhex("0809 3a0d 0a0b 0a0178 120179 2203416273 4204 0a00 1011".replace(" ", ""))
MAKERS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "m.h5": (hdf5, "keras-h5", "2"),
    "new.h5": (lambda path: hdf5(path, "batch_shape"), "keras-h5", "3"),
    "m.keras": (lambda path: keras(path, "3.4.1"), "keras-zip", "3.4.1"),
    "m.pkl": (estimator, "pickle", "1.5.2"),
    "m.joblib": (lambda path: path.write_bytes(gzip.compress(PICKLE)), "pickle", "1.5.2"),
    "m.tflite": (lambda path: path.write_bytes(b"\x20\0\0\0TFL3\0"), "tflite", ""),
    "m.onnx": (lambda path: path.write_bytes(ONNX), "onnx", ""),
    "s.pt": (lambda path: torch(path, "code/a.py", "constants.pkl", "data.pkl"), "torchscript", ""),
    "e.pt2": (lambda path: torch(path, "archive_format"), "exported-program", ""),
    "w.pt": (lambda path: torch(path, "data.pkl", "data/0"), "torch-state", ""),
}


@pytest.mark.parametrize("name", MAKERS)
def test_each_form_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    make, form, version = MAKERS[name]
    make(tmp_path / name)

    found = find(tmp_path)

    assert (found.name, found.made_with) == (form, version)


def test_a_saved_model_is_one_model_whatever_lies_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "saved"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(SAVED)
    hdf5(folder / "inner.h5")

    found = find(tmp_path)
    assert (found.name, found.path, found.made_with) == ("saved-model", folder, "2")


@pytest.mark.parametrize(("name", "runs"), [("m.pkl", True), ("s.pt", True), ("m.onnx", False)])
def test_what_runs_code_on_loading_says_so(tmp_path: Path, name: str, runs: bool) -> None:  # noqa: FBT001
    MAKERS[name][0](tmp_path / name)
    assert bool(find(tmp_path).runs_code) == runs


def test_a_lambda_layer_is_code(tmp_path: Path) -> None:
    keras(tmp_path / "m.keras", "3.4.1", "Lambda")
    assert "Lambda" in find(tmp_path).runs_code


def test_of_several_models_one_must_be_named(tmp_path: Path) -> None:
    estimator(tmp_path / "a.pkl")
    estimator(tmp_path / "b.pkl")

    with pytest.raises(ModelError, match=r"a\.pkl, b\.pkl"):
        find(tmp_path)
    assert find(tmp_path, "b.pkl").path.name == "b.pkl"


def test_a_tokenizer_beside_a_network_is_not_taken_for_the_model(tmp_path: Path) -> None:
    hdf5(tmp_path / "model.h5")
    estimator(tmp_path / "tokenizer.pkl")
    estimator(tmp_path / "encoder.pkl")

    assert find(tmp_path, fit=forms_for("litert")).path.name == "model.h5"
    with pytest.raises(ModelError, match=r"encoder\.pkl, tokenizer\.pkl$"):
        find(tmp_path, fit=forms_for("onnx"))


@pytest.mark.parametrize("named", ["../m.pkl", "none.pkl"])
def test_only_the_models_own_files_can_be_named(tmp_path: Path, named: str) -> None:
    (tmp_path / "model").mkdir()
    estimator(tmp_path / "m.pkl")
    with pytest.raises(ModelError, match="has no file"):
        forms.find(tmp_path / "model", findings_of(tmp_path / "model"), named)


def test_without_a_model_the_forms_that_are_known_are_named(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ModelError) as caught:
        find(tmp_path)
    assert "ONNX" in caught.value.remedy
