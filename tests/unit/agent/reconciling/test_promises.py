"""What is promised of deployments, held against some days on which everything happens."""

from pathlib import Path

import pytest

from support.story import check

SEEDS = 15


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_happens_the_promises_hold(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)
