"""The stage of the demo: its folder, its processes, and the clean end of both."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from skerry.children import Child, end_orphans
from skerry.output import Output, printable
from skerry_contract.errors import DeadlineError, RuntimeFailedError, SkerryError

T = TypeVar("T")

COMMAND_DEADLINE_S = 1800.0
"""Longest that one command may take; the first build of all fetches a base and an environment."""
POLL_S = 0.2
STOP_GRACE_S = 45.0
"""Longer than ``skerry up`` waits for its server."""


@dataclass
class Stage:
    """Where a demo runs.

    Attributes:
        folder: Everything that the demo makes is in it.
        output: Where it tells its story.
        children: Processes that were started, in order.
        step: The step that is under way, for people.
    """

    folder: Path
    output: Output
    children: list[Child] = field(default_factory=list)
    step: str = "prepare"
    _count: int = 0

    @property
    def login_file(self) -> Path:
        """The demo's own login: the user's is left alone."""
        return self.folder / "login.json"

    @property
    def logs(self) -> Path:
        """Where processes log to."""
        return self.folder / "logs"

    @contextmanager
    def scene(self, title: str) -> Iterator[None]:
        """Tell what happens next, and how long it took."""
        self._count += 1
        self.step = title
        self.say(f"\n{self._count}. {title}")
        began = time.monotonic()
        yield
        self.say(f"   done in {time.monotonic() - began:.1f} s")

    def say(self, text: str) -> None:
        """Tell something."""
        self.output.note(text)

    def show(self, text: str) -> None:
        """Show what a command or a topic said."""
        for line in text.rstrip().splitlines():
            self.say(f"   {line}")

    def start(
        self, name: str, command: Sequence[str | Path], *, read_stdout: bool = False, **env: str
    ) -> Child:
        """Start a process that logs to a file and runs until the demo ends."""
        log = self.logs / f"{name}.log"
        env = {**os.environ, **env}
        child = Child(name, command, log=log, read_stdout=read_stdout, env=env)
        self.children.append(child)
        return child

    def skerry(self, *words: str | Path, expect: int = 0) -> str:
        """Run one ``skerry`` command as a person would, show what it says, and return its stdout.

        Raises:
            RuntimeFailedError: Its exit status is not ``expect``.
        """
        self.say(f"   $ {shlex.join(['skerry', *map(str, words)])}")
        out = self.run([sys.executable, "-m", "skerry", *words], expect=expect)
        self.show(out)
        return out

    def ask(self, *words: str) -> Any:
        """Run one ``skerry`` command quietly and return the JSON that it answers."""
        return json.loads(self.run([sys.executable, "-m", "skerry", *words, "--output", "json"]))

    def run(self, command: Sequence[str | Path], *, expect: int = 0) -> str:
        """Run a command to its end and return its stdout; its stderr goes to a log.

        Raises:
            RuntimeFailedError: Its exit status is not ``expect``.
            DeadlineError: It took too long.
        """
        log = self.logs / "commands.log"
        words = shlex.join(map(str, command))
        with log.open("ab") as errors:
            errors.write(f"$ {words}\n".encode())
            errors.flush()
            began = errors.tell()
            try:
                done = subprocess.run(
                    command,
                    env={**os.environ, "SKERRY_LOGIN": str(self.login_file)},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    timeout=COMMAND_DEADLINE_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise DeadlineError(f"{words} took longer than {error.timeout} s") from error
        out = done.stdout.decode("utf-8", "replace")
        if done.returncode != expect:
            said = log.read_bytes()[began:].decode("utf-8", "replace")
            raise RuntimeFailedError(
                f"{words} ended with status {done.returncode}, expected {expect}",
                detail=(out + said)[-8000:],
            )
        return out

    def until(self, what: str, look: Callable[[], T | None], within_s: float) -> T:
        """Return what ``look`` finds, once it finds something.

        Raises:
            DeadlineError: It found nothing in time.
            RuntimeFailedError: A process that the demo needs has ended.
        """
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = look()
            if found is not None:
                return found
            self._check_children()
            time.sleep(POLL_S)
        raise DeadlineError(f"{what} did not happen within {within_s:g} s")

    def close(self) -> list[str]:
        """End every process, last one first; return what did not go by itself, in words."""
        trouble = [
            f"{child.name} (process {child.pid}) had to be killed"
            for child in reversed(self.children)
            if not child.stop(STOP_GRACE_S)
        ]
        self.children.clear()
        return trouble + [f"{left} was left behind and killed" for left in end_orphans()]

    def _check_children(self) -> None:
        for child in self.children:
            status = child.ended()
            if status is not None:
                text = f"{child.name} ended with status {status}"
                raise RuntimeFailedError(text, detail=child.last_lines())


def tell_failure(stage: Stage, error: SkerryError) -> None:
    """Say which step failed, why, and where there is more to read."""
    stage.say(f"\nThe demo failed at: {stage.step}")
    stage.say(f"   {error.text} [{error.code}]")
    if error.remedy:
        stage.say(f"   {error.remedy}")
    for line in error.detail.splitlines()[-40:]:
        stage.say(f"   | {printable(line)}")
    stage.say(f"   Logs are in {stage.logs}")
