"""Programs that tests need: missing ones fail, for a skip would look like a pass."""

import os
import shutil
import sys
from pathlib import Path

import pytest

_SEARCHED = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
)


def need(program: str, package: str) -> str:
    """Return the path of ``program``, or fail the test and say which package brings it."""
    found = shutil.which(program, path=_SEARCHED)
    if found is None:
        pytest.fail(f"{program} is missing: install {package}, or run scripts/test", pytrace=False)
    return found
