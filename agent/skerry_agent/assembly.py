"""Put the agent together from a device folder: the one place that chooses implementations."""

import logging
import os
import secrets
from pathlib import Path

from skerry_agent import launcher
from skerry_agent.agent import Agent, Parts, machine_platform
from skerry_agent.core.pace import Pace
from skerry_agent.core.route import parse_url
from skerry_agent.data_meter import DataMeter
from skerry_agent.executor import Executor, Places
from skerry_agent.home import Home
from skerry_agent.pulling.login import AUTH_FILE, RegistryLogin, read_passwords
from skerry_agent.pulling.pull import Puller
from skerry_agent.pulling.registry import DeviceToken, Registry, Transport
from skerry_agent.pulling.store import BlobStore
from skerry_agent.reconciling.clock import machine_clock
from skerry_agent.reconciling.holds import Holds
from skerry_agent.reconciling.memory import Memory
from skerry_agent.reconciling.reconciler import Shelf
from skerry_agent.routing.doors import Doors
from skerry_agent.routing.inlet import Locks
from skerry_agent.routing.queues import RouteQueues
from skerry_agent.routing.router import Router, Store
from skerry_agent.runtimes.choice import choose
from skerry_agent.telling.age_clock import AgeClock
from skerry_agent.telling.inbox import Inbox
from skerry_agent.telling.outbox import Outbox, keep_for
from skerry_agent.telling.teller import Teller, now_text
from skerry_agent.telling.uplink import Boot, Link, Uplink
from skerry_agent.updating.releases import Releases
from skerry_contract.errors import SkerryError

log = logging.getLogger(__name__)


def make_agent(home: Home) -> Agent:
    """Return the agent of a device folder, ready to run.

    Raises:
        NoSpaceError: The state folder cannot be written.
    """
    config, memory, inbox = home.config, Memory(home.state), Inbox()
    boot = Boot(f"b{memory.next_birth()}-{secrets.token_hex(3)}", memory.next_birth, now_text)
    meter = DataMeter(home.state / "data-used.json", config.data_budget)
    outbox = Outbox(
        home.state / "outbox.db",
        boot.id,
        limit_bytes=config.outbox_mb * 2**20,
        keep_s=keep_for(config.outbox_days),
    )
    clock = AgeClock(home.state / "age-clock.json", at_least_s=outbox.newest_s())
    link = Link(
        config.broker,
        home.topics,
        home.token,
        home.ca,
        trim_on_puback=config.ack == "broker",
        telemetry_every_s=config.telemetry_every_s,
        compress=config.compress,
    )
    uplink = Uplink(link, boot, outbox, inbox, clock.now_s, meter)
    teller = Teller(outbox, clock.now_s, uplink.wake)
    holds = Holds(home.state, machine_clock())
    executor = make_executor(home, teller.store, holds, meter)
    return Agent(
        Parts(
            home,
            boot.id,
            Shelf(memory, holds, config.windows),
            executor,
            outbox,
            clock,
            uplink,
            teller,
            inbox,
            meter,
            machine_platform(),
            Releases(home.state),
            os.environ.get(launcher.RELEASE),
        )
    )


def make_executor(home: Home, take: Store, locks: Locks, meter: DataMeter) -> Executor:
    """Return what runs modules on this device, and hands what they say to ``take``."""
    config, platform = home.config, machine_platform()
    store = BlobStore(
        home.state / "blobs",
        cap_bytes=config.store_mb * 2**20,
        floor_free_bytes=config.min_free_mb * 2**20,
    )
    pace = Pace(
        floor_bytes_s=config.download.floor_bytes_s,
        limit_bytes_s=config.download.rate_limit_kib_s * 1024,
    )
    sources = make_sources(home, meter)
    cloud = sources[-1] if config.download.deltas else None
    puller = Puller(sources, store, platform=platform, pace=pace, meter=meter, cloud=cloud)
    private = (
        home.state,
        home.folder / "token",
        home.folder / AUTH_FILE,
        Path(config.docker_socket),
    )
    places = Places(home.state / "run", home.inputs, home.data, platform, private)
    doors = Doors(Router(RouteQueues(home.state / "routes.db"), take), locks)
    return Executor(choose(home.config, home.folder), puller, store, places, doors)


def make_sources(home: Home, meter: DataMeter) -> tuple[Registry, ...]:
    """Return the registries that may have an image: those of ``device.json``, then the cloud."""
    download = home.config.download
    transport = Transport(
        home.ca,
        download.proxy,
        os.environ,
        download.rate_limit_kib_s * 1024,
        lambda sent, received: meter.charge("updates", sent=sent, received=received),
    )
    try:
        passwords = read_passwords(home.folder / AUTH_FILE)
    except SkerryError as error:
        # What runs here must start all the same; the cloud needs no password.
        log.warning("%s; %s", error, error.remedy)
        passwords = {}
    found = []
    for source in download.sources:
        host = parse_url(source.url, subject="source").netloc
        login = RegistryLogin(source.url, passwords.get(host, ""), token_url=source.token_url)
        found.append(Registry(source.url, login, transport, repository=source.repository))
    return (*found, Registry(home.config.cloud.url, DeviceToken(home.token), transport))
