"""A server in a process of its own, and everything that people do with it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from support.mqtt import MqttClient
from support.programs import need
from support.skerry_command import Skerry
from support.waiting import eventually

FLEET = "home"
STOP_S = 45.0
BUILD_S = 300.0
"""The first build of all fetches a base system and an environment."""


@dataclass
class Site:
    """One server below ``folder``, started and used by the ``skerry`` command.

    Attributes:
        folder: Everything of it is here.
        options: What ``skerry up`` is told.
        ports: Of API and broker; free ones at the first start, and the same ones ever after.
    """

    folder: Path
    options: tuple[str, ...] = ()
    ports: tuple[int, int] = (0, 0)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def data(self) -> Path:
        return self.folder / "server"

    @property
    def skerry(self) -> Skerry:
        """The command, with a login to this server."""
        return Skerry(self.folder / "login.json", self.folder, BUILD_S, inherits=True)

    def prepare(self, caches: Path, **settings: object) -> None:
        """Make the data folder, with caches that other servers use too, and a ``skerry.toml``."""
        self.data.mkdir(mode=0o700, parents=True)
        (self.data / "caches").symlink_to(caches)
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
        (self.data / "skerry.toml").write_text("".join(lines))

    def start(self) -> None:
        """Start it and wait until it serves."""
        api, broker = self.ports
        command = [sys.executable, "-m", "skerry", "up", "--data", str(self.data)]
        command += ["--port", str(api), "--broker-port", str(broker), "--output", "json"]
        with (self.folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, *self.options],
                cwd=self.folder,
                env=self.skerry.env,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._process = process
        assert process.stdout is not None
        with process.stdout:
            ready = process.stdout.readline()
        assert ready, (self.folder / "server.log").read_text()[-4000:]
        url = urlsplit(json.loads(ready)["url"])
        self.ports = (int(url.port or 0), int(self.info["broker"]["port"]))

    def stop(self) -> None:
        """Stop it in good order; harmless if it does not run."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            assert self._process.wait(STOP_S) == 0, self.log()

    def kill(self) -> None:
        """Kill the server at once, as a crash would; the broker that it started lives on."""
        assert self._process is not None
        os.kill(self.server_pid, signal.SIGKILL)
        self._process.wait(STOP_S)

    def end(self) -> None:
        """End all of it, whatever state it is in."""
        with suppress(AssertionError, subprocess.TimeoutExpired):
            self.stop()
        for pid in processes_of(self.folder):
            kill(pid)
        if self._process is not None:
            self._process.wait(STOP_S)

    @property
    def server_pid(self) -> int:
        """Process id of the server itself, the child of ``skerry up``."""
        return int((self.data / "lock").read_text())

    @property
    def broker_pid(self) -> int | None:
        """Process id of the broker; None while there is none."""
        try:
            return int((self.data / "broker" / "pid").read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return None

    def log(self) -> str:
        """Return the end of what the server said."""
        return (self.folder / "server.log").read_text(errors="replace")[-4000:]

    # --- asking -----------------------------------------------------------------------------

    @property
    def login(self) -> Mapping[str, str]:
        found: dict[str, str] = json.loads((self.data / "login.json").read_bytes())
        return found

    @property
    def ca(self) -> str | None:
        """File of whom to believe; None without TLS."""
        path = self.data / "tls" / "ca.pem"
        return str(path) if "--tls" in self.options else None

    @property
    def info(self) -> Any:
        return self.get("/v1/info")

    def get(self, path: str, **query: Any) -> Any:
        """Ask the API for something and return what it says."""
        login = self.login
        answer = requests.get(
            login["url"] + path,
            params=query,
            headers={"Authorization": f"Bearer {login['token']}"},
            verify=self.ca or True,
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def device(self, name: str) -> Any:
        return self.get(f"/v1/devices/{name}")

    def telemetry(self, **query: Any) -> Iterator[Any]:
        """Yield all stored items, oldest first."""
        after = 0
        while True:
            page = self.get("/v1/telemetry", after=after, limit=1000, **query)
            yield from page["items"]
            if len(page["items"]) < 1000:
                return
            after = page["next"]

    def viewer(self, *, client_id: str = "") -> MqttClient:
        """Return a client with the account that anybody may use to read."""
        broker = self.info["broker"]
        account = (broker["username"], broker["password"])
        return MqttClient(broker["port"], *account, client_id=client_id, ca=self.ca)

    def service(self) -> MqttClient:
        """Return a client that may write everything, as somebody who broke into the broker."""
        account = json.loads((self.data / "broker" / "accounts.json").read_bytes())["service"]
        port = self.info["broker"]["port"]
        return MqttClient(port, account["username"], account["password"], ca=self.ca)

    # --- doing ------------------------------------------------------------------------------

    def push(self, name: str, device: str, image: str, **module: Any) -> str:
        """Push a deployment of one module to one device and return its ``name:version``.

        ``others`` are further modules of it, by their names.
        """
        others = module.pop("others", {})
        of_all: dict[str, Any] = {
            key: module.pop(key) for key in ("expires_days", "agent") if key in module
        }
        manifest = {
            "name": name,
            "target": {"devices": [device]},
            "modules": {"detector": {"image": image, **module}, **others},
            **of_all,
        }
        out = self.skerry.ok(
            "deployment", "push", "-", "--output", "json", stdin=json.dumps(manifest)
        )
        made = json.loads(out)
        return f"{made['name']}:{made['version']}"

    def until_reported(
        self, device: str, holds: Callable[[Any], bool], within_s: float = 60.0, *, why: str
    ) -> Any:
        """Return what a device reports, once ``holds`` says yes to it."""
        last: Any = None

        def look() -> Any:
            nonlocal last
            last = self.device(device)["reported"]
            return last if last and holds(last) else None

        try:
            return eventually(look, within_s, every_s=0.1, why=f"{device}: {why}")
        except BaseException:
            print(f"{device} reported last: {json.dumps(last, indent=1)}")
            raise


@contextmanager
def running_site(folder: Path, caches: Path, *options: str, **settings: object) -> Iterator[Site]:
    """A server that runs until the block is left."""
    need("mosquitto", "mosquitto")
    site = Site(folder, options)
    site.prepare(caches, **settings)
    try:
        site.start()
        yield site
        site.stop()
        assert not processes_of(site.data), "the server left something running"
    finally:
        site.end()


def kill(pid: int) -> None:
    """Kill a process; harmless if it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def processes_of(folder: Path) -> dict[int, str]:
    """Return every process that has to do with ``folder``: by its command line, or what it sees."""
    folder = folder.resolve()
    mark = os.fsencode(folder) + b"/"
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            if mark in command or _sees(entry / "mountinfo", folder):
                found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")[:300]
    return found


def _sees(mountinfo: Path, folder: Path) -> bool:
    """Tell whether something inside ``folder`` is mounted: a sandbox does not tell otherwise.

    What is compared is where a mount comes from, not where it is: any process in mount namespaces
    of its own may have been given a copy of what is mounted on this machine.
    """
    top = next(place for place in (folder, *folder.parents) if place.is_mount())
    number = folder.stat().st_dev
    source = f"{os.major(number)}:{os.minor(number)} /{folder.relative_to(top)}/"
    lines = mountinfo.read_text(errors="replace").splitlines()
    return any(" ".join(line.split(" ")[2:4]).startswith(source) for line in lines)
