"""What failed on this device, how often, and what is not tried again.

Only the bad list is on the disk. The rest is forgotten with the agent: then everything is tried
once more, at once. A verdict counts from the moment it is passed; where the disk has no room for it
just then, it is written as soon as there is.
"""

import logging
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from skerry_agent.core.pauses import Pauses
from skerry_agent.core.verdict import is_bad
from skerry_agent.core.world import Key
from skerry_agent.reconciling.memory import MAX_BAD, Memory
from skerry_contract.desired import ModuleSpec, write_time
from skerry_contract.messages import BadRevision, Failure, ShadowReport

log = logging.getLogger(__name__)


class History:
    """Remembers failures of revisions, and passes verdicts.

    Args:
        memory: Keeps the bad list.
        utc: The time of day.
    """

    def __init__(self, memory: Memory, utc: Callable[[], datetime]) -> None:
        self._memory = memory
        self._utc = utc
        self.pauses = Pauses()
        self.bad = memory.bad()
        self._saved = self.bad
        self.restarts: dict[Key, int] = {}
        self.failures: dict[Key, Failure] = {}
        self.rests: dict[Key, str] = {}
        self.shadows: dict[Key, ShadowReport] = {}
        self.tried: set[Key] = set()

    def bad_keys(self) -> frozenset[Key]:
        """Return the revisions that are not tried again."""
        return frozenset(Key(bad.module, bad.revision) for bad in self.bad)

    def keep_only(self, keys: Collection[Key]) -> None:
        """Forget what was of revisions that nobody asks for any more."""
        self.failures = {key: said for key, said in self.failures.items() if key in keys}
        self.restarts = {key: said for key, said in self.restarts.items() if key in keys}
        self.rests = {key: said for key, said in self.rests.items() if key in keys}
        self.shadows = {key: said for key, said in self.shadows.items() if key in keys}
        self.tried &= set(keys)

    def failed(
        self, key: Key, spec: ModuleSpec, failure: Failure, *, committed: bool, now: float
    ) -> bool:
        """Note a failure of a revision, and return whether it was one too many."""
        self._rest(key, self.pauses.failed(key, now))
        self.failures[key] = failure
        if committed:
            self.restarts[key] = self.restarts.get(key, 0) + 1
        log.warning("%s %s: %s", key.module, spec.image, failure.text)
        bad = is_bad(failure, failures=self.pauses.failures(key), committed=committed)
        if bad:
            self.refuse(key, spec, failure)
        return bad

    def refuse(self, key: Key, spec: ModuleSpec, failure: Failure) -> None:
        """Never try a revision again, until somebody clears it."""
        now = write_time(self._utc())
        bad = BadRevision(key.module, spec.image, spec.digest, key.revision, failure, now)
        others = [one for one in self.bad if Key(one.module, one.revision) != key]
        self.bad = tuple([*others, bad][-MAX_BAD:])
        self.failures[key] = failure

    def rested(self, key: Key, failure: Failure, now: float) -> float:
        """Let a revision rest that could not be started, through no fault of its own.

        Returns:
            How long, in seconds.
        """
        pause_s = self.pauses.failed(("start", key), now)
        self.pauses.rest(key, now + pause_s)
        self.failures[key] = failure
        self._rest(key, pause_s)
        return pause_s

    def _rest(self, key: Key, pause_s: float) -> None:
        again = write_time(self._utc() + timedelta(seconds=pause_s))
        self.rests[key] = f"starts again at {again}"

    def served(self, key: Key) -> None:
        """Note that a revision serves."""
        self.failures.pop(key, None)
        self.rests.pop(key, None)
        self.pauses.passed(("start", key))

    def forgive(self, module: str | None = None) -> int:
        """Try refused revisions again, of one module or of all; return how many there were."""
        forgiven = [one for one in self.bad if module in (None, one.module)]
        self.bad = tuple(one for one in self.bad if one not in forgiven)
        for one in forgiven:
            key = Key(one.module, one.revision)
            self.pauses.passed(key)
            self.pauses.passed(("start", key))
            self.failures.pop(key, None)
            log.info("%s %s is tried again", one.module, one.image)
        return len(forgiven)

    def save(self) -> None:
        """Write down the bad list, if it has changed.

        Raises:
            NoSpaceError: There is no room; it holds all the same, until the agent ends.
        """
        if self.bad != self._saved:
            self._memory.remember_bad(self.bad)
            self._saved = self.bad
