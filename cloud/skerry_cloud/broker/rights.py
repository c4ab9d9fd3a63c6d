"""Who may read and write which topics. Both brokers enforce exactly this.

A device reads what is meant for it and writes the rest below its own prefix; what it writes is
listed, so that a topic the contract gains later is closed until somebody opens it here.
"""

from dataclasses import dataclass

from skerry_contract import topics

_FROM_DEVICE = (
    topics.REPORTED,
    topics.STATE,
    topics.CAPS,
    topics.HEALTH,
    "t/#",
    "z/#",
    "data/#",
    "event/#",
    "log/#",
    "cmd/+/+/res",
)
_TO_DEVICE = (*topics.TO_DEVICE, "cmd/+/+/req")


@dataclass(frozen=True, slots=True)
class Rights:
    """What an account may do; nothing else is allowed.

    Attributes:
        read: Topic filters that it may subscribe to and receive from.
        write: Topic filters that it may publish to.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


SERVICE = Rights(read=(topics.EVERYTHING,), write=(topics.EVERYTHING,))
"""The cloud's own."""
VIEWER = Rights(read=(topics.EVERYTHING,))
"""People and integrations that read telemetry."""


def device_rights(fleet: str, device: str) -> Rights:
    """Return what one device may do.

    Raises:
        NameInvalidError: An id could not stand in a topic.
    """
    own = topics.DeviceTopics(fleet, device)
    return Rights(tuple(map(own, _TO_DEVICE)), tuple(map(own, _FROM_DEVICE)))
