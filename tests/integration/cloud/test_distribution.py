"""The registry as container tools use it, over HTTP."""

import hashlib
import json
import time
from typing import Any

import pytest
import requests

from skerry_cloud.assembly import open_blobs
from skerry_cloud.database import Database
from skerry_cloud.sweep import Sweep
from support.cloud_server import CloudServer

pytestmark = pytest.mark.integration

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(scope="module")
def module(server: CloudServer) -> Any:
    """A module of one platform whose one layer has 2048 bytes."""
    return server.build("pulled", b"#" * 2048)["module"]


@pytest.fixture(scope="module")
def layer(module: Any) -> str:
    return str(module["images"]["linux/amd64"]["layers"][0]["digest"])


def check_manifest(server: CloudServer, path: str, media_type: str) -> bytes:
    got, head = server.ask("GET", path), server.ask("HEAD", path)
    assert got.status_code == 200
    assert got.headers["Content-Type"] == media_type
    assert (head.status_code, head.content) == (200, b"")
    for header in ("Content-Type", "Content-Length", "Docker-Content-Digest"):
        assert head.headers[header] == got.headers[header]
    for accept in (MANIFEST, INDEX):
        again = server.ask("GET", path, headers={"Accept": accept})
        assert again.content == got.content
    assert int(got.headers["Content-Length"]) == len(got.content)
    digest = f"sha256:{hashlib.sha256(got.content).hexdigest()}"
    assert got.headers["Docker-Content-Digest"] == digest
    return got.content


def test_a_manifest_comes_byte_for_byte_by_tag_and_by_digest(
    server: CloudServer, module: Any
) -> None:
    digest = module["images"]["linux/amd64"]["digest"]
    by_tag = check_manifest(server, "/v2/pulled/manifests/1", MANIFEST)
    by_digest = check_manifest(server, f"/v2/pulled/manifests/{digest}", MANIFEST)
    assert by_tag == by_digest
    assert f"sha256:{hashlib.sha256(by_tag).hexdigest()}" == digest


def test_a_module_for_two_platforms_has_an_index_behind_its_tag(server: CloudServer) -> None:
    built = server.build("twofold", platforms=["linux/amd64", "linux/arm64"])["module"]
    data = check_manifest(server, "/v2/twofold/manifests/1", INDEX)
    listed = {m["platform"]["architecture"]: m["digest"] for m in json.loads(data)["manifests"]}
    expected = {name.removeprefix("linux/"): i["digest"] for name, i in built["images"].items()}
    assert listed == expected
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert check_manifest(server, f"/v2/twofold/manifests/{digest}", INDEX) == data
    for image in built["images"].values():
        check_manifest(server, f"/v2/twofold/manifests/{image['digest']}", MANIFEST)


@pytest.mark.parametrize(
    ("wanted", "first", "length"),
    [("bytes=500-1499", 500, 1000), ("bytes=500-", 500, 1548), ("bytes=-500", 1548, 500),
     ("bytes=2000-5000", 2000, 48)],
)  # fmt: skip
def test_a_range_of_a_blob_is_exactly_that(
    server: CloudServer, layer: str, wanted: str, first: int, length: int
) -> None:
    path = f"/v2/pulled/blobs/{layer}"
    got = server.ask("GET", path, headers={"Range": wanted})
    assert got.status_code == 206
    assert got.headers["Content-Range"] == f"bytes {first}-{first + length - 1}/2048"
    assert len(got.content) == length
    assert server.ask("HEAD", path, headers={"Range": wanted}).status_code == 206
    other = {"Range": wanted, "If-Range": '"something else"'}
    assert server.ask("GET", path, headers=other).status_code == 200


@pytest.mark.parametrize("wanted", ["bytes=500-0", "bytes=5000-10000", "bytes=2048-"])
def test_a_range_outside_a_blob_is_416(server: CloudServer, layer: str, wanted: str) -> None:
    got = server.ask("GET", f"/v2/pulled/blobs/{layer}", headers={"Range": wanted})
    assert got.status_code == 416
    assert got.headers["Content-Range"] == "bytes */2048"


def test_a_whole_blob_has_its_length_and_digest(server: CloudServer, layer: str) -> None:
    path = f"/v2/pulled/blobs/{layer}"
    got, head = server.ask("GET", path), server.ask("HEAD", path)
    assert (got.status_code, got.content) == (200, b"#" * 2048)
    assert (head.status_code, head.content) == (200, b"")
    for answer in (got, head):
        assert answer.headers["Content-Length"] == "2048"
        assert answer.headers["Docker-Content-Digest"] == layer


