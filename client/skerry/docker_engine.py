"""The Docker of this machine, through its own command, so that its contexts and settings hold."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry.answers import Module
from skerry.api import Api
from skerry.images.export import Choice, export
from skerry.images.target import Target
from skerry.output import Output
from skerry_contract.errors import DeadlineError, NotFoundError, RuntimeFailedError
from skerry_contract.names import Reference

COMMAND_S = 60.0
"""Seconds that one command of Docker's may take."""
LOAD_S = 1800.0
"""Seconds that loading an image may take."""


@dataclass(frozen=True, slots=True)
class DockerEngine:
    """Docker as this user reaches it.

    Attributes:
        program: Its command.
    """

    program: str

    @classmethod
    def here(cls) -> "DockerEngine":
        """Return the one of this machine.

        Raises:
            RuntimeFailedError: It is not installed.
        """
        found = shutil.which("docker")
        if found is None:
            raise RuntimeFailedError(
                "Docker is not installed here",
                remedy="Install it; or save() the package, or deploy without container=True.",
            )
        return cls(found)

    def run(self, *arguments: str, timeout_s: float = COMMAND_S) -> str:
        """Run one command of Docker's, and return what it prints.

        Raises:
            RuntimeFailedError: It failed; the detail is what Docker says.
            DeadlineError: It took too long.
        """
        done = self._run(arguments, timeout_s)
        if done.returncode != 0:
            raise RuntimeFailedError(
                f"docker {arguments[0]} failed: {done.stderr.strip()[:500]}",
                remedy="Does Docker run, and may you use it? Try: docker info.",
                detail=done.stderr[-4000:],
            )
        return done.stdout

    def inspect(self, container: str) -> Any:
        """Return what Docker knows of a container; None if there is none of that name.

        Raises:
            RuntimeFailedError: Docker does not answer.
        """
        done = self._run(("container", "inspect", container), COMMAND_S)
        if done.returncode == 0:
            return json.loads(done.stdout)[0]
        if "no such container" in done.stderr.lower():
            return None
        raise RuntimeFailedError(
            f"Docker does not say how {container} is: {done.stderr.strip()[:500]}",
            remedy="Does Docker run, and may you use it? Try: docker info.",
        )

    def logs(self, container: str, lines: int) -> str:
        """Return the last lines that a container wrote."""
        done = self._run(("logs", "--tail", str(lines), container), COMMAND_S)
        return done.stdout + done.stderr

    def load(self, api: Api, made: Module, platform: str, *, label: str = "") -> str:
        """Fetch a module's image and give it to Docker; return what it is called there.

        Args:
            api: The server that has it.
            made: The module.
            platform: Which of its platforms.
            label: A further tag for it.

        Raises:
            NotFoundError: It was not built for that platform.
            RuntimeFailedError: Docker did not take it.
        """
        name = f"{made.name}:{made.version}"
        if platform not in made.images:
            raise NotFoundError(
                f"{name} was not built for {platform}, which this machine is",
                remedy=f"It was built for {', '.join(made.images)}; name platforms when you build.",
            )
        which = Reference(made.name, made.version)
        with tempfile.TemporaryDirectory(prefix="skerry-load-") as place:
            target = Target("docker-archive", Path(place, "image.tar"))
            export(api, which, (target,), Output.standard("table"), Choice(platform))
            said = self.run("load", "--input", str(target.path), timeout_s=LOAD_S)
        loaded = said.partition("Loaded image: ")[2].strip()
        if not loaded:
            raise RuntimeFailedError(f"docker load did not say what it loaded: {said[:200]}")
        if not label:
            return loaded
        labelled = f"{loaded.rpartition(':')[0]}:{label}"
        self.run("tag", loaded, labelled)
        return labelled

    def _run(self, arguments: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self.program, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DeadlineError(
                f"docker {arguments[0]} was not done within {timeout_s:g} s",
                remedy="Does Docker answer? Try: docker info.",
            ) from error
