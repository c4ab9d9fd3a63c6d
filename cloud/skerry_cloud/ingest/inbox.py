"""One MQTT message, read: what it is about, and whether it may be believed."""

import json
import zlib
from dataclasses import dataclass, replace
from typing import Any, get_args

from skerry_cloud.fleet.messages import TYPES, Kind
from skerry_contract import shape, topics
from skerry_contract.commands import LogLines, Response
from skerry_contract.errors import ContractError, NameInvalidError
from skerry_contract.messages import MAX_PAYLOAD_BYTES, Batch
from skerry_contract.topics import DeviceTopics

_KINDS: frozenset[str] = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came.

    Attributes:
        topic: MQTT topic.
        payload: Bytes of the payload.
        retained: Whether the broker repeated it from its memory.
        received: When, in seconds since 1970.
    """

    topic: str
    payload: bytes
    retained: bool
    received: float


@dataclass(frozen=True, slots=True)
class Statement:
    """The latest of one kind: what a device is, does or runs."""

    device: str
    kind: Kind
    value: Any
    message: Message


@dataclass(frozen=True, slots=True)
class Items:
    """Telemetry or events.

    Attributes:
        device: Who sent them.
        stream: ``module/stream`` or ``event/type``.
        batch: The items.
        data: The data of each, as JSON text.
        message: What they came in; of a compressed batch, what it is uncompressed, on the topic
            that everybody reads.
        hand_on: Whether others have not seen it yet.
    """

    device: str
    stream: str
    batch: Batch
    data: tuple[str, ...]
    message: Message
    hand_on: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device says of a command."""

    device: str
    command: str
    response: Response


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a log that a command asked for."""

    device: str
    lines: LogLines


Entry = Statement | Items | Answer | Lines


def read(message: Message, fleet: str) -> Entry | None:
    """Read a message; None if it is not for us, such as what we sent ourselves.

    Raises:
        NameInvalidError: It is on no topic of the contract.
        ContractError: Its payload is wrong; ``path`` leads to the field.
    """
    topic = topics.parse(message.topic)
    # An empty payload is how a retained message is cleared.
    if topic.fleet != fleet or not message.payload or topic.tail in _OURS:
        return None
    match topic.tail:
        case (kind,) if kind in _KINDS:
            known: Any = kind
            value = _parse(TYPES[known], message)
            _text(shape.write(value), ())
            return Statement(topic.device, known, value, message)
        case ("t", module, stream):
            return _items(topic.device, f"{module}/{stream}", message)
        case ("z", module, stream):
            plain = DeviceTopics(fleet, topic.device).telemetry(module, stream)
            inflated = replace(message, topic=plain, payload=_inflated(message))
            return replace(
                _items(topic.device, f"{module}/{stream}", inflated), hand_on=not message.retained
            )
        case ("event", type_):
            return _items(topic.device, f"event/{type_}", message)
        case ("cmd", _, command, "res"):
            response: Response = _parse(Response, message)
            _text(shape.write(response), ())
            return Answer(topic.device, command, response)
        case ("log", _):
            return Lines(topic.device, _parse(LogLines, message))
        case _:
            raise NameInvalidError(f"nothing is expected on {message.topic}")


def _inflated(message: Message) -> bytes:
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(message.payload, MAX_PAYLOAD_BYTES)
    except zlib.error as error:
        raise ContractError(f"not zlib: {error}", subject=message.topic) from error
    if not inflater.eof or inflater.unused_data:
        reason = f"is cut off, or has more than {MAX_PAYLOAD_BYTES} bytes"
        raise ContractError(reason, subject=message.topic)
    return data


_OURS = frozenset((tail,) for tail in topics.TO_DEVICE)


def _items(device: str, stream: str, message: Message) -> Items:
    batch: Batch = _parse(Batch, message)
    lowest = min(item.seq for item in batch.items)
    if batch.floor > lowest:
        raise ContractError(f"is above {lowest}, which it sends", ("floor",), subject=message.topic)
    data = []
    for index, item in enumerate(batch.items):
        _text(item.ts, ("items", index, "ts"))
        data.append(_text(item.data, ("items", index, "data")))
    return Items(device, stream, batch, tuple(data), message)


def _text(value: Any, path: shape.Path) -> str:
    """Return ``value`` as JSON text that every database and parser takes.

    JSON from outside can hold what neither does: half a surrogate pair, or 1e999.
    """
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode("utf-8")
    except ValueError as error:
        raise ContractError(f"cannot be stored: {error}", path) from error
    return text


def _parse(kind: type[Any], message: Message) -> Any:
    return shape.parse(kind, message.payload, max_bytes=MAX_PAYLOAD_BYTES, subject=message.topic)
