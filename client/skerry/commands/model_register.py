"""``skerry model register``."""

from pathlib import Path
from typing import Any

import click

from skerry.answers import DataSet, Model, ModelResources
from skerry.api import NewModel
from skerry.commands.arguments import MODEL, MODEL_NAME, pairs
from skerry.durable import write_file
from skerry.files import LocalFile, Reader
from skerry.findings import warnings
from skerry.output import Output, facts, size_text
from skerry.session import Session, with_session
from skerry.upload import Uploaded, upload
from skerry_contract import shape
from skerry_contract.errors import ModelError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_SCENARIOS = ("training", "validation", "inferencing")
FRAMEWORKS = "TensorFlow, ScikitLearn, Onnx, TfKeras, PyTorch, Multi or Custom"


def _datasets(
    _ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[DataSet, ...]:
    found = []
    for text in values:
        scenario, _, reference = text.partition("=")
        if scenario not in _SCENARIOS or not reference:
            raise click.BadParameter(f"{text!r} is not {'|'.join(_SCENARIOS)}=WHERE", param=param)
        found.append(DataSet(scenario, reference))
    return tuple(found)


@click.command(epilog="Example: skerry model register -p ./models -n sentiment --tag task=text")
@click.option(
    "-p",
    "--path",
    "--model-path",
    "--asset-path",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    help="A file or a folder.",
)
@click.option("-n", "--name", required=True, type=MODEL_NAME, help="What to call the model.")
@click.option(
    "--child-path",
    "children",
    multiple=True,
    metavar="PATH",
    help="Of the folder, only this file or folder; repeatable.",
)
@click.option("--unpack", is_flag=True, help="The file is a zip or tar: register what is in it.")
@click.option("-d", "--description", default="", help="A sentence for people.")
@click.option(
    "--tag", "tags", multiple=True, callback=pairs, metavar="KEY=VALUE", help="Repeatable."
)
@click.option(
    "--property",
    "properties",
    multiple=True,
    callback=pairs,
    metavar="KEY=VALUE",
    help="Never changes; repeatable.",
)
@click.option(
    "-mf", "--model-framework", "--framework", "framework", default="", help=f"{FRAMEWORKS}."
)
@click.option(
    "--model-framework-version",
    "--framework-version",
    "framework_version",
    default="",
    help="And its version.",
)
@click.option("--cc", "cpu", type=click.FloatRange(0, 1024), help="Processors that it needs.")
@click.option("--gb", "memory_gb", type=click.FloatRange(0, 65_536), help="GiB that it needs.")
@click.option("--gc", "gpu", type=click.IntRange(0, 1024), help="Graphics processors.")
@click.option("--sample-input", type=_FILE, help="A file with typical input.")
@click.option("--sample-output", type=_FILE, help="A file with the output for it.")
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    callback=_datasets,
    metavar="SCENARIO=WHERE",
    help="Data that it has to do with: training=…, validation=… or inferencing=…; repeatable.",
)
@click.option("--run-id", default="", help="The run that made it.")
@click.option("--experiment-name", default="", help="The experiment of that run.")
@click.option("--parent", type=MODEL, help="The model that it was made from.")
@click.option(
    "-t",
    "--output-metadata-file",
    "metadata",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was registered to this file, as JSON.",
)
@with_session
def register(session: Session, /, path: Path, metadata: Path | None, **options: Any) -> None:
    """Register files as the next version of a model.

    Only what the server does not hold yet is sent. A folder keeps its own name as the first level
    of the files' names. The server tells from their bytes what the files are, and which of them can
    execute code when they are loaded.
    """
    reader = Reader(ModelError)
    files = _read(session.output, path, options.pop("children"))
    samples: dict[str, Any] = {
        name: reader.model(options.pop(name))[0] if options[name] else options.pop(name)
        for name in ("sample_input", "sample_output")
    }
    uploaded = _send(session, [*files, *(one for one in samples.values() if one)])
    resources = ModelResources(*(options.pop(name) for name in ("cpu", "memory_gb", "gpu")))
    parent = str(options.pop("parent") or "") or None
    made = session.api.register_model(
        NewModel(files=files, resources=resources, parent=parent, **samples, **options)
    )
    _tell(session.output, made, uploaded)
    if metadata:
        write_file(metadata, shape.dump(made) + b"\n")


def _tell(output: Output, made: Model, uploaded: Uploaded) -> None:
    for line in warnings(made):
        output.note(line)
    formats = ", ".join(sorted({one.format for one in made.findings}))
    output.result(
        made,
        f"{made.name}:{made.version}",
        facts((("files", len(made.files)), ("sent", _sent_text(uploaded)), ("formats", formats))),
    )


def _read(output: Output, path: Path, children: tuple[str, ...]) -> list[LocalFile]:
    with output.progress() as bar:
        task = bar.add_task("reading", total=None)
        reader = Reader(ModelError, lambda count: bar.advance(task, count))
        return reader.children(path, children) if children else reader.model(path)


def _send(session: Session, files: list[LocalFile]) -> Uploaded:
    total = sum({file.digest: file.size for file in files}.values())
    with session.output.progress() as bar:
        task = bar.add_task("uploading", total=total)
        return upload(session.api, files, lambda count: bar.advance(task, count))


def _sent_text(uploaded: Uploaded) -> str:
    return f"{size_text(uploaded.sent)} ({size_text(uploaded.present)} were there already)"
