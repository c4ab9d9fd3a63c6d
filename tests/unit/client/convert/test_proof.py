"""What a conversion is judged by, and how it is shown."""

import pytest

from skerry.convert.proof import Agreement, Measured, OutputAgreement, enough, plain, rows

BEFORE = Measured(4000.0, 16.0, 20.0, 400 * 1024**2, 1024**3, 80 * 1024)
AFTER = Measured(200.0, 0.5, 1.0, 50 * 1024**2, 128 * 1024**2, 20 * 1024)


def agreement(*shares: float) -> Agreement:
    return Agreement(tuple(OutputAgreement("y", "labels", share, 100) for share in shares))


@pytest.mark.parametrize(
    ("shares", "least", "may"),
    [((1.0,), 1.0, True), ((0.98,), 0.99, False), ((0.99,), 0.99, True), ((1.0, 0.5), 0.9, False)],
)
def test_the_worst_output_decides(shares: tuple[float, ...], least: float, *, may: bool) -> None:
    assert enough(agreement(*shares), least) is may


def test_the_table_says_how_many_times_better() -> None:
    found = {row[0]: row[1:] for row in rows(BEFORE, AFTER)}

    assert found["size"] == ("80.0 KiB", "20.0 KiB", "4.0x")
    assert found["memory"] == ("400.0 MiB", "50.0 MiB", "8.0x")
    assert found["latency, median"] == ("16 ms", "0.5 ms", "32.0x")
    assert found["load"] == ("4000 ms", "200 ms", "20.0x")


def test_a_plain_table_is_aligned() -> None:
    assert plain(("A", "B"), [("long", "x")]) == "A     B\nlong  x"
