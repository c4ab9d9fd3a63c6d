"""What a benchmark found, as a table for people or as JSON for programs."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


def load() -> str:
    """Return the load averages of the last 1, 5 and 15 minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def machine() -> dict[str, str]:
    """Return what this machine is, and how busy."""
    kibibytes = int(Path("/proc/meminfo").read_text("ascii").split()[1])
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {kibibytes // 1024**2} GiB",
        "kernel": platform.release(),
        "load before": load(),
    }


@dataclass(frozen=True, slots=True)
class Figure:
    """One number.

    Attributes:
        what: What was measured, and of whom.
        value: The number; a median wherever there was more than one.
        unit: Its unit; ``x`` marks a ratio.
    """

    what: str
    value: float
    unit: str


@dataclass
class Results:
    """All that one benchmark found.

    Attributes:
        name: What the benchmark is called.
        not_shown: What one might read into the numbers and should not.
        figures: The numbers, in the order in which they are shown.
        machine: Where they were measured.
    """

    name: str
    not_shown: Sequence[str]
    figures: list[Figure] = field(default_factory=list)
    machine: dict[str, str] = field(default_factory=machine)

    def add(self, what: str, value: float, unit: str) -> None:
        """Note a number."""
        self.figures.append(Figure(what, round(value, 4), unit))

    def version(self, program: str, text: str) -> None:
        """Note the version of a program that was used."""
        self.machine[program] = text.strip()

    def as_json(self) -> str:
        """Return everything for programs."""
        return json.dumps({**asdict(self), "load_after": load()}, indent=1)

    def as_text(self) -> str:
        """Return everything for people."""
        width = max(len(figure.what) for figure in self.figures)
        lines = [self.name, ""]
        lines += [f"  {key:12} {value}" for key, value in self.machine.items()]
        lines += [f"  {'load after':12} {load()}", ""]
        lines += [f"  {f.what:{width}}  {f.value:>10.2f} {f.unit}" for f in self.figures]
        lines += ["", "  What this does not show:", *(f"  * {text}" for text in self.not_shown)]
        return "\n".join(lines)