def test_an_empty_blob_can_be_pulled(server: CloudServer) -> None:
    digest = server.build("hollow", b"")["module"]["images"]["linux/amd64"]["layers"][0]["digest"]
    got = server.ask("GET", f"/v2/hollow/blobs/{digest}")
    assert (got.status_code, got.content, got.headers["Content-Length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    "path",
    ["manifests/99", "manifests/latest", "manifests/sha256:" + "0" * 64,
     "manifests/sha256:baddigeststring", "blobs/sha256:" + "0" * 64],
)  # fmt: skip
def test_what_is_not_there_is_404_in_the_form_of_the_specification(
    server: CloudServer, module: Any, path: str
) -> None:
    del module
    got = server.ask("GET", f"/v2/pulled/{path}")
    assert got.status_code == 404
    assert got.json()["errors"][0]["code"].endswith("_UNKNOWN")
    assert server.ask("GET", "/v2/nobody/tags/list").status_code == 404


def test_tags_are_listed_in_pages(server: CloudServer) -> None:
    for _ in range(3):
        server.build("paged")
    assert server.get("/v2/paged/tags/list") == {"name": "paged", "tags": ["1", "2", "3"]}
    first = server.ask("GET", "/v2/paged/tags/list?n=2")
    assert first.json()["tags"] == ["1", "2"]
    assert first.headers["Link"] == '</v2/paged/tags/list?n=2&last=2>; rel="next"'
    assert server.get("/v2/paged/tags/list?n=2&last=2")["tags"] == ["3"]
    assert server.get("/v2/paged/tags/list?n=0")["tags"] == []


def test_what_refers_to_an_image_is_listed_and_can_be_pulled(
    server: CloudServer, module: Any
) -> None:
    image = module["images"]["linux/amd64"]["digest"]
    got = server.ask("GET", f"/v2/pulled/referrers/{image}")
    assert (got.status_code, got.headers["Content-Type"]) == (200, INDEX)
    assert got.json()["schemaVersion"] == 2
    [listed] = got.json()["manifests"]
    assert listed["artifactType"] == "application/vnd.cyclonedx+json"
    assert listed["annotations"]["org.opencontainers.image.title"] == "sbom.cdx.json"
    data = check_manifest(server, f"/v2/pulled/manifests/{listed['digest']}", MANIFEST)
    artifact = json.loads(data)
    assert len(data) == listed["size"]
    assert artifact["subject"]["digest"] == image
    [content] = artifact["layers"]
    blob = server.ask("GET", f"/v2/pulled/blobs/{content['digest']}")
    assert (blob.status_code, blob.json()["bomFormat"]) == (200, "CycloneDX")
    assert server.ask("GET", f"/v2/pulled/blobs/{artifact['config']['digest']}").content == b"{}"


@pytest.mark.parametrize(
    ("wanted", "count"), [("application/vnd.cyclonedx+json", 1), ("text/plain", 0)]
)
def test_referrers_are_filtered_and_it_is_said(
    server: CloudServer, module: Any, wanted: str, count: int
) -> None:
    image = module["images"]["linux/amd64"]["digest"]
    got = server.ask("GET", f"/v2/pulled/referrers/{image}", params={"artifactType": wanted})
    assert got.headers["OCI-Filters-Applied"] == "artifactType"
    assert len(got.json()["manifests"]) == count


def test_an_unknown_image_has_no_referrers_and_that_is_no_error(
    server: CloudServer, module: Any
) -> None:
    del module
    got = server.ask("GET", f"/v2/pulled/referrers/sha256:{'0' * 64}")
    assert (got.status_code, got.json()["manifests"]) == (200, [])
    assert server.ask("GET", "/v2/pulled/referrers/sha256:bad").status_code == 400


def test_bytes_that_only_claim_to_be_about_an_image_are_no_manifest(
    server: CloudServer, module: Any
) -> None:
    image = module["images"]["linux/amd64"]["digest"]
    claim = server.upload(json.dumps({"subject": {"digest": image}}).encode(), "claim")
    assert server.ask("GET", f"/v2/pulled/manifests/{claim['digest']}").status_code == 404


def test_credentials_may_be_basic_with_any_user(server: CloudServer, module: Any) -> None:
    del module
    url = f"{server.ready.url}/v2/"
    refused = requests.get(url, timeout=10)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == 'Basic realm="skerry"'
    assert requests.get(url, auth=("anyone", server.token), timeout=10).status_code == 200
    assert requests.get(url, auth=("anyone", "wrong"), timeout=10).status_code == 401
    odd = {"Authorization": "Basic !!!"}
    assert requests.get(url, headers=odd, timeout=10).status_code == 401


def test_what_is_said_of_an_image_outlives_every_sweep(server: CloudServer, module: Any) -> None:
    data = server.settings.data
    image = module["images"]["linux/amd64"]["digest"]
    [listed] = server.get(f"/v2/pulled/referrers/{image}")["manifests"]
    stray = server.upload(b"needed by nothing", "stray")["digest"]
    url = server.settings.options.database
    database = Database(url) if url else Database.in_file(data / "skerry.db")
    blobs = open_blobs(server.settings, database)
    try:
        assert Sweep(database, blobs, grace_s=-1.0, clock=time.time)() > 0
        assert stray not in {blob.digest for blob in blobs.stored()}
    finally:
        blobs.close()
        database.close()
    manifest = server.ask("GET", f"/v2/pulled/manifests/{listed['digest']}").json()
    for part in (manifest["config"], *manifest["layers"]):
        assert server.ask("GET", f"/v2/pulled/blobs/{part['digest']}").status_code == 200
