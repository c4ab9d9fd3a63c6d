"""Find what is wrong on a device: each finding says what was seen and how to mend it."""

import os
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skerry_agent.home import Home
from skerry_agent.runtimes import Runtime
from skerry_contract.errors import SkerryError

TIMEOUT_S = 5.0
LOW_DISK_BYTES = 200 * 1024 * 1024
_BUILT = 1_767_225_600  # 2026-01-01: a clock before this is wrong

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw.

    Attributes:
        name: What was looked at.
        level: How bad it is.
        text: What was seen.
        fix: What to do about it; empty if it is well.
    """

    name: str
    level: Level
    text: str
    fix: str = ""


def check(home: Home, make_runtime: Callable[[], Runtime]) -> Iterator[Finding]:
    """Yield one finding per check, as they are made; none takes more than a few seconds.

    Args:
        home: The device folder.
        make_runtime: Sets up the runtime, or raises what keeps it from working.
    """
    yield Finding("folder", "ok", f"{home.config.fleet}/{home.config.device} in {home.folder}")
    yield _clock()
    yield _disk(home.folder)
    yield _broker(home)
    yield _cloud(home)
    yield _runtime(make_runtime)


def _clock() -> Finding:
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    if time.time() < _BUILT:
        return Finding("clock", "error", now, "Set the clock, or let an NTP client do it.")
    return Finding("clock", "ok", now)


def _disk(folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    text = f"{usage.free // 2**20} MiB of {usage.total // 2**20} MiB are free"
    if not os.access(folder, os.W_OK):
        return Finding("disk", "error", f"{folder} cannot be written", "Run as the folder's owner.")
    if usage.free < LOW_DISK_BYTES:
        return Finding("disk", "warning", text, "Free some space; images need room twice over.")
    return Finding("disk", "ok", text)


def _broker(home: Home) -> Finding:
    broker = home.config.broker
    where = f"{broker.host}:{broker.port}"
    try:
        with socket.create_connection((broker.host, broker.port), timeout=TIMEOUT_S) as plain:
            if broker.tls:
                context = ssl.create_default_context(cafile=home.ca)
                with context.wrap_socket(plain, server_hostname=broker.host) as secure:
                    where += f", {secure.version()}"
    except ssl.SSLError as error:
        return Finding(
            "broker", "error", f"{where}: {error}", "Flash again if the server's CA was replaced."
        )
    except OSError as error:
        fix = "See whether the broker runs, and whether a firewall or DNS is in the way."
        return Finding("broker", "error", f"{where}: {error}", fix)
    return Finding("broker", "ok", where)


def _cloud(home: Home) -> Finding:
    config = home.config
    url = f"{config.cloud.url}/v1/devices/{config.device}/desired"
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked with the config
        url, headers={"Authorization": f"Bearer {home.token}"}
    )
    context = ssl.create_default_context(cafile=home.ca) if url.startswith("https") else None
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context):  # noqa: S310
            return Finding("cloud", "ok", config.cloud.url)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            fix = "The token was replaced or the device removed: flash it again."
            return Finding("cloud", "error", f"{config.cloud.url}: status {error.code}", fix)
        if error.code == 404:
            return Finding("cloud", "ok", f"{config.cloud.url}: nothing desired yet")
        return Finding(
            "cloud", "error", f"{config.cloud.url}: status {error.code}", "See the server's log."
        )
    except OSError as error:
        fix = "See whether the server runs, and whether a firewall or DNS is in the way."
        return Finding("cloud", "error", f"{config.cloud.url}: {error}", fix)


def _runtime(make_runtime: Callable[[], Runtime]) -> Finding:
    try:
        caps = make_runtime().caps()
    except SkerryError as error:
        return Finding("runtime", "error", error.text, error.remedy)
    enforced = ", ".join(caps.enforces) or "nothing"
    text = f"{caps.name}, isolation: {caps.isolation}, enforces: {enforced}"
    if caps.isolation == "none":
        fix = "Install bubblewrap or a Docker engine to hold modules in."
        return Finding("runtime", "warning", text, fix)
    return Finding("runtime", "ok", text)
