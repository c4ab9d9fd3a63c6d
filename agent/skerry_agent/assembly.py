"""Put the agent together from a device folder: the one place that chooses implementations."""

import secrets

from skerry_agent.agent import Agent, Parts, machine_platform
from skerry_agent.data_meter import DataMeter
from skerry_agent.executor import Executor, Places
from skerry_agent.home import Home
from skerry_agent.pulling.pull import Puller
from skerry_agent.pulling.store import BlobStore
from skerry_agent.reconciling.memory import Memory
from skerry_agent.routing.inlet import Store
from skerry_agent.runtimes.choice import choose
from skerry_agent.telling.age_clock import AgeClock
from skerry_agent.telling.inbox import Inbox
from skerry_agent.telling.outbox import Outbox, keep_for
from skerry_agent.telling.teller import Teller, now_text
from skerry_agent.telling.uplink import Boot, Link, Uplink


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
    uplink = Uplink(link, boot, outbox, inbox, clock.now_s)
    teller = Teller(outbox, clock.now_s, uplink.wake)
    executor = make_executor(home, teller.store)
    return Agent(
        Parts(
            home,
            boot.id,
            memory,
            executor,
            outbox,
            clock,
            uplink,
            teller,
            inbox,
            meter,
            machine_platform(),
        )
    )


def make_executor(home: Home, take: Store) -> Executor:
    """Return what runs modules on this device, and hands what they say to ``take``."""
    platform = machine_platform()
    store = BlobStore(home.state / "blobs", cap_bytes=home.config.store_mb * 2**20)
    puller = Puller(home.config.cloud.url, home.token, home.ca, store, platform=platform)
    places = Places(home.state / "run", home.inputs, home.data, platform)
    return Executor(choose(home.config, home.folder), puller, store, places, take)
