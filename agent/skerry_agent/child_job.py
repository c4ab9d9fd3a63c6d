"""The child's side of heavy work: one job on standard input, under a memory limit.

Exit status 0: done. 1: one line of JSON with ``code`` and ``text`` on standard output.
"""

import errno
import json
import resource
import sys
from collections.abc import Callable

from skerry_contract import shape
from skerry_contract.errors import ContractError, NoSpaceError, RuntimeFailedError, SkerryError

_MAX_JOB_BYTES = 256 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)


def do(kind: type[shape.T], work: Callable[[shape.T], None], *, memory_bytes: int) -> int:
    """Do the job that stands on standard input, and return the exit status.

    Args:
        kind: What a job is.
        work: Does it.
        memory_bytes: Most memory that this process may have from here on: what comes from outside
            must end this process and not the device.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    try:
        given = sys.stdin.buffer.read(_MAX_JOB_BYTES)
        work(shape.parse(kind, given, max_bytes=_MAX_JOB_BYTES))
    except SkerryError as error:
        return _fail(error.code, error.text)
    except OSError as error:
        code = NoSpaceError.code if error.errno in _FULL else RuntimeFailedError.code
        return _fail(code, str(error))
    except MemoryError:
        return _fail(ContractError.code, f"it needs more than {memory_bytes} bytes of memory")
    return 0


def _fail(code: str, text: str) -> int:
    json.dump({"code": code, "text": text}, sys.stdout)
    return 1
