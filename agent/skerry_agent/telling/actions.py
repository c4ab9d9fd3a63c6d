"""What commands do on this device; each is called in a thread of its own, and may take its time."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from skerry_agent.home import Home
from skerry_agent.telling.log_shipper import LogShipper
from skerry_contract.commands import (
    Args,
    GoldenArgs,
    LogLevelArgs,
    LogsArgs,
    RestartArgs,
    limit_s,
)
from skerry_contract.errors import CommandError, DeadlineError, SkerryError

log = logging.getLogger(__name__)

LOOK_S = 0.2
"""Seconds between two looks at what is waited for."""
SAY_S = 2.0
"""Seconds that the word "executing" gets to leave the device before the machine goes down."""
_CHILD_OUTPUT_BYTES = 1024 * 1024

Say = Callable[[str], None]


class Modules(Protocol):
    """The modules of this device, seen from another thread than the loop's."""

    def restart(self, module: str) -> str:
        """Stop the instance of a module, so that it is started again; return which run it was.

        Raises:
            NotFoundError: It does not run.
            ConflictError: It is being started or stopped just now.
        """
        ...

    def serving_run(self, module: str) -> str:
        """Return which run of a module serves; empty if none does."""
        ...

    def prove(self, module: str, *, timeout_s: float) -> None:
        """Score the golden set of the instance that runs.

        Raises:
            NotFoundError: It does not run.
            GoldenError: It answers differently.
            ProbeError: It does not answer.
        """
        ...

    def log(self, module: str) -> str:
        """Return the end of a module's log, or of the agent's own for an empty name."""
        ...

    def forgive(self) -> int:
        """Have refused revisions tried again; return how many there are.

        Raises:
            NoSpaceError: It cannot be written down.
        """
        ...


@dataclass(frozen=True, slots=True)
class Device:
    """What commands act on.

    Attributes:
        home: The device folder.
        modules: Its modules.
        shipper: Sends lines of logs.
        restart_agent: Ends the agent so that it is started again, with modules left running.
        stopping: Set when the agent ends.
    """

    home: Home
    modules: Modules
    shipper: LogShipper
    restart_agent: Callable[[], None]
    stopping: threading.Event


class DeviceActions:
    """Carries out commands on a device; see ``commander.Actions``."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def run(self, type_: str, args: Args, command: str, say: Say) -> Any:
        """See ``commander.Actions.run``."""
        deadline = time.monotonic() + limit_s(type_, args)
        match type_, args:
            case "restart", RestartArgs(module):
                return self._restart(module, deadline, say)
            case "logs", LogsArgs():
                return self._device.shipper.ship(args, command, self._device.stopping)
            case "check", _:
                return self._child(["skerry_agent", "check"], deadline, accept=(0, 1))
            case "clear-bad", _:
                return {"cleared": self._device.modules.forgive()}
            case "set-log-level", LogLevelArgs(level):
                logging.getLogger().setLevel(level.upper())
                return {"level": level}
            case "run-golden", GoldenArgs(module):
                timeout_s = deadline - time.monotonic()
                self._device.modules.prove(module, timeout_s=timeout_s)
                return {"passed": True}
            case "support-bundle", _:
                say("collecting and uploading")
                words = ["skerry_agent.telling.bundle", "--command", command]
                return self._child(words, deadline)
            case "reboot", _:
                return self._reboot(deadline, say)
            case _:
                raise CommandError(f"{type_} is not known to this agent")

    def _restart(self, module: str, deadline: float, say: Say) -> Any:
        if not module:
            say("starting again")
            self._device.stopping.wait(SAY_S)
            self._device.restart_agent()
            self._wait(lambda: False, deadline, "the agent did not end")
        before = self._device.modules.restart(module)
        say(f"{module} is stopped, and started again")
        self._wait(
            lambda: self._device.modules.serving_run(module) not in ("", before),
            deadline,
            f"{module} did not serve again in time",
        )
        return {"module": module}

    def _reboot(self, deadline: float, say: Say) -> Any:
        words = self._device.home.config.reboot
        say("rebooting")
        self._device.stopping.wait(SAY_S)
        try:
            done = subprocess.run(
                words, capture_output=True, check=False, timeout=deadline - time.monotonic()
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandError(
                f"{' '.join(words)}: {error}", remedy="See 'reboot' in device.json."
            ) from error
        if done.returncode:
            raise CommandError(
                f"{' '.join(words)}: status {done.returncode}",
                remedy="See 'reboot' in device.json; does the agent have the right to do that?",
                detail=done.stderr.decode(errors="replace")[-2000:],
            )
        self._wait(lambda: False, deadline, "the machine did not go down")
        return None

    def _wait(self, holds: Callable[[], bool], deadline: float, otherwise: str) -> None:
        while not holds():
            if self._device.stopping.is_set():
                raise CommandError("the agent ended")
            if time.monotonic() > deadline:
                raise DeadlineError(otherwise, remedy="See 'skerry device show' and its log.")
            self._device.stopping.wait(LOOK_S)

    def _child(self, words: list[str], deadline: float, *, accept: tuple[int, ...] = (0,)) -> Any:
        """Run a part of the agent in a process that gives its memory back; return what it says."""
        command = [sys.executable, "-m", *words, "--output", "json"]
        command += ["--home", str(self._device.home.folder)]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=max(1.0, deadline - time.monotonic()),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            said = json.loads(done.stdout[:_CHILD_OUTPUT_BYTES])
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise CommandError(f"{words[-1]}: {error}") from error
        if done.returncode not in accept or "error" in said:
            told = said.get("error", {})
            raise _told(told, done.stderr.decode(errors="replace")[-2000:])
        return said


def _told(told: dict[str, str], stderr: str) -> SkerryError:
    text = told.get("text") or "the agent's child process failed"
    return CommandError(text, remedy=told.get("remedy", ""), detail=stderr)
