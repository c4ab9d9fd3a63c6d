"""MQTT topics: ``skerry/v1/<fleet>/<device>/…``; see ``docs/topics.md`` for each with a payload.

A device reads ``desired``, ``ack`` and ``cmd/<type>/<id>/req`` below its own prefix and writes
everything else there; no one else does. Meaning never depends on MQTT 5.
"""

from dataclasses import dataclass

from skerry_contract.errors import NameInvalidError
from skerry_contract.names import check_device_id, check_name

ROOT = "skerry/v1"

DESIRED = "desired"
REPORTED = "reported"
STATE = "state"
CAPS = "caps"
HEALTH = "health"
ACK = "ack"

TO_DEVICE = (DESIRED, ACK)
"""What the cloud writes and the device reads, besides requests."""
REQUESTS = "cmd/+/+/req"
"""Filter of the commands for a device; their responses are on ``cmd/<type>/<id>/res``."""

EVERYTHING = f"{ROOT}/#"
"""Filter of the cloud's ingest."""


@dataclass(frozen=True, slots=True)
class DeviceTopics:
    """The topics of one device."""

    fleet: str
    device: str

    def __post_init__(self) -> None:
        check_device_id(self.fleet)
        check_device_id(self.device)

    @property
    def prefix(self) -> str:
        """Everything of this device stands below it, after a slash."""
        return f"{ROOT}/{self.fleet}/{self.device}"

    def __call__(self, tail: str) -> str:
        """Return the full topic of ``desired``, ``reported`` and so on."""
        return f"{self.prefix}/{tail}"

    def telemetry(self, module: str, stream: str) -> str:
        """Return the topic of one stream of one module."""
        return self(f"t/{check_name(module)}/{check_name(stream)}")

    def compressed(self, module: str, stream: str) -> str:
        """Return the topic of compressed batches of one stream, for the cloud alone."""
        return self(f"z/{check_name(module)}/{check_name(stream)}")

    def event(self, kind: str) -> str:
        """Return the topic of events of one type."""
        return self(f"event/{check_name(kind)}")

    def request(self, type_: str, command: str) -> str:
        """Return the topic on which a command is asked for."""
        return self(f"cmd/{check_name(type_)}/{check_name(command)}/req")

    def log(self, module: str) -> str:
        """Return the topic of the lines of a module's log."""
        return self(f"log/{check_name(module)}")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic taken apart: ``tail`` is ``("t", module, stream)``, ``("reported",)`` and so on."""

    fleet: str
    device: str
    tail: tuple[str, ...]


def parse(topic: str) -> Topic:
    """Take a device's topic apart.

    Raises:
        NameInvalidError: It is not a topic of this contract.
    """
    levels = topic.split("/")
    if levels[:2] != ROOT.split("/") or not 5 <= len(levels) <= 8:
        raise NameInvalidError(f"{topic[:200]!r} is no topic of a device")
    for level in levels[4:]:
        check_name(level)
    return Topic(check_device_id(levels[2]), check_device_id(levels[3]), tuple(levels[4:]))
