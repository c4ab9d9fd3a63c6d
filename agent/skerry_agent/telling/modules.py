"""The modules of this device as commands see them, from threads that are not the loop's."""

from pathlib import Path

from skerry_agent.core.world import Key, Life
from skerry_agent.executor import Executor
from skerry_agent.reconciling.reconciler import Reconciler
from skerry_agent.telling.agent_log import end_of_log
from skerry_agent.telling.calls import Calls
from skerry_contract.errors import NotFoundError

LOG_BYTES = 64 * 1024
"""Bytes of the end of a log that one look reads."""
_NEAREST = (Life.SERVING, Life.UNREADY, Life.READY, Life.STARTING, Life.UNHEALTHY, Life.EXITED)


class LoopModules:
    """See ``actions.Modules``.

    Args:
        reconciler: Knows what runs; changed in the loop only.
        executor: Reaches what runs.
        calls: Ways into the loop.
        state: The agent's state folder.
    """

    def __init__(
        self, reconciler: Reconciler, executor: Executor, calls: Calls, state: Path
    ) -> None:
        self._reconciler = reconciler
        self._executor = executor
        self._calls = calls
        self._state = state

    def restart(self, module: str) -> str:
        """See ``actions.Modules``."""
        return self._calls.ask(lambda: self._reconciler.restart(self._key(module)))

    def serving_run(self, module: str) -> str:
        """See ``actions.Modules``."""
        return self._calls.ask(lambda: self._reconciler.serving_run(module))

    def prove(self, module: str, *, timeout_s: float) -> None:
        """See ``actions.Modules``."""
        self._executor.prove(self._key(module), timeout_s=timeout_s)

    def log(self, module: str) -> str:
        """See ``actions.Modules``."""
        if not module:
            return end_of_log(self._state, LOG_BYTES)
        return self._executor.log(self._key(module), max_bytes=LOG_BYTES)

    def forgive(self) -> int:
        """See ``actions.Modules``."""
        return self._calls.ask(self._reconciler.clear_bad)

    def _key(self, module: str) -> Key:
        """Return the instance of a module that is nearest to serving."""
        # A round makes a new world, so what is read here is of one moment.
        seen = self._reconciler.world.instances
        found = [
            key
            for life in _NEAREST
            for key in seen
            if key.module == module and seen[key].life is life
        ]
        if not found:
            running = ", ".join(sorted({key.module for key in seen})) or "none"
            raise NotFoundError(
                f"no module {module} runs on this device", remedy=f"There runs: {running}."
            )
        return found[0]
