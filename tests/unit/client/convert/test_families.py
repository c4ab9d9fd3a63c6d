"""Locks travel with the package, and give way to the version that a model needs."""

import pytest

from skerry.convert import families
from skerry.convert.families import LOCKS


@pytest.mark.parametrize("family", ["keras2", "keras3", "sklearn", "onnx"])
def test_every_lock_has_a_hash_for_each_package(family: str) -> None:
    text = (LOCKS / f"{family}.lock").read_text()
    packages = [line for line in text.splitlines() if "==" in line]

    assert packages
    assert all(line.endswith("\\") for line in packages)
    assert text.count("--hash=sha256:") >= len(packages)


def test_a_pinned_package_takes_the_place_of_what_was_asked_for() -> None:
    asked = "scikit-learn>=1.6\nscikit-learn-extra>=1\nonnx\n"
    found = families._without(asked, ["scikit-learn==1.5.2"])
    assert found == "scikit-learn-extra>=1\nonnx\nscikit-learn==1.5.2\n"
