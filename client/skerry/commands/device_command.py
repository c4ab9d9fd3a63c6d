"""``skerry device command|restart|logs|check|…``: ask a device to do something, and follow it.

Exit status: 0 the device did it, 1 it did not, or what it found needs mending.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import click

from skerry.commands.arguments import DEVICE, NAME, pairs
from skerry.device_commands import Command, failure_of
from skerry.output import printable, size_text
from skerry.session import Session, with_session
from skerry.statuses import FAILED
from skerry_contract.commands import ARGS, DEADLINE_S, LogLevel

DEADLINE = 60.0
_device = click.argument("name", metavar="DEVICE", type=DEVICE)
_deadline = click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(*DEADLINE_S),
    default=DEADLINE,
    show_default=True,
    metavar="SECONDS",
    help="Not begun after that; a device that is away may come back in time.",
)


@click.command("command", epilog="Example: skerry device command porch-camera check --no-wait")
@_device
@click.argument("type_", metavar="TYPE", type=click.Choice(sorted(ARGS)))
@click.option(
    "--arg", "args", multiple=True, callback=pairs, metavar="NAME=VALUE", help="Repeatable."
)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Follow it to its end.")
@_deadline
@with_session
def command(
    session: Session, name: str, type_: str, args: dict[str, str], deadline_s: float, *, wait: bool
) -> None:
    """Ask a device to do something, once."""
    typed = {key: int(value) if value.isdigit() else value for key, value in args.items()}
    issued = session.api.commands.issue(name, type_, typed, deadline_s=deadline_s)
    found = _followed(session, issued) if wait else issued
    session.output.result(found, f"{found.type} {found.id}: {found.state}", *_result(found))


@click.command("commands", epilog="Example: skerry device commands porch-camera")
@_device
@click.option("-n", "--number", type=click.IntRange(1, 200), default=20, show_default=True)
@with_session
def commands(session: Session, name: str, number: int) -> None:
    """List what was asked of a device, newest first, and what became of it."""
    found = session.api.commands.list(name, number)
    rows = [
        (one.id, one.type, _args_text(one.args), one.state, one.issued, _why(one)) for one in found
    ]
    columns = ("COMMAND", "TYPE", "ARGUMENTS", "STATE", "ISSUED", "WHY")
    session.output.result(list(found), session.output.table(columns, rows))


@click.command(epilog="Example: skerry device restart porch-camera --module detector")
@_device
@click.option("--module", type=NAME, help="Only this module.  [default: the agent itself]")
@_deadline
@with_session
def restart(session: Session, name: str, module: str | None, deadline_s: float) -> None:
    """Start a module again, or the agent; modules run on while the agent does."""
    found = _done(session, name, "restart", {"module": module or ""}, deadline_s)
    session.output.result(found, f"{module or 'the agent'} on {name} was started again")


@click.command(epilog="Example: skerry device logs porch-camera --module detector --seconds 300")
@_device
@click.option("--module", type=NAME, help="Whose log.  [default: the agent's own]")
@click.option(
    "--seconds",
    type=click.IntRange(1, 3600),
    default=60,
    show_default=True,
    help="How long the device sends it.",
)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, 1000),
    default=20,
    show_default=True,
    help="How many lines of before come first.",
)
@_deadline
@with_session
def logs(session: Session, /, name: str, module: str | None, **more: Any) -> None:
    """Show the log of a module as it is written; the device stops sending by itself."""
    args = {"module": module or "", "seconds": more["seconds"], "lines": more["lines"]}
    issued = session.api.commands.issue(name, "logs", args, deadline_s=more["deadline_s"])
    expected = 1
    for line in session.api.commands.lines(issued):
        if line.n > expected:
            session.output.note(f"({line.n - expected} lines were lost on the way)")
        expected = line.n + 1
        session.output.line(line, printable(line.text))
    found = session.api.commands.get(name, issued.id)
    if found.state != "successful":
        raise failure_of(found)


@click.command(epilog="Example: skerry device check porch-camera")
@_device
@_deadline
@with_session
def check(session: Session, name: str, deadline_s: float) -> None:
    """Have a device look for what is wrong with it, with a remedy for each finding."""
    found = _done(session, name, "check", {}, deadline_s)
    findings = _findings(found)
    rows = [(one["level"], one["name"], one["text"], one["fix"]) for one in findings]
    table = session.output.table(("LEVEL", "WHAT", "FOUND", "REMEDY"), rows)
    session.output.result({"findings": findings}, table)
    if any(one["level"] == "error" for one in findings):
        raise click.exceptions.Exit(FAILED)


@click.command("clear-bad", epilog="Example: skerry device clear-bad porch-camera")
@_device
@_deadline
@with_session
def clear_bad(session: Session, name: str, deadline_s: float) -> None:
    """Have a device try refused versions once more."""
    found = _done(session, name, "clear-bad", {}, deadline_s)
    session.output.result(found, f"{name} tries again what it refused")


@click.command("log-level", epilog="Example: skerry device log-level porch-camera debug")
@_device
@click.argument("level", type=click.Choice(get_args(LogLevel)))
@_deadline
@with_session
def log_level(session: Session, name: str, level: str, deadline_s: float) -> None:
    """Say how much the agent writes down, until it is started again."""
    found = _done(session, name, "set-log-level", {"level": level}, deadline_s)
    session.output.result(found, f"the agent of {name} logs from {level} on")


@click.command(epilog="Example: skerry device golden porch-camera detector")
@_device
@click.argument("module", type=NAME)
@_deadline
@with_session
def golden(session: Session, name: str, module: str, deadline_s: float) -> None:
    """Have a module that runs score its golden set once more."""
    found = _done(session, name, "run-golden", {"module": module}, deadline_s)
    session.output.result(found, f"{module} on {name} answers its golden set as expected")


@click.command(
    "support-bundle", epilog="Example: skerry device support-bundle porch-camera -o porch.tar.gz"
)
@_device
@click.option(
    "-o",
    "--file",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to put it.  [default: DEVICE-COMMAND.tar.gz here]",
)
@_deadline
@with_session
def support_bundle(session: Session, name: str, target: Path | None, deadline_s: float) -> None:
    """Fetch what explains a device's trouble: logs, state and checks, without secrets."""
    found = _done(session, name, "support-bundle", {}, deadline_s)
    data = session.api.commands.bundle(found)
    path = target or Path(f"{name}-{found.id}.tar.gz")
    path.write_bytes(data)
    said = {"command": found.id, "file": str(path), "size": len(data)}
    session.output.result(said, f"{path} has {size_text(len(data))}")


