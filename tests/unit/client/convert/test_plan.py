"""What is done with which form, and what is refused before anything is loaded."""

from pathlib import Path

import pytest

from skerry.convert.forms import Form, FormName
from skerry.convert.plan import Target, Wish, plan
from skerry_contract.errors import ConflictError, ModelError


def form(name: FormName, made_with: str = "", runs_code: str = "") -> Form:
    return Form(name, Path("model"), runs_code, made_with)


@pytest.mark.parametrize(
    ("name", "made_with", "target", "family"),
    [
        ("keras-h5", "2.15.0", "litert", "keras2"),
        ("keras-h5", "3.4.1", "litert", "keras3"),
        ("keras-h5", "", "litert", "keras2"),
        ("keras-zip", "2.14.0", "litert", "keras2"),
        ("keras-zip", "3.4.1", "litert", "keras3"),
        ("saved-model", "2", "litert", "keras2"),
        ("saved-model", "", "litert", "keras3"),
        ("pickle", "1.5.2", "onnx", "sklearn"),
        ("torchscript", "", "onnx", "torch"),
        ("exported-program", "", "onnx", "torch"),
        ("onnx", "", "onnx", "onnx"),
    ],
)
def test_each_form_has_its_way(name: FormName, made_with: str, target: Target, family: str) -> None:
    assert plan(form(name, made_with), Wish(target)).family == family


def test_a_pickle_is_read_by_the_version_that_wrote_it() -> None:
    assert plan(form("pickle", "1.5.2"), Wish("onnx")).pins == (("scikit-learn", "1.5.2"),)


@pytest.mark.parametrize(
    ("name", "target", "remedy"),
    [
        ("keras-h5", "onnx", "litert"),
        ("pickle", "litert", "onnx"),
        ("tflite", "litert", "ready"),
        ("torch-state", "onnx", r"torch\.export\.save"),
    ],
)
def test_where_there_is_no_way_the_remedy_names_one(
    name: FormName, target: Target, remedy: str
) -> None:
    with pytest.raises(ModelError) as caught:
        plan(form(name), Wish(target))
    assert remedy.replace("\\", "") in caught.value.remedy


def test_code_of_others_runs_only_where_it_is_trusted() -> None:
    model = form("pickle", runs_code="unpickling it runs code")

    with pytest.raises(ConflictError) as caught:
        plan(model, Wish("onnx"))
    assert "--trust" in caught.value.remedy
    assert plan(model, Wish("onnx", trust=True)).converter == "sklearn_models"


def test_int8_needs_something_to_calibrate_with() -> None:
    with pytest.raises(ModelError, match="samples"):
        plan(form("onnx"), Wish("onnx", "int8"))
    plan(form("onnx"), Wish("onnx", "int8", calibrated=True))
