"""Choose the runtime of a device: what its folder asks for, or the best that works here."""

from pathlib import Path

from skerry_agent import durable
from skerry_agent.runtimes import Runtime, bubblewrap
from skerry_agent.runtimes.docker import DockerRuntime, Owner
from skerry_agent.runtimes.docker_engine import Engine
from skerry_agent.runtimes.process import ProcessRuntime
from skerry_contract.device import DeviceConfig
from skerry_contract.errors import RuntimeFailedError


def choose(config: DeviceConfig, folder: Path) -> Runtime:
    """Return the runtime for a device; an engine that is away now is for later orders to meet.

    Args:
        config: What was flashed.
        folder: The device folder.
    """
    state = folder / "state"
    docker = DockerRuntime(
        Engine(Path(config.docker_socket)), Owner(config.fleet, config.device, folder)
    )
    wanted = config.runtime if config.runtime != "auto" else _first_choice(state, docker)
    if wanted == "docker":
        return docker
    return ProcessRuntime(state, sandbox=bubblewrap.find())


def _first_choice(state: Path, docker: DockerRuntime) -> str:
    """Choose once, and stay with it: an engine that is late must not move the modules."""
    note = state / "runtime"
    try:
        return note.read_text().strip()
    except OSError:
        pass
    try:
        docker.caps()
        choice = "docker"
    except RuntimeFailedError:
        choice = "process"
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.write(note, choice.encode())
    return choice
