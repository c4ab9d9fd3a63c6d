"""Carry out single orders of the plan, and look at what came of them; decide nothing.

It joins the parts that touch the world: the puller, the blob store, the runtime, the scorer hosts'
sockets and the inlets. Every order may be repeated.
"""

import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from skerry_agent import host, http_check
from skerry_agent.core import needs
from skerry_agent.core.shadow import Tally
from skerry_agent.core.watch import Seen
from skerry_agent.core.world import Key
from skerry_agent.pulling.images import Image
from skerry_agent.pulling.layers import named, stored
from skerry_agent.pulling.pull import Puller
from skerry_agent.pulling.store import BlobStore
from skerry_agent.routing.doors import Doors
from skerry_agent.runtimes import (
    STOP_GRACE_S,
    Exited,
    InstanceSpec,
    InstanceStatus,
    Running,
    Runtime,
    ends,
)
from skerry_agent.runtimes.run_folder import DATA, input_folder
from skerry_agent.updating.releases import Releases
from skerry_contract.desired import AgentSpec, ModuleSpec
from skerry_contract.errors import NotFoundError, ProbeError, RuntimeFailedError
from skerry_contract.manifest import Probe
from skerry_contract.messages import MAX_DETAIL_CHARS, Failure, Progress, RuntimeCaps, make_failure
from skerry_contract.names import Digest

