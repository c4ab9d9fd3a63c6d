"""The ``skerry`` command."""

import sys
from collections.abc import Sequence

import click

from skerry.commands.agent import agent
from skerry.commands.demo import demo
from skerry.commands.deployment import deployment
from skerry.commands.device import device
from skerry.commands.login import login
from skerry.commands.model import model
from skerry.commands.module import module
from skerry.commands.service import service
from skerry.commands.telemetry import telemetry
from skerry.commands.up import up
from skerry.session import INTERRUPTED
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


@click.group(
    epilog=EXIT_STATUSES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="skerry")
def skerry() -> None:
    """Ship machine-learning models to edge devices, and keep them honest there.

    Start with 'skerry up', or see the whole story run by itself with 'skerry demo'.
    """


for _command in (up, demo, login, model, service, module, device, agent, deployment, telemetry):
    skerry.add_command(_command)


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
