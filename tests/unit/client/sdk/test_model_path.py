"""Where a script finds a model by its name."""

from pathlib import Path

import pytest

from skerry.model import Model
from skerry_contract.errors import UnauthorizedError


@pytest.fixture(name="folder", autouse=True)
def folder_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, from which no server can be found."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("SKERRY_LOGIN", str(tmp_path / "no-login"))
    monkeypatch.delenv("AZUREML_MODEL_DIR", raising=False)
    return work


def put(place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("weights")
    return place


@pytest.mark.parametrize("told", ["served/wake/10", "served"])
def test_a_scorer_looks_where_its_host_says_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    old, new = put(folder / "served/wake/9/old.onnx"), put(folder / "served/wake/10/new.onnx")
    put(folder / "azureml-models/wake/11/other.onnx")
    put(folder / "wake/other.onnx")
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(folder / told))
    assert Model.get_model_path("wake") == str(new)
    assert Model.get_model_path("wake", 9) == str(old)


def test_then_comes_the_working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(folder / "nothing/here/1"))
    beside = put(folder / "wake")
    assert Model.get_model_path("wake") == str(beside)
    put(folder / "azureml-models/wake/2/a.onnx")
    put(folder / "azureml-models/wake/2/b.onnx")
    assert Model.get_model_path("wake") == str(folder / "azureml-models" / "wake" / "2")
    assert Model.get_model_path("wake", 3) == str(beside)
    monkeypatch.delenv("AZUREML_MODEL_DIR")
    assert Model.get_model_path("wake", 2) == str(folder / "azureml-models" / "wake" / "2")


def test_what_is_nowhere_here_is_asked_of_the_server() -> None:
    with pytest.raises(UnauthorizedError):
        Model.get_model_path("wake")
