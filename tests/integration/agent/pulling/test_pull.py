"""Pulling over a real connection: what is right arrives, and nothing that is wrong gets in."""

import hashlib
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry_agent.core.pace import Pace
from skerry_agent.data_meter import DataMeter
from skerry_agent.pulling.layers import stored
from skerry_agent.pulling.pull import ADVANCE_BYTES, STALLS, Puller
from skerry_agent.pulling.registry import DeviceToken, Registry, Transport
from skerry_agent.pulling.store import BlobStore
from skerry_agent.pulling.wire import PullCancelledError
from skerry_contract.device import DataBudget
from skerry_contract.errors import (
    ContractError,
    DataBudgetError,
    DigestError,
    NetworkError,
    NoSpaceError,
    RegistryError,
    UnauthorizedError,
)
from skerry_contract.messages import Progress
from support.blob_server import (
    TOKEN,
    BlobServer,
    Fault,
    beginning_elsewhere,
    blob_server,
    busy,
    cut_after,
    dripping,
    dripping_head,
    encoded,
    endless,
    granted,
    redirect,
    silent,
    status,
    swapped,
    whole,
)
from support.images import PLATFORM, digest_of, noise, oci_image

pytestmark = pytest.mark.integration

MADE = oci_image([noise(400_000, seed=1), noise(300_000, seed=2)])
BIG = MADE.layers[0]
SIZE = len(MADE.blobs[BIG])
TOTAL = sum(map(len, MADE.blobs.values()))


@pytest.fixture
def server() -> Iterator[BlobServer]:
    with blob_server(MADE.blobs) as served:
        yield served


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs", cap_bytes=10**8)


def source(url: str, token: str = TOKEN) -> Registry:
    return Registry(url, DeviceToken(token), Transport())


def puller(server: BlobServer, store: BlobStore, pace: Pace | None = None) -> Puller:
    return Puller([source(server.url)], store, platform=PLATFORM, pace=pace or Pace(pause_s=0.02))


def pull(server: BlobServer, store: BlobStore) -> list[Progress]:
    steps: list[Progress] = []
    image = puller(server, store).pull("cam:1", MADE.digest, MADE.size, on_progress=steps.append)
    assert image == stored(store, "cam:1", MADE.digest, platform=PLATFORM)
    assert store.missing(image.blobs) == ()
    return steps


def test_everything_arrives_and_is_counted(server: BlobServer, store: BlobStore) -> None:
    steps = pull(server, store)
    assert steps[-1] == Progress(total=TOTAL, present=0, pulled=TOTAL)
    assert {digest for digest, _ in server.asked} == set(MADE.blobs)


def test_what_is_here_is_not_fetched_again(server: BlobServer, store: BlobStore) -> None:
    pull(server, store)
    server.asked.clear()
    assert pull(server, store)[-1] == Progress(total=TOTAL, present=TOTAL, pulled=0)
    assert server.asked == []


def test_without_a_blob_there_is_no_stored_image(server: BlobServer, store: BlobStore) -> None:
    assert stored(store, "cam:1", MADE.digest, platform=PLATFORM) is None
    pull(server, store)
    store.discard(BIG)
    assert stored(store, "cam:1", MADE.digest, platform=PLATFORM) is None


def test_a_lost_connection_is_gone_on_from_at_once(server: BlobServer, store: BlobStore) -> None:
    server.faults[BIG] = [cut_after(100_000), cut_after(50_000)]
    assert pull(server, store)[-1].pulled == TOTAL
    assert [offset for digest, offset in server.asked if digest == BIG] == [0, 100_000, 150_000]


def test_the_next_attempt_goes_on_from_where_the_last_one_ended(
    server: BlobServer, store: BlobStore, tmp_path: Path
) -> None:
    server.faults[BIG] = [cut_after(150_000), *[cut_after(0)] * STALLS]
    with pytest.raises(NetworkError, match=rf"{BIG}.*150000 of {SIZE}"):
        pull(server, store)
    server.asked.clear()
    steps = pull(server, BlobStore(tmp_path / "blobs", cap_bytes=10**8))
    assert (BIG, 150_000) in server.asked
    assert steps[-1].pulled == TOTAL - 150_000 - sum(
        len(data) for digest, data in MADE.blobs.items() if digest not in MADE.layers
    )


def test_a_connection_that_is_always_lost_is_left_for_later(
    server: BlobServer, store: BlobStore
) -> None:
    server.faults[BIG] = [cut_after(1000)] * 100
    with pytest.raises(NetworkError) as caught:
        pull(server, store)
    assert len([digest for digest, _ in server.asked if digest == BIG]) == STALLS
    assert not caught.value.advanced


def test_a_link_that_drops_again_and_again_but_brings_something_is_gone_on_with(
    server: BlobServer, store: BlobStore
) -> None:
    server.faults[BIG] = [cut_after(40_000)] * 9
    assert pull(server, store)[-1].pulled == TOTAL
    assert [offset for digest, offset in server.asked if digest == BIG] == [
        40_000 * n for n in range(10)
    ]


