"""Judge what failed: try again after a pause, or never again; see ``docs/agent-states.md``."""

from skerry_contract.errors import GoldenError, InitFailedError, ProbeError, UnenforcedError
from skerry_contract.messages import Failure

ATTEMPTS = 3
"""How often a revision that is not committed may fail for reasons that might pass."""

_CERTAIN = frozenset({InitFailedError.code, GoldenError.code, UnenforcedError.code})


def is_bad(failure: Failure, *, failures: int, committed: bool) -> bool:
    """Return whether a revision should not be tried again.

    Args:
        failure: What happened now.
        failures: How many failures in a row there are, this one included.
        committed: Whether the revision has proven itself before; then it is never bad.
    """
    if committed:
        return False
    # All else (runtime, network, disk) says nothing about the revision.
    third = failure.code == ProbeError.code and failures >= ATTEMPTS
    return failure.code in _CERTAIN or third
