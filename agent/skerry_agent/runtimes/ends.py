"""Say in words how an instance ended, where it met a limit."""

from skerry_agent.runtimes import Exited, Pressure

_MIB = 1024 * 1024


def told(end: Exited | None) -> tuple[str, str]:
    """Return what to add to "it ended", and the remedy; two empty texts if no limit was met."""
    if end is None:
        return "", ""
    pressure = end.pressure
    if pressure.memory_kills:
        return _memory(pressure), (
            "Raise resources.memory_mb in the manifest, or use a smaller model."
            if pressure.memory_limit_bytes is not None
            else "The device itself is short of memory: run fewer modules, or set limits for them."
        )
    if pressure.pids_refused:
        text = (
            f"; it was refused another process or thread {pressure.pids_refused} times,"
            f" for it may have {pressure.pids_limit}"
        )
        return text, "Raise resources.pids in the manifest, or let the scorer use fewer threads."
    return "", ""


def _memory(pressure: Pressure) -> str:
    text = "; the kernel killed it for the memory it used"
    if pressure.memory_limit_bytes is not None:
        text += f": memory limit {pressure.memory_limit_bytes / _MIB:.0f} MiB"
    if pressure.memory_peak_bytes is not None:
        text += f", peak {pressure.memory_peak_bytes / _MIB:.0f} MiB"
    return text
