"""A server for the tests of one module: it starts in half a second, so it is shared."""

from collections.abc import Iterator

import pytest

from support.cloud_server import CloudServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudServer]:
    """A running server with mosquitto, shared by the tests of one file."""
    with CloudServer(tmp_path_factory.mktemp("data")) as running:
        yield running
