"""``skerry service``: the web services of this machine."""

import json
import sys
from typing import IO

import click

from skerry.commands.arguments import NAME
from skerry.output import facts
from skerry.session import Session, with_session
from skerry.webservice import LocalWebservice, Webservice


@click.group()
def service() -> None:
    """Web services on this machine; 'skerry model deploy' makes them."""


@service.command("list", epilog="Example: skerry service list")
@with_session
def list_services(session: Session) -> None:
    """List the web services of this machine."""
    found = [one.serialize() for one in Webservice.list() if isinstance(one, LocalWebservice)]
    rows = [(d["name"], d["state"], d["scoringUri"], " ".join(d["models"])) for d in found]
    table = session.output.table(("SERVICE", "STATE", "SCORING URI", "MODELS"), rows)
    session.output.result(found, table)


@service.command(epilog="Example: skerry service show myservice")
@click.argument("name", type=NAME)
@with_session
def show(session: Session, name: str) -> None:
    """Show one service, and why it does not run if it does not."""
    found = LocalWebservice(None, name)
    about = found.serialize()
    failure = found.failure()
    pairs = ((key, " ".join(v) if isinstance(v, list) else v) for key, v in about.items())
    parts = [facts(pairs)]
    if failure is not None:
        parts += ["", failure.text, failure.detail]
    session.output.result({**about, "error": failure}, *parts)


@service.command(epilog="Example: skerry service logs myservice --lines 100")
@click.argument("name", type=NAME)
@click.option("--lines", default=5000, show_default=True, help="How many of the last lines.")
@with_session
def logs(session: Session, name: str, lines: int) -> None:
    """Show what a service wrote."""
    text = LocalWebservice(None, name).get_logs(lines)
    session.output.result({"log": text.splitlines()}, text)


@service.command(epilog="""Example: skerry service run myservice -d '{"text": "hello"}'""")
@click.argument("name", type=NAME)
@click.option("-d", "--input-data", metavar="TEXT", help="The body.  [default: what stdin holds]")
@click.option("-f", "--file", "file", type=click.File("rb"), help="A file that holds the body.")
@with_session
def run(session: Session, name: str, input_data: str | None, file: IO[bytes] | None) -> None:
    """Score one input, and show the answer."""
    if input_data is not None and file is not None:
        raise click.UsageError("Give --input-data or --file, not both.")
    body = input_data.encode() if input_data is not None else (file or sys.stdin.buffer).read()
    found = LocalWebservice(None, name).run(body)
    session.output.line(found, json.dumps(found, ensure_ascii=False))


@service.command(epilog="Example: skerry service reload myservice")
@click.argument("name", type=NAME)
@with_session
def reload(session: Session, name: str) -> None:
    """Serve the scorer's files as they are now, without turning a request away.

    If they do not work, what served before goes on.
    """
    LocalWebservice(None, name).reload()
    session.output.result({"reloaded": name}, f"{name} answers with the new code")


@service.command(epilog="Example: skerry service delete myservice")
@click.argument("name", type=NAME)
@with_session
def delete(session: Session, name: str) -> None:
    """End a service and forget it."""
    LocalWebservice(None, name, must_exist=False).delete()
    session.output.result({"deleted": name}, f"{name} is deleted")
