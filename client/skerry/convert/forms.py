"""Which form a model's files have, told by their content; nothing here is ever loaded."""

import re
import zipfile
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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

SCAN_BYTES = 64 * 1024 * 1024
"""How much of a file is searched for the version that it was written with."""
MAX_MEMBER_BYTES = 16 * 1024 * 1024
"""Largest member of an archive that is read."""
_HDF5, _ZIP, _FLATBUFFER = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"TFL3"
_COMPRESSED = (
    b"\x1f\x8b",
    b"\x78\x01",
    b"\x78\x9c",
    b"\x78\xda",
    b"BZh",
    b"\xfd7zXZ",
    b"\x04\x22M",
)


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


def find(root: Path, named: str = "", fit: Container[FormName] = ()) -> Form:
    """Return the one convertible model among the files below ``root``.

    Args:
        root: Folder of a model's files.
        named: Path below ``root`` of the file or SavedModel folder that is meant; empty to look.
        fit: Forms that are meant rather than others, where there are several: beside a network
            often lies a pickled tokenizer.

    Raises:
        ModelError: There is none, or more than one, or the named one is none.
    """
    if named:
        return _named(root, named)
    found = list(_all(root))
    found = [form for form in found if form.name in fit] or found
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelError(
            "none of the model's files has a form that can be converted",
            remedy="Known are Keras (.h5, .keras), SavedModel, scikit-learn (pickle, joblib), "
            "TorchScript, exported PyTorch programs and ONNX.",
        )
    names = ", ".join(sorted(str(form.path.relative_to(root)) for form in found))
    raise ModelError(f"several files could be meant: {names}", remedy="Name one with --file.")


def recognise(path: Path) -> Form | None:
    """Return the form of a file, or of a folder that is a SavedModel; None if it is no model."""
    if path.is_dir():
        return _saved_model(path)
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(_HDF5):
        return _keras_h5(path)
    if head.startswith(_ZIP):
        return _archive(path)
    if head[4:8] == _FLATBUFFER:
        return Form("tflite", path)
    if _is_pickle(head, path):
        why = "unpickling it runs whatever code its author put there"
        return Form("pickle", path, why, _searched(path, rb"_sklearn_version"))
    if path.suffix == ".onnx" and head[:1] == b"\x08":  # ModelProto.ir_version, field 1
        return Form("onnx", path)
    return None


def _named(root: Path, named: str) -> Form:
    path = (root / named).resolve()
    if not path.is_relative_to(root.resolve()) or not path.exists():
        raise ModelError(f"the model has no file {named}", remedy="See 'skerry model show'.")
    if form := recognise(path):
        return form
    raise ModelError(f"{named} has no form that can be converted")


def _all(root: Path) -> Iterator[Form]:
    """Yield all models below ``root``; what belongs to a SavedModel is none of its own."""
    inside: list[Path] = []
    for path in sorted(root.rglob("*")):
        if any(path.is_relative_to(folder) for folder in inside):
            continue
        if (path.is_dir() or path.is_file()) and (form := recognise(path)):
            yield form
            if path.is_dir():
                inside.append(path)


def _saved_model(path: Path) -> Form | None:
    if not (path / "saved_model.pb").is_file():
        return None
    keras = "2" if (path / "keras_metadata.pb").exists() else ""
    return Form("saved-model", path, "", keras)


def _keras_h5(path: Path) -> Form:
    why = _LAMBDA if _searched_for(path, rb'"class_name": ?"Lambda"') else ""
    # The version itself lies apart from its name in HDF5; how shapes are called tells as much.
    third = _searched_for(path, rb'"batch_shape":') and not _searched_for(
        path, rb'"batch_input_shape":'
    )
    return Form("keras-h5", path, why, "3" if third else "2")


_LAMBDA = "it has a Lambda layer, which holds Python code"


def _archive(path: Path) -> Form | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] or name for name in archive.namelist()}
            whole = set(archive.namelist())
            if {"config.json", "metadata.json"} <= whole:
                return _keras_zip(path, archive)
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return None
    if any(name.startswith("code/") for name in names) and "constants.pkl" in names:
        return Form("torchscript", path, "loading TorchScript of an unknown author is unsafe")
    if "archive_format" in names or "serialized_exported_program.json" in whole:
        return Form("exported-program", path, "loading it may unpickle what its author put there")
    return Form("torch-state", path) if "data.pkl" in names else None


def _keras_zip(path: Path, archive: zipfile.ZipFile) -> Form:
    def member(name: str) -> bytes:
        with archive.open(name) as file:
            return file.read(MAX_MEMBER_BYTES)

    found = re.search(rb'"keras_version": ?"([0-9][\w.]*)"', member("metadata.json"))
    why = _LAMBDA if re.search(rb'"class_name": ?"Lambda"', member("config.json")) else ""
    return Form("keras-zip", path, why, found[1].decode() if found else "")


def _is_pickle(head: bytes, path: Path) -> bool:
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return True
    named = path.suffix in {".pkl", ".pickle", ".joblib"}
    return named and (head.startswith(_COMPRESSED) or head[:1] in b"(c]}")


def _searched(path: Path, name: bytes) -> str:
    """Return the version that follows ``name`` in a file; empty if none does."""
    pattern = name + rb"[^0-9]{0,400}?([0-9]+\.[0-9]+(?:\.[0-9]+)?)"
    found = re.search(pattern, _head(path), re.DOTALL)
    return found[1].decode() if found else ""


def _searched_for(path: Path, pattern: bytes) -> bool:
    return re.search(pattern, _head(path)) is not None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SCAN_BYTES)