def test_a_failure_after_a_good_part_says_that_soon_is_a_good_time(
    server: BlobServer, store: BlobStore
) -> None:
    server.faults[BIG] = [cut_after(ADVANCE_BYTES), *[cut_after(0)] * STALLS]
    with pytest.raises(NetworkError) as caught:
        pull(server, store)
    assert caught.value.advanced


@pytest.mark.parametrize("number", [429, 503])
def test_a_busy_server_is_asked_again_when_it_wants(
    server: BlobServer, store: BlobStore, number: int
) -> None:
    server.faults[BIG] = [busy(number, "1")]
    began = time.monotonic()
    pull(server, store)
    assert time.monotonic() - began >= 1.0


def test_a_long_pause_is_left_to_whoever_tries_again(server: BlobServer, store: BlobStore) -> None:
    server.faults[BIG] = [busy(503, "900")]
    with pytest.raises(RegistryError, match="503") as caught:
        pull(server, store)
    assert caught.value.retry_after_s == 900.0


def test_a_range_with_other_bytes_in_it_is_found_by_the_digest(
    server: BlobServer, store: BlobStore
) -> None:
    server.faults[BIG] = [cut_after(100_000), beginning_elsewhere(7)]
    with pytest.raises(DigestError, match=BIG):
        pull(server, store)
    assert store.partial_bytes(BIG) == 0
    pull(server, store)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(whole, id="200 in the place of 206"),
        pytest.param(status(416), id="416"),
        pytest.param(granted("bytes 0-4/5"), id="a range from elsewhere"),
        pytest.param(granted("nonsense"), id="no range"),
    ],
)
def test_a_server_that_cannot_go_on_is_asked_anew(
    server: BlobServer, store: BlobStore, fault: Fault
) -> None:
    server.faults[BIG] = [cut_after(100_000), fault]
    pull(server, store)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(swapped(noise(SIZE, seed=3)), DigestError, id="other bytes"),
        pytest.param(endless, DigestError, id="endless"),
        pytest.param(swapped(b"x" * (SIZE + 1)), RegistryError, id="longer than signed"),
        pytest.param(swapped(b"short"), RegistryError, id="shorter than signed"),
        pytest.param(status(404), RegistryError, id="404"),
        pytest.param(status(500), RegistryError, id="500"),
        pytest.param(status(302), RegistryError, id="redirect to nowhere"),
        pytest.param(redirect("file:///etc/passwd"), RegistryError, id="redirect to a file"),
        pytest.param(redirect("http://127.0.0.1:1/"), NetworkError, id="redirect to nobody"),
        pytest.param(encoded, RegistryError, id="encoded"),
        pytest.param(granted(f"bytes 0-{SIZE - 1}/{SIZE}"), RegistryError, id="206 for no range"),
        pytest.param(status(403), UnauthorizedError, id="403"),
    ],
)
def test_wrong_answers_have_their_error_and_leave_nothing(
    server: BlobServer, store: BlobStore, fault: Fault, error: type[Exception]
) -> None:
    server.faults[BIG] = [fault]
    with pytest.raises(error, match=BIG):
        pull(server, store)
    assert not store.has(BIG)
    assert store.partial_bytes(BIG) == 0
    assert len([digest for digest, _ in server.asked if digest == BIG]) == 1  # no hot loop
    pull(server, store)


def test_a_partial_file_that_has_rotted_costs_one_attempt(
    server: BlobServer, store: BlobStore
) -> None:
    with store.begin(BIG, SIZE) as partial:
        partial.write(b"x" * 1000)
    with pytest.raises(DigestError):
        pull(server, store)
    pull(server, store)


def test_a_wrong_token_is_said_to_be_one(server: BlobServer, store: BlobStore) -> None:
    stranger = Puller([source(server.url, "guess")], store, platform=PLATFORM)
    with pytest.raises(UnauthorizedError, match=r"127\.0\.0\.1"):
        stranger.pull("cam:1", MADE.digest, MADE.size)


def test_nobody_there_is_a_network_error(store: BlobStore) -> None:
    nowhere = Puller([source("http://127.0.0.1:1")], store, platform=PLATFORM)
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1:1") as caught:
        nowhere.pull("cam:1", MADE.digest, MADE.size)
    assert caught.value.retryable


def test_a_server_that_drips_is_given_up(server: BlobServer, store: BlobStore) -> None:
    server.faults[BIG] = [dripping(60)]
    fast = puller(server, store, Pace(bytes_per_s=1e12, least_s=1.0))
    with pytest.raises(NetworkError, match="too slow"):
        fast.pull("cam:1", MADE.digest, MADE.size)
    assert 0 < store.partial_bytes(BIG) < 1000  # and what came is kept


