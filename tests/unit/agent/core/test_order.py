"""Which modules come before which."""

import pytest

from skerry_agent.core.order import comes_before
from support.memory_device import spec


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"a": (), "b": ("a",)}, {"b": ("a",)}),
        ({"a": (), "b": ("a",), "c": ("b", "a")}, {"b": ("a",), "c": ("b", "a")}),
        ({"a": ("gone",)}, {}),
        ({"a": ("a",)}, {}),
        ({"a": ("b",), "b": ("a",)}, {}),
        ({"a": ("b",), "b": ("c",), "c": ("a",), "d": ("a",)}, {"d": ("a",)}),
        ({"a": ("b", "x"), "b": ("a",), "x": ()}, {"a": ("x",)}),
    ],
)
def test_the_order_is_that_of_the_manifest_without_its_circles(
    after: dict[str, tuple[str, ...]], expected: dict[str, tuple[str, ...]]
) -> None:
    modules = {name: spec(f"{name}:1", after=others) for name, others in after.items()}
    found = {name: comes_before(name, one, modules) for name, one in modules.items()}
    assert {name: others for name, others in found.items() if others} == expected
