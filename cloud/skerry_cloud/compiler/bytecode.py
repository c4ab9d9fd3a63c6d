"""Compile Python files ahead of time, so that modules start several times faster.

A module's root is read-only, so Python could never keep what it compiles. The files say themselves
that they need no check against their source, which is why times do not matter to them.
"""

import importlib.util
import sys
from pathlib import Path

from skerry_cloud.compiler.programs import run
from skerry_cloud.compiler.request import Progress

_MAGIC_3_11 = (3495).to_bytes(2, "little") + b"\r\n"
_TIMEOUT_S = 900.0


def compile_tree(folder: Path, prefix: str, progress: Progress) -> None:
    """Put a ``.pyc`` beside every Python file below ``folder`` that compiles.

    Args:
        folder: Where the files are now.
        prefix: Where they will be in the image, for tracebacks.
        progress: Is told if this Python cannot do it.
    """
    if importlib.util.MAGIC_NUMBER != _MAGIC_3_11:
        progress("not compiling Python files ahead: that needs a server on Python 3.11")
        return
    # A fresh process, and one: what Python writes depends on what it has read before.
    command = [sys.executable, "-I", "-m", "compileall", "-q", "-q", "-j", "1"]
    options = ["--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", f"/{prefix}"]
    # Files for other Pythons, such as test data, may fail; they were no use before either.
    run([*command, *options, folder], timeout_s=_TIMEOUT_S, cwd=folder)
