"""Paths of uploaded files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.request import FileEntry, ModelFiles, check_files, check_request
from skerry_contract.errors import ModelError, NameInvalidError, ScorerError
from skerry_contract.names import Digest
from support.modules import doubling, stored

DIGEST = Digest("sha256:" + "a" * 64)
UNSAFE = [
    "",
    "/etc/passwd",
    "../up",
    "a/../../up",
    "a//b",
    "a/",
    "./a",
    "a/.",
    "..",
    "C:\\x",
    "a\0b",
    "a\nb",
    "\x7f",
    "a/" + "b" * 256,
    "a/" * 600 + "b",
    "\ud800",
]


def entries(*paths: str) -> list[FileEntry]:
    return [FileEntry(path, DIGEST, 1) for path in paths]


@pytest.mark.parametrize("path", UNSAFE)
def test_a_path_that_could_leave_its_folder_is_refused(path: str) -> None:
    with pytest.raises(ModelError, match=r"model face:1"):
        check_files(entries("good", path), "model face:1", ModelError)


@pytest.mark.parametrize("path", ["model.h5", "a/b/c.txt", "..a", "a b", "ä/ß", ".hidden", "-"])
def test_a_path_inside_is_accepted(path: str) -> None:
    check_files(entries(path), "model face:1", ModelError)


@given(st.text(max_size=40))
def test_every_accepted_path_stays_below_its_folder(path: str) -> None:
    try:
        check_files(entries(path), "scorer", ScorerError)
    except ScorerError:
        return
    place = Path("/root-of-it") / path
    assert place.parts[:2] == ("/", "root-of-it")
    assert ".." not in place.parts


@pytest.mark.parametrize(
    "paths", [[], ["a", "a"], ["a", "a/b"], ["a/b/c", "a/b"]], ids=["none", "twice", "up", "down"]
)
def test_files_that_want_the_same_place_are_refused(paths: list[str]) -> None:
    with pytest.raises(ScorerError):
        check_files(entries(*paths), "scorer", ScorerError)


def test_a_scorer_may_not_bring_its_own_models_folder(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    files = stored(blobs, {"score.py": "", "azureml-models/x": ""})
    with pytest.raises(ScorerError, match=r"where models are put"):
        check_request(doubling(blobs, files=files))


def test_names_and_models_of_a_request_are_checked(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    model = ModelFiles("weights", 3, stored(blobs, {"a": "1"}))
    with pytest.raises(NameInvalidError):
        check_request(doubling(blobs, name="../up"))
    with pytest.raises(ModelError, match="twice"):
        check_request(doubling(blobs, models=(model, model)))
    with pytest.raises(ModelError, match="0 files"):
        check_request(doubling(blobs, models=(ModelFiles("none", 1, ()),)))
