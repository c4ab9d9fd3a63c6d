"""Images for local services in containers: base, environment and scorer host, and nothing else."""

import hashlib
import platform
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from skerry.api import Api
from skerry.docker_engine import DockerEngine
from skerry.inference import Source
from skerry.module_build import start_build
from skerry.package import ModelPackage
from skerry.recipe import this_platform
from skerry.workspace import Workspace
from skerry_contract.errors import EnvironmentFileError, RuntimeFailedError, UnauthorizedError
from skerry_contract.names import Reference

_MODULE = "local-environment"
_STUB = "def init(): ...\n\n\ndef run(data): ...\n"


def provide_image(
    engine: DockerEngine, workspace: Workspace | None, source: Source, say: Callable[[str], object]
) -> str:
    """Return the name of an image with what a scorer asks for, built once and kept by Docker.

    Args:
        engine: The Docker of this machine.
        workspace: The server, which builds it.
        source: The scorer.
        say: Is told what takes time.

    Raises:
        UnauthorizedError: There is no server to build it.
        EnvironmentFileError: The scorer's author looks after the Python, or there are no packages
            that satisfy the environment.
        RuntimeFailedError: Docker did not take it.
    """
    if source.python is not None:
        raise EnvironmentFileError(
            "user_managed_dependencies name a Python of this machine, which a container lacks",
            remedy="List the packages in conda_dependencies, or deploy without container=True.",
        )
    if workspace is None:
        raise UnauthorizedError(
            "the image of a container is built by a server",
            remedy="Pass Workspace.from_config(), or deploy without container=True.",
        )
    version = workspace.api.info().version
    wanted = "\n".join((version, *source.requirements.indexes, *source.requirements.lines))
    name = f"skerry-local:{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    if not _is_there(engine, name):
        say("building the image of the environment, once")
        _build(engine, workspace, source, name, say)
    return name


def _is_there(engine: DockerEngine, name: str) -> bool:
    try:
        engine.run("image", "inspect", name)
    except RuntimeFailedError as error:
        if "no such image" in error.detail.lower():
            return False
        raise
    return True


def _build(
    engine: DockerEngine,
    workspace: Workspace,
    source: Source,
    name: str,
    say: Callable[[str], object],
) -> None:
    api: Api = workspace.api
    with tempfile.TemporaryDirectory(prefix="skerry-local-") as place:
        Path(place, "score.py").write_text(_STUB, encoding="utf-8")
        stub = replace(source, folder=Path(place), files=("score.py",), entry_script="score.py")
        package = ModelPackage(workspace, start_build(api, _MODULE, (), stub))
        package.wait_for_creation(show_output=True, show=say)
    made = package.module()
    try:
        loaded = engine.load(api, made, this_platform(platform.machine()))
        engine.run("tag", loaded, name)
        engine.run("rmi", loaded)
    finally:
        api.delete_module(Reference(made.name, made.version))
