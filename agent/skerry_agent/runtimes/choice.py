"""Choose the runtime of a device: what its folder asks for, or the best that works here."""

from pathlib import Path

from skerry_agent.runtimes import Runtime, bubblewrap
from skerry_agent.runtimes.docker import DockerRuntime, Owner
from skerry_agent.runtimes.docker_engine import Engine
from skerry_agent.runtimes.process import ProcessRuntime
from skerry_contract.device import DeviceConfig
from skerry_contract.errors import RuntimeFailedError


def choose(config: DeviceConfig, folder: Path) -> Runtime:
    """Return the runtime for a device.

    Args:
        config: What was flashed.
        folder: The device folder.

    Raises:
        RuntimeFailedError: Docker is asked for, and does not answer.
    """
    docker = DockerRuntime(
        Engine(Path(config.docker_socket)), Owner(config.fleet, config.device, folder)
    )
    if config.runtime != "process":
        try:
            docker.caps()
        except RuntimeFailedError:
            if config.runtime == "docker":
                raise
        else:
            return docker
    return ProcessRuntime(folder / "state", sandbox=bubblewrap.find())
