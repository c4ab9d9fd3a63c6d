"""What is promised of deployments, held against a thousand days on which everything happens.

Slow, since each takes a quarter of a second: the unit tests tell fifteen others.
"""

from pathlib import Path

import pytest

from support.story import check

SEEDS = 1000


@pytest.mark.parametrize("seed", range(1000, 1000 + SEEDS))
def test_whatever_happens_the_promises_hold(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)
