"""What was measured before and after a conversion, and whether the result may be registered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from skerry.output import size_text
from skerry_contract.shape import Size


@dataclass(frozen=True, slots=True)
class Measured:
    """What one model costs; one sample at a time on one thread where the runtime lets us choose.

    Attributes:
        load_ms: From importing the runtime to a model that can be called.
        latency_ms: Median of a call.
        latency_p95_ms: 95th percentile of a call.
        memory_bytes: Largest resident set of a process that runs nothing else.
        installed_bytes: Size of the runtime's packages and of all that they need.
        size_bytes: Size of the model's files.
    """

    load_ms: float
    latency_ms: float
    latency_p95_ms: float
    memory_bytes: int
    installed_bytes: int
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class OutputAgreement:
    """How far original and result agree on one output; see ``docs/howto/convert-a-model.md``.

    Attributes:
        output: Its name.
        task: What it was taken for: classification, binary, labels or regression.
        share: Share of samples that agree, 0 to 1.
        samples: How many there were.
        max_abs: Largest absolute difference; None where a number became none.
        max_rel: Largest relative difference; likewise.
        r2: Coefficient of determination; None where it is not defined.
    """

    output: str
    task: str
    share: float
    samples: int
    max_abs: float | None = None
    max_rel: float | None = None
    r2: float | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far they agree on all outputs."""

    outputs: Annotated[tuple[OutputAgreement, ...], Size(1, 1000)]

    @property
    def share(self) -> float:
        """Return the share of the output that agrees least."""
        return min(one.share for one in self.outputs)


def enough(agreement: Agreement, least: float) -> bool:
    """Tell whether a result may be registered: its worst output agrees on at least this share."""
    return agreement.share >= least


Row = tuple[str, str, str, str]


def rows(before: Measured, after: Measured) -> list[Row]:
    """Return the table of a conversion: what, before, after, and how many times better."""

    def sizes(what: str, of: Callable[[Measured], int]) -> Row:
        return what, size_text(of(before)), size_text(of(after)), times(of(before), of(after))

    def millis(what: str, of: Callable[[Measured], float]) -> Row:
        return what, _ms(of(before)), _ms(of(after)), times(of(before), of(after))

    return [
        sizes("size", lambda one: one.size_bytes),
        sizes("memory", lambda one: one.memory_bytes),
        sizes("runtime, installed", lambda one: one.installed_bytes),
        millis("load", lambda one: one.load_ms),
        millis("latency, median", lambda one: one.latency_ms),
        millis("latency, p95", lambda one: one.latency_p95_ms),
    ]


def agreement_rows(outputs: Sequence[OutputAgreement]) -> list[tuple[str, ...]]:
    """Return one row for each output."""
    return [
        (
            one.output,
            one.task,
            f"{one.share:.2%}",
            str(one.samples),
            _number(one.max_abs, one.task),
            _number(one.max_rel, one.task),
            _number(one.r2, one.task),
        )
        for one in outputs
    ]


AGREEMENT_COLUMNS = ("OUTPUT", "TASK", "AGREES", "SAMPLES", "MAX ABS", "MAX REL", "R2")
COLUMNS = ("", "BEFORE", "AFTER", "BETTER")


def times(before: float, after: float) -> str:
    """Return how many times smaller ``after`` is: ``4.0x``; below 1 it is larger."""
    return f"{before / after:.1f}x" if after else ""


def plain(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table as text, for where no other can be drawn."""
    everything = [columns, *lines]
    widths = [max(len(line[n]) for line in everything) for n in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in everything
    )


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"


def _number(value: float | None, task: str) -> str:
    if task == "labels":
        return ""
    return "not a number" if value is None else f"{value:.3g}"
