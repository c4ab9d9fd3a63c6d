"""Which bytes a ``Range`` header asks for."""

import pytest

from skerry_cloud.api.ranges import parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("", None, id="no header"),
        pytest.param("bytes=500-1499", (500, 1499), id="from and to"),
        pytest.param("bytes=500-", (500, 2047), id="from"),
        pytest.param("bytes=-500", (1548, 2047), id="the end"),
        pytest.param("bytes=-5000", (0, 2047), id="more than there is, from the end"),
        pytest.param("bytes=2000-5000", (2000, 2047), id="cut at the end"),
        pytest.param("bytes=0-0", (0, 0), id="one byte"),
        pytest.param("bytes=-", None, id="nothing at all"),
        pytest.param("bytes=0-1,4-5", None, id="two ranges"),
        pytest.param("lines=1-2", None, id="another unit"),
        pytest.param("bytes=x-y", None, id="no numbers"),
    ],
)
def test_a_range_names_its_first_and_last_byte(
    header: str, expected: tuple[int, int] | None
) -> None:
    assert parse_range(header, 2048) == expected


@pytest.mark.parametrize("header", ["bytes=500-0", "bytes=2048-", "bytes=5000-10000", "bytes=-0"])
def test_a_range_outside_cannot_be_satisfied(header: str) -> None:
    found = parse_range(header, 2048)
    assert found is not None
    assert found[0] > found[1]


def test_nothing_of_an_empty_blob_can_be_asked_for() -> None:
    for header in ("bytes=0-0", "bytes=-1", "bytes=0-"):
        found = parse_range(header, 0)
        assert found is not None
        assert found[0] > found[1]
