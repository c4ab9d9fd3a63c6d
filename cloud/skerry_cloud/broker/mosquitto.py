"""Mosquitto, with its dynamic-security plugin.

The plugin is there because it does three things that password and ACL files cannot: it holds a
device to its own client id, so that no device can take over another's session; it disconnects a
device whose account is removed or gets a new password; and it refuses a forbidden subscription
instead of granting it and delivering nothing.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry_cloud.broker.accounts import hashes_of
from skerry_cloud.broker.client import request
from skerry_cloud.broker.engine import (
    MAX_PACKET_BYTES,
    SESSION_DAYS,
    Account,
    BrokerKind,
    Change,
    Site,
)
from skerry_cloud.broker.rights import Rights
from skerry_cloud.durable import write_durably
from skerry_contract.errors import BrokerError

CONTROL_TOPIC = "$CONTROL/dynamic-security/v1"
_CONTROL = Rights(read=(f"{CONTROL_TOPIC}/response",), write=(CONTROL_TOPIC,))
_CHANGE_S = 10.0

_PLUGIN = "mosquitto_dynamic_security.so"
_PLUGIN_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib")


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """Mosquitto 2 on this machine.

    Attributes:
        program: Path of the broker.
        plugin: Path of its dynamic-security plugin.
    """

    program: str
    plugin: str

    @property
    def kind(self) -> BrokerKind:
        """Which program it is."""
        return "mosquitto"

    def prepare(self, site: Site, accounts: Sequence[Account]) -> list[str]:
        """Write the configuration and return the command that runs the broker."""
        control = Account(site.control.username, hashes_of(site.control.password), _CONTROL)
        security = site.folder / "dynamic-security.json"
        write_durably(security, json.dumps(security_of([*accounts, control])).encode())
        config = site.folder / "mosquitto.conf"
        text = config_of(site, self.plugin, security, is_root=os.geteuid() == 0)
        write_durably(config, text.encode())
        return [self.program, "-c", str(config)]

    def apply(self, site: Site, accounts: Sequence[Account], change: Change, pid: int) -> None:
        """Tell the plugin what changed."""
        del accounts, pid
        commands = json.dumps({"commands": commands_of(change)}).encode()
        answer = request(site, site.control, CONTROL_TOPIC, commands, within_s=_CHANGE_S)
        for response in json.loads(answer)["responses"]:
            # What is to be deleted may well be gone already.
            if "error" in response and not response["command"].startswith("delete"):
                raise BrokerError(
                    f"mosquitto did not take the account of {change.device}: {response['error']}",
                    remedy="Restart the broker; it reads all accounts then.",
                )


def find() -> Mosquitto | None:
    """Return the Mosquitto of this machine, or None if it or its plugin is not installed."""
    program = shutil.which("mosquitto") or shutil.which(
        "mosquitto", path="/usr/sbin:/usr/local/sbin"
    )
    places = [Path(folder) for folder in _PLUGIN_FOLDERS]
    found = [path for place in places for path in (place / _PLUGIN, *place.glob(f"*/{_PLUGIN}"))]
    plugin = next((path for path in found if path.is_file()), None)
    return Mosquitto(program, str(plugin)) if program and plugin else None


def config_of(site: Site, plugin: str, security: Path, *, is_root: bool) -> str:
    """Return the text of ``mosquitto.conf``."""
    lines = [
        f"listener {site.port} {site.host}",
        "allow_anonymous false",
        f"plugin {plugin}",
        f"plugin_opt_config_file {security}",
        # Else a small packet may wait 40 ms for its reader to confirm the one before.
        "set_tcp_nodelay true",
        "persistence true",
        f"persistence_location {site.folder}/",
        # Seconds. The default of half an hour is what a crash would cost.
        "autosave_interval 5",
        f"persistent_client_expiration {SESSION_DAYS}d",
        f"max_packet_size {MAX_PACKET_BYTES}",
        "max_queued_messages 10000",
        "max_queued_bytes 16777216",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "connection_messages false",
    ]
    if site.tls is not None:
        # Belongs to the listener, so it stands right below it.
        lines[1:1] = [f"certfile {site.tls.certificate}", f"keyfile {site.tls.key}"]
        lines[1:1] = ["tls_version tlsv1.2"]
    if is_root:
        # Or it would turn into a user that cannot write into this folder.
        lines.append("user root")
    return "\n".join(lines) + "\n"


def security_of(accounts: Sequence[Account]) -> dict[str, Any]:
    """Return the plugin's own file: one role per account, and nothing allowed besides."""
    closed = {"publishClientSend": False, "publishClientReceive": False, "subscribe": False}
    return {
        "defaultACLAccess": {**closed, "unsubscribe": True},
        "groups": [],
        "roles": [_role(account.username, account.rights) for account in accounts],
        "clients": [_client(account) for account in accounts],
    }


def commands_of(change: Change) -> list[dict[str, Any]]:
    """Return what the plugin is told: forget the device, and if it stays, learn it anew.

    Forgetting disconnects it, so that an old password ends with its change.
    """
    device = change.device
    commands: list[dict[str, Any]] = [
        {"command": "deleteClient", "username": device},
        {"command": "deleteRole", "rolename": device},
    ]
    if change.password is not None:
        known = {"username": device, "clientid": device, "password": change.password}
        commands.append({"command": "createRole", **_role(device, change.rights)})
        commands.append({"command": "createClient", **known, "roles": [{"rolename": device}]})
    return commands


def _role(name: str, rights: Rights) -> dict[str, Any]:
    rules = [("publishClientSend", topic) for topic in rights.write]
    for topic in rights.read:
        rules += [("subscribePattern", topic), ("publishClientReceive", topic)]
    return {
        "rolename": name,
        "acls": [{"acltype": kind, "topic": topic, "allow": True} for kind, topic in rules],
    }


def _client(account: Account) -> dict[str, Any]:
    only = {} if account.client_id is None else {"clientid": account.client_id}
    return {
        "username": account.username,
        "password": account.hashes.pbkdf2,
        "salt": account.hashes.salt,
        "iterations": account.hashes.iterations,
        "roles": [{"rolename": account.username}],
        **only,
    }
