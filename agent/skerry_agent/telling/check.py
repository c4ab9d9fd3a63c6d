"""Find what is wrong on a device: each finding says what was seen and how to mend it."""

from collections.abc import Callable, Iterator

from skerry_agent.home import Home
from skerry_agent.runtimes import Runtime
from skerry_agent.telling.check_machine import check_machine
from skerry_agent.telling.check_network import check_network
from skerry_agent.telling.finding import Finding


def check(home: Home, make_runtime: Callable[[], Runtime]) -> Iterator[Finding]:
    """Yield one finding per check, as they are made; none takes more than a few seconds.

    Args:
        home: The device folder.
        make_runtime: Sets up the runtime, or raises what keeps it from working.
    """
    yield Finding("folder", "ok", f"{home.config.fleet}/{home.config.device} in {home.folder}")
    yield from check_machine(home, make_runtime)
    yield from check_network(home)
