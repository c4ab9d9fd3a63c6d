"""For entry scripts: hold updates back while something must not be interrupted.

The device goes on to fetch and to try other versions; only the moment at which this module would
be ended waits. A lock is a lease: it ends by itself, when it is released, and with the process.
"""

import json
import os
import socket
from pathlib import Path
from typing import Any

from skerry_scorer.sockets import reachable

_ANSWER_S = 10.0
_MAX_ANSWER_BYTES = 64 * 1024


class UpdateLockError(Exception):
    """The agent did not take a lock, or cannot be asked; the text says why."""


def hold_updates(reason: str, *, lease_s: float = 300.0) -> str:
    """Hold back the switch to another version of this module, or of its neighbours.

    Calling it again renews the lease.

    Args:
        reason: Why, for whoever looks at the device; at most 300 characters.
        lease_s: Seconds after which it ends by itself, from 1 to 86400.

    Returns:
        Until when it holds, as a UTC time; empty where no agent could end this module.

    Raises:
        UpdateLockError: The switch is under way already, or the agent does not answer: be ready to
            be ended.
    """
    answer = _ask({"lock": {"reason": reason, "lease_s": lease_s}})
    return str(answer.get("until", ""))


def release_updates() -> None:
    """Hold updates back no longer.

    Raises:
        UpdateLockError: The agent does not answer; the lease ends by itself.
    """
    _ask({"unlock": True})


def _ask(wish: dict[str, Any]) -> dict[str, Any]:
    folder = os.environ.get("SKERRY_RUN_DIR")
    path = Path(folder, "agent.sock") if folder else None
    if path is None or not path.exists():
        return {}
    try:
        with socket.socket(socket.AF_UNIX) as link, reachable(path) as address:
            link.settimeout(_ANSWER_S)
            link.connect(address)
            link.sendall(json.dumps({"id": 1, **wish}).encode() + b"\n")
            with link.makefile("rb") as lines:
                answer = json.loads(lines.readline(_MAX_ANSWER_BYTES))
    except (OSError, ValueError) as error:
        raise UpdateLockError(f"agent.sock: {error}") from error
    if not isinstance(answer, dict) or not {"locked", "unlocked"} & answer.keys():
        told = answer.get("text") if isinstance(answer, dict) else None
        raise UpdateLockError(str(told or "the agent has no room for it"))
    return answer
