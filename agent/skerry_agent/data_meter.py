"""Counts what crosses the network in a month, by cause, and says when a budget is used up.

Whoever sends or receives asks first and charges afterwards::

    meter.check("telemetry", len(payload), "a batch of telemetry")   # raises DataBudgetError
    client.publish(topic, payload)
    meter.charge("telemetry", sent=len(payload))

For what a TCP connection really costs, with TLS, headers of packets and what had to be sent again,
take the kernel's own count of the socket instead of guessing::

    count = SocketCount(client.socket())        # once for each connection
    sent, received = count.take()               # as often as you like: what is new since
    meter.charge("control", sent=sent - already_charged, received=received)

``control`` is for what cannot be left out (the connection itself, heartbeats, reports, commands):
it is counted and never refused. One meter serves all threads of the agent. It never blocks on the
network, and writes a small file now and then.
"""

import json
import logging
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

from skerry_agent import durable
from skerry_agent.core.data_budget import Ledger, next_month, slice_bytes, turn
from skerry_contract import shape
from skerry_contract.device import DataBudget
from skerry_contract.errors import ContractError, DataBudgetError
from skerry_contract.messages import Cause, Count, DataHealth, DataUse
from skerry_contract.shape import Text

log = logging.getLogger(__name__)

_MAX_BYTES = 16 * 1024
_MIB = 1024 * 1024


def today_utc() -> date:
    """Return what day it is in Greenwich."""
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True)
class _Saved:
    """The file: what was used at the time of writing, and how much more may have been since."""

    since: Annotated[str, Text(r"\d{4}-\d\d-\d\d", 10, "a day")] = "0001-01-01"
    used: Mapping[str, DataUse] = field(default_factory=dict)
    ahead: Mapping[str, Count] = field(default_factory=dict)


class DataMeter:
    """The meter of one device.

    What is written down is never less than what was used: a slice is written ahead, so that no
    series of crashes makes room in a budget. A crash costs at most ``slice_bytes`` of each cause.

    Args:
        path: File that keeps the count; its folder exists.
        budget: Limits, and the day on which a month begins.
        today: Tells the date.
    """

    def __init__(
        self,
        path: Path,
        budget: DataBudget | None = None,
        *,
        today: Callable[[], date] = today_utc,
    ) -> None:
        budget = budget or DataBudget()
        self._path = path
        self._today = today
        self._first_day = budget.first_day
        self._limits: dict[str, int] = {
            "updates": budget.updates_mb * _MIB,
            "telemetry": budget.telemetry_mb * _MIB,
            "logs": budget.logs_mb * _MIB,
            "samples": budget.samples_mb * _MIB,
        }
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._ledger = _read(path)
        self._promised: dict[str, int] = {}

    def charge(self, cause: Cause, *, sent: int = 0, received: int = 0) -> None:
        """Count bytes that have crossed the network, whatever the budget says.

        Args:
            cause: What they were for.
            sent: Bytes sent, at least 0.
            received: Bytes received, at least 0.
        """
        if sent == received == 0:
            return
        with self._lock:
            ledger = self._turned()
            self._ledger = ledger.plus(cause, sent=sent, received=received)
            due = self._ledger.total(cause) > self._promised.get(cause, -1)
        if due:
            self._write(ahead=True)

    def left(self, cause: Cause) -> int | None:
        """Return the bytes that a cause may still use this month, or None without a limit."""
        limit = self._limits.get(cause, 0)
        with self._lock:
            return max(0, limit - self._turned().total(cause)) if limit else None

    def check(self, cause: Cause, needed: int, subject: str) -> None:
        """Make sure that ``needed`` more bytes are within the budget.

        Args:
            cause: What they are for.
            needed: Bytes that are about to be sent and received.
            subject: What wants them, for the error's text.

        Raises:
            DataBudgetError: They are not, until the month ends or the budget is raised.
        """
        left = self.left(cause)
        if left is None or needed <= left:
            return
        limit = self._limits[cause]
        with self._lock:
            ends = next_month(self._ledger.since)
        raise DataBudgetError(
            f"{subject} needs {needed} bytes; of the {limit} that {cause} may use in a month, "
            f"{left} are left until {ends}",
            remedy=f"Wait for {ends}, or raise data_budget.{cause}_mb in device.json.",
        )

    def used(self) -> DataHealth:
        """Return what was used this month, and the limits, as the heartbeat tells it."""
        with self._lock:
            ledger = self._turned()
        used = {
            cause: DataUse(one.sent, one.received, self._limits.get(cause, 0))
            for cause, one in ledger.used.items()
        }
        return DataHealth(ledger.since.isoformat(), used)

    def close(self) -> None:
        """Write the count down as it is."""
        self._write(ahead=False)

    def _turned(self) -> Ledger:
        turned = turn(self._ledger, self._today(), first_day=self._first_day)
        if turned.since != self._ledger.since:
            self._ledger, self._promised = turned, {}
        return turned

    def _write(self, *, ahead: bool) -> None:
        with self._writing:
            with self._lock:
                ledger = self._ledger
                slices = {
                    cause: slice_bytes(self._limits.get(cause, 0)) if ahead else 0
                    for cause in ledger.used
                }
                self._promised = {one: ledger.total(one) + slices[one] for one in slices}
            saved = _Saved(ledger.since.isoformat(), ledger.used, slices)
            try:
                durable.write(self._path, json.dumps(shape.write(saved)).encode(), mode=0o600)
            except OSError as error:
                # Counting goes on in memory; what is sent must not depend on this disk.
                log.warning("%s: %s", self._path, error.strerror)


