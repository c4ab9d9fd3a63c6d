"""``skerry login``."""

import sys
from typing import TextIO

import click

from skerry import login as logins
from skerry.api import Api
from skerry.output import facts
from skerry.session import Session, with_session
from skerry.transport import Transport
from skerry_contract.errors import ContractError, UnauthorizedError

_STDIN = "-"


@click.command(epilog="Example: skerry login https://skerry.example:7700 --token - < token.txt")
@click.argument("url")
@click.option("--token", required=True, help="Token of the server; '-' reads it from stdin.")
@click.option(
    "--ca",
    type=click.File("r"),
    help="PEM file of certificates to believe, instead of the system's.",
)
@with_session
def login(session: Session, url: str, token: str, ca: TextIO | None) -> None:
    """Remember which server to talk to, after trying it."""
    secret = sys.stdin.readline().strip() if token == _STDIN else token
    found = logins.Login(url.rstrip("/"), secret, ca.read(1_000_000) if ca else "")
    try:
        logins.check(found)
    except ContractError as error:
        raise click.BadParameter(error.text) from error
    if logins.in_the_clear(found.url):
        session.output.note(
            f"note: {found.url} is not encrypted; anyone on the way reads the token"
        )
    try:
        info = Api(Transport(found)).info()
    except UnauthorizedError as error:
        error.remedy = "Take the token from the server's login file."
        raise
    logins.write(session.login_file, found)
    session.output.result(
        {"login": str(session.login_file), "url": found.url, "fleet": info.fleet},
        facts((("server", found.url), ("fleet", info.fleet), ("login", session.login_file))),
    )
