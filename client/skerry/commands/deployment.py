"""``skerry deployment``: push manifests, watch them roll out, withdraw them."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from skerry.answers import Deployment
from skerry.commands.arguments import NAME_OR_REFERENCE, REFERENCE
from skerry.commands.device import failure_text
from skerry.output import Output, count_text, facts
from skerry.rollout import follow
from skerry.session import Session, with_session
from skerry.statuses import FAILED
from skerry_contract.errors import ManifestError
from skerry_contract.names import Reference

MAX_MANIFEST_BYTES = 1024 * 1024


@click.group()
def deployment() -> None:
    """Deployments: manifests that say which modules run on which devices."""


@deployment.command(epilog="Example: skerry deployment push deploy-manifests/face-detector.yaml")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@with_session
def push(session: Session, file: Path) -> None:
    """Push a manifest; '-' reads it from stdin."""
    made = session.api.push(read_manifest(file))
    which = f"{made.name}:{made.version}"
    session.output.result(
        made,
        f"{which} is on its way to {count_text(len(made.devices), 'device')}",
        f"follow it with: skerry deployment show {which} --watch",
    )


@deployment.command("list", epilog="Example: skerry deployment list")
@with_session
def list_deployments(session: Session) -> None:
    """List the latest version of each deployment."""
    found = session.api.deployments()
    rows = [(f"{one.name}:{one.version}", summary(one), one.created) for one in found]
    table = session.output.table(("DEPLOYMENT", "DEVICES", "CREATED"), rows)
    session.output.result(list(found), table)


@deployment.command(epilog="Example: skerry deployment show face-detector --watch --timeout 300")
@click.argument("which", metavar="NAME[:VERSION]", type=NAME_OR_REFERENCE)
@click.option("--watch", is_flag=True, help="Follow it until every device has settled.")
@click.option(
    "--timeout", default=600.0, show_default=True, help="Seconds after which --watch gives up."
)
@with_session
def show(session: Session, which: tuple[str, int | None], timeout: float, *, watch: bool) -> None:
    """Show where each device is with a deployment, the latest version by default.

    With --watch the exit status is 0 if all devices committed it, and 1 if one refused it, got
    something newer meanwhile, or was not there in time.
    """
    found = session.api.deployment(*which)
    if watch:
        api = session.api
        found = follow(
            found, lambda one: api.deployment(one.name, one.version), session.output.note, timeout
        )
    session.output.result(found, *_describe(session.output, found))
    if watch and any(one.phase != "committed" for one in found.devices):
        raise click.exceptions.Exit(FAILED)


@deployment.command(epilog="Example: skerry deployment delete face-detector:3")
@click.argument("which", metavar="NAME:VERSION", type=REFERENCE)
@with_session
def delete(session: Session, which: Reference) -> None:
    """Withdraw one version of a deployment from its devices."""
    session.api.delete_deployment(which)
    session.output.result({"deleted": str(which)}, f"{which} is withdrawn")


def read_manifest(file: Path) -> bytes:
    """Return the bytes of a manifest; the server judges what they say.

    Raises:
        ManifestError: It cannot be read, or is far too large.
    """
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as opened:
            data = opened.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise ManifestError(f"cannot be read: {error.strerror}", subject=str(file)) from error
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"is larger than {MAX_MANIFEST_BYTES} bytes", subject=str(file))
    return data


def summary(found: Deployment) -> str:
    """Return how many devices are in which phase: ``2 committed, 1 pulling``."""
    phases = [one.phase for one in found.devices]
    return ", ".join(f"{phases.count(phase)} {phase}" for phase in sorted(set(phases)))


def _describe(output: Output, found: Deployment) -> Iterator[Any]:
    yield facts(
        (
            ("deployment", f"{found.name}:{found.version}"),
            ("description", found.description),
            ("created", found.created),
        )
    )
    rows = [(one.device, one.presence, one.phase) for one in found.devices]
    yield output.table(("DEVICE", "PRESENCE", "PHASE"), rows)
    for one in found.devices:
        if one.failure is not None:
            yield "\n" + failure_text(one.device, one.failure)
        elif one.phase == "refused":
            yield f"\nwhy {one.device} refused it: skerry device show {one.device}"
