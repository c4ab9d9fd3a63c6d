"""Collect what explains a device's trouble, and upload it.

Run as ``python -m skerry_agent.telling.bundle``.

A process of its own, for what it needs (tarfile, gzip) would stay in the agent's memory.
Secrets are removed, see ``core.redact``; models, inputs and results are never taken. Whatever
cannot be had is named in ``contents.txt``, and the rest goes all the same.

Exit status 0: done. 1: one line of JSON with ``error`` on standard output.
"""

import argparse
import hashlib
import http.client
import io
import json
import platform
import shutil
import ssl
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import skerry_contract
from skerry_agent.core.backoff import delay_s
from skerry_agent.core.redact import redact_text, redact_value, secrets_in
from skerry_agent.home import STATUS_FILE, Home, read_home
from skerry_agent.runtimes.choice import choose
from skerry_agent.telling.agent_log import AGENT_LOG
from skerry_agent.telling.check import check
from skerry_contract.commands import MAX_BUNDLE_BYTES
from skerry_contract.errors import NetworkError, SkerryError

LOG_BYTES = 256 * 1024
"""Most of the end of one log."""
ATTEMPTS = 6
_TIMEOUT_S = 30.0
_DOCUMENTS = ("desired.json", "committed.json", "bad.json", "commands.json", STATUS_FILE)
_MACHINE = (
    "/proc/meminfo",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/mounts",
    "/proc/net/dev",
    "/proc/net/route",
    "/etc/os-release",
    "/etc/resolv.conf",
)


@dataclass
class Bundle:
    """What was collected.

    Attributes:
        secrets: Texts to take out wherever they stand.
        files: Content by name.
        missing: What could not be had, and why.
    """

    secrets: set[str]
    files: dict[str, bytes] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, give: Callable[[], str]) -> None:
        """Add a text without its secrets, or note why there is none."""
        try:
            self.files[name] = redact_text(give(), self.secrets).encode(errors="replace")
        except (OSError, SkerryError, ValueError) as error:
            self.missing[name] = redact_text(str(error), self.secrets)

    def archive(self, limit: int) -> bytes:
        """Return a tar.gz of at most ``limit`` bytes; the largest files go first if it is more."""
        while True:
            data = _tar(self)
            if len(data) <= limit or not self.files:
                return data
            largest = max(self.files, key=lambda name: len(self.files[name]))
            self.missing[largest] = f"{len(self.files.pop(largest))} bytes do not fit"


def main(argv: list[str] | None = None) -> int:
    """Collect and upload; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--command", required=True, help="id of the command that asked for it")
    parser.add_argument("--output", choices=("json",), default="json")
    args = parser.parse_args(argv)
    try:
        home = read_home(args.home)
        bundle = collect(home)
        data = bundle.archive(MAX_BUNDLE_BYTES)
        upload(home, args.command, data)
    except SkerryError as error:
        told = {"code": error.code, "text": error.text, "remedy": error.remedy}
        print(json.dumps({"error": told}))  # noqa: T201 - what the agent reads
        return 1
    said = {
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "files": sorted(bundle.files),
        "missing": bundle.missing,
    }
    print(json.dumps(said))  # noqa: T201 - as above
    return 0


def collect(home: Home) -> Bundle:
    """Return what there is, secrets removed."""
    documents = {name: _document(home.state / name) for name in _DOCUMENTS}
    secrets = {home.token}.union(*(secrets_in(one) for one in documents.values()))
    bundle = Bundle(secrets)
    bundle.add("device.json", lambda: _pretty(_document(home.folder / "device.json")))
    for name, document in documents.items():
        bundle.add(f"state/{name}", partial(_pretty, document))
    bundle.add("check.txt", lambda: _check(home))
    bundle.add("versions.txt", _versions)
    bundle.add("disk.txt", lambda: _disk(home))
    for path in _MACHINE:
        bundle.add(path.removeprefix("/"), partial(_end, Path(path)))
    for name in (AGENT_LOG, f"{AGENT_LOG}.1"):
        bundle.add(f"logs/{name}", partial(_end, home.state / name))
    try:
        for module, text in _module_logs(home):
            bundle.add(f"logs/modules/{module}.log", partial(str, text))
    except SkerryError as error:
        bundle.missing["logs/modules"] = error.text
    return bundle


def upload(home: Home, command: str, data: bytes) -> None:
    """Put the archive into the cloud.

    Raises:
        NetworkError: It did not take it, after several attempts.
    """
    error = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(delay_s(attempt))
        try:
            status, answer = _put(home, command, data)
        except (OSError, http.client.HTTPException) as raised:
            error = str(raised) or type(raised).__name__
            continue
        if status in (200, 201, 204):
            return
        error = f"status {status}: {answer[:300].decode(errors='replace')}"
        if status < 500:
            break
    raise NetworkError(
        f"{home.config.cloud.url} did not take the bundle: {error}",
        remedy="See whether the device reaches the server: skerry-agent check",
    )


def _put(home: Home, command: str, data: bytes) -> tuple[int, bytes]:
    url = urlsplit(home.config.cloud.url)
    host, port = url.hostname or "", url.port
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=home.ca)
        connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    path = f"{url.path}/v1/devices/{home.config.device}/commands/{command}/bundle"
    headers = {"Authorization": f"Bearer {home.token}", "Content-Type": "application/gzip"}
    try:
        connection.request("PUT", path, data, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(10_000)
    finally:
        connection.close()


def _document(path: Path) -> Any:
    with suppress(OSError, ValueError):
        return json.loads(path.read_bytes())
    return None


def _pretty(document: Any) -> str:
    if document is None:
        raise ValueError("there is none, or it cannot be read")
    return json.dumps(redact_value(document), indent=1, ensure_ascii=False)


def _check(home: Home) -> str:
    found = check(home, lambda: choose(home.config, home.folder))
    return "\n".join(f"{one.level:8}{one.name:12}{one.text}  {one.fix}" for one in found)


def _versions() -> str:
    return "\n".join(
        (
            f"agent {skerry_contract.__version__}",
            f"python {platform.python_version()}",
            f"kernel {platform.platform()}",
            f"time {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}",
        )
    )


def _disk(home: Home) -> str:
    usage = shutil.disk_usage(home.state)
    lines = [f"free {usage.free} of {usage.total} bytes"]
    for path in sorted(home.state.iterdir()):
        size = sum(one.lstat().st_size for one in (path, *path.rglob("*")) if one.is_file())
        lines.append(f"{size:>14} {path.name}")
    return "\n".join(lines)


def _end(path: Path) -> str:
    with path.open("rb") as file:
        with suppress(OSError):
            file.seek(-LOG_BYTES, io.SEEK_END)
        return file.read(LOG_BYTES).decode(errors="replace")


def _module_logs(home: Home) -> Iterator[tuple[str, str]]:
    runtime = choose(home.config, home.folder)
    for key in runtime.instances():
        yield f"{key.module}-{key.revision}", runtime.tail(key, max_bytes=LOG_BYTES)


def _tar(bundle: Bundle) -> bytes:
    listed = [*sorted(bundle.files), "", "not there:"]
    listed += [f"{name}: {why}" for name, why in sorted(bundle.missing.items())]
    files = {"contents.txt": "\n".join(listed).encode(), **bundle.files}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            about = tarfile.TarInfo(f"support-bundle/{name}")
            about.size, about.mtime, about.mode = len(data), int(time.time()), 0o600
            archive.addfile(about, io.BytesIO(data))
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
