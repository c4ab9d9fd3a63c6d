"""What is remembered of commands, on the disk before anything is done or said.

One file, replaced as a whole: a command that is written down as executing was perhaps begun, and is
never begun again; one that is not was certainly not.
"""

import json
import logging
from pathlib import Path

from skerry_agent import durable
from skerry_agent.core.commands import Book, Record
from skerry_contract import shape
from skerry_contract.errors import ContractError, NoSpaceError

log = logging.getLogger(__name__)

_MAX_BYTES = 4 * 1024 * 1024
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class CommandJournal:
    """The book of commands in one file.

    Args:
        path: Where the file lies; its folder exists.

    Raises:
        NoSpaceError: The file is there and cannot be read. Without it a command could be carried
            out twice, so nothing is taken until it can.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.book = self._read()

    def keep(self, record: Record) -> None:
        """Write a record down; it is on the disk when this returns.

        Raises:
            NoSpaceError: The disk is full; what was written before stands.
        """
        book = self.book.with_record(record)
        data = json.dumps(shape.write(book), separators=(",", ":"), ensure_ascii=False)
        try:
            durable.write(self._path, data.encode(errors="replace"), mode=0o600)
        except OSError as error:
            raise NoSpaceError(
                f"{self._path}: {error.strerror}",
                remedy="Free some space, or see whether the disk is sound.",
            ) from error
        self.book = book

    def note(self, record: Record) -> None:
        """Remember a record for as long as the agent runs, for want of room to write it down."""
        self.book = self.book.with_record(record)

    def _read(self) -> Book:
        try:
            data = self._path.read_bytes()
            return shape.parse(Book, data, max_bytes=_MAX_BYTES, subject=self._path.name)
        except FileNotFoundError:
            return Book()
        except ContractError as error:
            # It is replaced as a whole, so this is damage to the disk: the numbers start anew, and
            # what the server still waits for may be carried out once more.
            log.warning("%s cannot be read and counts as empty: %s", self._path, error)
            return Book()
        except OSError as error:
            raise NoSpaceError(
                f"{self._path}: {error.strerror}", remedy="See whether the disk is sound."
            ) from error


def machine_boot() -> str:
    """Return the kernel's id of this run of the machine; empty where it gives none."""
    try:
        return _BOOT_ID.read_text().strip()[:36]
    except OSError:
        return ""
