"""A profile as a picture: how the latencies are spread, and the memory over time. SVG, by hand."""

import html
import math
from collections.abc import Iterable, Sequence

from skerry.profile.report import Measurements, percentile

_WIDTH, _HEIGHT, _LEFT, _TOP, _PLOT_H = 860, 560, 70, 60, 170
_PLOT_W = _WIDTH - _LEFT - 30
_INK, _BAR, _LINE, _MARK = "#333", "#4c78a8", "#e45756", "#888"
BINS = 50
MIB = 1024**2


def svg(name: str, run: Measurements) -> str:
    """Return the picture of one run as an SVG document.

    Args:
        name: What was profiled, for the heading.
        run: What was measured; without a single success the upper part says so.
    """
    heading = f"{name}: {run.queries} requests at {run.cpu:g} CPU, {run.memory_bytes / MIB:.0f} MiB"
    parts = [
        _text(_LEFT, 28, heading, 16, "start"),
        *_latencies(run.latencies_ms),
        *_memory(run),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def bins(values: Sequence[float], low: float, high: float, count: int = BINS) -> list[int]:
    """Return how many values fall into each of ``count`` equal steps from ``low`` to ``high``.

    What lies outside counts for the nearest step; ``high`` is above ``low``.
    """
    found = [0] * count
    for value in values:
        found[min(count - 1, max(0, int((value - low) / (high - low) * count)))] += 1
    return found


def ticks(high: float, most: int = 6) -> list[float]:
    """Return round numbers from 0 up to ``high``, which is above 0; at most ``most`` and 0."""
    raw = high / most
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
    return [step * n for n in range(int(high / step) + 1)]


def _latencies(values: Sequence[float]) -> Iterable[str]:
    yield _text(_LEFT, _TOP - 8, "requests by latency, in ms", 12, "start")
    if not values:
        yield _text(_LEFT + 20, _TOP + 60, "no request succeeded", 14, "start")
        return
    # The slowest hundredth is drawn at the edge, or it would squeeze the rest.
    high = max(percentile(values, 99) * 1.2, 1e-6)
    counts = bins(values, 0.0, high)
    most, width = max(counts) * 1.15, _PLOT_W / BINS
    for number, count in enumerate(counts):
        tall = count / most * _PLOT_H
        x, y = _LEFT + number * width, _TOP + _PLOT_H - tall
        size = f'width="{width - 1:.1f}" height="{tall:.1f}"'
        yield f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{_BAR}"/>'
    yield from _frame(_TOP, high, most)
    for row, percent in enumerate((50, 95, 99)):
        value = percentile(values, percent)
        x = _LEFT + min(value / high, 1.0) * _PLOT_W
        yield _stroke(x, _TOP, x, _TOP + _PLOT_H, _LINE)
        near = "end" if x > _LEFT + _PLOT_W * 0.8 else "start"
        shift = -4 if near == "end" else 4
        yield _text(x + shift, _TOP + 14 + 15 * row, f"p{percent} {value:.3g} ms", 11, near)


def _memory(run: Measurements) -> Iterable[str]:
    top = _TOP + _PLOT_H + 90
    yield _text(_LEFT, top - 8, "memory over time, in MiB against seconds", 12, "start")
    moments = run.moments
    if not moments:
        return
    last = max(moments[-1].at_s, 0.1)
    peak = max(run.peak_bytes / MIB, 1.0)
    high = max(peak * 1.15, min(run.memory_bytes / MIB, peak * 2) * 1.05)

    def place(at_s: float, mib: float) -> tuple[float, float]:
        return _LEFT + at_s / last * _PLOT_W, top + _PLOT_H * (1 - mib / high)

    for what, colour, values in (
        ("rss", _BAR, [(m.at_s, m.rss_bytes / MIB) for m in moments]),
        ("pss", _MARK, [(m.at_s, m.pss_bytes / MIB) for m in moments]),
    ):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*value) for value in values))
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        x, y = place(*values[-1])
        # Below its line, for above it there may be the other one.
        yield _text(x - 4, y + (-6 if what == "rss" else 14), what, 11, "end", colour)
    if run.memory_bytes / MIB <= high:
        _, y = place(0, run.memory_bytes / MIB)
        yield _stroke(_LEFT, y, _LEFT + _PLOT_W, y, _LINE)
        yield _text(_LEFT + 4, y - 4, f"limit {run.memory_bytes / MIB:.0f} MiB", 11, "start", _LINE)
    x, _ = place(min(run.cold_start_s, last), 0)
    yield _stroke(x, top, x, top + _PLOT_H, _LINE)
    yield _text(x + 4, top + _PLOT_H - 6, f"init() done, {run.cold_start_s:.2f} s", 11, "start")
    yield from _frame(top, last, high)


def _frame(top: float, x_high: float, y_high: float) -> Iterable[str]:
    bottom = top + _PLOT_H
    yield _stroke(_LEFT, bottom, _LEFT + _PLOT_W, bottom)
    yield _stroke(_LEFT, top, _LEFT, bottom)
    for value in ticks(x_high):
        x = _LEFT + value / x_high * _PLOT_W
        yield _stroke(x, bottom, x, bottom + 4)
        yield _text(x, bottom + 17, f"{value:.4g}", 11)
    for value in ticks(y_high, 4):
        y = bottom - value / y_high * _PLOT_H
        yield _stroke(_LEFT - 4, y, _LEFT, y)
        yield _text(_LEFT - 8, y + 4, f"{value:.4g}", 11, "end")


def _stroke(x1: float, y1: float, x2: float, y2: float, colour: str = _INK) -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{colour}"/>'


def _text(
    x: float, y: float, text: str, size: int, anchor: str = "middle", colour: str = _INK
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}">{html.escape(text)}</text>'
