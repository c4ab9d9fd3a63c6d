"""Collected data on the disk: appended to files below one folder, within a budget of bytes.

Whoever collects only puts a record into a bounded queue; a thread of its own writes. Where there is
no room, what is oldest goes first: so that this leaves what is new, a file that has grown to its
share of the budget is closed, and another begun. All that is not kept is counted, in
``counters.json``.
"""

import json
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from skerry_scorer.durable import write_durably

log = logging.getLogger(__name__)

MAX_QUEUED_BYTES = 4 * 1024 * 1024
"""Bytes of records that wait for the disk; more are dropped and counted."""
COUNTERS = "counters.json"
"""How many records were kept, and how many were not and why, over all starts."""
KEY = ".key"
"""Secret of the folder: hashes of redacted fields depend on it."""
SHARE = 8
"""A file takes at most this part of the budget, or a single record."""
_COUNT_S = 1.0


@dataclass(frozen=True)
class Record:
    """Something to append to a file.

    Attributes:
        path: The file, relative to the folder.
        head: What a new file begins with.
        line: What is appended, its end included.
    """

    path: str
    head: bytes
    line: bytes


class Spool:
    """Appends records to files below a folder; all methods are safe for threads.

    Args:
        folder: The folder; made if it is missing.
        budget_bytes: What it may hold.

    Raises:
        OSError: It cannot be made or read.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._budget = budget_bytes
        self.key = _key(folder / KEY)
        self._counts = _read_counts(folder / COUNTERS)
        self._total = sum(size for _, size, _ in _files(folder))
        self._queue: deque[Record] = deque()
        self._queued = 0
        self._changed = threading.Condition()
        self._open = True
        self._told = False
        self._thread = threading.Thread(target=self._write_all, name="data", daemon=True)
        self._thread.start()

    def put(self, record: Record) -> bool:
        """Have a record written soon; return False, and count it, if there is no room for it."""
        size = len(record.line)
        with self._changed:
            if not self._open or self._queued + size > MAX_QUEUED_BYTES:
                self._counts["dropped_queue"] += 1
                return False
            self._queue.append(record)
            self._queued += size
            self._changed.notify()
        return True

    def count(self, name: str) -> None:
        """Count a record that is not even put."""
        with self._changed:
            self._counts[name] += 1

    def close(self, within_s: float) -> None:
        """Write what waits, for at most so many seconds."""
        with self._changed:
            self._open = False
            self._changed.notify()
        self._thread.join(within_s)

    # --- in the thread ----------------------------------------------------------------------

    def _write_all(self) -> None:
        written, counted_at = Counter[str](), 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or not self._open, _COUNT_S)
                record = self._queue.popleft() if self._queue else None
                if record is not None:
                    self._queued -= len(record.line)
                last = record is None and not self._open
            if record is not None:
                self._write(record)
            if last or time.monotonic() - counted_at > _COUNT_S:
                written, counted_at = self._write_counts(written), time.monotonic()
            if last:
                return

    def _write(self, record: Record) -> None:
        try:
            size = len(record.head) + len(record.line)
            _roll(self._folder / record.path, size, self._budget // SHARE)
            if not self._make_room(size, record.path):
                self.count("dropped_budget")
                return
            self._total += _append(self._folder / record.path, record)
            self.count("kept")
        except OSError as error:
            self.count("dropped_disk")
            if not self._told:
                log.warning("data cannot be kept: %s", error)
            self._told = True

    def _make_room(self, size: int, path: str) -> bool:
        if self._total + size <= self._budget:
            return True
        # Another version of the module may write here too: look again before anything goes.
        files = sorted(_files(self._folder))
        self._total = sum(one[1] for one in files)
        for _, used, old in files:
            if self._total + size <= self._budget:
                break
            if old != self._folder / path:
                old.unlink(missing_ok=True)
                self._total -= used
                self.count("dropped_files")
                with self._changed:
                    self._counts["dropped_bytes"] += used
        return self._total + size <= self._budget

    def _write_counts(self, written: Counter[str]) -> Counter[str]:
        with self._changed:
            now = Counter(self._counts)
        if now != written:
            with suppress(OSError):
                write_durably(self._folder / COUNTERS, json.dumps(now, sort_keys=True).encode())
        return now


def _roll(path: Path, size: int, most: int) -> None:
    """Give a file that would grow beyond ``most`` bytes a name of its own, which is never reused.

    Another version of the module may do so at the same time: then both name something.
    """
    with suppress(FileNotFoundError):
        used = path.lstat().st_size
        if used and used + size > most:
            now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
            path.rename(path.with_name(f"{path.stem}.{now}{path.suffix}"))


def _append(path: Path, record: Record) -> int:
    """Append a record with one write, and return by how much the file grew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(path, flags, 0o644)
    try:
        size = os.fstat(file).st_size
        data = record.line if size else record.head + record.line
        if size and os.pread(file, 1, size - 1) != b"\n":  # the power went while one was written
            data = b"\n" + data
        if os.write(file, data) != len(data):
            os.ftruncate(file, size)
            raise OSError("the disk is full")
        return len(data)
    finally:
        os.close(file)


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Give time, size and path of each file that holds data."""
    for above, _, names in os.walk(folder):
        for name in names:
            path = Path(above, name)
            if path.parent == folder:
                continue  # the key and the counters
            with suppress(FileNotFoundError):
                seen = path.lstat()
                yield seen.st_mtime, seen.st_size, path


def _key(path: Path) -> bytes:
    try:
        found = path.read_bytes()
    except OSError:
        found = b""
    if len(found) != 32:
        found = os.urandom(32)
        write_durably(path, found)
        path.chmod(0o600)
    return found


def _read_counts(path: Path) -> Counter[str]:
    try:
        found = json.loads(path.read_bytes())
        return Counter({str(name): int(count) for name, count in found.items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return Counter()
