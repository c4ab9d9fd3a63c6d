"""``skerry model convert``: compile a model into the form that suits a device, with proof."""

import os
import tempfile
from pathlib import Path
from typing import Any

import click

from skerry.answers import Model
from skerry.api import NewModel
from skerry.commands.arguments import MODEL, MODEL_NAME
from skerry.convert import forms, proof
from skerry.convert.child import Child, Limits, bubblewrap_works
from skerry.convert.families import Families, default_cache
from skerry.convert.plan import FRAMEWORKS, FamilyName, Pins, Wish, forms_for
from skerry.convert.work import Comparison, Conversion, MakeChild, convert, stage
from skerry.files import Reader
from skerry.session import Session, with_session
from skerry.upload import download, upload
from skerry_contract.errors import GoldenError, ModelError
from skerry_contract.names import ModelReference

WEAK = "made-up inputs of the declared shapes: a weak proof; give real ones with --golden"


class _Shape(click.ParamType[tuple[int, ...]]):
    name = "N,N,…"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the lengths of a shape like ``3,224,224``."""
        if isinstance(value, tuple):
            return value
        try:
            lengths = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no shape, such as 3,224,224", param, ctx)
        if min(lengths) < 1:
            self.fail(f"{value!r}: lengths are 1 and above", param, ctx)
        return lengths


_PATH = click.Path(exists=True, path_type=Path)


@click.command(
    "convert",
    epilog="Example: skerry model convert sentiment:1 --to litert --golden inputs.npz",
)
@click.argument("which", metavar="NAME[:VERSION]", type=MODEL)
@click.option(
    "--to", "target", type=click.Choice(["litert", "onnx"]), required=True, help="The new form."
)
@click.option("-n", "--name", type=MODEL_NAME, help="What to call the result.  [default: NAME]")
@click.option(
    "--quantize",
    type=click.Choice(["none", "dynamic", "int8"]),
    default="none",
    show_default=True,
    help="dynamic: weights as int8; int8: the arithmetic too, with --calibration.",
)
@click.option("--file", default="", metavar="PATH", help="Which of the model's files is meant.")
@click.option(
    "--golden",
    type=_PATH,
    help="Inputs to compare on: an npz file with an array for each input, or a folder of npy.",
)
@click.option("--calibration", type=_PATH, help="Typical inputs for int8, in the same form.")
@click.option(
    "--min-agreement",
    type=click.FloatRange(0, 1),
    default=0.99,
    show_default=True,
    help="Share of samples on which both must agree.",
)
@click.option(
    "--task",
    type=click.Choice(["auto", "classification", "binary", "regression"]),
    default="auto",
    show_default=True,
    help="What the outputs mean, and so what agreeing is.",
)
@click.option(
    "--atol", default=1e-3, show_default=True, help="Regression: how far a number may be off."
)
@click.option("--rtol", default=1e-2, show_default=True, help="And relative to the original's.")
@click.option(
    "--samples", type=click.IntRange(1, 100_000), default=256, show_default=True, help="At most."
)
@click.option(
    "--input-shape",
    "input_shapes",
    type=_Shape(),
    multiple=True,
    help="Of one sample, without a golden set; once for each input whose lengths are open.",
)
@click.option("--trust", is_flag=True, help="Load formats that run code of their author.")
@click.option(
    "--python",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Interpreter of your own environment with the libraries.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="SKERRY_CONVERTERS",
    show_envvar=True,
    help="Where environments are kept.  [default: ~/.cache/skerry/converters]",
)
@click.option("--timeout", default=1800.0, show_default=True, help="Seconds for each step.")
@click.option("--memory-limit-gb", default=8.0, show_default=True, help="GiB for each step.")
@click.option("--dry-run", is_flag=True, help="Convert and compare, but register nothing.")
@with_session
def convert_model(session: Session, /, which: ModelReference, **options: Any) -> None:
    """Compile a model into the form that suits a device, and prove that it says the same.

    Keras or SavedModel becomes LiteRT; scikit-learn, TorchScript and exported PyTorch programs
    become ONNX; ONNX is optimised. Original and result answer the same inputs; if they agree on too
    few, nothing is registered. The result is a new version with its parent. The converters'
    libraries are fetched when they are first needed, and run in a process of their own.
    """
    found = session.api.model(which)
    with tempfile.TemporaryDirectory(prefix="skerry-convert-") as place:
        root, folder = Path(place, "model"), Path(place, "work")
        folder.mkdir()
        _fetch(session, found, root)
        wish = Wish(
            options["target"],
            options["quantize"],
            calibrated=options["calibration"] is not None,
            trust=options["trust"],
        )
        form = forms.find(root, found.findings, options["file"], forms_for(wish.target))
        done = convert(folder, form, wish, _comparison(options), _child_maker(session, options))
        _judge(which, done, options["min_agreement"])
        made = None
        if not options["dry_run"]:
            made = _register(session, found, done, root, options)
        _show(session, which, done, made)


def _comparison(options: dict[str, Any]) -> Comparison:
    same = ("golden", "calibration", "samples", "task", "input_shapes")
    return Comparison(
        absolute=options["atol"], relative=options["rtol"], **{key: options[key] for key in same}
    )


def _child_maker(session: Session, options: dict[str, Any]) -> MakeChild:
    say = session.output.note
    limits = Limits(options["timeout"], int(options["memory_limit_gb"] * 1024**3))
    sandbox = bubblewrap_works()

    def make(folder: Path, family: FamilyName, pins: Pins) -> Child:
        cache = options["cache"] or default_cache(os.environ)
        python = options["python"] or Families(cache, say).provide(family, pins)
        if not sandbox:
            say("bubblewrap does not work here: the converter runs with your rights, network too")
        return Child(Path(python).absolute(), folder, limits, say, sandbox)

    return make


def _fetch(session: Session, found: Model, root: Path) -> None:
    with session.output.progress() as bar:
        task = bar.add_task("fetching", total=sum(one.size for one in found.files))
        download(
            session.api,
            found.files,
            root,
            force=False,
            on_bytes=lambda count: bar.advance(task, count),
        )


def _judge(which: ModelReference, done: Conversion, least: float) -> None:
    """Raise GoldenError, with the whole table, unless the two agree on enough."""
    if proof.enough(done.agreement, least):
        return
    tables = (
        proof.plain(proof.COLUMNS, proof.rows(done.before, done.after)),
        proof.plain(proof.AGREEMENT_COLUMNS, proof.agreement_rows(done.agreement.outputs)),
    )
    raise GoldenError(
        f"{which} as {done.plan.after} agrees on {done.agreement.share:.2%} of {done.samples} "
        f"samples, at least {least:.2%} are wanted; nothing was registered",
        remedy="Quantise less, calibrate with more typical inputs, or accept less with "
        "--min-agreement.",
        detail="\n\n".join(tables),
    )


def _register(
    session: Session, parent: Model, done: Conversion, root: Path, options: dict[str, Any]
) -> Model:
    target = root.with_name("result")
    stage(root, done, target)
    files = Reader(ModelError).folder(target)
    upload(session.api, files)
    new = NewModel(
        name=options["name"] or parent.name,
        files=files,
        description=parent.description,
        tags=parent.tags,
        framework=FRAMEWORKS[options["target"]],
        framework_version=done.versions.get(_RUNTIMES[options["target"]], ""),
        parent=f"{parent.name}:{parent.version}",
        properties=_properties(done, options["quantize"]),
    )
    return session.api.register_model(new)


_RUNTIMES = {"litert": "ai-edge-litert", "onnx": "onnxruntime"}


def _properties(done: Conversion, quantize: str) -> dict[str, str]:
    return {
        "converted-from": done.form.name,
        "converted-with": " ".join(f"{name}=={v}" for name, v in sorted(done.versions.items())),
        "quantize": quantize,
        "agreement": f"{done.agreement.share:.4f}",
        "compared-on": f"{done.samples} {'made-up' if done.random else 'golden'} samples",
    }


def _show(session: Session, which: ModelReference, done: Conversion, made: Model | None) -> None:
    output = session.output
    name = f"{made.name}:{made.version}" if made else "nothing registered (--dry-run)"
    value = {
        "parent": str(which),
        "model": made,
        "before": done.before,
        "after": done.after,
        "agreement": done.agreement.share,
        "outputs": done.agreement.outputs,
        "samples": done.samples,
        "random_samples": done.random,
        "versions": done.versions,
    }
    if done.random:
        output.note(f"compared on {WEAK}")
    output.result(
        value,
        name,
        "",
        output.table(proof.COLUMNS, proof.rows(done.before, done.after)),
        "",
        output.table(proof.AGREEMENT_COLUMNS, proof.agreement_rows(done.agreement.outputs)),
    )
