"""How far one device is with one deployment: a decision over what is wanted and what it says."""

from dataclasses import dataclass
from typing import Literal

from skerry_cloud.fleet.devices import Device
from skerry_contract import messages
from skerry_contract.messages import Failure, Reported

Phase = Literal["waiting", "superseded"] | messages.Phase


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a device is with a deployment.

    Attributes:
        phase: ``waiting`` until the device has spoken about it, ``superseded`` once something else
            is meant for it, else what the device says.
        failure: Why it was refused, or does not go on.
        bytes: How far the pull is.
    """

    phase: Phase
    failure: Failure | None = None
    bytes: messages.Progress | None = None


def progress(device: Device, deployment: str) -> Progress:
    """Return how far ``device`` is with ``deployment``, written ``name:version``."""
    wanted, reported = device.desired, device.latest.reported
    if wanted is None or wanted.deployment != deployment:
        return Progress("superseded")
    if reported is None or reported.version < wanted.version:
        return Progress("waiting", _refusal_before_reading(reported))
    return Progress(reported.phase, reported.failure or _worst(reported), reported.progress)


def _refusal_before_reading(reported: Reported | None) -> Failure | None:
    """Return why a device did not even accept a document, such as a wrong signature."""
    return reported.failure if reported else None


def _worst(reported: Reported) -> Failure | None:
    found = (module.failure for module in reported.modules.values() if module.failure)
    return next(found, None)
