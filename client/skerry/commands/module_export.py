"""``skerry module export``: images as files, for tools that know nothing of Skerry."""

from collections.abc import Sequence
from functools import partial

import click

from skerry.commands.arguments import COMPRESSION, REFERENCE
from skerry.images.compression import Compression
from skerry.images.documents import ModuleImages
from skerry.images.export import Choice
from skerry.images.export import export as write_images
from skerry.images.target import Target, parse_target
from skerry.output import Form
from skerry.session import Session, with_session
from skerry_contract.errors import NameInvalidError
from skerry_contract.names import Reference

OUTPUT_HELP = "oci:DIR, docker-archive:FILE or dockerfile:DIR, or json for the result.  Repeatable."


class _Outputs(click.ParamType[object]):
    """``json`` and ``table``, as everywhere, or a place for the image."""

    name = "FORM:PLACE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Return the form of results, or the target."""
        if not isinstance(value, str) or value in ("json", "table"):
            return value
        try:
            return parse_target(value)
        except NameInvalidError as error:
            self.fail(f"{error.text}. {error.remedy}", param, ctx)


OUTPUTS = _Outputs()


def targets_of(session: Session, outputs: Sequence[Form | Target]) -> tuple[Target, ...]:
    """Return the places among ``outputs``, and let results be written as the rest says."""
    for output in outputs:
        if not isinstance(output, Target):
            session.output.form = output
    return tuple(output for output in outputs if isinstance(output, Target))


def told(found: ModuleImages, targets: Sequence[Target]) -> dict[str, object]:
    """Return the result of an export, for programs."""
    return {
        "module": f"{found.name}:{found.tag}",
        "digest": found.top.digest,
        "images": {image.platform: image.document.digest for image in found.images},
        "written": [str(target) for target in targets],
    }


@click.command(epilog="Example: skerry module export sentiment-scorer:3 --output oci:./scorer")
@click.argument("which", metavar="NAME:VERSION", type=REFERENCE)
@click.option("--output", "outputs", type=OUTPUTS, multiple=True, help=OUTPUT_HELP)
@click.option("--platform", help="Only this platform.  [default: all, where the form can]")
@COMPRESSION
@click.option("--force", is_flag=True, help="Replace what an earlier export made.")
@partial(with_session, form_options=("--format",))
def export(
    session: Session,
    which: Reference,
    outputs: Sequence[Form | Target],
    platform: str | None,
    compression: Compression,
    *,
    force: bool,
) -> None:
    """Write a module's images as files that other tools read.

    oci:DIR is a layout for skopeo, podman, umoci and oras, with what the images say of themselves;
    docker-archive:FILE is for 'docker load'; dockerfile:DIR can be built with 'docker build
    --network none'. No engine is needed.
    """
    targets = targets_of(session, outputs)
    if not targets:
        raise click.UsageError(
            "Say where to: --output oci:DIR, docker-archive:FILE, dockerfile:DIR."
        )
    found = write_images(
        session.api, which, targets, session.output, Choice(platform, compression), force=force
    )
    lines = [f"{target}  {found.top.digest}" for target in targets]
    session.output.result(told(found, targets), *lines)