HOST_LABEL = "io.skerry.scorer-host"
"""Images that carry it speak over the sockets in the run folder; others only run."""
_KIND, _SERVING = "kind", "serving"
_TEE_S, _SCORE_S = 10.0, 300.0
_TEE_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie on this device.

    Attributes:
        runs: One folder per instance.
        inputs: Local input, below which a manifest names folders.
        data: What modules collect, in one folder for each.
        platform: OCI platform of this machine.
        private: What no granted folder may hold or lie in.
    """

    runs: Path
    inputs: Path
    data: Path
    platform: str
    private: tuple[Path, ...] = ()


class Executor:
    """Carries orders out on one runtime.

    Args:
        runtime: Runs modules.
        puller: Fetches images.
        store: Holds their blobs.
        places: Where things lie.
        doors: Where modules hand results over, and are fed.
    """

    def __init__(
        self, runtime: Runtime, puller: Puller, store: BlobStore, places: Places, doors: Doors
    ) -> None:
        self._runtime = runtime
        self._doors = doors
        self._puller = puller
        self._store = store
        self._places = places
        self._ends: dict[Key, Exited] = {}
        self._cancel = threading.Event()
        self._pulls: dict[Digest, Progress] = {}
        self._needed: frozenset[Digest] = frozenset()
        self._agent: frozenset[Digest] = frozenset()

    def caps(self) -> RuntimeCaps:
        """Return how modules run here, and what is enforced."""
        return self._runtime.caps()

    # --- looking ------------------------------------------------------------------------------

    def images(self) -> frozenset[Digest]:
        """Return the images that can be started without the network."""
        return frozenset(one for one in self._runtime.prepared() if self._store.has(one))

    def instances(self) -> dict[Key, Seen]:
        """Return every instance there is, and listen to each that runs."""
        found = self._runtime.instances()
        self._doors.keep(found.keys())
        for key, status in found.items():
            if isinstance(status, Exited):
                self._ends[key] = status
            else:
                self._doors.open(key, self._run_dir(key))
        return {key: _seen(status) for key, status in found.items()}

    def status(self, key: Key, probe: Probe) -> host.Status:
        """Ask an instance how it is, in as many ways as its probe names.

        Raises:
            ProbeError: It does not answer, or says that it is not alive.
        """
        run_dir, timeout_s = self._run_dir(key), float(probe.timeout_s)
        if self._is_host(key):
            status = host.status(run_dir, timeout_s=timeout_s)
        else:
            status = host.Status(ready=True, serving=self._mark(key, _SERVING).exists())
        if probe.live is not None:
            http_check.require(probe.live, run_dir, timeout_s=timeout_s)
        if probe.ready is not None and status.ready:
            return replace(
                status, ready=http_check.passes(probe.ready, run_dir, timeout_s=timeout_s)
            )
        return status

    def host_process(self, key: Key) -> int | None:
        """Return the process of an instance's scorer host; None if it has none, or hides it."""
        return host.process(self._run_dir(key)) if self._is_host(key) else None

    def reason(self, key: Key, status: int | None, *, ready: bool) -> Failure:
        """Say why an instance has ended, from what it left behind."""
        left = None if ready else host.left_failure(self._run_dir(key))
        if left is not None:
            return left
        end = self._ends.get(key)
        when = "while it served" if ready else "before it was ready"
        text = f"{key.module}: ended {when}, with status {status}"
        limit, remedy = ends.told(end)
        remedy = remedy or "See the end of its log."
        return make_failure(ProbeError.code, text + limit, remedy, self.tail(key))

    def log(self, key: Key, *, max_bytes: int) -> str:
        """Return the end of an instance's log, at most ``max_bytes`` bytes.

        Raises:
            RuntimeFailedError: The runtime cannot be asked now.
        """
        return self._runtime.tail(key, max_bytes=max_bytes)

    def tail(self, key: Key) -> str:
        """Return the end of an instance's log, or nothing if it cannot be had."""
        try:
            text = self._runtime.tail(key, max_bytes=MAX_DETAIL_CHARS)
        except RuntimeFailedError:
            return ""
        return text[-MAX_DETAIL_CHARS:]

    # --- doing --------------------------------------------------------------------------------

    def begin(self, digests: Iterable[Digest], *, keep: Iterable[Digest] = ()) -> None:
        """Count progress anew, over these images; no blob of them, or of ``keep``, may go."""
        wanted = frozenset(digests)
        self._needed = wanted.union(keep)
        self._pulls = {one: said for one, said in self._pulls.items() if one in wanted}

    def progress(self) -> Progress:
        """Return how far the pulls are since ``begin``, over all their images together."""
        said = list(self._pulls.values())
        return Progress(
            sum(one.total for one in said),
            sum(one.present for one in said),
            sum(one.pulled for one in said),
        )

    def pull(self, spec: ModuleSpec) -> None:
        """Fetch an image and make it startable.

        Raises:
            SkerryError: As ``Puller.pull`` and ``Runtime.prepare`` say.
        """
        image = self._fetch(spec)
        self._runtime.prepare(image, self._store)

    def fetch_agent(self, spec: AgentSpec, releases: Releases) -> None:
        """Bring a release of the agent onto the device.

        Raises:
            SkerryError: As ``Puller.pull`` and ``Releases.add`` say.
        """
        self._agent = frozenset({spec.digest})
        releases.add(self._fetch(spec), self._store)
        self._agent = frozenset()

    def _fetch(self, spec: ModuleSpec | AgentSpec) -> Image:
        """Bring the blobs of an image here; none of what is needed makes room for them."""
        return self._puller.pull(
            spec.image,
            spec.digest,
            spec.size,
            on_progress=partial(self._pulls.__setitem__, spec.digest),
            cancel=self._cancel,
            keep=self._kept(),
        )

    def discard(self, digest: Digest) -> None:
        """Remove an image; its blobs stay as long as there is room for them.

        Raises:
            RuntimeFailedError: The runtime does not let it go.
        """
        self._runtime.discard(digest)
        self._store.trim(frozenset().union(*(named(self._store, one) for one in self._kept())))

    def _kept(self) -> frozenset[Digest]:
        """Return the images of which nothing may go: wanted, startable, or on their way."""
        return self._needed.union(self._runtime.prepared(), self._agent)

    def start(self, key: Key, spec: ModuleSpec) -> None:
        """Start an instance, with its inputs held back.

        Raises:
            RuntimeFailedError: The runtime refuses.
            UnenforcedError: It cannot do what the manifest requires or grants.
            NotFoundError: A blob of the image is gone; it will be pulled again.
        """
        if spec.run.requires:
            needs.check(key.module, spec.run, self._runtime.caps())
        image = stored(self._store, spec.image, spec.digest, platform=self._places.platform)
        if image is None:
            self._store.discard(spec.digest)
            raise NotFoundError(f"{key.module}: parts of {spec.image} are gone from this device")
        run_dir = self._run_dir(key)
        run_dir.mkdir(parents=True, exist_ok=True)
        self._mark(key, _SERVING).unlink(missing_ok=True)
        self._mark(key, _KIND).write_text("host" if HOST_LABEL in image.labels else "other")
        self._doors.note(run_dir, spec.run)
        self._doors.open(key, run_dir)
        inputs = {
            name: input_folder(self._places.inputs, key.module, name, given)
            for name, given in spec.run.inputs.items()
        }
        if spec.run.data is not None:
            inputs[DATA] = self._places.data / key.module
        private = self._places.private
        self._runtime.start(InstanceSpec(key, image, spec.run, run_dir, inputs, private))

    def stop(self, key: Key, *, kill: bool = False) -> None:
        """Stop an instance and clear what is left of it; ``kill`` one that is beyond asking.

        A scorer host holds an input against itself only if it was killed without being asked: that
        is how an input that hangs is set aside in the end.

        Raises:
            RuntimeFailedError: It is still there.
        """
        self._runtime.stop(key, grace_s=0 if kill else STOP_GRACE_S)
        self._ends.pop(key, None)
        self._doors.close(key)
        self._doors.forget(self._run_dir(key))
        for mark in (_KIND, _SERVING):
            self._mark(key, mark).unlink(missing_ok=True)
        shutil.rmtree(self._run_dir(key), ignore_errors=True)

    def stop_all(self) -> None:
        """Stop every instance at the end of the agent, side by side; what fails is left."""
        self._cancel.set()
        threads = [
            threading.Thread(target=self._stop_quietly, args=(key,)) for key in self._alive()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def prove(self, key: Key, *, timeout_s: float) -> None:
        """Run the golden set of an instance; images of other makers have none and pass.

        Raises:
            GoldenError: It answers differently.
            ProbeError: It does not answer.
        """
        if self._is_host(key):
            host.prove(self._run_dir(key), key.module, timeout_s=timeout_s)

    def compare(self, key: Key, old: Key, tally: Tally) -> None:
        """Show a new version some of what the old one scores, until enough was seen.

        Args:
            key: The new version, ready and with its inputs held back.
            old: The one that serves.
            tally: Takes what is found.

        Raises:
            ProbeError: The new one does not answer.
        """
        if not (self._is_host(key) and self._is_host(old)):
            return
        ends = time.monotonic() + tally.settings.seconds
        while not tally.is_full and time.monotonic() < ends:
            try:
                sample = host.tee(self._run_dir(old), timeout_s=_TEE_S)
            except ProbeError:
                return  # it has ended, or is older than this: nothing more can be compared
            if sample is None:
                self._cancel.wait(_TEE_PAUSE_S)
                if self._cancel.is_set():
                    return
                continue
            new, new_ms = host.score(self._run_dir(key), sample, timeout_s=_SCORE_S)
            tally.add(sample.result, new, old_ms=sample.ms, new_ms=new_ms)

    def serve(self, key: Key) -> None:
        """Release the inputs of an instance.

        Raises:
            ProbeError: It does not answer.
        """
        if self._is_host(key):
            host.serve(self._run_dir(key))
            return
        try:
            self._mark(key, _SERVING).touch()
        except OSError as error:
            raise ProbeError(f"{key.module}: {error}") from error

    def _run_dir(self, key: Key) -> Path:
        return self._places.runs / f"{key.module}-{key.revision}"

    def _mark(self, key: Key, name: str) -> Path:
        """Return a file of our own beside the run folder, which the module cannot touch."""
        run_dir = self._run_dir(key)
        return run_dir.with_name(f"{run_dir.name}.{name}")

    def _is_host(self, key: Key) -> bool:
        try:
            return self._mark(key, _KIND).read_text() == "host"
        except OSError:
            return False

    def _alive(self) -> list[Key]:
        try:
            found = self._runtime.instances()
        except RuntimeFailedError:
            return []
        # What has ended is left: whether it did its work is not asked again at the next start.
        return [key for key, status in found.items() if isinstance(status, Running)]

    def _stop_quietly(self, key: Key) -> None:
        try:
            self._runtime.stop(key)
        except RuntimeFailedError:
            return


def _seen(status: InstanceStatus) -> Seen:
    match status:
        case Running(started):
            return Seen(str(started), running=True)
        case Exited(started, code):
            return Seen(str(started), running=False, status=code)
