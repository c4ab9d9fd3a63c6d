"""``skerry module init``: start a module from a template."""

import shutil
from pathlib import Path

import click

from skerry import recipe
from skerry.demo.material import template, templates
from skerry.session import Session, with_session
from skerry_contract.errors import ConflictError

NAMES = templates()


@click.command(
    "init",
    epilog="Example: skerry module init --template python ./outliers",
)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--template", "name", type=click.Choice(NAMES), required=True, help="What to start from."
)
@with_session
def init(session: Session, folder: Path | None, name: str) -> None:
    """Copy a template into FOLDER, or into a new folder of the template's name.

    It holds score.py, an environment file, module.toml, a golden set and samples; README.md says
    how to get the model. container-c holds a program in C instead. A folder that holds something
    is left alone.
    """
    target = folder or Path(name)
    if target.is_dir() and any(target.iterdir()):
        raise ConflictError(f"{target} holds files already", remedy="Name another folder.")
    shutil.copytree(
        template(name),
        target,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__", ".*"),
    )
    told = target / "module.toml"
    called = recipe.read(told).name if told.is_file() else None
    more = f"; module.toml calls the module {called}" if called else ""
    following = (
        f"{target / 'README.md'} says what is next"
        if (target / "README.md").exists()
        else f"next: skerry module build {target}"
    )
    session.output.result(
        {"folder": str(target), "template": name, "module": called},
        f"{target} is made from the template {name}{more}; {following}",
    )
