"""By difference from the cloud to the device: what comes is right, small, and never trusted."""

import struct
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from skerry_agent.core.pace import Pace
from skerry_agent.pulling import offers
from skerry_agent.pulling.images import Blob
from skerry_agent.pulling.layers import named, stored
from skerry_agent.pulling.pull import Puller
from skerry_agent.pulling.registry import DeviceToken, Registry, Transport
from skerry_agent.pulling.store import BlobStore
from skerry_agent.pulling.wire import Limits
from skerry_contract.errors import DigestError
from skerry_contract.messages import Progress
from skerry_contract.names import Digest
from support.blob_server import blob_server
from support.cloud_server import CloudServer
from support.images import PLATFORM, Entry, OciImage, digest_of, noise, oci_image, tar_of
from support.pulls import cloud, new_store
from support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

MODEL = noise(300_000, seed=71)
LIBRARY = noise(400_000, seed=72)
SCRIPT = b"def run(data):\n    return data\n" * 2000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudServer]:
    with CloudServer(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="module")
def token(server: CloudServer) -> str:
    return str(server.add_device("differ")["token"])


def layers(
    *, model: bytes = MODEL, script: bytes = SCRIPT, version: int = 1, library: bytes = LIBRARY
) -> list[bytes]:
    """Return an environment, a model and a script, as the compiler lays them out."""
    place = f"var/azureml-app/azureml-models/face/{version}"
    return [
        tar_of(
            [
                Entry("opt/skerry/env/library.so", library),
                Entry("opt/skerry/env/other.py", noise(100_000, seed=73)),
            ]
        ),
        tar_of([Entry(f"{place}/face.tflite", model)]),
        tar_of([Entry("var/azureml-app/score.py", script)]),
    ]


def register(server: CloudServer, name: str, content: Sequence[bytes]) -> OciImage:
    """Make an image the next version of a module."""
    made = oci_image(content, reference=f"{name}:1")
    for digest, data in made.blobs.items():
        assert server.ask("PUT", f"/v1/blobs/{digest}", data).status_code == 200
    module = server.post("/v1/modules/import", {"name": name, "images": [made.digest]})
    made.reference = f"{name}:{module['version']}"
    return made


class Device:
    """A device that keeps what it pulls."""

    def __init__(self, server: CloudServer, token: str, folder: Path) -> None:
        self.store = new_store(folder)
        self.cloud = Registry(server.ready.url, DeviceToken(token), Transport())
        self.images: list[Digest] = []

    def pull(self, made: OciImage, *, deltas: bool = True) -> Progress:
        """Pull an image and look that every file of it is there; return how that went."""
        said = [Progress()]
        puller = Puller(
            [self.cloud],
            self.store,
            platform=PLATFORM,
            pace=Pace(pause_s=0.02),
            cloud=self.cloud if deltas else None,
        )
        image = puller.pull(
            made.reference, made.digest, made.size, on_progress=said.append, keep=self.images
        )
        assert image == stored(self.store, made.reference, made.digest, platform=PLATFORM)
        for layer, diff_id in zip(image.parts.layers, image.diff_ids, strict=True):
            data = b"".join(self.store.chunks(layer.digest))
            assert digest_of(zlib.decompress(data, 31) if layer.gzip else data) == diff_id
            assert len(data) == layer.size
        self.images.append(made.digest)
        return said[-1]


@pytest.fixture
def device(server: CloudServer, token: str, tmp_path: Path) -> Device:
    return Device(server, token, tmp_path)


def tuned(form: str, count: int) -> tuple[bytes, bytes]:
    """Return weights and what a little training made of them."""
    before = struct.unpack(f"<{count}i", noise(4 * count, seed=74))
    change = struct.unpack(f"<{count}i", noise(4 * count, seed=75))
    old = [one / 2**32 for one in before]
    new = [one + more / 2**42 for one, more in zip(old, change, strict=True)]
    return struct.pack(f"<{count}{form}", *old), struct.pack(f"<{count}{form}", *new)


