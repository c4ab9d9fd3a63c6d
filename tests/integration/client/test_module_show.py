"""``skerry module show`` against a real server with the real compiler."""

import json

import pytest

from support.doubler import Doubler

# The first build fetches and compresses a whole base.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def test_a_module_shows_its_image_and_how_it_starts(doubler: Doubler) -> None:
    shown = doubler.skerry.ok("module", "show", "doubler:1")
    assert "user                                    65532:65532" in shown
    assert "/usr/bin/python3.11 -m skerry_scorer" in shown
    assert "label io.skerry.models                  weights:1" in shown
    for row in ("base", "environment", "scorer host", "models", "scorer code", "sbom.cdx.json"):
        assert row in shown
    assert "checked  yes" in shown
    [image] = json.loads(doubler.skerry.ok("module", "show", "doubler:1", "--output", "json"))[
        "images"
    ].values()
    assert image["checked"] == "yes"
    assert image["ports"] == ["5001/tcp"]
    assert image["reports"].keys() == {
        "sbom.cdx.json",
        "provenance.intoto.json",
        "environment.lock",
    }


def test_a_module_shows_what_its_image_says_of_itself(doubler: Doubler) -> None:
    bom = json.loads(doubler.skerry.ok("module", "show", "doubler:1", "--sbom"))
    [model] = [one for one in bom["components"] if one["type"] == "machine-learning-model"]
    assert {"name": "skerry:framework", "value": "plain"} in model["properties"]
    said = json.loads(doubler.skerry.ok("module", "show", "doubler:1", "--provenance"))
    assert said["predicateType"] == "https://slsa.dev/provenance/v1"
    assert doubler.skerry.ok("module", "show", "doubler:1", "--lock").startswith("six==1.17.0")
    rows = doubler.skerry.ok("module", "show", "doubler:1", "--licences").splitlines()
    assert any(row.startswith("MIT") and "six 1.17.0" in row for row in rows)
    assert rows[-1].startswith("not stated")
    assert "libc6" in rows[-1]
    form = ("--output", "json")
    assert json.loads(doubler.skerry.ok("module", "show", "doubler:1", "--sbom", *form)) == bom
    assert (
        "MIT"
        in json.loads(doubler.skerry.ok("module", "show", "doubler:1", "--licences", *form))[
            "licences"
        ]
    )


def test_a_platform_that_there_is_not_is_told(doubler: Doubler) -> None:
    refused = doubler.skerry("module", "show", "doubler:1", "--sbom", "--platform", "linux/arm")
    assert refused.returncode == 1
    assert "there is: linux/" in refused.stderr
