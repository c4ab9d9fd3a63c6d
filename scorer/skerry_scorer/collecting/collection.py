"""Data collection as a whole, for the classes that entry scripts use.

Scripts make those classes themselves and pass nothing in, so what was configured at the start
stands here, once for the process.
"""

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from skerry_scorer.collecting.redaction import Redactor
from skerry_scorer.collecting.spool import Record, Spool
from skerry_scorer.collecting.table import MAX_DATA_BYTES, UnusableDataError
from skerry_scorer.settings.data import DataPolicy

log = logging.getLogger("skerry_scorer.data")

OFF = (
    "data collection is off: a device needs 'data' in the manifest, and elsewhere "
    "SKERRY_DATA_DIR must name a folder"
)


class Collection:
    """Where collectors hand their records to; nothing here raises into ``run()``.

    Args:
        policy: What is collected.

    Raises:
        OSError: The folder cannot be used.
    """

    def __init__(self, policy: DataPolicy) -> None:
        self.policy = policy
        self._spool = Spool(policy.folder, policy.budget_bytes)
        self.redactor = Redactor(policy.redact, self._spool.key)

    def wants(self, correlation_id: str) -> bool:
        """Return whether this id is collected, and count it if not."""
        wanted = self.policy.wants(correlation_id)
        if not wanted:
            self._spool.count("left_out_by_rate")
        return wanted

    def keep(self, record: Record) -> str:
        """Return "" if a record will be written, else why it was dropped."""
        if len(record.line) > MAX_DATA_BYTES:
            self._spool.count("dropped_size")
            return f"{len(record.line)} bytes, at most {MAX_DATA_BYTES} are collected"
        return "" if self._spool.put(record) else "too much waits for the disk"

    def refuse(self, error: Exception) -> str:
        """Count what could not be turned into a record, and return why."""
        self._spool.count("dropped_unusable")
        known = isinstance(error, UnusableDataError)
        return str(error) if known else f"{type(error).__name__}: {error}"

    def close(self, within_s: float) -> None:
        """Write what waits, for at most so many seconds."""
        self._spool.close(within_s)


_present: dict[str, Collection] = {}


def begin(policy: DataPolicy | None) -> None:
    """Collect by this policy from now on, or not at all; a folder that cannot be used is told."""
    _present.clear()
    if policy is not None:
        try:
            _present["it"] = Collection(policy)
        except OSError as error:
            log.warning("data is not collected: %s", error)


def present() -> Collection | None:
    """Return the collection of this process, or None where it is off."""
    return _present.get("it")


def end(within_s: float) -> None:
    """Write what waits, for at most so many seconds, and collect no more."""
    collection = _present.pop("it", None)
    if collection is not None:
        collection.close(within_s)


def path_of(*parts: str) -> str:
    """Return a relative path whose parts hold nothing but letters, digits and ``_.-``."""
    plain = (re.sub(r"[^A-Za-z0-9_.-]", "_", part)[:100].lstrip(".") or "_" for part in parts)
    return "/".join(plain)


def now() -> datetime:
    """Return the time by the machine's clock."""
    return datetime.now(UTC)


def redacted(collection: Collection, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without what the policy takes out."""
    found: dict[str, Any] = collection.redactor.nested(dict(record))
    return found
