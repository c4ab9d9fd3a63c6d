"""``skerry module show`` against a real server with the real compiler."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from skerry import login
from skerry.login import Login
from skerry_cloud.compiling import compiler_into
from support.cloud_server import CloudServer
from support.modules import GOLDEN, SCORE
from support.skerry_command import Skerry

# The first build fetches and compresses a whole base.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def skerry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Skerry]:
    """The command, with a server that holds ``doubler:1``."""
    folder = tmp_path_factory.mktemp("show")
    with CloudServer(folder / "data", compiler_into) as server:
        file = folder / "login.json"
        login.write(file, Login(server.ready.url, server.token))
        model = server.upload(b"2", "weights.txt")
        server.post("/v1/models", {"name": "weights", "files": [model], "framework": "plain"})
        files = [
            server.upload(b"four", "golden/four.txt"),
            server.upload(GOLDEN.encode(), "golden.json"),
            server.upload(b"six==1.17.0\n", "environment.txt"),
            server.upload(SCORE.encode(), "score.py"),
        ]
        more: dict[str, Any] = {
            "files": files,
            "models": ["weights:1"],
            "environment": "environment.txt",
        }
        built = server.build("doubler", within_s=120, **more)
        assert built["state"] == "succeeded", built["error"]
        yield Skerry(file, folder)


def test_a_module_shows_its_image_and_how_it_starts(skerry: Skerry) -> None:
    shown = skerry.ok("module", "show", "doubler:1")
    assert "user                                    65532:65532" in shown
    assert "/usr/bin/python3.11 -m skerry_scorer" in shown
    assert "label io.skerry.models                  weights:1" in shown
    for row in ("base", "environment", "scorer host", "models", "scorer code", "sbom.cdx.json"):
        assert row in shown
    [image] = json.loads(skerry.ok("module", "show", "doubler:1", "--output", "json"))[
        "images"
    ].values()
    assert image["ports"] == ["5001/tcp"]
    assert image["reports"].keys() == {
        "sbom.cdx.json",
        "provenance.intoto.json",
        "environment.lock",
    }


def test_a_module_shows_what_its_image_says_of_itself(skerry: Skerry) -> None:
    bom = json.loads(skerry.ok("module", "show", "doubler:1", "--sbom"))
    [model] = [one for one in bom["components"] if one["type"] == "machine-learning-model"]
    assert {"name": "skerry:framework", "value": "plain"} in model["properties"]
    said = json.loads(skerry.ok("module", "show", "doubler:1", "--provenance"))
    assert said["predicateType"] == "https://slsa.dev/provenance/v1"
    assert skerry.ok("module", "show", "doubler:1", "--lock").startswith("six==1.17.0")
    rows = skerry.ok("module", "show", "doubler:1", "--licences").splitlines()
    assert any(row.startswith("MIT") and "six 1.17.0" in row for row in rows)
    assert rows[-1].startswith("not stated")
    assert "libc6" in rows[-1]
    form = ("--output", "json")
    assert json.loads(skerry.ok("module", "show", "doubler:1", "--sbom", *form)) == bom
    assert (
        "MIT"
        in json.loads(skerry.ok("module", "show", "doubler:1", "--licences", *form))["licences"]
    )


def test_a_platform_that_there_is_not_is_told(skerry: Skerry) -> None:
    refused = skerry("module", "show", "doubler:1", "--sbom", "--platform", "linux/arm")
    assert refused.returncode == 1
    assert "there is: linux/" in refused.stderr
