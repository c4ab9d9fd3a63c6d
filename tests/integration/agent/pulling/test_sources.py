"""Several sources: registries with passwords and tokens, and who may know which secret."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry_agent.core.pace import Pace
from skerry_agent.pulling.login import RegistryLogin, read_passwords
from skerry_agent.pulling.registry import MOST_REDIRECTS, Registry, Transport
from skerry_contract.errors import (
    DigestError,
    NetworkError,
    RegistryError,
    UnauthorizedError,
)
from support.blob_server import (
    BlobServer,
    Fault,
    blob_server,
    cut_after,
    dripping,
    redirect,
    status,
    swapped,
)
from support.certificates import certify
from support.images import OciImage, noise, oci_image
from support.programs import need
from support.pulls import cloud, new_store, pull
from support.registry import PASSWORD, USER, basic_auth, own_registry, token_server

pytestmark = pytest.mark.integration

MADE = oci_image([noise(300_000, seed=11)])
BIG = MADE.layers[0]
SIZE = len(MADE.blobs[BIG])
PAIR = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture
def server() -> Iterator[BlobServer]:
    with blob_server(MADE.blobs) as served:
        yield served


@pytest.fixture
def elsewhere() -> Iterator[BlobServer]:
    """A place where a registry keeps its blobs: it wants no secret and gets none."""
    with blob_server(MADE.blobs, token="") as served:
        yield served


def layout_of(made: OciImage, folder: Path) -> Path:
    """Write an OCI layout, for a tool of others to read."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for digest, data in made.blobs.items():
        (blobs / digest[7:]).write_bytes(data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    entry = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": made.digest,
        "size": made.size,
        "annotations": {"org.opencontainers.image.ref.name": "1"},
    }
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return folder


def copy_to(registry: str, made: OciImage, folder: Path, *options: str) -> None:
    """Put an image into a registry with skopeo."""
    source = f"oci:{layout_of(made, folder / 'layout')}:1"
    target = f"docker://{registry}/team/cam:1"
    skopeo = need("skopeo", "skopeo")
    subprocess.run(
        [skopeo, "copy", "-q", "--dest-tls-verify=false", *options, source, target],
        check=True,
        timeout=50,
    )


@pytest.mark.parametrize("kind", ["anybody", "password", "token"])
def test_a_real_registry_is_a_source(tmp_path: Path, kind: str) -> None:
    with token_server(certify(tmp_path / "tokens")) as tokens:
        section = {"anybody": {}, "password": basic_auth(tmp_path), "token": tokens.section}[kind]
        with own_registry(tmp_path, **section) as registry:
            options = [] if kind == "anybody" else ["--dest-creds", f"{USER}:{PASSWORD}"]
            copy_to(registry, MADE, tmp_path, *options)
            url = f"http://{registry}"
            login = RegistryLogin(url, "" if kind == "anybody" else PAIR, token_url=tokens.url)
            source = Registry(url, login, Transport(), repository="team/{name}")
            assert pull(MADE, new_store(tmp_path / "device"), source) == sum(
                map(len, MADE.blobs.values())
            )
            if kind == "token":
                assert tokens.asked[-1]["scope"] == ["repository:team/cam:pull"]


def test_a_wrong_password_is_said_to_be_one(tmp_path: Path) -> None:
    with own_registry(tmp_path, **basic_auth(tmp_path)) as registry:
        wrong = base64.b64encode(b"pusher:guess").decode()
        source = Registry(
            f"http://{registry}", RegistryLogin(f"http://{registry}", wrong), Transport()
        )
        with pytest.raises(UnauthorizedError, match=registry) as caught:
            pull(MADE, new_store(tmp_path / "device"), source)
        assert "registry-auth.json" in caught.value.remedy


def test_a_password_is_shown_to_no_token_server_but_the_one_that_was_named(tmp_path: Path) -> None:
    with (
        token_server(certify(tmp_path / "tokens")) as tokens,
        own_registry(tmp_path, **tokens.section) as registry,
    ):
        login = RegistryLogin(f"http://{registry}", PAIR)
        source = Registry(f"http://{registry}", login, Transport())
        with pytest.raises(UnauthorizedError):  # the token server saw nobody's name
            pull(MADE, new_store(tmp_path / "device"), source)
        assert tokens.asked


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(status(404), id="it lacks the blob"),
        pytest.param(status(500), id="it is broken"),
        pytest.param(status(403), id="it does not let us in"),
        pytest.param(swapped(noise(SIZE, seed=12)), id="it sends other bytes"),
        pytest.param(cut_after(0), id="it hangs up"),
    ],
)
def test_what_one_source_cannot_give_comes_from_the_next(
    server: BlobServer, elsewhere: BlobServer, tmp_path: Path, fault: Fault
) -> None:
    elsewhere.faults[BIG] = [fault] * 10
    pull(MADE, new_store(tmp_path), cloud(elsewhere.url), cloud(server.url))
    assert (BIG, 0) in elsewhere.asked
    assert [digest for digest, _ in server.asked] == [BIG]


