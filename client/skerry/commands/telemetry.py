"""``skerry telemetry``: read what streams produced, as the cloud has stored it."""

import json
from collections import deque
from collections.abc import Iterator, Sequence

import click

from skerry.answers import TelemetryItem
from skerry.api import Api, TelemetryQuery
from skerry.commands.arguments import DEVICE, NAME
from skerry.output import printable
from skerry.session import Session, with_session

WAIT_S = 25.0
"""Seconds that one request waits for the first item; below what proxies cut off."""
PAGE = 500
"""Items that one request asks for; the server allows 1000, but an answer has a byte limit."""


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
    if which["device"] is not None:
        # What nobody has said and who is not there would look the same.
        session.api.device(which["device"])
    for item in items(session.api, TelemetryQuery(**which), lines, follow=follow):
        session.output.line(item, _text(item))


def items(api: Api, query: TelemetryQuery, count: int, *, follow: bool) -> Iterator[TelemetryItem]:
    """Yield the newest ``count`` items in order and, with ``follow``, all that come after them."""
    found, cursor = newest(api, query, count)
    yield from found
    while follow:
        page = api.telemetry(query, after=cursor, limit=PAGE, wait_s=WAIT_S)
        yield from page.items
        cursor = page.next


def newest(api: Api, query: TelemetryQuery, count: int) -> tuple[Sequence[TelemetryItem], int]:
    """Return the newest ``count`` items in order, and the cursor for what follows them.

    Cursors only lead forward, and count the items of everybody. So what does not fit one answer
    is read from further and further back, until there is enough or nothing before it.
    """
    page = api.telemetry(query, after=None, limit=min(max(count, 1), PAGE), wait_s=0)
    if count <= PAGE or len(page.items) < PAGE:
        return (page.items if count else ()), page.next
    distance = count
    while True:
        start = max(page.next - distance, 0)
        found, cursor = _since(api, query, start, count)
        if len(found) == count or start == 0:
            return found, cursor
        distance *= 4


def _since(
    api: Api, query: TelemetryQuery, cursor: int, count: int
) -> tuple[Sequence[TelemetryItem], int]:
    """Return the last ``count`` of the items that follow ``cursor``, and the cursor after them."""
    found: deque[TelemetryItem] = deque(maxlen=count)
    while True:
        page = api.telemetry(query, after=cursor, limit=PAGE, wait_s=0)
        found.extend(page.items)
        cursor = page.next
        if len(page.items) < PAGE:
            return found, cursor


def _text(item: TelemetryItem) -> str:
    late = " (late)" if item.hist else ""
    data = json.dumps(item.data, ensure_ascii=False)
    return printable(f"{item.ts} {item.device} {item.module}/{item.stream} {data}{late}")
