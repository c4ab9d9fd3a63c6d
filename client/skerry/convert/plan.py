"""What to do with a model of some form: a table, and the reasons why the rest is not in it."""

from dataclasses import dataclass
from typing import Literal

from skerry.convert.forms import Form, FormName
from skerry_contract.errors import ConflictError, ModelError

Target = Literal["litert", "onnx"]
Quantize = Literal["none", "dynamic", "int8"]
Pins = tuple[tuple[str, str], ...]
"""Versions that differ from a lock, by package."""
FamilyName = Literal["keras2", "keras3", "sklearn", "onnx", "torch"]

SUFFIXES = {"litert": ".tflite", "onnx": ".onnx"}
FRAMEWORKS = {"litert": "LiteRT", "onnx": "ONNX"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants a model to become.

    Attributes:
        target: The form that the device runs.
        quantize: ``dynamic`` makes the weights int8, ``int8`` the arithmetic as well.
        calibrated: Whether there are samples to calibrate with.
        trust: Whether code of the model's author may run, held in as far as this machine can.
    """

    target: Target
    quantize: Quantize = "none"
    calibrated: bool = False
    trust: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How it becomes that.

    Attributes:
        family: Whose libraries are needed.
        converter: Module of ``converters`` that does it.
        before: Runtime that the original is measured with.
        after: Runtime that the result is measured with.
        pins: Versions that differ from the family's lock, by package.
    """

    family: FamilyName
    converter: str
    before: str
    after: str
    pins: Pins = ()


_WAYS: dict[tuple[FormName, Target], tuple[FamilyName, str, str]] = {
    ("keras-h5", "litert"): ("keras2", "keras_models", "keras"),
    ("keras-zip", "litert"): ("keras3", "keras_models", "keras"),
    ("saved-model", "litert"): ("keras3", "keras_models", "saved-model"),
    ("pickle", "onnx"): ("sklearn", "sklearn_models", "sklearn"),
    ("torchscript", "onnx"): ("torch", "torch_models", "torchscript"),
    ("exported-program", "onnx"): ("torch", "torch_models", "exported-program"),
    ("onnx", "onnx"): ("onnx", "onnx_graphs", "onnx"),
}


def forms_for(target: Target) -> frozenset[FormName]:
    """Return the forms that can become ``target``."""
    return frozenset(name for name, becomes in _WAYS if becomes == target)


def plan(form: Form, wish: Wish) -> Plan:
    """Return how a model of ``form`` becomes what is wished for.

    Raises:
        ModelError: There is no way from this form to that one.
        ConflictError: It would run code of the model's author, and that was not allowed.
    """
    if form.name == "torch-state":
        raise ModelError(
            f"{form.path.name} holds weights without the code that uses them",
            remedy="Save the model with torch.export.save or torch.jit.save, "
            "where both are at hand.",
        )
    way = _WAYS.get((form.name, wish.target))
    if way is None:
        targets = [target for name, target in _WAYS if name == form.name]
        raise ModelError(
            f"there is no way from {form.name} to {wish.target}",
            remedy=f"It can become: {', '.join(targets) or 'nothing; it is ready as it is'}.",
        )
    if wish.quantize == "int8" and not wish.calibrated:
        raise ModelError(
            "int8 arithmetic needs samples to find its ranges with",
            remedy="Give typical inputs with --calibration FILE.npz, or use --quantize dynamic.",
        )
    if form.runs_code and not wish.trust:
        raise ConflictError(
            f"{form.path.name}: {form.runs_code}",
            remedy="If you know where it comes from, repeat this with --trust.",
        )
    family, converter, before = way
    return Plan(_keras(form, family), converter, before, wish.target, _pins(form))


def _keras(form: Form, family: FamilyName) -> FamilyName:
    """Return which Keras can read it: each reads only what its own generation wrote."""
    if not family.startswith("keras") or not form.made_with:
        return family
    return "keras3" if int(form.made_with.split(".")[0]) >= 3 else "keras2"


def _pins(form: Form) -> Pins:
    """Return the version that unpickles it as it was meant: scikit-learn promises no other."""
    if form.name == "pickle" and form.made_with:
        return (("scikit-learn", form.made_with),)
    return ()
