"""Convert one model that lies here: plan, convert, measure before and after, compare."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from skerry.convert.child import Child
from skerry.convert.forms import Form
from skerry.convert.plan import SUFFIXES, FamilyName, Pins, Plan, Wish, plan
from skerry.convert.proof import Agreement, Measured
from skerry_contract import shape
from skerry_contract.errors import ContractError, ModelError, RuntimeFailedError
from skerry_contract.shape import Size

MakeChild = Callable[[Path, FamilyName, Pins], Child]
"""Makes the child that works in a folder, with the libraries of a family."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """On what, and how, original and result are compared.

    Attributes:
        golden: Inputs, as an npz file or a folder of npy files; None to make some up.
        calibration: Inputs that int8 ranges are found with; likewise.
        samples: Only so many of the golden set are used, above 0.
        task: What the outputs mean: auto, classification, binary or regression.
        absolute: How far a number may be off for regression, 0 or above.
        relative: And how far relative to the original's.
        input_shapes: Shapes of one sample, for models that do not declare them.
    """

    golden: Path | None = None
    calibration: Path | None = None
    samples: int = 256
    task: str = "auto"
    absolute: float = 1e-3
    relative: float = 1e-2
    input_shapes: Sequence[Sequence[int]] = ()


@dataclass(frozen=True, slots=True)
class Conversion:
    """What came out.

    Attributes:
        form: What the original is.
        plan: How it was done.
        result: The converted file.
        before: What the original costs.
        after: What the result costs.
        agreement: How far they say the same.
        samples: How many inputs they were compared on.
        random: Whether those were made up, which proves little.
        versions: Of the libraries that did it.
    """

    form: Form
    plan: Plan
    result: Path
    before: Measured
    after: Measured
    agreement: Agreement
    samples: int
    random: bool
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Converted:
    """What a converter reports."""

    samples: int
    random: bool
    versions: Annotated[Mapping[str, str], Size(0, 100)] = field(default_factory=dict)


def convert(
    folder: Path, form: Form, wish: Wish, comparison: Comparison, make_child: MakeChild
) -> Conversion:
    """Convert a model in a work folder, and measure both.

    Args:
        folder: An empty folder on the same machine, for the caller to remove.
        form: The model, whose files stay as they are.
        wish: What it is to become.
        comparison: On what both are compared.
        make_child: Makes what does the heavy work.

    Raises:
        ModelError: It cannot be converted, or that failed.
        ConflictError: It would run code that nobody vouched for.
        DeadlineError: It took too long.
        RuntimeFailedError: A converter crashed.
    """
    made = plan(form, wish)
    child = make_child(folder, made.family, made.pins)
    source = _copied(form.path, folder / "source")
    report = _shaped(
        _Converted,
        child.run(made.converter, _order(form, source, wish, comparison, folder)),
    )
    result = folder / f"result{SUFFIXES[wish.target]}"
    if result.is_symlink() or not result.is_file():
        raise RuntimeFailedError(f"{made.converter} made no {result.name}")
    before = _measure(child, made.before, source, "before")
    after = _measure(child, made.after, result, "after")
    agreement = _shaped(Agreement, child.run("compare", _comparing(comparison, folder)))
    return Conversion(form, made, result, before, after, agreement, **shape.write(report))


def stage(root: Path, conversion: Conversion, target: Path) -> Path:
    """Make a folder with the files of the new version, and return where the converted one lies.

    What belongs to the model besides (a tokenizer, labels) goes along unchanged.
    """
    form = conversion.form
    shutil.copytree(root, target, ignore=lambda _folder, _names: ())
    old = target / form.path.relative_to(root)
    if old.is_dir():
        shutil.rmtree(old)
    else:
        old.unlink()
    new = (
        old.with_suffix(conversion.result.suffix)
        if old.suffix
        else old.with_name(old.name + conversion.result.suffix)
    )
    if new.exists():
        raise ModelError(
            f"the model has a file {new.relative_to(target)} already",
            remedy="Register it without that file, and convert it again.",
        )
    shutil.copyfile(conversion.result, new)
    return new


def _order(
    form: Form, source: Path, wish: Wish, comparison: Comparison, folder: Path
) -> dict[str, Any]:
    given = {
        name: str(_copied(path, folder / name))
        for name, path in (("golden", comparison.golden), ("calibration", comparison.calibration))
        if path is not None
    }
    return {
        "form": form.name,
        "source": str(source),
        "quantize": wish.quantize,
        "samples": comparison.samples,
        "input_shapes": [list(one) for one in comparison.input_shapes],
        **given,
    }


def _measure(child: Child, runtime: str, source: Path, when: str) -> Measured:
    order = {
        "runtime": runtime,
        "source": str(source),
        "samples": str(child.folder / "samples.npz"),
        "outputs": str(child.folder / f"{when}.npz"),
    }
    found: Measured = _shaped(Measured, child.run("measure", order))
    return replace(found, size_bytes=_size(source))


def _comparing(comparison: Comparison, folder: Path) -> dict[str, Any]:
    return {
        "before": str(folder / "before.npz"),
        "after": str(folder / "after.npz"),
        "task": comparison.task,
        "absolute": comparison.absolute,
        "relative": comparison.relative,
    }


def _copied(path: Path, target: Path) -> Path:
    """Copy what a child must see into its folder; it keeps its suffix, which some loaders need."""
    target = target.with_suffix(path.suffix)
    if path.is_dir():
        shutil.copytree(path, target)
    else:
        shutil.copyfile(path, target)
    return target


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files)


def _shaped(kind: type[Any], report: Any) -> Any:
    try:
        return shape.read(kind, report)
    except ContractError as error:
        raise RuntimeFailedError(f"a converter's report cannot be used: {error.text}") from error
