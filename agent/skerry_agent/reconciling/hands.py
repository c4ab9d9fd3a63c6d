"""What reconciling can see of the device, and do to it: the line between deciding and doing."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from skerry_agent import host
from skerry_agent.core.shadow import Tally
from skerry_agent.core.watch import Seen
from skerry_agent.core.world import Key
from skerry_contract.desired import ModuleSpec
from skerry_contract.manifest import Probe
from skerry_contract.messages import Failure
from skerry_contract.names import Digest


class Hands(Protocol):
    """Eyes and hands of the reconciler; ``skerry_agent.executor`` has what each method promises.

    Each order may be repeated, and may take as long as it likes: it runs beside the loop. What only
    looks (``images``, ``instances``, ``reason``, ``tail``) is called in the loop.
    """

    def images(self) -> frozenset[Digest]: ...  # noqa: D102

    def instances(self) -> Mapping[Key, Seen]: ...  # noqa: D102

    def reason(self, key: Key, status: int | None, *, ready: bool) -> Failure: ...  # noqa: D102

    def tail(self, key: Key) -> str: ...  # noqa: D102

    def status(self, key: Key, probe: Probe) -> host.Status: ...  # noqa: D102

    def begin(self, digests: Sequence[Digest], *, keep: Sequence[Digest]) -> None: ...  # noqa: D102

    def pull(self, spec: ModuleSpec) -> None: ...  # noqa: D102

    def discard(self, digest: Digest) -> None: ...  # noqa: D102

    def start(self, key: Key, spec: ModuleSpec) -> None: ...  # noqa: D102

    def stop(self, key: Key, *, kill: bool = False) -> None: ...  # noqa: D102

    def prove(self, key: Key, *, timeout_s: float) -> None: ...  # noqa: D102

    def compare(self, key: Key, old: Key, tally: Tally) -> None: ...  # noqa: D102

    def serve(self, key: Key) -> None: ...  # noqa: D102
