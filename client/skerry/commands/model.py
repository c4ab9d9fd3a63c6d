"""``skerry model``: register models, look at them, fetch and delete them."""

from pathlib import Path
from typing import Any

import click

from skerry.answers import Model
from skerry.api import NewModel
from skerry.commands.arguments import NAME, REFERENCE, pairs, pairs_text
from skerry.commands.model_convert import convert_model
from skerry.commands.model_profile import profile
from skerry.files import LocalFile, Reader
from skerry.output import Output, count_text, facts, short, size_text
from skerry.session import Session, with_session
from skerry.upload import Uploaded, download, upload
from skerry_contract.errors import ModelError
from skerry_contract.names import Reference


@click.group()
def model() -> None:
    """Models: named, versioned sets of files."""


model.add_command(convert_model)
model.add_command(profile)


@model.command(epilog="Example: skerry model register -p ./models -n sentiment --tag task=text")
@click.option(
    "-p", "--path", required=True, type=click.Path(path_type=Path), help="A file or a folder."
)
@click.option("-n", "--name", required=True, type=NAME, help="What to call the model.")
@click.option("--description", default="", help="A sentence for people.")
@click.option(
    "--tag", "tags", multiple=True, callback=pairs, metavar="KEY=VALUE", help="Repeatable."
)
@click.option(
    "--property",
    "properties",
    multiple=True,
    callback=pairs,
    metavar="KEY=VALUE",
    help="Repeatable.",
)
@click.option("--framework", default="", help="What it was made with, such as tflite.")
@click.option("--framework-version", default="", help="And with which version of that.")
@with_session
def register(session: Session, /, path: Path, **options: Any) -> None:
    """Register files as the next version of a model.

    Only what the server does not hold yet is sent. A folder keeps its own name as the first level
    of the files' names.
    """
    files = _read(session.output, path)
    uploaded = _send(session, files)
    made = session.api.register_model(NewModel(files=files, **options))
    session.output.result(
        made,
        f"{made.name}:{made.version}",
        facts((("files", len(files)), ("sent", _sent_text(uploaded)))),
    )


@model.command("list", epilog="Example: skerry model list sentiment")
@click.argument("name", required=False, type=NAME)
@with_session
def list_models(session: Session, name: str | None) -> None:
    """List the models, or all versions of one."""
    found = session.api.models(name or "")
    rows = [
        (f"{one.name}:{one.version}", size_text(one.size), one.created, one.description)
        for one in found
    ]
    session.output.result(
        list(found), session.output.table(("MODEL", "SIZE", "CREATED", "DESCRIPTION"), rows)
    )


@model.command(epilog="Example: skerry model show sentiment:1")
@click.argument("which", metavar="NAME:VERSION", type=REFERENCE)
@with_session
def show(session: Session, which: Reference) -> None:
    """Show one version of a model and its files."""
    found = session.api.model(which)
    rows = [(one.path, size_text(one.size), short(one.digest)) for one in found.files]
    table = session.output.table(("FILE", "SIZE", "DIGEST"), rows)
    session.output.result(found, _facts(found), "", table)


@model.command("download", epilog="Example: skerry model download sentiment:1 --to ./sentiment")
@click.argument("which", metavar="NAME:VERSION", type=REFERENCE)
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    help="Folder to make.  [default: NAME-VERSION]",
)
@click.option("--force", is_flag=True, help="Replace the folder if a download made it.")
@with_session
def download_model(session: Session, which: Reference, target: Path | None, *, force: bool) -> None:
    """Download a model's files, verified, as a whole or not at all."""
    folder = target or Path(f"{which.name}-{which.version}")
    found = session.api.model(which)
    with session.output.progress() as bar:
        task = bar.add_task(str(which), total=sum(one.size for one in found.files))
        download(
            session.api,
            found.files,
            folder,
            force=force,
            on_bytes=lambda count: bar.advance(task, count),
        )
    session.output.result(
        {"model": str(which), "folder": str(folder), "files": len(found.files)},
        f"{which} is in {folder} ({count_text(len(found.files), 'file')}, verified)",
    )


@model.command(epilog="Example: skerry model delete sentiment:1")
@click.argument("which", metavar="NAME:VERSION", type=REFERENCE)
@with_session
def delete(session: Session, which: Reference) -> None:
    """Delete one version of a model that no module uses."""
    session.api.delete_model(which)
    session.output.result({"deleted": str(which)}, f"{which} is deleted")


def _read(output: Output, path: Path) -> list[LocalFile]:
    with output.progress() as bar:
        task = bar.add_task("reading", total=None)
        return Reader(ModelError, lambda count: bar.advance(task, count)).model(path)


def _send(session: Session, files: list[LocalFile]) -> Uploaded:
    total = sum({file.digest: file.size for file in files}.values())
    with session.output.progress() as bar:
        task = bar.add_task("uploading", total=total)
        return upload(session.api, files, lambda count: bar.advance(task, count))


def _sent_text(uploaded: Uploaded) -> str:
    return f"{size_text(uploaded.sent)} ({size_text(uploaded.present)} were there already)"


def _facts(found: Model) -> str:
    return facts(
        (
            ("model", f"{found.name}:{found.version}"),
            ("description", found.description),
            ("framework", f"{found.framework} {found.framework_version}".strip()),
            ("tags", pairs_text(found.tags)),
            ("properties", pairs_text(found.properties)),
            ("created", found.created),
        )
    )
