"""Which form a model's files have, as the server has told from their bytes at registration."""

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skerry.answers import Finding
from skerry_contract.errors import ModelError

FormName = Literal[
    "keras-h5",
    "keras-zip",
    "saved-model",
    "pickle",
    "torchscript",
    "exported-program",
    "torch-state",
    "onnx",
    "tflite",
]
_FORMS: dict[str, FormName] = {
    "exported-program": "exported-program",
    "joblib": "pickle",
    "keras": "keras-zip",
    "keras-h5": "keras-h5",
    "onnx": "onnx",
    "pickle": "pickle",
    "pytorch": "torch-state",
    "saved-model": "saved-model",
    "tflite": "tflite",
    "torchscript": "torchscript",
}
"""Forms by the name that ``docs/model-formats.md`` has for a format; others cannot be converted."""
_VERSIONS: dict[FormName, str] = {
    "keras-h5": "keras_generation",
    "keras-zip": "keras_version",
    "pickle": "sklearn_version",
}
"""The fact that tells what wrote a file."""
_KERAS_3 = (2, 16)
"""The first TensorFlow whose Keras is the third."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a model is.

    Attributes:
        name: Its form.
        path: The file, or the folder of a SavedModel.
        runs_code: Why loading it runs code of its author; empty if it does not.
        made_with: Version of the library that wrote it, as far as the files say; empty if not.
    """

    name: FormName
    path: Path
    runs_code: str = ""
    made_with: str = ""


def find(
    root: Path, findings: Sequence[Finding], named: str = "", fit: Container[FormName] = ()
) -> Form:
    """Return the one convertible model among the files below ``root``.

    Args:
        root: Folder of a model's files.
        findings: What the server has told of them.
        named: Path below ``root`` of the file or SavedModel folder that is meant; empty to look.
        fit: Forms that are meant rather than others, where there are several: beside a network
            often lies a pickled tokenizer.

    Raises:
        ModelError: There is none, or more than one, or the named one is none.
    """
    forms = list(_all(root, findings))
    if named:
        return _named(root, forms, named)
    found = [form for form in forms if form.name in fit] or forms
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelError(
            "none of the model's files has a form that can be converted",
            remedy="Known are Keras (.h5, .keras), SavedModel, scikit-learn (pickle, joblib), "
            "TorchScript, exported PyTorch programs and ONNX. 'skerry model show' tells what the "
            "files are.",
        )
    names = ", ".join(sorted(str(form.path.relative_to(root)) for form in found))
    raise ModelError(f"several files could be meant: {names}", remedy="Name one with --file.")


def _named(root: Path, forms: Sequence[Form], named: str) -> Form:
    path = (root / named).resolve()
    if not path.is_relative_to(root.resolve()) or not path.exists():
        raise ModelError(f"the model has no file {named}", remedy="See 'skerry model show'.")
    for form in forms:
        if form.path.resolve() == path:
            return form
    raise ModelError(f"{named} has no form that can be converted")


def _all(root: Path, findings: Sequence[Finding]) -> Iterator[Form]:
    """Yield all models below ``root``; what belongs to a SavedModel is none of its own."""
    told = [one for one in findings if "!/" not in one.path and (root / one.path).is_file()]
    inside = [(root / one.path).parent for one in told if one.format == "saved-model"]
    for one in told:
        path, name = root / one.path, _FORMS.get(one.format)
        if one.format == "saved-model":
            yield Form("saved-model", path.parent, one.executes_code, _keras_of(path, one))
        elif name and not any(path.is_relative_to(folder) for folder in inside):
            version = one.facts.get(_VERSIONS.get(name, ""), "")
            yield Form(name, path, one.executes_code, version)


def _keras_of(path: Path, told: Finding) -> str:
    """Return the generation of Keras that can read a SavedModel; empty if any can."""
    if (path.parent / "keras_metadata.pb").exists():
        return "2"
    version = re.match(r"(\d+)\.(\d+)", told.facts.get("tensorflow_version", ""))
    older = version is not None and (int(version[1]), int(version[2])) < _KERAS_3
    return "2" if older else ""
