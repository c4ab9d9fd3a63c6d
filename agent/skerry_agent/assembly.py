"""Put the agent together from a device folder: the one place that chooses implementations."""

import secrets
from pathlib import Path

from skerry_agent import durable
from skerry_agent.agent import Agent, Inbox, Parts, Teller, machine_platform, now_text
from skerry_agent.executor import Executor, Places
from skerry_agent.home import Home
from skerry_agent.inlet import Store
from skerry_agent.memory import Memory
from skerry_agent.outbox import Outbox
from skerry_agent.pull import Puller
from skerry_agent.registry import Registry
from skerry_agent.runtimes import Runtime, bubblewrap
from skerry_agent.runtimes.docker import DockerRuntime, Owner
from skerry_agent.runtimes.docker_engine import Engine
from skerry_agent.runtimes.process import ProcessRuntime
from skerry_agent.store import BlobStore
from skerry_agent.uplink import Boot, Link, Uplink
from skerry_contract.errors import RuntimeFailedError


def make_agent(home: Home) -> Agent:
    """Return the agent of a device folder, ready to run.

    Raises:
        RuntimeFailedError: The runtime that the device should use does not work.
        NoSpaceError: The state folder cannot be written.
    """
    config, memory, inbox = home.config, Memory(home.state), Inbox()
    boot = Boot(f"b{memory.next_birth()}-{secrets.token_hex(3)}", memory.next_birth, now_text)
    outbox = Outbox(home.state / "outbox.db", boot.id, limit_bytes=config.outbox_mb * 2**20)
    link = Link(config.broker, home.topics, home.token, home.ca, config.ack == "broker")
    uplink = Uplink(link, boot, outbox, inbox.put)
    teller = Teller(outbox, uplink.wake)
    executor = make_executor(home, teller.store)
    return Agent(
        Parts(
            home,
            boot.id,
            memory,
            executor,
            outbox,
            uplink,
            teller,
            inbox,
            machine_platform(),
        )
    )


def make_executor(home: Home, take: Store) -> Executor:
    """Return what runs modules on this device.

    Raises:
        RuntimeFailedError: The runtime that the device should use does not work.
    """
    platform = machine_platform()
    store = BlobStore(home.state / "blobs", cap_bytes=home.config.store_mb * 2**20)
    puller = Puller(Registry(home.config.cloud.url, home.token, home.ca), store, platform=platform)
    places = Places(home.state / "run", home.inputs, platform)
    return Executor(make_runtime(home), puller, store, places, take)


def make_runtime(home: Home) -> Runtime:
    """Return the runtime that the device folder asks for.

    Raises:
        RuntimeFailedError: A Docker engine is asked for, and none answers.
    """
    config = home.config
    engine = Engine(Path(config.docker_socket))
    docker = DockerRuntime(engine, Owner(config.fleet, config.device, home.folder))
    wanted = config.runtime if config.runtime != "auto" else _first_choice(home, docker)
    if wanted == "docker":
        return docker
    return ProcessRuntime(home.state, sandbox=bubblewrap.find())


def _first_choice(home: Home, docker: DockerRuntime) -> str:
    """Choose a runtime once, and stay with it: an engine that is late must not move the modules."""
    note = home.state / "runtime"
    try:
        return note.read_text().strip()
    except OSError:
        pass
    try:
        docker.caps()
        choice = "docker"
    except RuntimeFailedError:
        choice = "process"
    home.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.write(note, choice.encode())
    return choice
