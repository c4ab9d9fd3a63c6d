"""A server on PostgreSQL and an object store, from a large model to a pulled image, on bad days."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from skerry_cloud.assembly import open_blobs
from skerry_cloud.database import Database
from skerry_cloud.settings import Options, Settings
from skerry_cloud.sweep import Sweep
from support.postgresql import Postgresql
from support.programs import need
from support.seaweedfs import Seaweedfs, own_seaweedfs
from support.site import Site, running_site
from support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

TEMPLATE = Path(__file__).parents[2] / "module-templates" / "python"
SIZE = 120 * 1024 * 1024 + 7


@pytest.fixture
def objects(seaweedfs: Seaweedfs) -> Iterator[Seaweedfs]:
    """An object store of this test alone, which it may end; the keys are the other's."""
    del seaweedfs
    with own_seaweedfs() as server:
        yield server


@contextmanager
def registering(site: Site, file: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``skerry model register`` beside the block."""
    command = [sys.executable, "-m", "skerry", "model", "register", "-p", str(file), "-n", name]
    with subprocess.Popen(
        [*command, "--output", "json"],
        env=site.skerry.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as sending:
        try:
            yield sending
        finally:
            sending.kill()


def done(command: subprocess.Popen[str]) -> Any:
    out, said = command.communicate(timeout=180)
    assert command.returncode == 0, said
    return json.loads(out)


def come(site: Site) -> int:
    """Return how many bytes of unfinished uploads the server has."""
    return sum(path.stat().st_size for path in (site.data / "blobs" / "uploads").iterdir())


def fetch(site: Site, path: str, **headers: str) -> requests.Response:
    bearer = {"Authorization": f"Bearer {site.login['token']}"}
    return requests.get(site.login["url"] + path, headers={**bearer, **headers}, timeout=60)


def check_image(site: Site, folder: Path) -> None:
    """Pull a module with skopeo, and the layer of its model in ranges."""
    host = site.login["url"].removeprefix("http://")
    source, creds = f"docker://{host}/outliers:1", f"any:{site.login['token']}"
    skopeo = [need("skopeo", "skopeo"), "copy", "-q", "--src-tls-verify=false"]
    subprocess.run(
        [*skopeo, "--src-creds", creds, source, f"dir:{folder}"], check=True, timeout=120
    )
    manifest = json.loads((folder / "manifest.json").read_bytes())
    layer = max(manifest["layers"], key=lambda one: one["size"])
    whole = (folder / layer["digest"].removeprefix("sha256:")).read_bytes()
    assert len(whole) > SIZE, "random bytes do not shrink"
    path = f"/v2/outliers/blobs/{layer['digest']}"
    for first, last in ((0, 99), (50_000_000, 70_000_000), (len(whole) - 3, len(whole) - 1)):
        answer = fetch(site, path, Range=f"bytes={first}-{last}")
        assert (answer.status_code, answer.content) == (206, whole[first : last + 1])
    assert fetch(site, path, Range=f"bytes={len(whole)}-").status_code == 416


def disturb(site: Site, objects: Seaweedfs, sending: subprocess.Popen[str]) -> None:
    """Kill the server while a model is on its way, and the object store before it has the last."""

    def arrived(size: int) -> bool:
        return come(site) >= size or sending.poll() is not None

    eventually(lambda: arrived(SIZE // 4), 120, why="a part of the model")
    site.kill()
    assert sending.poll() is None, "it was over before the kill"
    site.start()
    objects.stop(signal.SIGKILL)
    assert fetch(site, "/healthz").text == "not well: object store\n"
    eventually(lambda: arrived(SIZE), 120, why="the rest of the model")
    assert sending.poll() is None, "it is no model without the object store"
    objects.start()
    assert done(sending)["version"] == 1
    assert come(site) == 0


def test_the_whole_way_on_an_object_store_on_bad_days(
    objects: Seaweedfs, postgresql: Postgresql, tmp_path: Path, caches: Path
) -> None:
    storage: dict[str, Any] = {"database": postgresql.fresh(), **objects.options()}
    file = tmp_path / "weights.bin"
    file.write_bytes(os.urandom(SIZE))
    digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    where = ("--blobs", storage["blobs"], "--s3-endpoint", storage["s3_endpoint"])
    with running_site(tmp_path / "site", caches, *where, database=storage["database"]) as site:
        with registering(site, file, "weights") as sending:
            disturb(site, objects, sending)
        assert (
            fetch(site, f"/v1/blobs/{digest}", Range="bytes=5-9").content
            == (file.read_bytes()[5:10])
        )

        site.skerry.ok("module", "build", TEMPLATE, "-m", "weights:1")
        # What is pulled comes from the bucket, not from copies of it.
        site.stop()
        shutil.rmtree(site.data / "blob-cache")
        site.start()
        check_image(site, tmp_path / "pulled")
        site.skerry.ok("module", "delete", "outliers:1")
        site.skerry.ok("model", "delete", "weights:1")
    assert_the_bucket_empties(storage, tmp_path, objects)


def assert_the_bucket_empties(storage: dict[str, Any], tmp_path: Path, objects: Seaweedfs) -> None:
    """Sweep as a server does an hour after its last model was deleted."""
    settings = Settings(tmp_path / "later", Options(**storage))
    database = Database(storage["database"])
    blobs = open_blobs(settings, database)
    later = Sweep(database, blobs, grace_s=-1.0, clock=time.time)
    assert later() > SIZE
    assert later() == 0
    left = objects.keys(storage["blobs"])
    assert [key for key in left if "/sha256/" in key] == []
    blobs.close()
    database.close()
