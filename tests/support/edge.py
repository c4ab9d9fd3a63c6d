"""A device: a folder that was flashed, and the agent that runs in it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.site import STOP_S, Site, kill, processes_of
from support.waiting import eventually


@dataclass
class Edge:
    """One device of a site.

    Attributes:
        site: Where it belongs.
        name: Its id.
        folder: Its device folder.
        python: What its agent runs on.
    """

    site: Site
    name: str
    folder: Path
    python: str = sys.executable
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _dropped: int = field(default=0, init=False)

    def flash(self, runtime: str = "process") -> None:
        """Make the device known and its folder ready."""
        self.site.skerry.ok("device", "add", self.name)
        words = ("--output", self.folder, "--runtime", runtime)
        self.site.skerry.ok("device", "flash", self.name, *words)

    def configure(self, **changes: Any) -> None:
        """Change ``device.json``, as a person with an editor would."""
        path = self.folder / "device.json"
        path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))

    @property
    def config(self) -> Any:
        return json.loads((self.folder / "device.json").read_bytes())

    # --- the agent --------------------------------------------------------------------------

    def start(self, within: tuple[str, ...] = ()) -> None:
        """Start the agent; what it says goes to ``agent.log`` beside the folder.

        Args:
            within: A command that is given the agent's as its last argument, and becomes it.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*within, self.folder / "run.sh"],
                env={"PATH": os.environ["PATH"], "SKERRY_PYTHON": self.python},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Stop the agent in good order; harmless if it does not run."""
        if self.is_alive() and self._process is not None:
            self._process.terminate()
            assert self._process.wait(STOP_S) == 0, self.log()

    def kill(self) -> None:
        """Kill the agent at once; what it runs lives on, as after any crash of it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)

    def kill_everything(self) -> None:
        """Kill the agent and all that runs on the device, as when the power is cut."""
        self.kill()
        deadline = time.monotonic() + STOP_S
        while (left := processes_of(self.folder)) and time.monotonic() < deadline:
            for pid in left:
                kill(pid)
            time.sleep(0.05)
        assert not left, left

    def end(self) -> None:
        """End all of it, whatever state it is in."""
        with suppress(AssertionError, subprocess.TimeoutExpired):
            self.stop()
        self.kill_everything()

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def agent_pid(self) -> int:
        """Process id of the agent that was started last."""
        assert self._process is not None
        return self._process.pid

    def module_pids(self) -> list[int]:
        """Return the processes in which modules run."""
        return sorted(pid for pid, said in processes_of(self.folder).items() if _HOST in said)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the ``skerry-agent`` command on this device."""
        return subprocess.run(
            [sys.executable, "-m", "skerry_agent", *words, "--home", str(self.folder)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(self.folder / "lib")},
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )

    def log(self) -> str:
        """Return the end of what the agent said."""
        return self._log.read_text(errors="replace")[-6000:]

    @property
    def _log(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.agent.log")

    # --- local input ------------------------------------------------------------------------

    @property
    def frames(self) -> Path:
        """The folder that manifests of these tests name as input."""
        return self.folder / "inputs" / "frames"

    def drop(self, data: bytes, name: str) -> str:
        """Put a file into the input folder, whole; return what it is called there."""
        self.frames.mkdir(parents=True, exist_ok=True)
        self._dropped += 1
        unique = f"{self._dropped:05}-{name}"
        beside = self.frames / f".{unique}"
        beside.write_bytes(data)
        beside.replace(self.frames / unique)
        return unique

    def reading(self, value: int) -> str:
        """Put a JSON file in; the echo module returns what is in it."""
        return self.drop(json.dumps({"value": value}).encode(), f"{value}.json")

    # --- what the cloud has of it -----------------------------------------------------------

    def scores(self) -> Iterator[Any]:
        """Yield all results of this device that are stored in the cloud, oldest first."""
        return self.site.telemetry(device=self.name, module="detector", stream="scores")

    def until_scored(self, *names: str, within_s: float = 30.0) -> None:
        """Wait until the cloud has a result of each of these files."""
        missing = set(names)

        def look() -> bool:
            missing.difference_update(item["data"]["file"] for item in self.scores())
            return not missing

        eventually(look, within_s, every_s=0.2, why=f"{missing or names} to be scored")

    def until_committed(self, deployment: str, within_s: float = 60.0) -> Any:
        """Return the report in which this device has committed a deployment."""
        return self.site.until_reported(
            self.name,
            lambda said: (
                said["deployment"] == deployment
                and said["phase"] == "committed"
                and all(one["state"] == "serving" for one in said["modules"].values())
            ),
            within_s,
            why=f"{deployment} to be committed",
        )

    def until_refused(self, code: str, within_s: float = 30.0) -> Any:
        """Return the report that gives ``code`` as its reason."""
        return self.site.until_reported(
            self.name,
            lambda said: (said.get("failure") or {}).get("code") == code,
            within_s,
            why=f"{code} to be reported",
        )


_HOST = "skerry_scorer"
