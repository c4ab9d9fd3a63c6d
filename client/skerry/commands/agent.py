"""``skerry agent``: releases of the agent, for devices that run an older one."""

import tempfile
from pathlib import Path

import click

from skerry import agent_release
from skerry.commands.arguments import NAME
from skerry.images.incoming import bring
from skerry.output import facts
from skerry.session import Session, with_session
from skerry_contract import __version__


@click.group()
def agent() -> None:
    """The agent: the program on the devices."""


@agent.command(epilog="Example: skerry agent publish")
@click.option(
    "-n", "--name", default="skerry-agent", type=NAME, show_default=True, help="What to call it."
)
@with_session
def publish(session: Session, /, name: str) -> None:
    """Put the agent that is installed here into the registry.

    A deployment manifest that says 'agent: skerry-agent:1' then brings it onto devices: each tries
    it beside the one that it runs, and returns to that one if the new one cannot reach the broker
    or does not see its modules.
    """
    with tempfile.TemporaryDirectory(prefix="skerry-agent-") as scratch:
        images = agent_release.make(Path(scratch))
        made = bring(session.api, name, images, Path(scratch), lambda _count: None)
    lines = [("agent", __version__)]
    lines += [(platform, image.digest) for platform, image in sorted(made.images.items())]
    reference = f"{made.name}:{made.version}"
    session.output.result(made, reference, facts(lines))
    session.output.note(f"send it to devices with this line in a manifest: agent: {reference}")
