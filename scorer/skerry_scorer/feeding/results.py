"""Where results go: to the agent, which answers once they are stored, or to standard output."""

import asyncio
import json
import logging
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from skerry_scorer.backoff import pauses
from skerry_scorer.sockets import reachable

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 64 * 1024
"""Longest line on ``agent.sock``, its end included, in either direction."""
MAX_ITEM_BYTES = MAX_LINE_BYTES - 64
"""Longest item of a line: the rest holds the id and the brackets around it."""
MAX_ITEMS = 500
"""Most items of a line."""
ANSWER_S = 30.0
"""Seconds in which the agent must have answered; then the line is repeated."""
MAX_RETRY_AFTER_S = 300.0
"""Longest pause that the agent may ask for."""

_ANSWERS = ("stored", "retry", "refused")


class Results(Protocol):
    """Takes items, each one JSON object in bytes of at most ``MAX_ITEM_BYTES``."""

    async def store(self, items: list[bytes]) -> str:
        """Return "" once the items are stored, or why they never will be."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


class StdoutResults:
    """Prints each item as one line."""

    async def store(self, items: list[bytes]) -> str:
        """Print the items."""
        for item in items:
            sys.stdout.write(item.decode() + "\n")
        sys.stdout.flush()
        return ""

    async def close(self) -> None:
        """Standard output stays open."""


class AgentLink:
    """Hands items to the agent over ``agent.sock``, and waits for as long as it takes.

    An item may reach the agent twice, when its answer was lost; it is never lost itself.

    Args:
        path: The socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last_id = 0
        self._free = asyncio.Lock()  # inputs and requests have one connection, and take turns
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def store(self, items: list[bytes]) -> str:
        """Return "" once the agent has stored the items, or its words if it never will."""
        async with self._free:
            return await self._stored(items)

    async def _stored(self, items: list[bytes]) -> str:
        self._last_id += 1
        number = self._last_id
        line = b'{"id":%d,"items":[%b]}\n' % (number, b",".join(items))
        waits = pauses()
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    answer = await self._ask(line, number)
            # Whatever broke, the remedy is the same: a new connection, and once more.
            except (OSError, EOFError, ValueError) as error:
                await self.close()
                pause_s = next(waits)
                text = str(error) or type(error).__name__
                log.warning("agent.sock: %s; trying again in %.1f s", text, pause_s)
            else:
                if "stored" in answer:
                    return ""
                if "refused" in answer:
                    return str(answer.get("text") or "the agent does not take it")
                pause_s = _retry_pause(answer)
            await asyncio.sleep(pause_s)

    async def close(self) -> None:
        """Close the connection if there is one; the next call opens it again."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _ask(self, line: bytes, number: int) -> dict[str, Any]:
        if self._streams is None:
            with reachable(self._path) as path:
                self._streams = await asyncio.open_unix_connection(path, limit=MAX_LINE_BYTES)
        reader, writer = self._streams
        writer.write(line)
        await writer.drain()
        while True:
            answer = await reader.readline()
            if not answer.endswith(b"\n"):
                raise EOFError("the agent has closed the connection")
            found = json.loads(answer)
            if not isinstance(found, dict):
                raise ValueError(f"expected an object, got {answer[:60]!r}")  # noqa: TRY004 - as json
            # A line that the agent could not even read has no number there: it is refused as 0.
            if found.get("refused") == 0 or number in map(found.get, _ANSWERS):
                return found


async def store_all(results: Results, items: Sequence[bytes]) -> list[str]:
    """Store items in as few lines as hold them, and return for each "" or why it never will be.

    Args:
        results: Where they go.
        items: Each of at most ``MAX_ITEM_BYTES``.
    """
    found: list[str] = []
    for line in lines_of(items):
        refusal = await results.store(line)
        # One item may be to blame for its whole line: alone, each gets its own answer.
        alone = refusal and len(line) > 1
        found += [await results.store([item]) for item in line] if alone else [refusal] * len(line)
    return found


def lines_of(items: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Divide items, in their order, into as few lines as the limits allow."""
    line: list[bytes] = []
    size = 0
    for item in items:
        if line and (size + len(item) + 1 > MAX_ITEM_BYTES or len(line) >= MAX_ITEMS):
            yield line
            line, size = [], 0
        line.append(item)
        size += len(item) + 1
    if line:
        yield line


def _retry_pause(answer: dict[str, Any]) -> float:
    after_s = answer.get("after_s")
    known = isinstance(after_s, int | float) and after_s >= 0
    seconds = min(float(after_s), MAX_RETRY_AFTER_S) if known and after_s is not None else 1.0
    return seconds * random.uniform(1.0, 1.25) + 0.01  # noqa: S311 - not a secret
