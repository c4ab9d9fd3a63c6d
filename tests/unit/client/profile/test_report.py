"""From numbers to what is recommended."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest

from skerry.profile.plot import bins, svg, ticks
from skerry.profile.report import (
    GB,
    Measurements,
    Moment,
    document,
    percentile,
    recommended_cpu,
    recommended_memory,
)


def run(
    cpu: float, latencies_ms: Sequence[float], *, used: float = 0.5, failures: Sequence[str] = ()
) -> Measurements:
    moments = tuple(Moment(n / 10, 100 << 20, 90 << 20, n / 10 * used) for n in range(20))
    return Measurements(cpu, 512 << 20, "hands", 0.3, latencies_ms, failures, 2.0, 1.0, moments)


@pytest.mark.parametrize(
    ("peak", "wanted"), [(0.04 * GB, 0.05), (0.05 * GB, 0.1), (0.4 * GB, 0.5), (0.41 * GB, 0.55)]
)
def test_memory_is_the_peak_and_a_quarter_in_steps(peak: float, wanted: float) -> None:
    assert recommended_memory(int(peak)) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("used", "cpu", "wanted"), [(0.5, 2.0, 0.7), (0.01, 1.0, 0.1), (0.95, 1.0, 1.0)]
)
def test_one_run_recommends_what_was_used_and_a_quarter(
    used: float, cpu: float, wanted: float
) -> None:
    assert recommended_cpu([run(cpu, [5.0], used=used)]) == pytest.approx(wanted)


@pytest.mark.parametrize(("half", "wanted"), [(11.0, 0.5), (13.0, 1.0)])
def test_of_several_the_smallest_that_is_nearly_as_fast_is_recommended(
    half: float, wanted: float
) -> None:
    runs = [run(0.25, [100.0] * 10), run(0.5, [half] * 10), run(1.0, [10.0] * 10)]
    assert recommended_cpu(runs) == wanted


def test_the_busiest_half_second_counts() -> None:
    quiet = [Moment(n / 10, 1, 1, 0.0) for n in range(10)]
    busy = [Moment(1 + n / 10, 1, 1, n / 10) for n in range(10)]
    found = Measurements(2.0, 1, "hands", 0.1, [1.0], [], 2.0, 0.9, (*quiet, *busy))
    assert found.peak_cpu == pytest.approx(1.0)


@pytest.mark.parametrize(("values", "wanted"), [([], 0.0), ([3.0], 3.0), ([1.0, 2.0, 3.0], 2.0)])
def test_percentiles_of_few_values(values: list[float], wanted: float) -> None:
    assert percentile(values, 50) == wanted


def test_programs_find_the_originals_names() -> None:
    found = document("echo", [run(1.0, [10.0, 20.0, 30.0], failures=["a.json: 500 no"] * 2)])

    assert (found["totalQueries"], found["successQueries"], found["successRate"]) == (5, 3, 60.0)
    assert found["averageLatencyInMs"] == 20.0
    assert found["maxUtilizedMemory"] == pytest.approx(100 / 1024, abs=1e-4)
    assert found["errors"] == ["a.json: 500 no"]
    assert found["runs"][0]["requestedCpu"] == 1.0


@pytest.mark.parametrize("latencies", [[], [1.0], [1.0, 2.0, 50.0] * 30])
def test_the_picture_is_well_formed_whatever_was_measured(latencies: list[float]) -> None:
    drawn = ET.fromstring(svg("a <b> & c", run(1.0, latencies)))  # noqa: S314 - our own text
    texts = [one.text or "" for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert any(text.startswith("a <b> & c: ") for text in texts)
    assert any("p99" in text for text in texts) == bool(latencies)


def test_what_lies_outside_counts_at_the_edge() -> None:
    assert bins([-1.0, 0.0, 0.6, 1.0, 9.0], 0.0, 1.0, 2) == [2, 3]


@pytest.mark.parametrize(
    ("high", "wanted"), [(10.0, [0, 2, 4, 6, 8, 10]), (0.7, [0, 0.2, 0.4, 0.6]), (1.0, 6)]
)
def test_ticks_are_round(high: float, wanted: object) -> None:
    found = ticks(high)
    assert len(found) == wanted if isinstance(wanted, int) else found == pytest.approx(wanted)
