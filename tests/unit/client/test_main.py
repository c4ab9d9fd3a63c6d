"""The command where only a part of it is installed."""

import subprocess
import sys
from pathlib import Path

_BLOCK = """
import sys
sys.modules["click"] = None
from skerry.__main__ import main
sys.exit(main())
"""


def test_a_bare_device_is_told_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BLOCK],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=Path(__file__).parent,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'skerry[client]'" in done.stderr
    assert "Traceback" not in done.stderr
