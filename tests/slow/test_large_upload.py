"""A file above 4 GiB: where offsets leave 32 bits, and a minute is not enough."""

from pathlib import Path

import pytest

from skerry.api import Api
from skerry.files import Reader
from skerry.login import Login
from skerry.sending import Sending
from skerry.transport import Transport
from skerry_contract.errors import ModelError
from support.cable import Cable
from support.cloud_server import CloudServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

SIZE = 4 * 1024**3 + 123_457


def test_more_than_four_gigabytes_arrive_through_a_link_that_breaks(tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(SIZE)
        file.seek(SIZE - 3)
        file.write(b"end")
    file_read = Reader(ModelError).model(path)[0]
    cuts = [4 * 1024**3 + 1000, SIZE // 2]
    shown = 0
    with CloudServer(tmp_path / "data") as server:
        port = int(server.ready.url.rpartition(":")[2])
        with Cable(port) as cable:

            def show(count: int) -> None:
                nonlocal shown
                shown += count
                if cuts and shown > cuts[-1]:
                    cuts.pop()
                    cable.cut()
                    cable.mend()

            api = Api(Transport(Login(f"http://127.0.0.1:{cable.port}", server.token)))
            assert Sending(api, file_read, show).run() == SIZE
        answer = server.ask(
            "GET", f"/v1/blobs/{file_read.digest}", headers={"Range": f"bytes={SIZE - 5}-"}
        )
    assert (cuts, shown) == ([], SIZE)
    assert (answer.status_code, answer.content) == (206, b"\x00\x00end")
