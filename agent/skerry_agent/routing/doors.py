"""The doors of all instances that are there, each opened once."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from skerry_agent.core.world import Key
from skerry_agent.routing.inlet import Inlet, Locks
from skerry_agent.routing.router import Router
from skerry_contract import shape
from skerry_contract.errors import ContractError
from skerry_contract.manifest import RunSettings

_NOTE = "routes"
_MAX_NOTE_BYTES = 256 * 1024


class Doors:
    """Opens and closes doors, and remembers how an instance runs for an agent that comes later.

    Args:
        router: Knows where results go.
        locks: Takes locks of modules.
    """

    def __init__(self, router: Router, locks: Locks) -> None:
        self._router = router
        self._locks = locks
        self._inlets: dict[Key, Inlet] = {}

    def note(self, run_dir: Path, run: RunSettings) -> None:
        """Write down how an instance runs, beside its run folder, where no module can write.

        Raises:
            OSError: The disk refused.
        """
        _note(run_dir).write_bytes(shape.dump(run))

    def open(self, key: Key, run_dir: Path) -> None:
        """Open the door of an instance that is there, unless it is open.

        Args:
            key: Which instance.
            run_dir: Its run folder; a note beside it says how it runs.
        """
        if key in self._inlets:
            return
        door = self._router.open(str(key), key.module, _read(run_dir))
        self._inlets[key] = Inlet(key.module, run_dir, door, self._locks)

    def keep(self, keys: Collection[Key]) -> None:
        """Close the doors of all other instances."""
        for key in self._inlets.keys() - set(keys):
            self.close(key)

    def close(self, key: Key) -> None:
        """Close the door of an instance; one that is closed already is no error."""
        inlet = self._inlets.pop(key, None)
        if inlet is not None:
            inlet.close()
            self._router.close(str(key))

    def forget(self, run_dir: Path) -> None:
        """Remove the note of an instance that is gone."""
        _note(run_dir).unlink(missing_ok=True)


def _note(run_dir: Path) -> Path:
    return run_dir.with_name(f"{run_dir.name}.{_NOTE}")


def _read(run_dir: Path) -> RunSettings:
    """Return how an instance runs: without a note, as one does whose manifest says nothing."""
    with suppress(OSError, ContractError):
        data = _note(run_dir).read_bytes()
        return shape.parse(RunSettings, data, max_bytes=_MAX_NOTE_BYTES, subject=run_dir.name)
    return RunSettings()
