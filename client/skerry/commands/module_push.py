"""``skerry module push``: images into any registry."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from skerry.commands.arguments import COMPRESSION, REFERENCE
from skerry.images.export import as_wanted
from skerry.images.layout import blobs_of
from skerry.images.source import CloudBlobs, module_images
from skerry.output import Output, facts, size_text
from skerry.registry.address import Address, parse_address
from skerry.registry.authorization import Authorization
from skerry.registry.connection import Connection
from skerry.registry.credentials import Credentials, find_credentials
from skerry.registry.push import Push, Pushed
from skerry.session import Session, with_session
from skerry_contract.errors import NameInvalidError
from skerry_contract.names import Reference

_MAX_PASSWORD = 64 * 1024


@click.command(
    epilog="Example: skerry module push sentiment-scorer:3 registry.example.org/team/scorer"
)
@click.argument("which", metavar="NAME:VERSION", type=REFERENCE)
@click.argument("to", metavar="REGISTRY/REPOSITORY[:TAG]")
@click.option("--username", help="Who you are there.  [default: what 'docker login' left]")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@click.option(
    "--ca",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="PEM file of the certificate authorities to believe.",
)
@click.option("--plain-http", is_flag=True, help="Speak HTTP without TLS to another machine.")
@click.option(
    "--mount",
    multiple=True,
    metavar="REPOSITORY",
    help="Another repository there that may hold the layers.  Repeatable.",
)
@COMPRESSION
@with_session
def push(session: Session, /, which: Reference, to: str, **options: Any) -> None:
    """Push a module's images, and what they say of themselves, to a registry.

    Only blobs that the registry lacks are sent. The login is that of 'docker login',
    $SKERRY_REGISTRY_USERNAME with $SKERRY_REGISTRY_PASSWORD, or --username with --password-stdin.
    A registry on this machine is spoken to without TLS, unless --ca is given.
    """
    try:
        address = parse_address(to, str(which.version))
    except NameInvalidError as error:
        raise click.BadParameter(f"{error.text}. {error.remedy}", param_hint="to") from error
    given = given_credentials(options["username"], from_stdin=options["password_stdin"])
    connection = connect(address, given, ca=options["ca"], plain=options["plain_http"])
    found = module_images(session.api, which)
    stored = CloudBlobs(session.api, which.name)
    with as_wanted(found, stored, options["compression"], session.output) as (images, blobs):
        send = Push(connection, address, blobs, options["mount"])
        with session.output.progress() as bar:
            task = bar.add_task(str(address), total=sum(blob.size for blob in blobs_of(images)))
            pushed = send(images, lambda count: bar.advance(task, count))
    _tell(session.output, address, images.top.digest, pushed)


def given_credentials(username: str | None, *, from_stdin: bool) -> Credentials | None:
    """Return who was typed, with the password from stdin; None if nobody was."""
    if not username:
        if from_stdin:
            raise click.UsageError("--password-stdin needs --username.")
        return None
    if not from_stdin:
        raise click.UsageError("--username needs --password-stdin: a password is not typed here.")
    return Credentials(username, sys.stdin.read(_MAX_PASSWORD).rstrip("\r\n"))


def connect(
    address: Address, given: Credentials | None, *, ca: Path | None, plain: bool
) -> Connection:
    """Return the connection to a registry; nothing is sent yet."""
    unencrypted = plain or (address.is_loopback and ca is None)
    credentials = find_credentials(address.login_name, os.environ, given)
    scope = f"repository:{address.repository}:pull,push"
    authorization = Authorization(credentials, scope, plain=plain)
    url = f"{'http' if unencrypted else 'https'}://{address.api_host}"
    return Connection(url, authorization, ca=str(ca) if ca else None)


def _tell(output: Output, address: Address, digest: str, pushed: Pushed) -> None:
    if pushed.refused:
        output.note(
            f"the registry takes images only, and not what they say of themselves: {pushed.refused}"
        )
    value = {
        "image": str(address),
        "digest": digest,
        "sent": pushed.sent,
        "present": pushed.present,
        "artifacts": pushed.artifacts,
    }
    sent = f"{size_text(pushed.sent)}, {size_text(pushed.present)} were there"
    about = facts((("sent", sent), ("artifacts", pushed.artifacts)))
    output.result(value, f"{address}@{digest}", about)
