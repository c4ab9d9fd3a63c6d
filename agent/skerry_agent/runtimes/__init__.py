"""Ways of running a module, all behind one small interface.

A runtime carries out orders and reports what it sees; it never decides, retries or remembers. What
it reports comes from the world (the engine, the kernel) and not from its own past, so an agent
that was killed and started again finds everything that it had started, still running. Every order
may be repeated.

Adding a runtime means one module here, and one line in
``tests/integration/agent/test_runtimes.py``, which holds all of them to the same behaviour.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from skerry_agent.core.world import Key
from skerry_agent.pulling.images import Image
from skerry_agent.pulling.store import BlobStore
from skerry_contract.manifest import RunSettings
from skerry_contract.messages import RuntimeCaps
from skerry_contract.names import Digest

STOP_GRACE_S = 10.0
"""Default of the seconds that a module has to end by itself."""


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """What to start.

    Attributes:
        key: Which instance it is.
        image: What it runs; it must have been prepared.
        run: How to run it.
        run_dir: Folder of this instance, for its settings and sockets; made if it is missing.
        inputs: The device's folder of each input, by the input's name; made if they are missing.
            One more is for collected data, where the manifest lets data be collected.
        private: What no granted folder may hold or lie in.
    """

    key: Key
    image: Image
    run: RunSettings
    run_dir: Path
    inputs: Mapping[str, Path] = field(default_factory=dict)
    private: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """An instance that runs.

    Attributes:
        started: When it started, in seconds since the epoch by the device's clock.
    """

    started: float


@dataclass(frozen=True, slots=True)
class Pressure:
    """How an instance fared against its limits; what nobody counted is None.

    Attributes:
        memory_kills: Processes that the kernel killed for the memory that the module used.
        memory_peak_bytes: Most memory that it used.
        memory_limit_bytes: What it may use.
        pids_refused: How often it was refused another process or thread.
        pids_limit: How many it may have.
    """

    memory_kills: int = 0
    memory_peak_bytes: int | None = None
    memory_limit_bytes: int | None = None
    pids_refused: int = 0
    pids_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Exited:
    """An instance that has ended, and of which something is left.

    Attributes:
        started: When it started, in seconds since the epoch by the device's clock; 0 if never.
        code: Its exit status, 128 + n if signal n ended it; None if nobody saw it end, such as
            after a power cut.
        pressure: How it fared against its limits, as far as is known.
    """

    started: float
    code: int | None
    pressure: Pressure = Pressure()


InstanceStatus = Running | Exited


class Runtime(Protocol):
    """What the agent asks of anything that can run modules."""

    def caps(self) -> RuntimeCaps:
        """Return what this runtime can enforce on this device."""
        ...

    def prepare(self, image: Image, store: BlobStore) -> None:
        """Make an image startable without the network; it takes seconds to minutes.

        Raises:
            DigestError: A blob has rotted. It is gone now, so pulling again heals it.
            NotFoundError: A blob is not in the store.
            ContractError: A layer holds something that has no place in an image.
            NoSpaceError: It does not fit on the disk.
            RuntimeFailedError: The runtime did not take it.
        """
        ...

    def prepared(self) -> frozenset[Digest]:
        """Return the digests of all images that can be started.

        Raises:
            RuntimeFailedError: The runtime cannot be asked now.
        """
        ...

    def discard(self, digest: Digest) -> None:
        """Remove a prepared image that no instance uses; what is not there is no error.

        Raises:
            RuntimeFailedError: An instance uses it, or the runtime cannot be asked now.
        """
        ...

    def start(self, spec: InstanceSpec) -> None:
        """Start an instance in the place of an exited one; one that runs is left alone.

        Its run folder gets ``settings.json``, and loses what an earlier run left there. Whether it
        stays up is for ``instances`` to tell.

        Raises:
            RuntimeFailedError: It cannot be started now: something that it needs is not there.
            UnenforcedError: This runtime cannot grant what the manifest grants.
        """
        ...

    def stop(self, key: Key, *, grace_s: float = STOP_GRACE_S) -> None:
        """Ask an instance to end, kill it after ``grace_s`` seconds, and clear what is left.

        With no grace at all it is killed without being asked.

        Stopping what does not run is no error.

        Raises:
            RuntimeFailedError: It is still there.
        """
        ...

    def instances(self) -> Mapping[Key, InstanceStatus]:
        """Return every instance of this device that runs, or has ended and was not cleared.

        Raises:
            RuntimeFailedError: The runtime cannot be asked now.
        """
        ...

    def tail(self, key: Key, *, max_bytes: int) -> str:
        """Return the end of what an instance wrote to its standard output and error.

        At most ``max_bytes`` bytes; nothing for an instance that is not there.

        Raises:
            RuntimeFailedError: The runtime cannot be asked now.
        """
        ...
