"""The ``skerry`` command."""

import importlib
import sys
from collections.abc import Iterator, MutableMapping, Sequence

import click

from skerry.statuses import INTERRUPTED
from skerry_contract import __version__

EXIT_STATUSES = """
\b
Exit status:
  0    done
  1    it failed; what happened and what to do is on stderr
  2    the command line is wrong
  3    the server cannot be reached, or does not accept the login
  130  interrupted
"""


_COMMANDS = (
    "up",
    "demo",
    "login",
    "model",
    "service",
    "module",
    "device",
    "deployment",
    "telemetry",
)


class _Commands(MutableMapping[str, click.Command]):
    """The commands by name; each is imported when it is looked at, for that takes most of a start.

    ``skerry.commands`` has a module of each one's name.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, click.Command | None] = dict.fromkeys(_COMMANDS)

    def __getitem__(self, name: str) -> click.Command:
        found = self._loaded[name]
        if found is None:
            module = importlib.import_module(f"skerry.commands.{name}")
            found = self._loaded[name] = getattr(module, name)
        return found

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded)

    def __len__(self) -> int:
        return len(self._loaded)


@click.group(
    commands=_Commands(),
    epilog=EXIT_STATUSES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="skerry")
def skerry() -> None:
    """Ship machine-learning models to edge devices, and keep them honest there.

    Start with 'skerry up', or see the whole story run by itself with 'skerry demo'.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        status = skerry.main(argv, prog_name="skerry", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("skerry: interrupted\n")
        return INTERRUPTED
    return status if isinstance(status, int) else 0
