"""Every error that Skerry raises on purpose.

    SkerryError
    ├── ContractError            a document has a wrong field
    │   └── ManifestError        the same, in a file that a person wrote: with line and column
    ├── NameInvalidError         a name, id, reference or digest is spelled wrongly
    ├── NotFoundError            what was asked for does not exist
    ├── ConflictError            it exists already, or something else still needs it
    ├── UnauthorizedError        the credentials are missing or wrong
    ├── TrustError               a desired document is not to be obeyed
    │   ├── SignatureError       no trusted key signed it
    │   ├── ExpiredError         its time is over
    │   ├── RollbackError        it is older than what was seen already
    │   └── WrongDeviceError     it is meant for another device
    ├── DigestError              bytes are not what their digest promised
    ├── NoSpaceError             the disk, or a byte limit, has no room
    ├── DataBudgetError          a month's data is used up
    ├── NetworkError             the network failed; trying again may help
    │   ├── BrokerError          the MQTT broker did not take the connection
    │   ├── DatabaseError        the database of the server did not answer
    │   ├── ObjectStoreError     the object store of the server did not answer, or refused
    │   └── RegistryError        the registry answered, but not with what was asked for
    ├── DeadlineError            what was waited for did not happen in time
    ├── ModelError               the files of a model cannot be registered
    ├── ScorerError              ``score.py`` cannot work
    │   └── InitFailedError      its ``init()`` raised, or it could not be imported
    ├── EnvironmentFileError     an environment cannot be resolved for the platform
    ├── RuntimeFailedError       a runtime could not start, stop or see a module
    ├── UnenforcedError          a device cannot hold a module to what its manifest requires
    ├── CommandError             a command to a device was not carried out
    ├── ProbeError               a module did not become ready in time, or ended by itself
    └── GoldenError              a module answered its golden set differently

Anything else that escapes is a bug. ``code`` is what crosses the wire and what people group by;
the message says what happened and to what, ``remedy`` what to do next. Which HTTP status an error
becomes is the business of the cloud's API, so none is kept here.
"""

from collections.abc import Iterator
from typing import ClassVar


class SkerryError(Exception):
    """Root of every deliberate failure; catch it only where a process meets the world.

    Args:
        text: What happened, naming the device, module, file or digest.
        remedy: What the reader can do about it; empty if nothing but waiting helps.
        detail: Longer evidence, such as a traceback or the last lines of a log.

    Attributes:
        code: Stable identifier, unique to the class, never reused and never renamed.
        retryable: Whether the same call may succeed later with nobody changing anything.
    """

    code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(self, text: str, *, remedy: str = "", detail: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.remedy = remedy
        self.detail = detail


class ContractError(SkerryError):
    """A document does not follow the contract, so acting on it would be a guess.

    Attributes:
        path: Keys and indexes that lead to the wrong field; empty for the document itself.
        reason: What is wrong with that field, without its path.
    """

    code = "CONTRACT"

    def __init__(
        self, reason: str, path: tuple[str | int, ...] = (), *, subject: str = "", remedy: str = ""
    ) -> None:
        where = path_text(path)
        super().__init__(
            ": ".join(part for part in (subject, where, reason) if part), remedy=remedy
        )
        self.path = path
        self.reason = reason


class ManifestError(ContractError):
    """A deployment manifest or other hand-written file has a wrong field."""

    code = "MANIFEST"


class NameInvalidError(SkerryError):
    """A name, id, reference or digest is not spelled as the contract wants it."""

    code = "NAME"


class NotFoundError(SkerryError):
    """What was asked for does not exist."""

    code = "NOT_FOUND"


class ConflictError(SkerryError):
    """It exists already, or it cannot go because something still needs it."""

    code = "CONFLICT"


class UnauthorizedError(SkerryError):
    """The credentials are missing or wrong."""

    code = "UNAUTHORIZED"


class TrustError(SkerryError):
    """A desired document is not to be obeyed."""

    code = "TRUST"


class SignatureError(TrustError):
    """No trusted key signed this document."""

    code = "SIGNATURE"


class ExpiredError(TrustError):
    """The document was good until a time that has passed."""

    code = "EXPIRED"


class RollbackError(TrustError):
    """The document is older than one that was accepted before."""

    code = "ROLLBACK"


class WrongDeviceError(TrustError):
    """The document is meant for another device or fleet."""

    code = "WRONG_DEVICE"


class DigestError(SkerryError):
    """Bytes hash to something other than the digest that named them."""

    code = "DIGEST"


class NoSpaceError(SkerryError):
    """The disk or a byte limit has no room; nothing was half written."""

    code = "NO_SPACE"
    retryable = True


class DataBudgetError(SkerryError):
    """What a cause may send and receive in a month is used up."""

    code = "DATA_BUDGET"
    retryable = True


class NetworkError(SkerryError):
    """The network failed on the way; nobody is to blame yet.

    Attributes:
        retry_after_s: Seconds for which the other side wants to be left alone; 0 if it did not say.
        advanced: Whether a good part of the work was done, so that soon is a good time to go on.
    """

    code = "NET"
    retryable = True
    retry_after_s: float = 0.0
    advanced: bool = False


class BrokerError(NetworkError):
    """The MQTT broker did not start, or did not take the connection."""

    code = "BROKER"


class DatabaseError(NetworkError):
    """The database of the server did not answer, or ended the connection."""

    code = "DATABASE"


class ObjectStoreError(NetworkError):
    """The object store of the server did not answer, or refused what the server asked for."""

    code = "OBJECT_STORE"


class RegistryError(NetworkError):
    """The registry answered, but not with what was asked for."""

    code = "REGISTRY"


class DeadlineError(SkerryError):
    """What was waited for did not happen in time; it may still happen."""

    code = "DEADLINE"
    retryable = True


class ModelError(SkerryError):
    """The files of a model cannot be registered."""

    code = "MODEL"


class ScorerError(SkerryError):
    """The entry script cannot work as it is."""

    code = "SCORER"


class InitFailedError(ScorerError):
    """The entry script could not be imported, or its ``init()`` raised; see ``detail``."""

    code = "INIT_FAILED"


class EnvironmentFileError(SkerryError):
    """An environment cannot be read, or not be resolved for the platform."""

    code = "ENVIRONMENT"


class RuntimeFailedError(SkerryError):
    """A runtime could not start, stop or see a module."""

    code = "RUNTIME"
    retryable = True


class UnenforcedError(SkerryError):
    """A device's runtime cannot enforce what a manifest requires, or grant what it grants."""

    code = "UNENFORCED"


class CommandError(SkerryError):
    """A command to a device was rejected, or not carried out."""

    code = "COMMAND"


class ProbeError(SkerryError):
    """A module did not become ready in time, ended by itself, or stopped answering."""

    code = "PROBE"


class GoldenError(SkerryError):
    """A module answered its golden set differently from what the set expects."""

    code = "GOLDEN"


def path_text(path: tuple[str | int, ...]) -> str:
    """Return ``path`` as people write it: ``modules.cam.inputs[0].folder``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def family(root: type[SkerryError] = SkerryError) -> Iterator[type[SkerryError]]:
    """Yield ``root`` and every error below it."""
    yield root
    for child in root.__subclasses__():
        yield from family(child)
