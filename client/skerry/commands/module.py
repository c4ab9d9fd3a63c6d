"""``skerry module``: build modules, look at them, delete them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from skerry import recipe as recipes
from skerry.answers import Build, Image, Module
from skerry.api import Api, NewModule
from skerry.commands.arguments import COMPRESSION, MODEL, NAME, REFERENCE
from skerry.commands.module_base import BASE_HELP, bring_base
from skerry.commands.module_export import OUTPUT_HELP, OUTPUTS, export, targets_of
from skerry.commands.module_import import bring_in
from skerry.commands.module_init import init
from skerry.commands.module_push import push
from skerry.commands.module_show import show
from skerry.files import Reader
from skerry.images.export import Choice, check_targets
from skerry.images.export import export as write_images
from skerry.output import Output, count_text, short, size_text
from skerry.recipe import RECIPE, Recipe
from skerry.session import Session, with_session
from skerry.transport import error_from
from skerry.upload import upload
from skerry_contract.errors import DeadlineError, ScorerError
from skerry_contract.names import Reference

POLL_S = 0.5
"""Longest pause between two looks at a build."""


@click.group()
def module() -> None:
    """Modules: images built from models, a scorer and its environment."""


@module.command(epilog="Example: skerry module build ./scorer -n sentiment-scorer -m sentiment:1")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--file",
    "recipe_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"What to build from.  [default: FOLDER/{RECIPE} if it exists]",
)
@click.option("-n", "--name", type=NAME, help="What to call the module.")
@click.option("-m", "--model", "models", multiple=True, type=MODEL, help="Repeatable.")
@click.option("--entry-script", metavar="PATH", help="In FOLDER.  [default: score.py]")
@click.option(
    "--environment",
    metavar="PATH",
    help="In FOLDER: a requirements or conda file, or pyproject.toml, or pyproject.toml[EXTRA,…].",
)
@click.option(
    "--platform", "platforms", multiple=True, help="Repeatable.  [default: this machine's]"
)
@click.option("--base", metavar="IMAGE", help=BASE_HELP)
@click.option("--no-check", is_flag=True, help="Do not run init() and the golden set.")
@click.option("--timeout", default=1800.0, show_default=True, help="Seconds to wait for the build.")
@click.option("--output", "outputs", type=OUTPUTS, multiple=True, help=OUTPUT_HELP)
@COMPRESSION
@click.option("--force", is_flag=True, help="Replace what an earlier export made.")
@partial(with_session, form_options=("--format",))
def build(
    session: Session, /, folder: Path | None, recipe_file: Path | None, **options: Any
) -> None:
    """Build the next version of a module from the scorer in FOLDER.

    What stands in module.toml beside the entry script need not be typed; options win over it.
    """
    targets = targets_of(session, options["outputs"])
    if options["base"] == "":
        raise click.UsageError("--base is empty: name an image, or leave it out.")
    choice = Choice(compression=options["compression"])
    if choice.compression != "gzip" and not targets:
        raise click.UsageError("--compression is for what --output writes: add --output oci:DIR.")
    check_targets(targets, choice.compression, force=options["force"])
    scorer = folder or (recipe_file.parent if recipe_file else Path())
    recipe = _recipe(scorer, recipe_file, options)
    if recipe.name is None:
        raise click.UsageError(f"The module needs a name: -n NAME, or name = … in {RECIPE}.")
    leave_out = frozenset(recipe.leave_out) | {RECIPE}
    files = Reader(ScorerError).folder(scorer, skip=leave_out)
    sent = upload(session.api, files)
    session.output.note(f"{count_text(len(files), 'file')}, {size_text(sent.sent)} sent")
    base = bring_base(session, recipe.base, recipe.platforms) if recipe.base else {}
    started = session.api.build_module(
        NewModule(
            name=recipe.name,
            models=recipe.models,
            files=files,
            entry_script=recipe.entry_script,
            environment=recipe.environment or "",
            platforms=recipe.platforms,
            check=not options["no_check"],
            base=base,
        )
    )
    deadline = time.monotonic() + options["timeout"]
    made = follow(session.api, started, session.output.note, lambda: time.monotonic() > deadline)
    if targets:
        which = Reference(made.name, made.version)
        write_images(session.api, which, targets, session.output, choice, force=options["force"])
    written = [f"written  {target}" for target in targets]
    name = f"{made.name}:{made.version}"
    session.output.result(made, name, *_images(session.output, made), *written)


def follow(api: Api, build: Build, say: Callable[[str], None], late: Callable[[], bool]) -> Module:
    """Hand each line of a build's log to ``say``, and return the module when it is done.

    Raises:
        SkerryError: The build failed; the kind of error is the one that it named.
        DeadlineError: It is ``late``; the build goes on.
        NetworkError: The server went away.
    """
    for step in _steps(api, build, late):
        for line in step.log:
            say(line.text)
        if step.state == "failed":
            raise error_from({"error": step.error}, fallback=f"build {build.id} failed")
        if step.module is not None:
            return step.module
    remedy = "It goes on in the cloud: see 'skerry module list', or wait longer with --timeout."
    raise DeadlineError(f"build {build.id} was not done in time", remedy=remedy)


def poll_pauses_s() -> Iterator[float]:
    """Yield the pauses between two looks at a build: short at first, for a warm build is short."""
    pause_s = 0.05
    while True:
        yield pause_s
        pause_s = min(pause_s * 1.2, POLL_S)


def _steps(api: Api, build: Build, late: Callable[[], bool]) -> Iterator[Build]:
    after, pauses = 0, poll_pauses_s()
    while not late():
        step = api.build(build.id, after)
        after = max((line.n for line in step.log), default=after)
        yield step
        time.sleep(next(pauses))


def _recipe(folder: Path, file: Path | None, options: dict[str, Any]) -> Recipe:
    beside = folder / RECIPE
    found = recipes.read(file or beside) if file or beside.is_file() else Recipe()
    given = {
        "name": options["name"],
        "models": tuple(str(model) for model in options["models"]),
        "entry_script": options["entry_script"],
        "environment": options["environment"],
        "platforms": options["platforms"],
        "base": options["base"],
    }
    changes = {key: value for key, value in given.items() if value}
    return recipes.complete(replace(found, **changes), folder)


@module.command("list", epilog="Example: skerry module list")
@click.argument("name", required=False, type=NAME)
@with_session
def list_modules(session: Session, name: str | None) -> None:
    """List the modules, or all versions of one."""
    found = session.api.modules(name or "")
    rows = [
        (
            f"{one.name}:{one.version}",
            " ".join(sorted(one.images)),
            " ".join(one.models),
            one.created,
        )
        for one in found
    ]
    table = session.output.table(("MODULE", "PLATFORMS", "MODELS", "CREATED"), rows)
    session.output.result(list(found), table)


@module.command(epilog="Example: skerry module delete sentiment-scorer:1")
@click.argument("which", metavar="NAME:VERSION", type=REFERENCE)
@with_session
def delete(session: Session, which: Reference) -> None:
    """Delete one version of a module that no deployment uses."""
    session.api.delete_module(which)
    session.output.result({"deleted": str(which)}, f"{which} is deleted")


for _command in (init, show, export, push, bring_in):
    module.add_command(_command)


def _images(output: Output, found: Module) -> Iterator[Any]:
    for platform, image in sorted(found.images.items()):
        yield f"\n{platform}  {image.digest}"
        yield output.table(("LAYER", "SIZE", "DIGEST", ""), _layers(image))


def _layers(image: Image) -> Iterator[tuple[str, str, str, str]]:
    for layer in image.layers:
        reused = "reused" if layer.reused else ""
        yield layer.kind, size_text(layer.size), short(layer.digest), reused