@click.command(epilog="Example: skerry device reboot porch-camera --yes")
@_device
@click.option("--yes", is_flag=True, help="Do not ask.")
@_deadline
@with_session
def reboot(session: Session, name: str, deadline_s: float, *, yes: bool) -> None:
    """Reboot the machine, where its device.json says how; refused elsewhere."""
    if not yes:
        click.confirm(f"Reboot {name}?", abort=True, err=True)
    found = _done(session, name, "reboot", {}, deadline_s)
    session.output.result(found, f"{name} has rebooted")


@click.command(epilog="Example: skerry device gaps porch-camera")
@_device
@click.option("-n", "--number", type=click.IntRange(1, 1000), default=100, show_default=True)
@with_session
def gaps(session: Session, name: str, number: int) -> None:
    """Show which items of a device's streams were lost, and why it gave up what it gave up."""
    found = session.api.commands.losses(name, number)
    rows = [
        (one.stream, one.boot, f"{one.first}-{one.last}", one.last - one.first + 1, one.noticed)
        for one in found.gaps
    ]
    columns = ("STREAM", "BOOT", "NUMBERS", "LOST", "NOTICED")
    parts: list[Any] = [session.output.table(columns, rows)] if rows else ["nothing is lost"]
    parts += [f"given up on the device: {n} ({reason})" for reason, n in found.dropped.items()]
    session.output.result(found, *parts)


ALL: Iterable[click.Command] = (
    command,
    commands,
    restart,
    logs,
    check,
    clear_bad,
    log_level,
    golden,
    support_bundle,
    reboot,
    gaps,
)
"""What ``skerry device`` gets from here."""


def _done(
    session: Session, device: str, type_: str, args: Mapping[str, Any], deadline_s: float
) -> Command:
    issued = session.api.commands.issue(device, type_, args, deadline_s=deadline_s)
    return _followed(session, issued)


def _followed(session: Session, issued: Command) -> Command:
    """Return a command that was successful, having told people how far it was.

    Raises:
        CommandError: It was not.
    """
    last = issued
    for last in session.api.commands.follow(issued):
        doing = f": {last.text}" if last.text else ""
        session.output.note(f"{last.type} on {last.device}: {last.state}{doing}")
    if last.state != "successful":
        raise failure_of(last)
    return last


def _findings(found: Command) -> list[dict[str, str]]:
    said = found.result.get("findings", []) if isinstance(found.result, dict) else []
    names = ("level", "name", "text", "fix")
    return [{key: str(one.get(key, "")) for key in names} for one in said if isinstance(one, dict)]


def _result(found: Command) -> list[str]:
    if not isinstance(found.result, dict):
        return []
    return [printable(f"{key}  {value}") for key, value in found.result.items()]


def _args_text(args: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in args.items() if value != "")


def _why(one: Command) -> str:
    return one.failure.text if one.failure else ""