def _read(path: Path) -> Ledger:
    try:
        saved = shape.parse(_Saved, path.read_bytes(), max_bytes=_MAX_BYTES, subject=path.name)
        ledger = Ledger(date.fromisoformat(saved.since), saved.used)
    except FileNotFoundError:
        return Ledger()
    except (OSError, ContractError, ValueError) as error:
        log.warning("%s cannot be read, and counting begins anew: %s", path, error)
        return Ledger()
    for cause, more in saved.ahead.items():
        ledger = ledger.plus(cause, received=more)
    return ledger


# Offsets in Linux's struct tcp_info (include/uapi/linux/tcp.h); it only ever grows at its end.
_INFO_BYTES = 256
_OPTIONS, _BYTES_ACKED, _SEGMENTS, _BYTES_SENT = 5, 120, 136, 200
_TIMESTAMPS = 1
_IPV4_BYTES, _IPV6_BYTES, _TCP_BYTES, _TIMESTAMP_BYTES = 20, 40, 20, 12


class SocketCount:
    """Counts the bytes of one TCP connection as the kernel does, down to the IP packets.

    TLS, acknowledgements and what was sent again are in it. Where the kernel does not tell, it
    counts nothing.

    Args:
        sock: A connected TCP socket, plain or wrapped by TLS.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sent = self._received = 0

    def follow(self, sock: socket.socket) -> None:
        """Go on with the socket that the connection has now, such as one wrapped by TLS."""
        self._sock = sock

    def take(self) -> tuple[int, int]:
        """Return the bytes that were sent and received since the call before.

        A socket that was closed meanwhile has no more to tell: take before closing.
        """
        try:
            info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        except (OSError, ValueError):
            return 0, 0
        if len(info) < _SEGMENTS + 8:
            return 0, 0
        acked, received = struct.unpack_from("=QQ", info, _BYTES_ACKED)
        out, into = struct.unpack_from("=II", info, _SEGMENTS)
        if len(info) >= _BYTES_SENT + 8:
            (acked,) = struct.unpack_from("=Q", info, _BYTES_SENT)
        header = _TCP_BYTES + (_TIMESTAMP_BYTES if info[_OPTIONS] & _TIMESTAMPS else 0)
        header += _IPV6_BYTES if self._sock.family == socket.AF_INET6 else _IPV4_BYTES
        sent, received = acked + out * header, received + into * header
        new = sent - self._sent, received - self._received
        self._sent, self._received = sent, received
        return new
