"""A module that is built and deployed nowhere."""

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from skerry.answers import Build, Module
from skerry.docker_engine import DockerEngine
from skerry.elsewhere import Elsewhere
from skerry.explained import explained
from skerry.images.export import Choice, export
from skerry.images.target import Target
from skerry.output import Output
from skerry.recipe import this_platform
from skerry.transport import error_from
from skerry.workspace import Workspace
from skerry_contract.errors import ConflictError, DeadlineError
from skerry_contract.names import Reference

POLL_S = 0.5
BUILD_S = 3600.0
"""Seconds that building a module may take unless the caller says otherwise."""
_STATES = {"running": "Running", "succeeded": "Succeeded", "failed": "Failed"}


class ModelPackage:
    """A module in the making.

    Args:
        workspace: The server that builds it.
        build: The build as it has begun.
        generate_dockerfile: Whether a folder for ``docker build`` is wanted, not an image.
        label: A further tag for it in the local Docker; empty for none.
    """

    def __init__(
        self,
        workspace: Workspace,
        build: Build,
        *,
        generate_dockerfile: bool = False,
        label: str = "",
    ) -> None:
        self._workspace = workspace
        self._build = build
        self._label = label
        self._lines = {line.n: line.text for line in build.log}
        self.package_type = "DockerBuildContext" if generate_dockerfile else "DockerImage"

    @property
    def state(self) -> str:
        """``Running``, ``Succeeded`` or ``Failed``, as it is at this moment."""
        self._look()
        return _STATES[self._build.state]

    @property
    def location(self) -> str:
        """Where any OCI client finds it, once it is built: ``host:port/name:version``."""
        made = self.module()
        return f"{urlsplit(self._workspace.url).netloc}/{made.name}:{made.version}"

    @explained()
    def module(self) -> Module:
        """Return the module that was made.

        Raises:
            ConflictError: It is not built yet.
            SkerryError: The build failed; the kind of error is the one that it named.
        """
        self._look()
        if self._build.state == "failed":
            raise error_from(
                {"error": self._build.error}, fallback=f"build {self._build.id} failed"
            )
        if self._build.module is None:
            raise ConflictError("it is not built yet", remedy="Call wait_for_creation() first.")
        return self._build.module

    @explained()
    def wait_for_creation(
        self,
        show_output: bool = False,  # noqa: FBT001, FBT002 - the original's parameter
        *,
        timeout_s: float = BUILD_S,
        show: Callable[[str], object] = print,
    ) -> None:
        """Wait until it is built.

        Args:
            show_output: Whether the lines of the build's log are shown as they come.
            timeout_s: Seconds that it may take.
            show: Shows a line.

        Raises:
            DeadlineError: It takes longer; the build goes on.
            SkerryError: The build failed; the kind of error is the one that it named.
        """
        deadline, shown, pause_s = time.monotonic() + timeout_s, 0, 0.05
        while True:
            self._look()
            for number in sorted(n for n in self._lines if n > shown):
                shown = number
                if show_output:
                    show(self._lines[number])
            if self._build.state != "running":
                self.module()
                return
            if time.monotonic() > deadline:
                raise DeadlineError(f"build {self._build.id} was not done within {timeout_s:g} s")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, POLL_S)

    def get_logs(self, decode: bool = True, offset: int = 0) -> str:  # noqa: FBT001, FBT002 - the original's parameters
        """Return the build's log up to now.

        Args:
            decode: Accepted and without effect: it is text.
            offset: How many of its first bytes are left out.
        """
        del decode
        self._look()
        text = "\n".join(text for _, text in sorted(self._lines.items()))
        return text.encode()[offset:].decode("utf-8", "replace")

    def update_creation_state(self) -> None:
        """Look how far it is; ``state`` does so by itself."""
        self._look()

    @explained()
    def pull(self) -> str:
        """Give it to the Docker of this machine once it is built; return what it is called there.

        Raises:
            ConflictError: It is not built yet, or is a folder for ``docker build``.
            NotFoundError: It was not built for this machine's platform.
            RuntimeFailedError: Docker is not there, or did not take it.
        """
        made = self.module()
        if self.package_type == "DockerBuildContext":
            raise ConflictError("it is a folder and no image", remedy="Call save(…) for it.")
        engine, here = DockerEngine.here(), this_platform(platform.machine())
        return engine.load(self._workspace.api, made, here, label=self._label)

    def serialize(self) -> dict[str, Any]:
        """Return what there is to know about it, as JSON values."""
        state = self.state
        there = self._build.module is not None
        return {
            "packageId": self._build.id,
            "packageType": self.package_type,
            "state": state,
            "location": self.location if there else None,
        }

    get_container_registry = Elsewhere(
        "pull() brings the image to this machine; 'skerry module push' to a registry of yours."
    )

    @explained()
    def save(self, output_directory: str | Path, *, force: bool = False) -> str:
        """Write it to disk once it is built, and return where.

        Args:
            output_directory: Folder. With ``generate_dockerfile`` it becomes one for ``docker
                build``, else it gets the file ``image.tar`` for ``docker load``.
            force: Replace what an earlier call has made.

        Raises:
            ConflictError: It is not built yet, or something is there already.
            OSError: The disk said no.
        """
        made, folder = self.module(), Path(output_directory)
        if self.package_type == "DockerBuildContext":
            target = Target("dockerfile", folder)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            target = Target("docker-archive", folder / "image.tar")
        which = Reference(made.name, made.version)
        said = Output.standard("table")
        export(self._workspace.api, which, (target,), said, Choice(), force=force)
        return str(target.path)

    def _look(self) -> None:
        if self._build.state == "running":
            after = max(self._lines, default=0)
            self._build = self._workspace.api.build(self._build.id, after)
            self._lines |= {line.n: line.text for line in self._build.log}
