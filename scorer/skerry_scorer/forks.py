"""What a process that the entry script forks must not keep, and must not become.

A fork has all descriptors of the host. If it outlives the host, its locks keep every next host from
the inputs, and its listening sockets take connections that nobody answers. And if it comes back
from ``run()``, it must not go on as a second host.
"""

import logging
import os
import weakref
from contextlib import suppress
from typing import NoReturn, Protocol

log = logging.getLogger(__name__)

CAME_BACK = 70
"""Exit status of a fork that came back from ``run()`` (EX_SOFTWARE of sysexits.h)."""


class Private(Protocol):
    """Something that belongs to this process alone."""

    def close(self) -> None:
        """Let go of it, in the fork."""
        ...


_private: weakref.WeakSet[Private] = weakref.WeakSet()
_forked = False


def keep_private(thing: Private) -> None:
    """Have something closed in each fork of this process, for as long as it is there."""
    _private.add(thing)


def end_if_forked() -> None:
    """End this process if it is a fork of the host."""
    if _forked:
        _end()


def _end() -> NoReturn:
    log.error("a process that run() has forked came back from run(): it is ended")
    os._exit(CAME_BACK)


def _after_in_child() -> None:
    global _forked  # noqa: PLW0603 - a fact of the whole process
    _forked = True
    for thing in list(_private):
        with suppress(OSError):
            thing.close()


os.register_at_fork(after_in_child=_after_in_child)