def test_the_next_source_goes_on_from_where_one_broke_off(
    server: BlobServer, elsewhere: BlobServer, tmp_path: Path
) -> None:
    elsewhere.faults[BIG] = [cut_after(100_000), *[cut_after(0)] * 10]
    pull(MADE, new_store(tmp_path), cloud(elsewhere.url), cloud(server.url))
    assert server.asked == [(BIG, 100_000)]


def test_a_source_that_failed_is_asked_last_from_then_on(
    server: BlobServer, tmp_path: Path
) -> None:
    nobody = cloud("http://127.0.0.1:1")
    pull(MADE, new_store(tmp_path), nobody, cloud(server.url))
    assert len(server.asked) == len(MADE.blobs)


def test_what_every_source_said_is_told(
    server: BlobServer, elsewhere: BlobServer, tmp_path: Path
) -> None:
    elsewhere.faults[BIG] = [status(404)]
    server.faults[BIG] = [status(500)]
    with pytest.raises(RegistryError, match="404") as caught:
        pull(MADE, new_store(tmp_path), cloud(elsewhere.url), cloud(server.url))
    assert "500" in caught.value.detail


def test_a_redirect_is_followed_and_takes_no_secret_along(
    server: BlobServer, elsewhere: BlobServer, tmp_path: Path
) -> None:
    server.faults[BIG] = [redirect(f"{elsewhere.url}/v2/cam/blobs/{BIG}")]
    pull(MADE, new_store(tmp_path), cloud(server.url))
    assert elsewhere.asked == [(BIG, 0)]
    assert elsewhere.shown == [""]


def test_a_redirect_keeps_the_range(
    server: BlobServer, elsewhere: BlobServer, tmp_path: Path
) -> None:
    there = redirect(f"{elsewhere.url}/v2/cam/blobs/{BIG}")
    server.faults[BIG] = [there, there]
    elsewhere.faults[BIG] = [cut_after(120_000), cut_after(50_000)]
    pull(MADE, new_store(tmp_path), cloud(server.url))
    assert elsewhere.asked == [(BIG, 0), (BIG, 120_000)]


def test_what_a_redirect_leads_to_is_verified_like_everything(
    server: BlobServer, elsewhere: BlobServer, tmp_path: Path
) -> None:
    server.faults[BIG] = [redirect(f"{elsewhere.url}/v2/cam/blobs/{BIG}")]
    elsewhere.faults[BIG] = [swapped(noise(SIZE, seed=13))]
    store = new_store(tmp_path)
    with pytest.raises(DigestError, match=BIG):
        pull(MADE, store, cloud(server.url))
    assert not store.has(BIG)


def test_redirects_in_a_circle_end(server: BlobServer, tmp_path: Path) -> None:
    server.faults[BIG] = [redirect(f"/v2/cam/blobs/{BIG}")] * 100
    with pytest.raises(RegistryError, match="redirects"):
        pull(MADE, new_store(tmp_path), cloud(server.url))
    assert [digest for digest, _ in server.asked].count(BIG) == MOST_REDIRECTS + 1


def test_no_redirect_leads_from_tls_into_the_clear(elsewhere: BlobServer, tmp_path: Path) -> None:
    certified = certify(tmp_path / "tls")
    with blob_server(MADE.blobs, certified=certified) as secure:
        secure.faults[BIG] = [redirect(f"{elsewhere.url}/v2/cam/blobs/{BIG}")]
        with pytest.raises(RegistryError, match="from https to http"):
            pull(MADE, new_store(tmp_path), cloud(secure.url, transport=Transport(certified.ca)))
    assert elsewhere.asked == []


def test_a_stranger_with_a_certificate_of_his_own_is_not_believed(tmp_path: Path) -> None:
    stranger, ours = certify(tmp_path / "stranger"), certify(tmp_path / "ours")
    with blob_server(MADE.blobs, certified=stranger) as secure:
        with pytest.raises(NetworkError, match="CERTIFICATE_VERIFY_FAILED"):
            pull(MADE, new_store(tmp_path), cloud(secure.url, transport=Transport(ours.ca)))
        assert secure.shown == []


def test_a_drip_ends_and_the_next_source_is_asked(
    server: BlobServer, elsewhere: BlobServer, tmp_path: Path
) -> None:
    elsewhere.faults[BIG] = [dripping(60)]
    pace = Pace(floor_bytes_s=1000, window_s=1.0)
    pull(MADE, new_store(tmp_path), cloud(elsewhere.url), cloud(server.url), pace=pace)
    (again,) = server.asked
    assert again[0] == BIG
    assert again[1] > 0


def test_passwords_are_read_in_the_form_of_docker(tmp_path: Path) -> None:
    file = tmp_path / "registry-auth.json"
    assert read_passwords(file) == {}
    auths = {
        "registry.example:5000": {"auth": PAIR},
        "https://index.docker.io/v1/": {"auth": "eA=="},
    }
    file.write_text(json.dumps({"auths": auths, "credsStore": "passed over"}))
    file.chmod(0o600)
    assert read_passwords(file) == {"registry.example:5000": PAIR, "index.docker.io": "eA=="}
    file.chmod(0o644)
    with pytest.raises(UnauthorizedError, match="can be read by others"):
        read_passwords(file)
