"""``skerry telemetry``: read what streams produced, as the cloud has stored it."""

import json
from collections.abc import Iterator

import click

from skerry.answers import TelemetryItem
from skerry.api import Api, TelemetryQuery
from skerry.commands.arguments import DEVICE, NAME
from skerry.output import printable
from skerry.session import Session, with_session

WAIT_S = 25.0
"""Seconds that one request waits for the first item; below what proxies cut off."""
PAGE = 500


@click.group()
def telemetry() -> None:
    """Telemetry: what the streams of modules produce."""


@telemetry.command(epilog="Example: skerry telemetry tail --device porch-camera --no-follow -n 20")
@click.option("--device", type=DEVICE, help="Only of this device.")
@click.option("--module", type=NAME, help="Only of this module.")
@click.option("--stream", type=NAME, help="Only of this stream.")
@click.option("--follow/--no-follow", default=True, show_default=True, help="Wait for more.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    help="How many stored items to start with.",
)
@with_session
def tail(session: Session, /, lines: int, *, follow: bool, **which: str | None) -> None:
    """Show the newest items, and then each one as it comes; one line each."""
    for item in items(session.api, TelemetryQuery(**which), lines, follow=follow):
        session.output.line(item, _text(item))


def items(api: Api, query: TelemetryQuery, count: int, *, follow: bool) -> Iterator[TelemetryItem]:
    """Yield the newest ``count`` items in order and, with ``follow``, all that come after them."""
    page = api.telemetry(query, after=None, limit=max(count, 1), wait_s=0)
    yield from page.items if count else ()
    while follow:
        page = api.telemetry(query, after=page.next, limit=PAGE, wait_s=WAIT_S)
        yield from page.items


def _text(item: TelemetryItem) -> str:
    late = " (late)" if item.hist else ""
    data = json.dumps(item.data, ensure_ascii=False)
    return printable(f"{item.ts} {item.device} {item.module}/{item.stream} {data}{late}")
