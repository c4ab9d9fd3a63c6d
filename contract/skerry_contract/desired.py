"""What the cloud wants of one device: the signed part of the desired document.

It has the form of TUF targets metadata (TUF specification 1.0.31, section 4.5), one target per
module: ``length`` and ``hashes`` are those of the module image's OCI manifest, ``custom`` says how
to run it. The device's id stands inside, under the signature, so that one device's document is
worthless to another.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from skerry_contract import shape
from skerry_contract.errors import ContractError
from skerry_contract.manifest import MODULES, DeviceId, ReferenceText, RunSettings, Window, Windows
from skerry_contract.names import Digest
from skerry_contract.shape import Range, Text

MAX_ENVELOPE_BYTES = 64 * 1024
"""Largest desired document that is sent or read."""

AGENT_LABEL = "io.skerry.agent"
"""Label of an image that is a release of the agent; its value is the agent's version."""

UtcTime = Annotated[
    str, Text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", 20, "a UTC time in whole seconds")
]
"""RFC 3339 in UTC and whole seconds."""
_Hex = Annotated[str, Text("[0-9a-f]{64}", 64, "64 hex digits")]


_DEFAULTS: dict[str, Any] = shape.write(RunSettings())


@dataclass(frozen=True, slots=True)
class ModuleSpec:
    """One module that a device should run.

    Attributes:
        image: ``name:version`` of the built module, for people.
        digest: Digest of its OCI manifest for this device's platform.
        size: Length of that manifest in bytes.
        run: How to run it.
        revision: Short hash over digest and settings: what differs in it runs differently.
            Settings at their defaults do not count, so that an agent which knows more of them
            finds what it ran before.
    """

    image: str
    digest: Digest
    size: int
    run: RunSettings
    revision: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given = _given(shape.write(self.run), _DEFAULTS)
        facts = json.dumps([self.digest, given], sort_keys=True)
        revision = hashlib.sha256(facts.encode()).hexdigest()[:12]
        object.__setattr__(self, "revision", revision)


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """The release of the agent that a device should run.

    Attributes:
        image: ``name:version`` of its image in the registry, for people.
        digest: Digest of its OCI manifest for this device's platform.
        size: Length of that manifest in bytes.
    """

    image: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Desired:
    """What one device should run, once its envelope has been verified.

    Attributes:
        fleet: Fleet of the device.
        device: The device this is for.
        version: Grows with every change; a device never goes back.
        time: When the cloud signed it.
        expires: After this it is not installed any more; what runs, runs on.
        deployment: ``name:version`` of the deployment, or "" when none is meant for the device.
        modules: What should run, by module name.
        agent: What should run them; None for whichever agent does.
        windows: When the device may go over to it; always, if there is none.
    """

    fleet: str
    device: str
    version: int
    time: datetime
    expires: datetime
    deployment: str
    modules: Mapping[str, ModuleSpec]
    agent: AgentSpec | None = None
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class _Hashes:
    sha256: _Hex


@dataclass(frozen=True, slots=True)
class _Custom:
    image: ReferenceText
    run: RunSettings


@dataclass(frozen=True, slots=True)
class _Target:
    length: Annotated[int, Range(1, 4 * 1024 * 1024)]
    hashes: _Hashes
    custom: _Custom


@dataclass(frozen=True, slots=True)
class _Agent:
    image: ReferenceText
    length: Annotated[int, Range(1, 4 * 1024 * 1024)]
    hashes: _Hashes


@dataclass(frozen=True, slots=True)
class _Signed:
    _type: Literal["targets"]
    spec_version: Annotated[str, Text(r"1\.[0-9]+(\.[0-9]+)?", 16, "TUF version 1.x")]
    version: Annotated[int, Range(1, 2**53)]
    expires: UtcTime
    targets: Annotated[Mapping[str, _Target], MODULES]
    x_fleet: DeviceId
    x_device: DeviceId
    x_time: UtcTime
    x_deployment: Annotated[str, Text(max_length=80)]
    x_agent: _Agent | None = None
    x_windows: Windows = ()


def read_signed(value: Any) -> Desired:
    """Read the ``signed`` part of a verified envelope.

    Raises:
        ContractError: A field is missing or wrong.
    """
    signed = shape.read(_Signed, value, subject="desired")
    return Desired(
        signed.x_fleet,
        signed.x_device,
        signed.version,
        read_time(signed.x_time),
        read_time(signed.expires),
        signed.x_deployment,
        {name: _spec(target) for name, target in signed.targets.items()},
        _agent(signed.x_agent) if signed.x_agent is not None else None,
        signed.x_windows,
    )


def write_signed(desired: Desired) -> dict[str, Any]:
    """Return the ``signed`` part that says ``desired``, ready to be signed."""
    agent = desired.agent
    said = {"x_agent": {"image": agent.image, **_vouched(agent)}} if agent is not None else {}
    windows = {"x_windows": shape.write(desired.windows)} if desired.windows else {}
    return {
        "_type": "targets",
        "spec_version": "1.0.31",
        "version": desired.version,
        "expires": write_time(desired.expires),
        "targets": {
            name: {
                **_vouched(spec),
                "custom": {"image": spec.image, "run": shape.write(spec.run)},
            }
            for name, spec in desired.modules.items()
        },
        "x_fleet": desired.fleet,
        "x_device": desired.device,
        "x_time": write_time(desired.time),
        "x_deployment": desired.deployment,
        **said,
        **windows,
    }


def read_time(text: str) -> datetime:
    """Read an RFC 3339 time in UTC and whole seconds.

    Raises:
        ContractError: There is no such date.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise ContractError(f"{text!r} is no time: {error}") from error


def write_time(moment: datetime) -> str:
    """Return ``moment`` as RFC 3339 in UTC and whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _spec(target: _Target) -> ModuleSpec:
    digest = Digest(f"sha256:{target.hashes.sha256}")
    return ModuleSpec(target.custom.image, digest, target.length, target.custom.run)


def _given(value: dict[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs from the defaults, at any depth."""
    return {
        name: _given(item, default[name])
        if isinstance(item, dict) and isinstance(default.get(name), dict)
        else item
        for name, item in value.items()
        if item != default.get(name)
    }


def _agent(given: _Agent) -> AgentSpec:
    return AgentSpec(given.image, Digest(f"sha256:{given.hashes.sha256}"), given.length)


def _vouched(spec: ModuleSpec | AgentSpec) -> dict[str, Any]:
    return {"length": spec.size, "hashes": {"sha256": spec.digest.removeprefix("sha256:")}}
