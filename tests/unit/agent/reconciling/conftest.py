"""A device in memory that has committed a first deployment of two modules."""

from pathlib import Path

import pytest

from support.memory_device import MemoryDevice, spec
from support.stepped_agent import SteppedAgent


@pytest.fixture
def device() -> MemoryDevice:
    return MemoryDevice()


@pytest.fixture
def agent(device: MemoryDevice, tmp_path: Path) -> SteppedAgent:
    """An agent that serves ``a:1`` and ``b:1``."""
    made = SteppedAgent(device, tmp_path)
    made.want({"a": spec("a:1"), "b": spec("b:1")})
    assert made.until(made.is_settled, 60)
    device.log.clear()
    return made
