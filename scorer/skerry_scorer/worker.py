"""The one thread in which the entry script runs.

The event loop stays free, so that status and health are answered while ``init()`` or ``run()``
computes; and the script sees one call after the other, always from the same thread.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """Runs calls one after the other, in a daemon thread: a stuck call never keeps the process.

    Args:
        loop: The event loop that waits for the results.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]]] = (
            queue.SimpleQueue()
        )
        self._busy = False
        threading.Thread(target=self._work, name="scorer", daemon=True).start()

    @property
    def waiting(self) -> int:
        """Calls that have not begun; those that nobody waits for any more count too."""
        return self._calls.qsize()

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._busy

    async def call(self, function: Callable[[], T]) -> T:
        """Return what ``function`` returns; if cancelled before it begins, it never does."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._calls.put((function, future))
        return await future

    def _work(self) -> None:
        while True:
            self._one(*self._calls.get())

    # A method of its own, so that nothing holds on to the last call's data while none comes.
    def _one(self, function: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            return
        self._busy = True
        result, error = None, None
        try:
            result = function()
        except BaseException as raised:  # noqa: BLE001 - it belongs to whoever awaits the future
            error = raised
        self._busy = False
        with suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
