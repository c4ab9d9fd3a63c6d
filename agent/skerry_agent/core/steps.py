"""The steps of a plan: what an executor can be told to do."""

from dataclasses import dataclass

from skerry_agent.core.world import Key, Modules
from skerry_contract.desired import ModuleSpec
from skerry_contract.names import Digest


@dataclass(frozen=True, slots=True)
class Pull:
    """Fetch an image and make it startable."""

    module: str
    spec: ModuleSpec


@dataclass(frozen=True, slots=True)
class Start:
    """Start an instance, with its inputs held back, in the place of an exited one."""

    key: Key
    spec: ModuleSpec


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop an instance and clear what is left of it."""

    key: Key


@dataclass(frozen=True, slots=True)
class Prove:
    """Run the golden set of a ready instance."""

    key: Key


@dataclass(frozen=True, slots=True)
class Compare:
    """Show what an instance scores to its successor as well, and compare the results."""

    key: Key
    old: Key


@dataclass(frozen=True, slots=True)
class Serve:
    """Release the inputs of an instance."""

    key: Key


@dataclass(frozen=True, slots=True)
class Commit:
    """Remember a set of modules as the one to return to."""

    modules: Modules


@dataclass(frozen=True, slots=True)
class Discard:
    """Remove an image that nothing needs any more."""

    digest: Digest


Step = Pull | Start | Stop | Prove | Compare | Serve | Commit | Discard
