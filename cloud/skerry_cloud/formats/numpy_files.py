"""NumPy's ``.npy`` (NEP 1, ``numpy.lib.format``); objects in it are a pickle."""

import re

from skerry_cloud.formats.finding import DamagedError, Finding
from skerry_cloud.formats.source import Source

MAX_HEADER = 256 * 1024
_MAGIC = b"\x93NUMPY"


def read(source: Source, path: str) -> Finding | None:
    """Read the header of an array, or return None if it is something else.

    Raises:
        DamagedError: There is no header.
        TooCostlyError: The budget is used up.
    """
    start = source.start(12)
    if not start.startswith(_MAGIC):
        return None
    width = 2 if start[6:7] == b"\x01" else 4
    length = int.from_bytes(start[8 : 8 + width], "little")
    if length > MAX_HEADER:
        raise DamagedError(f"its header claims {length} bytes")
    header = source.at(8 + width, length).decode("latin-1")
    descr = re.search(r"""['"]descr['"]\s*:\s*(.+?)\s*,?\s*['"](?:fortran_order|shape)""", header)
    shape = re.search(r"""['"]shape['"]\s*:\s*\(([0-9, ]*)\)""", header)
    if descr is None:
        raise DamagedError("its header names no type")
    holds_objects = re.search(r"""['"][|<>=]?O\d*['"]""", descr[1])
    why = "its objects are stored as a pickle" if holds_objects else ""
    dtype = descr[1].strip("'\"")[:200]
    facts = {"dtype": dtype, "shape": shape[1].strip(" ,") if shape else ""}
    return Finding(path, "numpy", why, facts=facts)
