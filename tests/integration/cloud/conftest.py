"""A server for the tests of one module: it starts in half a second, so it is shared."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.cloud_server import CloudServer
from support.postgresql import Postgresql
from support.seaweedfs import Seaweedfs


@pytest.fixture(scope="module", params=["sqlite and a folder", "postgresql and s3"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CloudServer]:
    """A running server with mosquitto, on each kind of storage, shared by the tests of a file."""
    storage: dict[str, Any] = {}
    if request.param == "postgresql and s3":
        cluster: Postgresql = request.getfixturevalue("postgresql")
        objects: Seaweedfs = request.getfixturevalue("seaweedfs")
        storage = {"database": cluster.fresh(), **objects.options()}
    with CloudServer(tmp_path_factory.mktemp("data"), **storage) as running:
        yield running
