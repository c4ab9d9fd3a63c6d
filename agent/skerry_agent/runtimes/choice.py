"""Choose the runtime of a device: what its folder asks for, or the best that works here."""

from contextlib import suppress
from pathlib import Path
from typing import get_args

from skerry_agent import durable
from skerry_agent.runtimes import Runtime, bubblewrap, cgroups, plain, runc
from skerry_agent.runtimes.docker import DockerRuntime, Owner
from skerry_agent.runtimes.docker_engine import Engine
from skerry_agent.runtimes.process import ProcessRuntime
from skerry_agent.runtimes.sandbox import Sandbox
from skerry_contract.device import DeviceConfig, RuntimeName
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
    match config.runtime if config.runtime != "auto" else _first_choice(state, docker):
        case "docker":
            return docker
        case "process":
            return ProcessRuntime(state, sandbox=best_sandbox(state), cgroups=cgroups.find(state))


def best_sandbox(state: Path) -> Sandbox:
    """Return what holds processes in best, of what works here: runc, bubblewrap, or nothing.

    Each is tried and not asked about, so that ``caps`` says what is.

    Args:
        state: The agent's state folder.
    """
    containers = state / "runc"
    program = runc.find(containers)
    if program is not None:
        return runc.Runc(program, containers)
    program = bubblewrap.find()
    return plain.Plain() if program is None else bubblewrap.Bubblewrap(program)


def _first_choice(state: Path, docker: DockerRuntime) -> RuntimeName:
    """Choose once, and stay with it: an engine that is late must not move the modules."""
    note = state / "runtime"
    names: tuple[RuntimeName, ...] = get_args(RuntimeName)
    with suppress(OSError):
        noted = note.read_text().strip()
        for name in names:
            if noted == name:
                return name
    choice: RuntimeName = "docker"
    try:
        docker.caps()
    except RuntimeFailedError:
        choice = "process"
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.write(note, choice.encode())
    return choice
