"""The server as a registry: skopeo and Docker's engine read modules from it."""

import json
from pathlib import Path

import pytest

from skerry.images.documents import digest_of
from support.cable import Cable
from support.cloud_server import CloudServer
from support.dockerd import Dockerd
from support.doubler import Doubler

# The first build fetches and compresses a whole base.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def credentials(doubler: Doubler, side: str = "") -> list[str]:
    return [f"--{side}creds=x:{doubler.server.token}", f"--{side}tls-verify=false"]


def test_skopeo_inspects_lists_and_copies_by_tag_and_by_digest(
    doubler: Doubler, tmp_path: Path
) -> None:
    image = f"docker://{doubler.host}/doubler"
    own = credentials(doubler)
    assert json.loads(doubler.skopeo("list-tags", *own, image))["Tags"] == ["1", "2"]
    for name in (f"{image}:1", f"{image}@{doubler.digest}"):
        assert json.loads(doubler.skopeo("inspect", *own, name))["Digest"] == doubler.digest
        raw = doubler.skopeo("inspect", "--raw", *own, name)
        assert digest_of(raw.encode()) == doubler.digest
        target = f"dir:{tmp_path}/{len(name)}"
        # Copying reads every byte and checks each digest and diff id against it.
        doubler.skopeo("copy", *credentials(doubler, "src-"), "--preserve-digests", name, target)
    every = ("copy", "--all", *credentials(doubler, "src-"), f"{image}:2", f"dir:{tmp_path}/all")
    doubler.skopeo(*every)


def test_docker_logs_in_and_pulls_by_tag_and_by_digest(
    doubler: Doubler, dockerd: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    port = int(doubler.host.rpartition(":")[2])
    with Cable(port, namespace=dockerd.pid) as cable:
        host = f"127.0.0.1:{cable.port}"
        with pytest.raises(AssertionError, match=r"unauthorized|no basic auth"):
            dockerd.docker("pull", f"{host}/doubler:1")
        with pytest.raises(AssertionError, match=r"(?i)unauthorized"):
            dockerd.docker("login", "--username=x", "--password=wrong", host)
        dockerd.docker("login", "--username=x", f"--password={doubler.server.token}", host)
        assert doubler.digest in dockerd.docker("pull", f"{host}/doubler:1")
        dockerd.docker("pull", f"{host}/doubler@{doubler.digest}")
        dockerd.docker("pull", f"{host}/doubler:2")
        with pytest.raises(AssertionError, match=r"not found|manifest unknown"):
            dockerd.docker("pull", f"{host}/doubler:99")
        named = dockerd.docker("inspect", "--format={{index .RepoDigests 0}}", f"{host}/doubler:1")
        assert named.strip() == f"{host}/doubler@{doubler.digest}"


def test_skopeo_reads_over_tls_and_believes_our_authority(
    doubler: Doubler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CloudServer(tmp_path / "data", tls=True) as server:
        given = json.loads(Path(server.ready.login).read_bytes())["ca"]
        (tmp_path / "certs").mkdir()
        (tmp_path / "certs/ca.crt").write_text(given)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certs/ca.crt"))
        [image] = server.build("small")["module"]["images"].values()
        name = f"docker://{server.ready.url.partition('://')[2]}/small:1"
        own = (f"--creds=x:{server.token}", f"--cert-dir={tmp_path}/certs")
        assert digest_of(doubler.skopeo("inspect", "--raw", *own, name).encode()) == image["digest"]
        with pytest.raises(AssertionError, match="certificate"):
            doubler.skopeo("inspect", "--raw", own[0], name)
