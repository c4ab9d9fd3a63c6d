"""What the client expects of the API's answers is what the server says.

Each side has classes of its own: the server's say everything, in its own terms, and the client's
only what it uses, with defaults for servers that do not say it yet. Here they are held together.
"""

import dataclasses
import inspect

import pytest

from skerry import answers
from skerry_cloud.api import answers as said
from skerry_cloud.formats import Finding
from skerry_cloud.registry import new_model

ELSEWHERE = {
    # The server makes these of other classes: the identity of a device, and where its broker is.
    "BrokerAddress",
    "Identity",
    "Info",
    # Under other names, or in the server's own registry.
    "DataSet",
    "DesiredState",
    "Finding",
    "ModelResources",
    "ScoringFailures",
    "Tensor",
}


def own(module: object) -> dict[str, type]:
    return {
        name: kind
        for name, kind in vars(module).items()
        if inspect.isclass(kind)
        and dataclasses.is_dataclass(kind)
        and kind.__module__ == getattr(module, "__name__", "")
    }


EXPECTED = own(answers)


@pytest.mark.parametrize("name", sorted(EXPECTED.keys() - ELSEWHERE))
def test_every_field_that_is_expected_is_said(name: str) -> None:
    expected = {one.name for one in dataclasses.fields(EXPECTED[name])}
    assert expected <= {one.name for one in dataclasses.fields(own(said)[name])}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("DesiredState", said.Desired),
        ("Finding", Finding),
        ("DataSet", new_model.DataSet),
        ("ModelResources", new_model.ModelResources),
    ],
)
def test_the_same_under_another_name(name: str, kind: type) -> None:
    expected = {one.name for one in dataclasses.fields(EXPECTED[name])}
    assert expected <= {one.name for one in dataclasses.fields(kind)}
