"""Work that must not hold up the loop: each job runs in a thread of its own, once per name.

The loop decides and looks; everything that may take longer than a blink (a pull, a start, a probe)
is a job. A name that is busy is not started again, so a plan that repeats itself is harmless.
"""

import logging
import threading
from collections.abc import Callable, Hashable

from skerry_contract.errors import SkerryError

log = logging.getLogger(__name__)

Done = Callable[[SkerryError | None], None]


class Jobs:
    """Runs jobs and hands their ends back to the loop.

    Args:
        wake: Called from a job's thread when it has ended.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._threads: dict[Hashable, threading.Thread] = {}
        self._ended: list[tuple[Hashable, Done, SkerryError | None]] = []

    def busy(self, name: Hashable) -> bool:
        """Return whether a job of this name runs, or has ended and was not collected."""
        return name in self._threads

    def run(self, name: Hashable, work: Callable[[], None], done: Done) -> None:
        """Run ``work`` unless ``name`` is busy; ``collect`` will then call ``done``."""
        if self.busy(name):
            return
        thread = threading.Thread(
            target=self._run, args=(name, work, done), name=str(name), daemon=True
        )
        self._threads[name] = thread
        thread.start()

    def collect(self) -> None:
        """Call ``done`` of each job that has ended, in the caller's thread."""
        with self._lock:
            ended, self._ended = self._ended, []
        for name, done, error in ended:
            del self._threads[name]
            done(error)

    def join(self, timeout_s: float) -> None:
        """Wait for the jobs that run, each for at most ``timeout_s`` seconds."""
        for thread in list(self._threads.values()):
            thread.join(timeout_s)

    def _run(self, name: Hashable, work: Callable[[], None], done: Done) -> None:
        failure: SkerryError | None = None
        try:
            work()
        except SkerryError as error:
            failure = error
        except Exception as error:  # a bug in one job must not end the agent
            log.exception("job %s", name)
            failure = SkerryError(f"{name}: {error!r}", remedy="This is a bug; please report it.")
        with self._lock:
            self._ended.append((name, done, failure))
        self._wake()
