"""What every command gets: where to write, and the server that the login points to."""

import errno
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec, cast

import click

from skerry import login
from skerry.api import Api
from skerry.output import Form, Output
from skerry.statuses import FAILED, UNREACHABLE
from skerry.transport import Transport
from skerry_contract.errors import (
    ConflictError,
    NetworkError,
    NoSpaceError,
    NotFoundError,
    SkerryError,
    UnauthorizedError,
)

P = ParamSpec("P")


class Session:
    """One run of one command.

    Args:
        output: Where it writes to.
        login_file: Where the login lies.
    """

    def __init__(self, output: Output, login_file: Path) -> None:
        self.output = output
        self.login_file = login_file

    @functools.cached_property
    def api(self) -> Api:
        """The server's API; the login is read when it is first needed."""
        return Api(Transport(login.read(self.login_file)))


def with_session(
    command: Callable[Concatenate[Session, P], None], form_options: Sequence[str] = ("--output",)
) -> Callable[P, None]:
    """Give a command its session and the options that all commands have; report its failures.

    Args:
        command: Called with the session first.
        form_options: What the option is called that says how results are written.
    """

    @click.option(
        *form_options,
        "form",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="How results are written to stdout.",
    )
    @click.option(
        "--login",
        "login_file",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="SKERRY_LOGIN",
        show_envvar=True,
        metavar="FILE",
        help="Which server to talk to, with which token.",
    )
    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        form = cast("Form", kwargs.pop("form"))
        given = kwargs.pop("login_file")
        path = given if isinstance(given, Path) else login.default_path(os.environ)
        session = Session(Output.standard(form), path)
        try:
            command(session, *args, **kwargs)
        except SkerryError as error:
            session.output.failure(error)
            raise click.exceptions.Exit(exit_status(error)) from error
        except BrokenPipeError:
            # Whoever read our output has seen enough; click ends quietly.
            raise
        except OSError as error:
            session.output.failure(disk_error(error))
            raise click.exceptions.Exit(FAILED) from error

    return run


def disk_error(error: OSError) -> SkerryError:
    """Return what the operating system said, as a failure that names the file and what to do."""
    reason = error.strerror or str(error) or type(error).__name__
    files = dict.fromkeys(str(name) for name in (error.filename, error.filename2) if name)
    text = ": ".join((" -> ".join(files), reason)) if files else reason
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return NoSpaceError(text, remedy="Free some space, or name a place on another disk.")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            remedy = "Name a place that you may write to, or run this as a user who may."
            return ConflictError(text, remedy=remedy)
        case errno.ENOENT | errno.ENOTDIR:
            return NotFoundError(text, remedy="Is the path spelled right?")
        case _:
            return ConflictError(text, remedy="Name another place.")


def exit_status(error: SkerryError) -> int:
    """Return the exit status that a deliberate failure ends a command with."""
    return UNREACHABLE if isinstance(error, NetworkError | UnauthorizedError) else FAILED