F32, F16 = tuned("f", 100_000), tuned("e", 100_000)
INT8 = bytes(int(one * 255) % 256 for one in struct.unpack("<100000f", F32[0]))
CHANGED = bytearray(LIBRARY)
for _at in range(0, 400_000, 20_000):
    CHANGED[_at : _at + 40] = noise(40, seed=_at)


@pytest.mark.parametrize(
    ("old", "new", "most"),
    [
        pytest.param({}, {"script": SCRIPT + b"# more\n"}, 5_000, id="score.py"),
        pytest.param({}, {"version": 2}, 3_000, id="the same model under another version"),
        pytest.param(
            {},
            {"model": MODEL[:150_000] + noise(9_000, seed=76) + MODEL[150_000:], "version": 2},
            15_000,
            id="a part of the model",
        ),
        pytest.param({}, {"library": bytes(CHANGED)}, 8_000, id="a dependency"),
        pytest.param(
            {"model": F32[0]}, {"model": F32[1], "version": 2}, 300_000, id="float32 weights"
        ),
        pytest.param(
            {"model": F16[0]}, {"model": F16[1], "version": 2}, 120_000, id="float16 weights"
        ),
        pytest.param({"model": F32[0]}, {"model": INT8, "version": 2}, 105_000, id="quantized"),
        pytest.param({}, {"model": noise(300_000, seed=77)}, 310_000, id="unrelated"),
    ],
)
def test_what_is_on_the_device_is_not_fetched_again(
    server: CloudServer,
    device: Device,
    old: dict[str, bytes],
    new: dict[str, bytes],
    most: int,
    request: pytest.FixtureRequest,
) -> None:
    name = f"case-{zlib.crc32(request.node.name.encode()):x}"
    first = register(server, name, layers(**old))  # type: ignore[arg-type]
    second = register(server, name, layers(**new))  # type: ignore[arg-type]
    device.pull(first)
    went = device.pull(second)
    assert went.pulled < most
    assert went.present + went.pulled == went.total == sum(map(len, second.blobs.values()))


def test_a_layer_that_was_made_is_a_base_for_the_next(server: CloudServer, device: Device) -> None:
    versions = [
        register(server, "chain", layers(model=MODEL + b"x" * n, version=n)) for n in (1, 2, 3)
    ]
    pulled = [device.pull(one).pulled for one in versions]
    assert pulled[0] > 700_000
    assert max(pulled[1:]) < 5_000
    kept = named(device.store, versions[2].digest)
    assert len([one for one in kept if device.store.has(one)]) == 5  # manifest, config, layers
    assert list((device.store.path(versions[2].digest).parents[1] / "work").iterdir()) == []


def test_both_ways_lead_to_the_same_bytes(server: CloudServer, token: str, tmp_path: Path) -> None:
    first = register(server, "ways", layers())
    second = register(server, "ways", layers(model=MODEL[::-1], script=SCRIPT[::-1]))
    contents = []
    for deltas in (True, False):
        device = Device(server, token, tmp_path / str(deltas))
        device.pull(first, deltas=deltas)
        device.pull(second, deltas=deltas)
        image = stored(device.store, "ways:2", second.digest, platform=PLATFORM)
        assert image is not None
        contents.append(image.diff_ids)
    assert contents[0] == contents[1]


def test_a_base_that_rotted_costs_a_whole_layer_and_nothing_else(
    server: CloudServer, device: Device
) -> None:
    first = register(server, "rot", layers())
    second = register(server, "rot", layers(model=MODEL + b"more", version=2))
    device.pull(first)
    path = device.store.path(first.layers[1])
    rotten = bytearray(path.read_bytes())
    rotten[150_000] ^= 1
    path.write_bytes(rotten)
    assert device.pull(second).pulled > 300_000


