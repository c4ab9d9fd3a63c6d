"""``skerry model``: register models, look at them, change, fetch and delete them."""

from pathlib import Path
from typing import Any

import click

from skerry.answers import Model
from skerry.api import ModelChange, ModelFilter
from skerry.commands.arguments import MODEL_NAME, pairs, pairs_text, which_model
from skerry.commands.model_convert import convert_model
from skerry.commands.model_deploy import deploy, package
from skerry.commands.model_profile import profile
from skerry.commands.model_register import register
from skerry.findings import resources_text, told
from skerry.output import count_text, facts, short, size_text
from skerry.session import Session, with_session
from skerry.upload import download
from skerry_contract.names import ModelReference


@click.group()
def model() -> None:
    """Models: named, versioned sets of files."""


model.add_command(register)
model.add_command(convert_model)
model.add_command(profile)
model.add_command(deploy)
model.add_command(package)


@model.command("list", epilog="Example: skerry model list --tag task=text --framework Onnx")
@click.argument("only", metavar="[NAME]", required=False, type=MODEL_NAME)
@click.option("-n", "--name", type=MODEL_NAME, help="All versions of this one; as NAME.")
@click.option("-l", "--latest", is_flag=True, default=None, help="Only the latest of each name.")
@click.option("--all", "every", is_flag=True, help="All versions of every model.")
@click.option("--tag", multiple=True, metavar="KEY[=VALUE]", help="Only with it; repeatable.")
@click.option("--property", multiple=True, metavar="KEY[=VALUE]", help="The same.")
@click.option("--framework", default="", help="Only made with it.")
@click.option("--run-id", default="", help="Only made by it.")
@click.option("--archived", is_flag=True, help="Archived versions, too.")
@with_session
def list_models(session: Session, /, only: str | None, **options: Any) -> None:
    """List the models, or all versions of one; what is filtered by must all hold.

    Of each model the latest version is listed, unless a name or --all is given.
    """
    name = options.pop("name") or only or ""
    if options.pop("every"):
        options["latest"] = False
    found = session.api.models(ModelFilter(name=name, **options))
    rows = [
        (
            f"{one.name}:{one.version}",
            size_text(one.size),
            one.framework,
            one.created,
            "archived" if one.archived else one.description,
        )
        for one in found
    ]
    session.output.result(
        list(found),
        session.output.table(("MODEL", "SIZE", "FRAMEWORK", "CREATED", "DESCRIPTION"), rows),
    )


@model.command(epilog="Example: skerry model show sentiment:1")
@which_model
@with_session
def show(session: Session, which: ModelReference) -> None:
    """Show one version of a model and its files."""
    found = session.api.model(which)
    rows = [(one.path, size_text(one.size), short(one.digest)) for one in found.files]
    table = session.output.table(("FILE", "SIZE", "DIGEST"), rows)
    session.output.result(found, _facts(found), *told(session.output, found), "", table)


@model.command("download", epilog="Example: skerry model download sentiment:1 --to ./sentiment")
@which_model
@click.option(
    "-t",
    "--to",
    "--target-dir",
    "target",
    type=click.Path(path_type=Path),
    help="Folder to make.  [default: NAME-VERSION]",
)
@click.option(
    "--force",
    "--overwrite",
    "force",
    is_flag=True,
    help="Replace the folder if a download made it.",
)
@with_session
def download_model(
    session: Session, which: ModelReference, target: Path | None, *, force: bool
) -> None:
    """Download a model's files, verified, as a whole or not at all."""
    found = session.api.model(which)
    folder = target or Path(f"{found.name}-{found.version}")
    named = f"{found.name}:{found.version}"
    with session.output.progress() as bar:
        task = bar.add_task(named, total=sum(one.size for one in found.files))
        download(
            session.api,
            found.files,
            folder,
            force=force,
            on_bytes=lambda count: bar.advance(task, count),
        )
    session.output.result(
        {"model": named, "folder": str(folder), "files": len(found.files)},
        f"{named} is in {folder} ({count_text(len(found.files), 'file')}, verified)",
    )


@model.command(epilog="Example: skerry model delete sentiment:1")
@which_model
@with_session
def delete(session: Session, which: ModelReference) -> None:
    """Delete one version of a model that no module uses."""
    if not which.version:
        raise click.UsageError("Name the version that is to be deleted, as NAME:VERSION.")
    session.api.delete_model(which)
    session.output.result({"deleted": str(which)}, f"{which} is deleted")


@model.command(epilog="Example: skerry model update sentiment:1 --add-tag stage=production")
@which_model
@click.option("-d", "--description", help="The new description.")
@click.option("--add-tag", "add_tags", multiple=True, callback=pairs, metavar="KEY=VALUE")
@click.option("--remove-tag", "remove_tags", multiple=True, metavar="KEY")
@click.option(
    "--add-property", "add_properties", multiple=True, callback=pairs, metavar="KEY=VALUE"
)
@with_session
def update(session: Session, /, which: ModelReference, **options: Any) -> None:
    """Change what may change of a model: its description and tags, and new properties."""
    made = session.api.change_model(which, ModelChange(**options))
    session.output.result(made, _facts(made))


@model.command(epilog="Example: skerry model archive sentiment:1")
@which_model
@with_session
def archive(session: Session, which: ModelReference) -> None:
    """Hide a version from lists and new builds; what runs is untouched."""
    made = session.api.archive_model(which, archived=True)
    session.output.result(made, f"{made.name}:{made.version} is archived")


@model.command(epilog="Example: skerry model restore sentiment:1")
@which_model
@with_session
def restore(session: Session, which: ModelReference) -> None:
    """Bring an archived version back."""
    made = session.api.archive_model(which, archived=False)
    session.output.result(made, f"{made.name}:{made.version} is restored")


def _facts(found: Model) -> str:
    return facts(
        (
            ("model", f"{found.name}:{found.version}"),
            ("description", found.description),
            ("framework", f"{found.framework} {found.framework_version}".strip()),
            ("tags", pairs_text(found.tags)),
            ("properties", pairs_text(found.properties)),
            ("created", f"{found.created} by {found.created_by or 'unknown'}"),
            ("digest", found.digest),
            ("archived", found.archived),
            ("run", f"{found.run_id} {found.experiment_name}".strip()),
            ("parent", found.parent),
            ("derived", ", ".join(found.derived)),
            ("resources", resources_text(found.resources)),
            ("datasets", ", ".join(f"{one.scenario}: {one.reference}" for one in found.datasets)),
            ("sample input", found.sample_input.path if found.sample_input else ""),
            ("sample output", found.sample_output.path if found.sample_output else ""),
        )
    )
