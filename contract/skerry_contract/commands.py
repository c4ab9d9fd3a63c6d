"""Commands: what the cloud asks of one device, once, and how the device answers.

    request ──► accepted ──► executing ──► successful | failed
            └─► rejected | expired
                accepted ──► expired

A request is signed as a desired document is, by the director, with the device, the command's id,
its number and its deadline in the signed part. Numbers count up for each device, so that a device
knows what it has seen whatever its clock says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from skerry_contract import shape
from skerry_contract.desired import UtcTime, read_time, write_time
from skerry_contract.envelope import SignedDocument, Trust, VerifyEd25519, check_signed
from skerry_contract.errors import ContractError, WrongDeviceError
from skerry_contract.manifest import DeviceId, Name
from skerry_contract.messages import Boot, Count, Failure, Time
from skerry_contract.names import NAME
from skerry_contract.shape import Range, Size, Text

MAX_REQUEST_BYTES = 8 * 1024
"""Largest request that a device reads."""
MAX_RESULT_BYTES = 48 * 1024
"""Largest result, as JSON; what is longer is cut down by whoever makes it."""
MAX_BUNDLE_BYTES = 16 * 1024 * 1024
"""Largest support bundle."""
DEADLINE_S = (1, 30 * 24 * 3600)
"""Least and most seconds between a command and its deadline."""
MAX_LEASE_S = 3600
"""Longest that the log of a module is sent for one command."""

CommandType = Literal[
    "restart",
    "logs",
    "check",
    "clear-bad",
    "set-log-level",
    "run-golden",
    "support-bundle",
    "reboot",
]
CommandState = Literal["accepted", "executing", "successful", "failed", "rejected", "expired"]
CommandId = Annotated[str, Text("[0-9a-f]{16}", 16, "the id of a command")]
LogLevel = Literal["debug", "info", "warning", "error"]
_MaybeName = Annotated[str, Text(f"({NAME})?", 63, "the name of a module, or nothing")]

FINAL: frozenset[CommandState] = frozenset({"successful", "failed", "rejected", "expired"})
"""States after which nothing comes."""
_RANKS: Mapping[CommandState, int] = {"accepted": 1, "executing": 2}
_LIMITS_S: Mapping[CommandType, float] = {
    "restart": 300,
    "logs": 30,
    "check": 120,
    "clear-bad": 30,
    "set-log-level": 30,
    "run-golden": 600,
    "support-bundle": 600,
    "reboot": 300,
}


@dataclass(frozen=True, slots=True)
class NoArgs:
    """Arguments of ``check``, ``clear-bad``, ``support-bundle`` and ``reboot``."""


@dataclass(frozen=True, slots=True)
class RestartArgs:
    """Arguments of ``restart``.

    Attributes:
        module: Which module; empty for the agent itself.
    """

    module: _MaybeName = ""


@dataclass(frozen=True, slots=True)
class LogsArgs:
    """Arguments of ``logs``.

    Attributes:
        module: Whose log; empty for the agent's own.
        seconds: How long it is sent.
        lines: How many lines of before come first, at most.
    """

    module: _MaybeName = ""
    seconds: Annotated[int, Range(1, MAX_LEASE_S)] = 60
    lines: Annotated[int, Range(0, 1000)] = 20


@dataclass(frozen=True, slots=True)
class LogLevelArgs:
    """Arguments of ``set-log-level``.

    Attributes:
        level: Least severity that the agent writes down, until it is started again.
    """

    level: LogLevel


@dataclass(frozen=True, slots=True)
class GoldenArgs:
    """Arguments of ``run-golden``.

    Attributes:
        module: Whose golden set is scored.
    """

    module: Name


Args = NoArgs | RestartArgs | LogsArgs | LogLevelArgs | GoldenArgs

ARGS: Mapping[CommandType, type[Args]] = {
    "restart": RestartArgs,
    "logs": LogsArgs,
    "check": NoArgs,
    "clear-bad": NoArgs,
    "set-log-level": LogLevelArgs,
    "run-golden": GoldenArgs,
    "support-bundle": NoArgs,
    "reboot": NoArgs,
}
"""The arguments of each type; its keys are all the types that there are."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command, as it was signed.

    Attributes:
        fleet: Fleet of the device.
        device: Whom it is meant for.
        id: What answers name; also in the topic.
        number: Counts up with every command for this device.
        type: What to do.
        issued: When the cloud signed it.
        deadline: After this it is not begun any more.
        args: What ``ARGS`` says, as it came.
    """

    fleet: str
    device: str
    id: str
    number: int
    type: str
    issued: datetime
    deadline: datetime
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """Payload of ``cmd/<type>/<id>/req``.

    Attributes:
        command: The command and who signed it.
        schema: Version of this format.
    """

    command: SignedDocument
    schema: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class Response:
    """Payload of ``cmd/<type>/<id>/res``.

    Attributes:
        boot: Boot id of the agent that says this.
        ts: When, by the device's clock.
        state: How far the command is.
        step: Counts up within one state; a response that comes late is told by it.
        text: What is being done, for people.
        failure: Why it was rejected, expired or failed.
        result: What came of it, at most ``MAX_RESULT_BYTES`` of JSON.
        schema: Version of this format.
    """

    boot: Boot
    ts: Time
    state: CommandState
    step: Count = 0
    text: Annotated[str, Text(max_length=2000)] = ""
    failure: Failure | None = None
    result: Any = None
    schema: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class LogLines:
    """Payload of ``log/<module>``: lines of a log, for as long as a command says.

    Attributes:
        boot: Boot id of the agent.
        ts: When, by the device's clock.
        lease: Id of the command that asked for them.
        first: Number of the first of these lines, from 1; what lies between two messages is lost.
        lines: The lines, without their ends.
        schema: Version of this format.
    """

    boot: Boot
    ts: Time
    lease: CommandId
    first: Annotated[int, Range(1, 2**53)]
    lines: Annotated[tuple[Annotated[str, Text(max_length=4096)], ...], Size(1, 500)]
    schema: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class _Signed:
    _type: Literal["command"]
    fleet: DeviceId
    device: DeviceId
    id: CommandId
    number: Annotated[int, Range(1, 2**53)]
    type: Name
    issued: UtcTime
    deadline: UtcTime
    args: Mapping[str, Any] = field(default_factory=dict)


def limit_s(type_: str, args: Args) -> float:
    """Return the seconds that a command may take once it is begun."""
    lease = args.seconds if isinstance(args, LogsArgs) else 0
    return lease + next((s for known, s in _LIMITS_S.items() if known == type_), 0.0)


def order(state: CommandState, step: int) -> tuple[int, int]:
    """Return what grows from response to response of one command; the end is the greatest."""
    return (9, 0) if state in FINAL else (_RANKS[state], step)


def read_args(type_: str, args: Mapping[str, Any]) -> Args:
    """Read the arguments of a command.

    Raises:
        ContractError: There is no such type, or an argument is wrong.
    """
    kind = next((kind for known, kind in ARGS.items() if known == type_), None)
    if kind is None:
        raise ContractError(
            f"{type_!r} is no command", remedy=f"There are: {', '.join(sorted(ARGS))}."
        )
    return shape.read(kind, args, strict=True, subject=type_)


def write_signed(command: Command) -> dict[str, Any]:
    """Return the part of a request that is signed."""
    return {
        "_type": "command",
        "fleet": command.fleet,
        "device": command.device,
        "id": command.id,
        "number": command.number,
        "type": command.type,
        "issued": write_time(command.issued),
        "deadline": write_time(command.deadline),
        "args": dict(command.args),
    }


def verify_request(
    data: bytes, *, trust: Trust, fleet: str, device: str, check: VerifyEd25519
) -> Command:
    """Return the command that a request holds, if a trusted key signed it for this device.

    Whether it was seen before, is in time and makes sense is for the device's journal.

    Args:
        data: The request as it came.
        trust: Keys pinned at flash.
        fleet: Fleet of this device.
        device: Id of this device.
        check: Verifies one Ed25519 signature.

    Raises:
        ContractError: It is no request, or what was signed has a wrong field.
        SignatureError: Too few trusted keys signed it.
        WrongDeviceError: It was signed for another device or fleet.
    """
    request = shape.parse(Request, data, max_bytes=MAX_REQUEST_BYTES, subject="command")
    check_signed(request.command, trust, check, subject=f"command for {device}")
    signed = shape.read(_Signed, request.command.signed, subject="command")
    if (signed.fleet, signed.device) != (fleet, device):
        raise WrongDeviceError(
            f"this is {fleet}/{device}, the command is for {signed.fleet}/{signed.device}"
        )
    return Command(
        signed.fleet,
        signed.device,
        signed.id,
        signed.number,
        signed.type,
        read_time(signed.issued),
        read_time(signed.deadline),
        signed.args,
    )
