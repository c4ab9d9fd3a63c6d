"""Feed an input of a module with results of others, over the module's own socket.

The module names its input in the first line, ``{"input": "boxes"}``. It gets lines
``{"id": 7, "stream": "detector/boxes", "data": …}``, at most ``WINDOW`` that it has not answered,
and answers each with ``{"done": 7}`` once what came of it is stored. What it did not answer comes
again, on the next connection.
"""

import json
import os
import select
import socket
import threading
from contextlib import suppress

from skerry_agent.routing.queues import Item, RouteQueues, now
from skerry_contract import shape
from skerry_contract.errors import ContractError, SkerryError

WINDOW = 64
"""Results that a module may have without having answered."""
_LOOK_S = 1.0
_SEND_S = 30.0
_MAX_BUFFER_BYTES = 64 * 1024


def feed(
    connection: socket.socket,
    rest: bytes,
    queue: str,
    queues: RouteQueues,
    closed: threading.Event,
) -> None:
    """Feed one connection until it ends.

    Args:
        connection: To the module.
        rest: What came after its first line.
        queue: Name of the queue of its input.
        queues: Where the queue is.
        closed: Ends it.
    """
    under_way: set[int] = set()
    buffer = rest
    woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    connection.settimeout(_SEND_S)
    try:
        with queues.watched(woken):
            while not closed.is_set():
                _send(connection, queue, queues, under_way)
                ready, _, _ = select.select([connection.fileno(), woken], [], [], _LOOK_S)
                if woken in ready:
                    with suppress(BlockingIOError):
                        os.eventfd_read(woken)
                if connection.fileno() in ready:
                    data = connection.recv(64 * 1024)
                    *lines, buffer = (buffer + data).split(b"\n")
                    done = [_answered(line) for line in lines]
                    queues.done(queue, done)
                    under_way.difference_update(done)
                    if not data or len(buffer) > _MAX_BUFFER_BYTES:
                        return
    except (OSError, SkerryError):
        return  # the module comes again, and so does what it had not answered
    finally:
        os.close(woken)


def line_of(item: Item) -> bytes:
    """Return a result as a module gets it."""
    subject = json.dumps(item.subject).encode()
    return b'{"id":%d,"stream":%b,"data":%b}\n' % (item.id, subject, item.data)


def _send(connection: socket.socket, queue: str, queues: RouteQueues, under_way: set[int]) -> None:
    room = WINDOW - len(under_way)
    if room <= 0:
        return
    items = queues.waiting(queue, but=under_way, limit=room, now_s=now())
    if items:
        connection.sendall(b"".join(line_of(item) for item in items))
        under_way.update(item.id for item in items)


def _answered(line: bytes) -> int:
    answer = shape.load(line, max_bytes=1024, subject="feed")
    number = answer.get("done")
    if type(number) is not int or not 0 <= number < 2**53:
        raise ContractError("expected a number", ("done",), subject="feed")
    return number