def ask(server: CloudServer, want: OciImage, have: OciImage) -> offers.Offer:
    """Return what the cloud offers for the model of one image, to who has that of another."""
    name = want.reference.partition(":")[0]
    path = f"/v1/deltas/{name}/{want.layers[1]}?have={have.layers[1]}"
    answer = eventually(
        lambda: got if (got := server.ask("GET", path)).status_code != 202 else None, 60
    )
    assert answer.status_code == 200, answer.text
    return offers.Offer(**answer.json())


def test_a_delta_that_makes_another_layer_is_found_out(server: CloudServer, device: Device) -> None:
    first = register(server, "lie", layers())
    second = register(server, "lie", layers(model=MODEL + b"more", version=2))
    third = register(server, "lie", layers(model=MODEL + b"mor3", version=2))
    device.pull(first)
    honest, other = (ask(server, one, first) for one in (second, third))
    # What makes the third layer is served as what makes the second.
    data = server.ask("GET", f"/v1/deltas/{other.digest}").content
    with device.store.begin(Digest(other.digest), other.size) as partial:
        partial.write(data)
        partial.commit()
    lie = replace(honest, digest=other.digest, size=other.size)
    diff_id = digest_of(layers(model=MODEL + b"more", version=2)[1])
    base = Blob(first.layers[1], 1, gzip=True)
    limits = Limits(time.monotonic() + 60, threading.Event())
    failed = offers.apply(device.store, lie, base, diff_id, limits)
    assert failed is not None
    assert DigestError.code in failed.text
    assert not device.store.has(diff_id)
    assert not device.store.has(Digest(other.digest))  # it is not tried again


@pytest.mark.parametrize("data", [b"", b"nonsense", b"skerry-delta-1\n" + b"\xff" * 60])
def test_what_is_no_delta_is_found_out(device: Device, data: bytes) -> None:
    old = tar_of([Entry("a", MODEL)])
    for blob in (old, data):
        with device.store.begin(digest_of(blob), len(blob)) as partial:
            partial.write(blob)
            partial.commit()
    offer = offers.Offer(digest_of(old), digest_of(data), len(data), len(old), 1000)
    base = Blob(digest_of(old), len(old))
    limits = Limits(time.monotonic() + 60, threading.Event())
    failed = offers.apply(device.store, offer, base, digest_of(b"wanted"), limits)
    assert failed is not None
    assert "delta" in failed.text


def test_a_disk_that_has_no_room_for_making_takes_the_layer_whole(
    server: CloudServer, token: str, tmp_path: Path
) -> None:
    first = register(server, "narrow", layers())
    second = register(server, "narrow", layers(library=LIBRARY + b"more"))
    device = Device(server, token, tmp_path)
    device.pull(first)
    sizes = {one: len(made.blobs[one]) for made in (first, second) for one in made.blobs}
    device.store = BlobStore(
        tmp_path / "blobs", cap_bytes=sum(sizes.values()) + 1000, floor_free_bytes=0
    )
    assert device.pull(second).pulled > 500_000


def test_a_cloud_without_deltas_gives_whole_layers(
    server: CloudServer, token: str, tmp_path: Path
) -> None:
    made = register(server, "plain", layers())
    changed = register(server, "plain", layers(script=SCRIPT + b"# more\n"))
    with blob_server({**made.blobs, **changed.blobs}) as old_cloud:
        device = Device(server, token, tmp_path)
        device.cloud = cloud(old_cloud.url)
        for one in (made, changed):
            one.reference = "cam:1"
            device.pull(one)
    assert len(old_cloud.asked) == len(made.blobs | changed.blobs)


def test_a_process_that_applies_a_delta_uses_little_memory(
    server: CloudServer, device: Device
) -> None:
    """What a whole layer weighs does not matter: 64 MiB are made in the child's 96 MiB."""
    big = bytes(48 * 2**20) + noise(16 * 2**20, seed=78)
    first = register(server, "large", [tar_of([Entry("big", big)])])
    second = register(server, "large", [tar_of([Entry("big", big[:-1000] + bytes(1000))])])
    device.pull(first)
    assert device.pull(second).pulled < 20_000
