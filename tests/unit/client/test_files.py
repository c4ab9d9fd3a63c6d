"""What may become a model or a scorer, and what may not."""

import os
import socket
from pathlib import Path

import pytest

from skerry.files import LocalFile, Reader, name_problem
from skerry_contract.errors import ModelError, ScorerError

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def names(files: list[LocalFile]) -> list[str]:
    return [file.path for file in files]


def test_a_folders_files_come_in_order_with_size_and_digest(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"xyz")
    files = Reader(ModelError).folder(tmp_path, prefix="m/")
    assert [(file.path, file.size) for file in files] == [("m/a/x", 3), ("m/b", 0)]
    assert files[1].digest == EMPTY


def test_a_folder_called_dot_has_its_real_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.h5").write_bytes(b"m")
    monkeypatch.chdir(tmp_path / "models")
    assert names(Reader(ModelError).model(Path())) == ["models/m.h5"]


def test_what_tools_leave_behind_is_not_shipped(tmp_path: Path) -> None:
    for name in ("__pycache__/x.pyc", ".git/config", "score.py", "old.pyc", ".DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert names(Reader(ScorerError).folder(tmp_path)) == ["score.py"]


def test_a_link_within_the_folder_is_the_file_that_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"r")
    (tmp_path / "link").symlink_to("real")
    files = Reader(ModelError).folder(tmp_path)
    assert names(files) == ["link", "real"]
    assert files[0].digest == files[1].digest


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        pytest.param("pipe", fifo, "is no regular file", id="pipe"),
        pytest.param("sock", listening, "is no regular file", id="socket"),
        pytest.param("out", lambda p: p.symlink_to("/etc/hostname"), "leads out", id="link-out"),
        pytest.param("dir", lambda p: p.symlink_to("."), "link to a folder", id="link-to-folder"),
        pytest.param("gone", lambda p: p.symlink_to("none"), "cannot be read", id="dangling"),
        pytest.param("a\nb", lambda p: p.touch(), "control character", id="newline"),
        pytest.param("a\\b", lambda p: p.touch(), "backslash", id="backslash"),
        pytest.param("\udcff", lambda p: p.touch(), "is not UTF-8", id="not-utf-8"),
    ],
)
def test_what_cannot_be_shipped_is_named(
    tmp_path: Path, name: str, make: object, said: str
) -> None:
    (tmp_path / "good").write_bytes(b"g")
    assert callable(make)
    make(tmp_path / name)
    with pytest.raises(ModelError, match=said):
        Reader(ModelError).folder(tmp_path)


def test_an_empty_folder_and_a_missing_path_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no files"):
        Reader(ModelError).model(tmp_path)
    with pytest.raises(ModelError, match="No such file"):
        Reader(ModelError).model(tmp_path / "none")


@pytest.mark.parametrize(
    ("path", "fine"),
    [
        ("models/model.h5", True),
        ("with space/ümlaut.txt", True),
        ("..data", True),
        ("", False),
        ("/etc/passwd", False),
        ("a/../b", False),
        ("./a", False),
        ("a//b", False),
        ("a/", False),
        ("a\x00b", False),
        ("ü" * 128, False),
    ],
)
def test_a_shipped_name_is_a_plain_relative_path(path: str, fine: bool) -> None:  # noqa: FBT001 (a table's column)
    assert (name_problem(path) == "") is fine
