"""Compare two versions of a module on the same inputs, and decide; values in, values out."""

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from skerry_contract.manifest import Shadow
from skerry_contract.messages import ShadowReport

_MAX_SHOWN = 5


@dataclass(slots=True)
class Tally:
    """What was found so far.

    Attributes:
        settings: What is asked for.
        agreed: Results that agreed.
        old_ms: Milliseconds that the old version took, for each input.
        new_ms: The same of the new one.
        differences: What the first results that did not agree were.
    """

    settings: Shadow
    agreed: int = 0
    old_ms: list[float] = field(default_factory=list)
    new_ms: list[float] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def add(self, old: Any, new: Any, *, old_ms: float, new_ms: float) -> None:
        """Note what both versions made of one input."""
        self.old_ms.append(old_ms)
        self.new_ms.append(new_ms)
        if agrees(old, new, self.settings.tolerance_percent / 100):
            self.agreed += 1
        elif len(self.differences) < _MAX_SHOWN:
            self.differences.append(f"old: {old!r:.300}\nnew: {new!r:.300}")

    @property
    def is_full(self) -> bool:
        """Whether enough inputs were compared."""
        return len(self.old_ms) >= self.settings.inputs

    def report(self) -> ShadowReport:
        """Return it as the device reports it."""
        old_ms, new_ms = (median(ms) if ms else 0.0 for ms in (self.old_ms, self.new_ms))
        return ShadowReport(len(self.old_ms), self.agreed, round(old_ms, 3), round(new_ms, 3))

    def refusal(self) -> str:
        """Return why the new version is not to take over, or "" if it may."""
        told, asked = self.report(), self.settings
        if told.inputs and told.agreed * 100 < asked.agree_percent * told.inputs:
            return f"agreed with what runs on {told.agreed} of {told.inputs} inputs"
        if asked.slower_percent is None or not told.inputs:
            return ""
        if told.new_ms > told.old_ms * (1 + asked.slower_percent / 100):
            return f"took {told.new_ms:.1f} ms, and what runs takes {told.old_ms:.1f} ms"
        return ""


def describe(told: ShadowReport) -> str:
    """Return a comparison in words."""
    if not told.inputs:
        return "no input came to compare it on"
    return (
        f"agreed on {told.agreed} of {told.inputs} inputs, "
        f"{told.new_ms:.1f} ms against {told.old_ms:.1f} ms"
    )


def agrees(old: Any, new: Any, tolerance: float) -> bool:
    """Return whether a new result says what the old one says.

    Args:
        old: JSON value; fields that it does not name are free.
        new: JSON value.
        tolerance: By how much a number may differ, as a share of the old one.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return all(name in new and agrees(old[name], new[name], tolerance) for name in old)
    if isinstance(old, list) and isinstance(new, list):
        pairs = zip(old, new, strict=False)
        return len(old) == len(new) and all(agrees(*pair, tolerance) for pair in pairs)
    if _is_number(old) and _is_number(new):
        return bool(abs(new - old) <= tolerance * abs(old))
    return type(old) is type(new) and bool(old == new)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
