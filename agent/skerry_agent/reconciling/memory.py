"""The few things the agent must not forget, one small file each.

``desired.json`` is the last envelope that was accepted, as it came: it is verified again at every
start, and its version is the one that no later document may go below. ``committed.json`` is what
last proved itself as a whole. ``bad.json`` lists what was refused here. ``births.json`` counts
connections, so that a stale last will can be told from a fresh one.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from skerry_agent import durable
from skerry_contract import shape
from skerry_contract.desired import ModuleSpec
from skerry_contract.errors import ContractError, NoSpaceError
from skerry_contract.manifest import ReferenceText, RunSettings
from skerry_contract.messages import BadRevision, Count
from skerry_contract.names import DIGEST, Digest
from skerry_contract.shape import Range, Size, Text

log = logging.getLogger(__name__)

MAX_BAD = 50
"""Refused revisions that are remembered; the oldest go first."""
CLEAR_BAD = "clear-bad"
"""A file of this name in the folder asks the agent to try refused revisions again."""
_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Committed:
    """What last proved itself as a whole.

    Attributes:
        version: Version of the desired document; 0 if there was none yet.
        deployment: Its deployment.
        modules: Its modules.
    """

    version: int
    deployment: str
    modules: Mapping[str, ModuleSpec]


@dataclass(frozen=True, slots=True)
class _Spec:
    image: ReferenceText
    digest: Annotated[str, Text(DIGEST, 71, "a digest")]
    size: Annotated[int, Range(1)]
    run: RunSettings


@dataclass(frozen=True, slots=True)
class _Committed:
    version: Count = 0
    deployment: str = ""
    modules: Annotated[Mapping[str, _Spec], Size(0, 100)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Bad:
    bad: Annotated[tuple[BadRevision, ...], Size(0, MAX_BAD)] = ()


@dataclass(frozen=True, slots=True)
class _Births:
    births: Count = 0


class Memory:
    """Reads and writes those files in one folder, which exists.

    A file that cannot be read, say after damage to the disk, counts as absent: the device then
    takes the next document from the cloud as if it were new.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def accepted(self) -> bytes | None:
        """Return the last accepted envelope, as it came."""
        try:
            return (self._folder / "desired.json").read_bytes()
        except OSError:
            return None

    def accept(self, envelope: bytes) -> None:
        """Remember an envelope that was verified.

        Raises:
            NoSpaceError: The disk is full; the one before it stands.
        """
        self._replace("desired.json", envelope)

    def committed(self) -> Committed:
        """Return what last proved itself, which is nothing at first."""
        found = self._read(_Committed, "committed.json")
        modules = {
            name: ModuleSpec(spec.image, Digest(spec.digest), spec.size, spec.run)
            for name, spec in found.modules.items()
        }
        return Committed(found.version, found.deployment, modules)

    def commit(self, committed: Committed) -> None:
        """Remember what has proved itself as a whole.

        Raises:
            NoSpaceError: The disk is full; the set before it stands.
        """
        modules = {
            name: _Spec(spec.image, spec.digest, spec.size, spec.run)
            for name, spec in committed.modules.items()
        }
        self._write(_Committed(committed.version, committed.deployment, modules), "committed.json")

    def bad(self) -> tuple[BadRevision, ...]:
        """Return the refused revisions, newest last."""
        return self._read(_Bad, "bad.json").bad

    def remember_bad(self, bad: Sequence[BadRevision]) -> None:
        """Remember which revisions are not to be tried again, newest last, in place of all before.

        Raises:
            NoSpaceError: The disk is full; what was remembered before stands.
        """
        self._write(_Bad(tuple(bad[-MAX_BAD:])), "bad.json")

    def is_asked_to_forgive(self) -> bool:
        """Return whether somebody on the device has asked for the bad list to be cleared."""
        return (self._folder / CLEAR_BAD).exists()

    def has_forgiven(self) -> None:
        """Take that request away, after it was granted."""
        (self._folder / CLEAR_BAD).unlink(missing_ok=True)

    def next_birth(self) -> int:
        """Return a number that was never returned before, for a new connection.

        Raises:
            NoSpaceError: The disk is full.
        """
        births = self._read(_Births, "births.json").births + 1
        self._write(_Births(births), "births.json")
        return births

    def _read(self, kind: type[shape.T], name: str) -> shape.T:
        path = self._folder / name
        try:
            return shape.parse(kind, path.read_bytes(), max_bytes=_MAX_BYTES, subject=name)
        except FileNotFoundError:
            return kind()
        except (OSError, ContractError) as error:
            log.warning("%s cannot be read and counts as empty: %s", path, error)
            return kind()

    def _write(self, value: object, name: str) -> None:
        text = json.dumps(shape.write(value), indent=1, ensure_ascii=False)
        self._replace(name, text.encode(errors="replace"))  # as shape.dump, but for people to read

    def _replace(self, name: str, data: bytes) -> None:
        path = self._folder / name
        try:
            durable.write(path, data, mode=0o600)
        except OSError as error:
            raise NoSpaceError(
                f"{path}: {error.strerror}",
                remedy="Free some space, or see whether the disk is sound.",
            ) from error