def test_a_drip_ends_by_its_rate_long_before_the_deadline(
    server: BlobServer, store: BlobStore
) -> None:
    server.faults[BIG] = [dripping(60)]
    strict = puller(server, store, Pace(floor_bytes_s=1000, window_s=1.0))
    with pytest.raises(RegistryError, match="less than 1000 bytes a second"):
        strict.pull("cam:1", MADE.digest, MADE.size)
    assert 0 < store.partial_bytes(BIG) < 1000


def test_a_head_that_drips_is_given_up(server: BlobServer, store: BlobStore) -> None:
    server.faults[BIG] = [dripping_head(60)]
    fast = puller(server, store, Pace(bytes_per_s=1e12, least_s=1.0))
    with pytest.raises(NetworkError, match="too slow"):
        fast.pull("cam:1", MADE.digest, MADE.size)


def test_no_more_comes_than_the_limit_says(server: BlobServer, store: BlobStore) -> None:
    slow = puller(server, store, Pace(limit_bytes_s=400_000))
    began = time.monotonic()
    slow.pull("cam:1", MADE.digest, MADE.size)
    # One second's worth may come at once.
    assert time.monotonic() - began >= TOTAL / 400_000 - 1.0


def test_a_budget_is_looked_at_before_anything_large_and_charged_with_what_really_came(
    server: BlobServer, store: BlobStore, tmp_path: Path
) -> None:
    meter = DataMeter(tmp_path / "data-used.json", DataBudget(updates_mb=1))
    transport = Transport(
        charge=lambda sent, received: meter.charge("updates", sent=sent, received=received)
    )
    meter.charge("updates", received=500_000)
    registry = Registry(server.url, DeviceToken(TOKEN), transport)
    thrifty = Puller([registry], store, platform=PLATFORM, meter=meter)
    with pytest.raises(DataBudgetError, match=r"cam:1 needs \d+ bytes; of the 1048576"):
        thrifty.pull("cam:1", MADE.digest, MADE.size)
    assert BIG not in [digest for digest, _ in server.asked]

    lavish = DataMeter(tmp_path / "lavish.json", DataBudget(updates_mb=2))
    transport = Transport(
        charge=lambda sent, received: lavish.charge("updates", sent=sent, received=received)
    )
    registry = Registry(server.url, DeviceToken(TOKEN), transport)
    Puller([registry], store, platform=PLATFORM, meter=lavish).pull("cam:1", MADE.digest, MADE.size)
    used = lavish.used().used["updates"]
    assert TOTAL < used.received + MADE.size < TOTAL * 1.1  # the manifest was here already
    assert 500 < used.sent < 60_000


@pytest.mark.parametrize("where", ["dripping", "silent"])
def test_a_pull_can_be_cancelled_wherever_it_is(
    server: BlobServer, store: BlobStore, where: str
) -> None:
    cancel = threading.Event()
    server.faults[BIG] = [dripping(60) if where == "dripping" else silent(cancel)]

    def stop() -> None:
        while not [digest for digest, _ in server.asked if digest == BIG]:
            time.sleep(0.01)
        cancel.set()

    helper = threading.Thread(target=stop)
    helper.start()
    with pytest.raises(PullCancelledError):
        puller(server, store).pull("cam:1", MADE.digest, MADE.size, cancel=cancel)
    helper.join()
    assert not store.has(BIG)


def test_no_room_is_known_before_anything_large_is_fetched(
    server: BlobServer, tmp_path: Path
) -> None:
    small = BlobStore(tmp_path / "small", cap_bytes=100_000)
    with pytest.raises(NoSpaceError, match="cam:1"):
        pull(server, small)
    assert BIG not in [digest for digest, _ in server.asked]


def test_another_platform_is_known_before_anything_large_is_fetched(
    server: BlobServer, store: BlobStore
) -> None:
    other = Puller([source(server.url)], store, platform="linux/riscv64")
    with pytest.raises(ContractError, match="riscv64"):
        other.pull("cam:1", MADE.digest, MADE.size)
    assert BIG not in [digest for digest, _ in server.asked]


def test_a_manifest_of_another_size_than_signed_is_refused(
    server: BlobServer, store: BlobStore
) -> None:
    with pytest.raises(RegistryError):
        puller(server, store).pull("cam:1", MADE.digest, MADE.size + 1)
    assert store.size_bytes() == 0


def test_memory_stays_small_whatever_a_blob_weighs(tmp_path: Path) -> None:
    weight = oci_image([noise(24_000_000, seed=5)])
    with blob_server(weight.blobs) as served:
        store = BlobStore(tmp_path, cap_bytes=10**9)
        mover = Puller([source(served.url)], store, platform=PLATFORM)
        tracemalloc.start()
        mover.pull("cam:1", weight.digest, weight.size)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert hashlib.sha256(store.path(weight.layers[0]).read_bytes()).hexdigest() in weight.layers[0]
    assert peak < 3_000_000
    assert digest_of(weight.blobs[weight.digest]) == weight.digest
