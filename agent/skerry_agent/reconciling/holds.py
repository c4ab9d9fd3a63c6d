"""Who holds the switch back, and until when: one small file for each, in the state folder.

The files are the truth: ``skerry-agent hold`` writes one whether or not the agent runs, and the
agent finds it in its next round. Every hold is a lease. It is measured on the clock that counts
from the machine's start, so no jump of the time of day makes it longer or shorter; after a reboot,
where nobody knows how long the machine was off, it begins anew, and ends for good once the
time of day is past the end that was written down.
"""

import hashlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from skerry_agent import durable
from skerry_agent.core.gate import MAX_LEASE_S, MAX_LOCK_S, Hold, Kind
from skerry_agent.reconciling.clock import Clock
from skerry_contract import shape
from skerry_contract.desired import read_time, write_time
from skerry_contract.errors import ConflictError, ContractError, NoSpaceError
from skerry_contract.shape import Range, Text

log = logging.getLogger(__name__)

FOLDER = "holds"
_MAX_BYTES = 16 * 1024
_MAX_FILES = 200


@dataclass(frozen=True, slots=True)
class _File:
    kind: Literal["hold", "lock", "override"]
    owner: Annotated[str, Text(r"[^\0\n]+", 100, "a name in one line")]
    reason: Annotated[str, Text(max_length=300)]
    lease_s: Annotated[float, Range(1, MAX_LEASE_S)]
    boot: Annotated[str, Text(max_length=64)]
    end_s: Annotated[float, Range(0)]
    until: Annotated[str, Text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", 20, "a UTC time")]


class Holds:
    """The holds of one device.

    Args:
        state: The agent's folder.
        clock: What time it is.
    """

    def __init__(self, state: Path, clock: Clock) -> None:
        self._folder = state / FOLDER
        self._clock = clock
        self._deciding = threading.RLock()
        self._switching = False

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Take no lock of a module while it is decided whether a switch begins."""
        with self._deciding:
            yield

    def say_switching(self, *, switching: bool) -> None:
        """Say whether a switch is under way, which no lock holds back any more."""
        self._switching = switching

    def lock(self, module: str, reason: str, lease_s: float) -> str:
        """See ``routing.inlet.Locks``; for any thread."""
        with self._deciding:
            if self._switching:
                raise ConflictError(
                    f"{module}: the switch to another deployment is under way",
                    remedy="Be ready to be stopped.",
                )
            return self.put("lock", module, reason, lease_s).until

    def unlock(self, module: str) -> None:
        """See ``routing.inlet.Locks``; for any thread."""
        self.remove("lock", module)

    def put(self, kind: Kind, owner: str, reason: str, lease_s: float) -> Hold:
        """Hold the switch back, or renew what was said before by the same owner.

        Args:
            kind: Who holds it.
            owner: Their name, of 1 to 100 characters in one line.
            reason: Why, for people; at most 300 characters are kept.
            lease_s: Seconds after which it ends by itself, from 1 to ``MAX_LEASE_S``, or to
                ``MAX_LOCK_S`` for a module.

        Raises:
            ContractError: The name or the lease is out of bounds.
            NoSpaceError: It could not be written.
        """
        bound = MAX_LOCK_S if kind == "lock" else MAX_LEASE_S
        if not 1 <= lease_s <= bound:
            raise ContractError(f"a lease is from 1 to {bound} s, got {lease_s:g}")
        file = self._make(kind, owner, reason[:300], float(lease_s))
        file = shape.read(_File, shape.write(file), subject=f"{kind} of {owner!r:.120}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.write(self._path(kind, owner), shape.dump(file), mode=0o600)
        except OSError as error:
            raise NoSpaceError(
                f"{self._folder}: {error.strerror}", remedy="Run as the agent's user."
            ) from error
        return _hold_of(file)

    def remove(self, kind: Kind, owner: str) -> bool:
        """End a hold, and return whether there was one.

        Raises:
            NoSpaceError: It could not be removed.
        """
        path = self._path(kind, owner)
        try:
            path.unlink()
            durable.sync_folder(self._folder)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise NoSpaceError(
                f"{path}: {error.strerror}", remedy="Run as the agent's user."
            ) from error
        return True

    def remove_all(self) -> list[Hold]:
        """End every hold, and return those that were in force.

        Raises:
            NoSpaceError: One of them could not be removed.
        """
        return [hold for hold in self.current() if self.remove(hold.kind, hold.owner)]

    def current(self) -> tuple[Hold, ...]:
        """Return the holds in force, and remove the files of those that have ended."""
        found = []
        for path in self._paths():
            try:
                file = self._read(path)
            except OSError as error:
                log.warning("%s: %s", path, error)
                continue
            if file is None or self._left_s(file) <= 0:
                with suppress(OSError):
                    path.unlink()
            else:
                found.append(_hold_of(file))
        return tuple(found)

    def _make(self, kind: Kind, owner: str, reason: str, lease_s: float) -> _File:
        end_s = self._clock.since_boot() + lease_s
        until = write_time(self._clock.utc() + timedelta(seconds=lease_s))
        return _File(kind, owner, reason, lease_s, self._clock.boot, end_s, until)

    def _left_s(self, file: _File) -> float:
        if file.boot == self._clock.boot:
            return file.end_s - self._clock.since_boot()
        if self._clock.utc() >= read_time(file.until):
            return 0.0
        return file.lease_s - self._clock.since_boot()

    def _paths(self) -> Iterator[Path]:
        try:
            yield from sorted(self._folder.glob("*.json"))[:_MAX_FILES]
        except OSError as error:
            log.warning("%s: %s", self._folder, error)

    def _read(self, path: Path) -> _File | None:
        try:
            return shape.parse(
                _File, path.read_bytes(), max_bytes=_MAX_BYTES, subject=f"{FOLDER}/{path.name}"
            )
        except ContractError as error:
            log.warning("%s is no hold and is removed: %s", path, error)
            return None

    def _path(self, kind: Kind, owner: str) -> Path:
        mark = hashlib.sha256(owner.encode(errors="replace")).hexdigest()[:16]
        return self._folder / f"{kind}-{mark}.json"


def _hold_of(file: _File) -> Hold:
    return Hold(file.kind, file.owner, file.reason, file.until)
