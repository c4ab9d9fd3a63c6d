"""A server for the tests of one module: it starts in half a second, so it is shared."""

from collections.abc import Iterator

import pytest

from support.cloud_server import CloudServer
from support.postgresql import Postgresql


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CloudServer]:
    """A running server with mosquitto, on each database in turn, shared by the tests of a file."""
    database = ""
    if request.param == "postgresql":
        cluster: Postgresql = request.getfixturevalue("postgresql")
        database = cluster.fresh()
    with CloudServer(tmp_path_factory.mktemp("data"), database=database) as running:
        yield running
