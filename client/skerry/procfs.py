"""What /proc says of processes and all below them."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> Iterator[int]:
    """Yield a process and all below it; those that have ended are left out."""
    left = [pid]
    while left:
        one = left.pop()
        yield one
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(OSError):
                left += map(int, children.read_text("ascii").split())


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and all below it; what has ended counts nothing."""
    total = 0
    for one in family(pid):
        with suppress(OSError, IndexError, ValueError):
            total += int(Path(f"/proc/{one}/statm").read_text("ascii").split()[1]) * _PAGE
    return total


def proportional_bytes(pid: int) -> int:
    """Return the same with shared pages divided among who shares them (PSS)."""
    total = 0
    for one in family(pid):
        with suppress(OSError, StopIteration, ValueError):
            lines = Path(f"/proc/{one}/smaps_rollup").read_text("ascii", "replace").splitlines()
            total += int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024
    return total


def cpu_s(pid: int) -> float:
    """Return the processor time that a process and all below it have used, in seconds."""
    total = 0
    for one in family(pid):
        with suppress(OSError, IndexError, ValueError):
            # The program's name stands in parentheses and may hold anything.
            stat = Path(f"/proc/{one}/stat").read_text("utf-8", "replace").rpartition(")")[2]
            total += sum(map(int, stat.split()[11:13]))
    return total / _TICKS_PER_S
