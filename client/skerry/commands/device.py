"""``skerry device``: add devices, flash them, look at them, remove them."""

import os
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click

from skerry.answers import Device, Identity
from skerry.commands import device_command
from skerry.commands.arguments import DEVICE, pairs, pairs_text
from skerry.flash import folder as folders
from skerry.flash import installer as installers
from skerry.output import Form, Output, facts, printable, short, size_text
from skerry.session import Session, with_session
from skerry_contract.device import RUNTIME_CHOICES
from skerry_contract.messages import BadRevision, Failure, Reported


class _Folder(click.Path):
    """The folder to flash into; not a word that ``--output`` takes everywhere else.

    Flashing ends the identity before it, so a slip must not pass as a folder's name.
    """

    name = "FOLDER"

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """Return ``value`` as a path."""
        if value in get_args(Form):
            # Only the text as it was typed tells 'json' from './json'.
            self.fail(
                f"{value!r} is how results are written: use --format {value}, "
                f"or --output ./{value} for a folder of that name.",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


@click.group()
def device() -> None:
    """Devices: machines that run modules."""


@device.command(epilog="Example: skerry device add porch-camera --tag site=porto")
@click.argument("name", metavar="DEVICE", type=DEVICE)
@click.option(
    "--tag", "tags", multiple=True, callback=pairs, metavar="KEY=VALUE", help="Repeatable."
)
@with_session
def add(session: Session, name: str, tags: dict[str, str]) -> None:
    """Make a device known, so that it can be flashed and deployed to."""
    made = session.api.add_device(name, tags)
    session.output.result(made, f"device {made.id} is known; next: skerry device flash {made.id}")


@device.command(epilog="Example: skerry device flash porch-camera --output ./porch-camera")
@click.argument("name", metavar="DEVICE", type=DEVICE)
@click.option(
    "-o",
    "--output",
    "target",
    type=_Folder(),
    metavar="FOLDER",
    help="Make a folder whose run.sh starts the agent.",
)
@click.option(
    "--installer",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Make one file that installs the agent on a machine.",
)
@click.option(
    "--runtime",
    type=click.Choice(RUNTIME_CHOICES),
    help="What runs modules there.  [default: auto]",
)
@partial(with_session, form_options=("--format",))
def flash(
    session: Session, name: str, target: Path | None, installer: Path | None, runtime: str | None
) -> None:
    """Make what a device needs to start: the agent and a new identity.

    Flashing again ends the identity before it, and keeps what the device has stored.
    """

    def identity() -> Identity:
        found = session.api.new_identity(name)
        return replace(found, device={**found.device, "runtime": runtime}) if runtime else found

    if target is not None and installer is None:
        folders.make(target, name, identity)
        run_sh = shlex.quote(str(target.resolve() / "run.sh"))
        next_step = f"start it with: {run_sh}\nand look at it there with: {run_sh} status"
    elif installer is not None and target is None:
        installers.check_target(installer, name)
        with tempfile.TemporaryDirectory() as place:
            folders.make(Path(place) / "device", name, identity)
            installers.make(Path(place) / "device", installer)
        next_step = f"copy it to the machine, and run there: sudo sh {installer.name}"
    else:
        raise click.UsageError("Say where to: either --output FOLDER or --installer FILE.")
    made = target or installer
    session.output.result(
        {"device": name, "made": str(made)}, f"device {name} is in {made}", next_step
    )


@device.command("list", epilog="Example: skerry device list")
@with_session
def list_devices(session: Session) -> None:
    """List the devices and what each of them is about."""
    found = session.api.devices()
    rows = [
        (one.id, one.presence, _phase(one), _deployment(one), one.last_seen, pairs_text(one.tags))
        for one in found
    ]
    columns = ("DEVICE", "PRESENCE", "PHASE", "DEPLOYMENT", "LAST SEEN", "TAGS")
    session.output.result(list(found), session.output.table(columns, rows))


@device.command(epilog="Example: skerry device show porch-camera")
@click.argument("name", metavar="DEVICE", type=DEVICE)
@with_session
def show(session: Session, name: str) -> None:
    """Show one device: what is wanted of it, what it runs, and why something failed."""
    found = session.api.device(name)
    session.output.result(found, *describe(session.output, found))


@device.command(epilog="Example: skerry device remove porch-camera")
@click.argument("name", metavar="DEVICE", type=DEVICE)
@with_session
def remove(session: Session, name: str) -> None:
    """Forget a device; its token ends at once."""
    session.api.remove_device(name)
    session.output.result({"removed": name}, f"device {name} is removed")


for _command in device_command.ALL:
    device.add_command(_command)


def describe(output: Output, found: Device) -> Iterator[Any]:
    """Yield what there is to say about a device, for ``Output.result``."""
    wanted, reported = found.desired, found.reported
    yield facts(
        (
            ("device", found.id),
            ("presence", found.presence),
            ("last seen", found.last_seen),
            ("tags", pairs_text(found.tags)),
            ("platform", found.caps.platform if found.caps else ""),
            ("agent", found.caps.agent if found.caps else ""),
            ("runtime", _runtime(found)),
            ("desired", f"version {wanted.version} ({wanted.deployment})" if wanted else "nothing"),
            ("reported", _reported_text(reported) if reported else "nothing yet"),
        )
    )
    if reported is None:
        return
    if reported.modules:
        yield ""
        rows = [
            (name, one.image, one.state, one.restarts, short(one.digest))
            for name, one in sorted(reported.modules.items())
        ]
        yield output.table(("MODULE", "IMAGE", "STATE", "RESTARTS", "DIGEST"), rows)
        yield from (
            f"module {name} {one.waits}"
            for name, one in sorted(reported.modules.items())
            if one.waits
        )
    if reported.waits:
        yield ""
        yield from (printable(f"the switch waits for {wait.text}") for wait in reported.waits)
    yield from _failures(reported)
    for name, failed in sorted(found.failures.items()):
        yield ""
        times = "once" if failed.count == 1 else f"{failed.count} times"
        yield f"module {name} failed to score {times} in the last hour, last: {failed.text}"


def failure_text(subject: str, failure: Failure) -> str:
    """Return a failure as people read it, its traceback included."""
    lines = [f"{subject}: {failure.text} [{failure.code}]"]
    lines += [f"  {failure.remedy}"] if failure.remedy else []
    lines += [f"  | {line}" for line in failure.detail.splitlines()]
    return "\n".join(printable(line) for line in lines)


def _failures(reported: Reported) -> Iterator[str]:
    """Yield each failure once: what a module and the deployment say is often the same."""
    told: set[Failure] = set()
    for subject, failure in _all_failures(reported):
        if failure not in told:
            told.add(failure)
            yield "\n" + failure_text(subject, failure)


def _all_failures(reported: Reported) -> Iterator[tuple[str, Failure]]:
    for name, one in sorted(reported.modules.items()):
        if one.failure is not None:
            yield f"module {name} ({one.image})", one.failure
    for bad in reversed(reported.bad):
        yield _bad_subject(bad), bad.failure
    if reported.failure is not None:
        yield f"deployment {reported.deployment}", reported.failure


def _bad_subject(bad: BadRevision) -> str:
    return f"refused {bad.ts}, module {bad.module} ({bad.image})"


def _reported_text(reported: Reported) -> str:
    pull = reported.progress
    parts = [f"version {reported.version} ({reported.deployment}), {reported.phase}"]
    if reported.committed:
        parts.append(f"last good version {reported.committed}")
    if pull.total:
        parts.append(f"pulled {size_text(pull.pulled)} of {size_text(pull.total)}")
    return "; ".join(parts)


def _runtime(found: Device) -> str:
    return f"{found.caps.runtime.name} ({found.caps.runtime.isolation})" if found.caps else ""


def _phase(found: Device) -> str:
    return found.reported.phase if found.reported else "-"


def _deployment(found: Device) -> str:
    return found.reported.deployment if found.reported else "-"
