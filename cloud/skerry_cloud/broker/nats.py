"""nats-server with its MQTT side, for machines without mosquitto.

It speaks MQTT 3.1.1, keeps sessions and retained messages in files, and is one program of a wheel.
Two differences to know: it cannot hold a device to its own client id, so a device that misbehaves
on purpose can disconnect another one (it reads nothing by that); and an unacknowledged message
comes again after ``ack_wait``, not at the reconnect.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skerry_cloud.broker.accounts import Login, hashes_of, new_password
from skerry_cloud.broker.client import accepts
from skerry_cloud.broker.engine import SESSION_DAYS, Account, BrokerKind, Change, Site
from skerry_cloud.broker.rights import Rights
from skerry_cloud.durable import write_durably
from skerry_contract.errors import BrokerError

_RELOAD_S = 10.0
_CONFIG = "nats-server.json"
_MAX_ACK_PENDING = 1024
"""Messages sent to one subscription and not yet acknowledged; the same as the server's default."""
_FIRST_WITH_CONSUMER_LIMIT = (2, 15)


@dataclass(frozen=True, slots=True)
class Nats:
    """nats-server 2 on this machine.

    Attributes:
        program: Path of the server.
        version: Its major and minor version.
    """

    program: str
    version: tuple[int, int]

    @property
    def kind(self) -> BrokerKind:
        """Which program it is."""
        return "nats"

    def prepare(self, site: Site, accounts: Sequence[Account]) -> list[str]:
        """Write the configuration and return the command that runs the broker."""
        return [self.program, "--config", str(self._configure(site, accounts))]

    def apply(self, site: Site, accounts: Sequence[Account], change: Change, pid: int) -> None:
        """Write all accounts anew and have them read; who lost theirs is disconnected."""
        # A reload answers nobody. That it is done shows when a login works that was not there.
        site = replace(site, control=Login(site.control.username, new_password()))
        self._configure(site, accounts)
        os.kill(pid, signal.SIGHUP)
        deadline = time.monotonic() + _RELOAD_S
        while time.monotonic() < deadline:
            if accepts(site, site.control):
                return
            time.sleep(0.02)
        raise BrokerError(
            f"nats-server did not take the account of {change.device} within {_RELOAD_S:g} s",
            remedy="Restart the broker; it reads all accounts then.",
        )

    def _configure(self, site: Site, accounts: Sequence[Account]) -> Path:
        control = Account(site.control.username, hashes_of(site.control.password), Rights())
        config = config_of(site, [*accounts, control], self.version)
        write_durably(site.folder / _CONFIG, json.dumps(config).encode())
        return site.folder / _CONFIG


def find() -> Nats | None:
    """Return the nats-server beside this Python or on the PATH, or None if there is none."""
    beside = Path(sys.executable).parent
    program = shutil.which("nats-server", path=str(beside)) or shutil.which("nats-server")
    if program is None:
        return None
    said = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=10, check=False
    )
    version = re.search(r"v(\d+)\.(\d+)", said.stdout)
    return Nats(program, (int(version[1]), int(version[2]))) if version else None


def config_of(site: Site, accounts: Sequence[Account], version: tuple[int, int]) -> dict[str, Any]:
    """Return the server's configuration, which may be JSON."""
    mqtt: dict[str, Any] = {
        "host": site.host,
        "port": site.port,
        # An unacknowledged message is sent again after this.
        "ack_wait": "5s",
        # With TLS every reload applies this anew, and its default as 0: every session that is
        # connected would get nothing any more.
        "max_ack_pending": _MAX_ACK_PENDING,
        "consumer_inactive_threshold": f"{SESSION_DAYS * 24}h",
    }
    if site.tls is not None:
        mqtt["tls"] = {"cert_file": site.tls.certificate, "key_file": site.tls.key}
    jetstream: dict[str, Any] = {
        "store_dir": str(site.folder / "jetstream"),
        # The default of two minutes is what a power cut would cost.
        "sync_interval": "5s",
        "max_memory_store": 64 * 1024**2,
        "max_file_store": 4 * 1024**3,
    }
    if version >= _FIRST_WITH_CONSUMER_LIMIT:
        # Its default of 1000 would refuse the subscription of the 1001st device.
        jetstream["limits"] = {"default_max_consumers": 1_000_000}
    return {
        "server_name": "skerry",  # sessions belong to it, so it must not change
        "listen": "127.0.0.1:-1",  # NATS' own protocol: any free port, and nobody may log in there
        "mqtt": mqtt,
        "jetstream": jetstream,
        "authorization": {"users": [_user(account) for account in accounts]},
    }


def subjects_of(topic_filter: str) -> list[str]:
    """Return the NATS subjects that an MQTT topic filter stands for.

    ``a/#`` is two: in MQTT it matches ``a`` as well, in NATS ``a.>`` does not.
    """
    words = {"+": "*", "#": ">"}
    subject = ".".join(words.get(level, level) for level in topic_filter.split("/"))
    return [subject, subject.removesuffix(".>")] if subject.endswith(".>") else [subject]


def _user(account: Account) -> dict[str, Any]:
    return {
        "user": account.username,
        "password": account.hashes.bcrypt,
        "allowed_connection_types": ["MQTT"],
        "permissions": {
            "subscribe": _allowed(account.rights.read),
            "publish": _allowed(account.rights.write),
        },
    }


def _allowed(filters: Sequence[str]) -> dict[str, Any]:
    # An empty list of what is allowed would allow everything.
    return {"allow": [s for f in filters for s in subjects_of(f)]} if filters else {"deny": [">"]}
