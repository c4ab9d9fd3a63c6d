"""``skerry module import``: an image that was made elsewhere becomes a module."""

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from skerry.answers import Module
from skerry.commands.arguments import NAME
from skerry.commands.module_push import connect, given_credentials
from skerry.images.incoming import Incoming, bring, read_layout
from skerry.images.unpacking import lay_out_archive, lay_out_registry
from skerry.output import Output, count_text, facts
from skerry.registry.address import parse_address
from skerry.registry.credentials import Credentials
from skerry.session import Session, with_session
from skerry_contract.errors import NameInvalidError, NotFoundError
from skerry_contract.names import check_digest


@click.command(
    "import",
    epilog="Example: skerry module import registry.example.org/team/scorer:3 -n sentiment-scorer",
)
@click.argument("source", metavar="oci:DIR[:TAG] | docker-archive:FILE | REGISTRY/REPOSITORY[:TAG]")
@click.option("-n", "--name", required=True, type=NAME, help="What to call the module.")
@click.option("--platform", help="Only this platform.  [default: all that the image has]")
@click.option("--username", help="Who you are there.  [default: what 'docker login' left]")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@click.option(
    "--ca",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="PEM file of the certificate authorities to believe.",
)
@click.option("--plain-http", is_flag=True, help="Speak HTTP without TLS to another machine.")
@with_session
def bring_in(session: Session, /, source: str, name: str, **options: Any) -> None:
    """Take an image that was made elsewhere as the next version of a module.

    Every blob is checked against its digest, every layer against what the config promises. What
    the image runs is not tried: it is a plain container, unless it speaks what docs/module-image.md
    says. A registry's image may be named by digest, as REPOSITORY@sha256:…; Docker's own
    form becomes OCI's, and zstandard layers become gzip, both with another digest.
    """
    with tempfile.TemporaryDirectory(prefix="skerry-import-") as scratch:
        platforms = (options["platform"],) if options["platform"] else ()
        given = given_credentials(options["username"], from_stdin=options["password_stdin"])
        access = Access(given, options["ca"], plain=options["plain_http"])
        folder, tag = lay_out(source, Path(scratch), platforms, access)
        images = read_layout(folder, tag, platforms, Path(scratch))
        tell_recompressed(session.output, images)
        with session.output.progress() as bar:
            total = sum(file.size for image in images for file in image.files)
            task = bar.add_task(name, total=total)
            made = bring(
                session.api, name, images, Path(scratch), lambda count: bar.advance(task, count)
            )
    session.output.result(made, f"{made.name}:{made.version}", _told(made))


@dataclass(frozen=True, slots=True)
class Access:
    """How a registry is spoken to.

    Attributes:
        credentials: Who one is there; None for what ``docker login`` left.
        ca: PEM file of the certificate authorities to believe.
        plain: Speak HTTP without TLS to another machine, too.
    """

    credentials: Credentials | None = None
    ca: Path | None = None
    plain: bool = False


def lay_out(
    source: str, scratch: Path, platforms: Collection[str], access: Access
) -> tuple[Path, str]:
    """Return a layout with the image that ``source`` names, and its tag there.

    Args:
        source: ``oci:DIR[:TAG]``, ``docker-archive:FILE``, or a registry's image.
        scratch: An empty folder for what has to be laid out first.
        platforms: Which ones to pull from a registry; all, if there are none.
        access: How a registry is spoken to.

    Raises:
        NotFoundError: There is no such image.
        RegistryError: The registry does not give it.
        NetworkError: The registry is out of reach.
    """
    form, _, place = source.partition(":")
    if form == "oci":
        return _folder(place)
    if form == "docker-archive":
        if not Path(place).is_file():
            raise NotFoundError(f"there is no file {place}")
        return scratch, lay_out_archive(Path(place), scratch)
    named, at, digest = source.removeprefix("docker://").partition("@")
    try:
        address = parse_address(named, "latest")
        if at:
            check_digest(digest)
    except NameInvalidError as error:
        raise click.BadParameter(f"{error.text}. {error.remedy}", param_hint="source") from error
    connection = connect(address, access.credentials, ca=access.ca, plain=access.plain)
    reference = digest if at else address.tag
    return scratch, lay_out_registry(connection, address, reference, scratch, platforms)


def tell_recompressed(output: Output, images: Sequence[Incoming]) -> None:
    """Say which images have other layers now than they came with."""
    for image in images:
        if image.recompressed:
            layers = count_text(image.recompressed, "zstandard layer")
            output.note(f"{layers} of the image for {image.platform} became gzip")


def _folder(place: str) -> tuple[Path, str]:
    whole = Path(place)
    if (whole / "index.json").is_file():
        return whole, ""
    folder, _, tag = place.rpartition(":")
    if not folder or not (Path(folder) / "index.json").is_file():
        raise NotFoundError(f"{place} is no OCI layout", remedy="It would have an index.json.")
    return Path(folder), tag


def _told(made: Module) -> str:
    return facts((platform, image.digest) for platform, image in sorted(made.images.items()))
