"""Decide the next steps, from what is wanted and what is seen; see ``docs/agent-states.md``.

The planner is a pure function. It returns only steps that may be carried out now, in any order or
at once; what must come later appears in a later round, when the world has changed. Four promises
hold for every input and are checked over all states of a small world:

* an old revision that serves is stopped only once every image of the target is on the device, and
  every successor that can be proven beside it is proven;
* nothing that is bad is started, and nothing unproven is served;
* repeating plan-and-apply ends, and where it ends there is nothing left to do;
* where nothing is bad, held or failing, it ends with the desired set committed and serving.
"""

from collections.abc import Iterator

from skerry_agent.core.order import comes_before
from skerry_agent.core.steps import Commit, Compare, Discard, Prove, Pull, Serve, Start, Step, Stop
from skerry_agent.core.world import (
    RELEASED,
    Instance,
    Key,
    Life,
    Modules,
    World,
    is_over,
    is_same,
    key_of,
    may_restart,
    restarts_unhealthy,
)
from skerry_contract.desired import ModuleSpec


def target_of(desired: Modules, committed: Modules, bad: frozenset[Key]) -> Modules:
    """Return the set to work towards: all of ``desired``, or all of ``committed``."""
    if any(key_of(name, spec) in bad for name, spec in desired.items()):
        return committed
    return desired


def plan(desired: Modules, committed: Modules, world: World) -> tuple[Step, ...]:
    """Return the steps that can be taken now, at most one per module or image.

    Args:
        desired: What the cloud wants.
        committed: What last proved itself as a whole.
        world: What is seen.

    Returns:
        Steps that may be carried out in any order or at once. Empty when there is nothing to do,
        or nothing but to wait.
    """
    target = target_of(desired, committed, world.bad)
    stage = _Stage(target, committed, world)
    names = sorted({*target, *committed, *(key.module for key in world.instances)})
    steps = tuple(step for name in names for step in stage.steps(name))
    if steps or not stage.settled():
        return steps
    if target != committed:
        return (Commit(target),)
    needed = {spec.digest for spec in target.values()}
    return tuple(Discard(digest) for digest in sorted(world.images - needed))


def is_switching(desired: Modules, committed: Modules, world: World) -> bool:
    """Return whether the device goes over from what is committed to something else now."""
    target = target_of(desired, committed, world.bad)
    return is_change(target, committed) and _Stage(target, committed, world).switching


def is_change(target: Modules, committed: Modules) -> bool:
    """Return whether two sets of modules run differently."""
    return {key_of(*pair) for pair in target.items()} != {
        key_of(*pair) for pair in committed.items()
    }


def held_up(desired: Modules, committed: Modules, world: World) -> dict[Key, str]:
    """Return what is not started yet since it comes after others, and in words what it awaits."""
    target = target_of(desired, committed, world.bad)
    stage = _Stage(target, committed, world)
    found = ((name, spec) for modules in (committed, target) for name, spec in modules.items())
    others = {key_of(name, spec): stage.waits_for(name) for name, spec in found}
    return {key: f"waits for {', '.join(names)}"[:200] for key, names in others.items() if names}


class _Stage:
    """One round of planning: what holds for all modules together, and then each one's steps."""

    def __init__(self, target: Modules, committed: Modules, world: World) -> None:
        self._target = target
        self._committed = committed
        self._world = world
        self._complete = all(spec.digest in world.images for spec in target.values())
        self._held = world.held and not self._has_begun()
        self.switching = (
            self._complete
            and not self._held
            and all(self._beside_is_proven(name, spec) for name, spec in target.items())
        )

    def steps(self, name: str) -> Iterator[Step]:
        """Yield the steps of one module."""
        old, new = self._committed.get(name), self._target.get(name)
        if new is not None and new.digest not in self._world.images:
            yield Pull(name, new)
        yield from self._stop_strangers(name, old, new)
        if new is not None and is_same(old, new):
            yield from self._keep(name, new)
        elif self.switching:
            yield from self._switch(name, old, new)
        else:
            if old is not None and not self._serves_another(name, old):
                yield from self._keep(name, old)
            if new is not None:
                yield from self._before_the_switch(name, new)

    def settled(self) -> bool:
        """Return whether exactly the target runs, as far as its restart policies want it to."""
        wanted = {key_of(name, spec): spec for name, spec in self._target.items()}
        if not self._complete or self._world.instances.keys() - wanted.keys():
            return False
        return all(self._rests(key, spec) for key, spec in wanted.items())

    def _has_begun(self) -> bool:
        """Return whether the switch is past the point from which it goes on to its end."""
        return any(
            seen is not None and seen.life in RELEASED
            for name, spec in self._target.items()
            if not is_same(self._committed.get(name), spec)
            for seen in (self._seen(key_of(name, spec)),)
        )

    def _rests(self, key: Key, spec: ModuleSpec) -> bool:
        seen = self._seen(key)
        if seen is None:
            return False
        if is_same(self._committed.get(key.module), spec):
            left = seen.life is Life.UNHEALTHY and not restarts_unhealthy(spec)
            return seen.life is Life.SERVING or left or is_over(spec, seen)
        return seen.life is Life.SERVING

    def _stop_strangers(
        self, name: str, old: ModuleSpec | None, new: ModuleSpec | None
    ) -> Iterator[Step]:
        known = {key_of(name, spec) for spec in (old, new) if spec is not None}
        for key in sorted(self._world.instances):
            if key.module == name and key not in known:
                yield Stop(key)

    def _keep(self, name: str, spec: ModuleSpec) -> Iterator[Step]:
        """See that a committed revision runs and serves."""
        key = key_of(name, spec)
        seen = self._seen(key)
        if seen is None or seen.life is Life.EXITED:
            if spec.digest not in self._world.images and not is_same(spec, self._target.get(name)):
                yield Pull(name, spec)
            yield from self._start(key, spec, seen)
        elif seen.life is Life.UNHEALTHY and restarts_unhealthy(spec):
            yield Stop(key)
        elif seen.life is Life.READY and self._may_go(name, spec):
            yield Serve(key)

    def _before_the_switch(self, name: str, new: ModuleSpec) -> Iterator[Step]:
        seen = self._seen(key_of(name, new))
        if new.run.update == "side-by-side" and self._complete:
            yield from self._try(name, new)
        elif new.run.update == "stop-first" and seen is not None and not self._has_begun():
            # A switch that was broken off: the old one takes its place again.
            yield Stop(key_of(name, new))

    def _try(self, name: str, spec: ModuleSpec) -> Iterator[Step]:
        """Bring a new revision as far as it gets without touching the old one."""
        key = key_of(name, spec)
        seen = self._seen(key)
        if self._held and key in self._world.tried:
            # It has shown that it works; until the switch it would only take memory.
            if seen is not None:
                yield Stop(key)
        elif seen is None or seen.life is Life.EXITED:
            yield from self._start(key, spec, None)
        elif seen.life is Life.UNHEALTHY:
            yield Stop(key)
        elif seen.life is Life.READY and not seen.proven and key not in self._world.resting:
            yield Prove(key)
        elif seen.life is Life.READY and self._is_to_compare(name, spec, seen):
            yield Compare(key, key_of(name, self._committed[name]))

    def _is_to_compare(self, name: str, spec: ModuleSpec, seen: Instance) -> bool:
        """Return whether a new version is still to be compared with one that serves."""
        old = self._committed.get(name)
        if spec.run.shadow is None or seen.compared or old is None:
            return False
        ran = self._seen(key_of(name, old))
        return ran is not None and ran.life is Life.SERVING

    def _switch(self, name: str, old: ModuleSpec | None, new: ModuleSpec | None) -> Iterator[Step]:
        """Put the new revision in the place of the old one, which ends first."""
        if old is not None and self._seen(key_of(name, old)) is not None:
            if not self._is_needed(name):
                yield Stop(key_of(name, old))
        elif new is not None:
            seen = self._seen(key_of(name, new))
            if seen is not None and seen.life is Life.READY and seen.proven:
                if self._may_go(name, new):
                    yield Serve(key_of(name, new))
            else:
                yield from self._try(name, new)

    def _start(self, key: Key, spec: ModuleSpec, seen: Instance | None) -> Iterator[Step]:
        allowed = seen is None or may_restart(spec, seen)
        startable = key not in self._world.resting and spec.digest in self._world.images
        if allowed and startable and self._may_go(key.module, spec):
            yield Start(key, spec)

    # --- start order --------------------------------------------------------------------------

    def waits_for(self, name: str) -> tuple[str, ...]:
        """Return the modules that come first and are on their way, if this one is down."""
        spec = self._current().get(name)
        alive = (k for k, seen in self._world.instances.items() if seen.life is not Life.EXITED)
        if spec is None or any(key.module == name for key in alive):
            return ()
        return self._first(name, spec)

    def _may_go(self, name: str, spec: ModuleSpec) -> bool:
        return not self._first(name, spec)

    def _first(self, name: str, spec: ModuleSpec) -> tuple[str, ...]:
        """Return the modules that come first and are still on their way."""
        before = comes_before(name, spec, self._current())
        return tuple(other for other in before if self._is_on_its_way(other))

    def _is_needed(self, name: str) -> bool:
        """Return whether a module that goes with this one, and started after it, still runs."""
        return any(
            name in comes_before(other, spec, self._committed)
            for other, spec in self._committed.items()
            if not is_same(spec, self._target.get(other))
            and self._seen(key_of(other, spec)) is not None
        )

    def _current(self) -> Modules:
        """Return what each module runs by now: the target from the switch on, before it the old."""
        return self._target if self.switching else {**self._target, **self._committed}

    def _is_on_its_way(self, name: str) -> bool:
        """Return whether a module is about to serve: what failed or ended holds up nobody."""
        spec = self._current().get(name)
        if spec is None:
            return False
        key = key_of(name, spec)
        seen = self._seen(key)
        if seen is None or seen.life is Life.EXITED:
            over = seen is not None and is_over(spec, seen)
            startable = spec.digest in self._world.images and key not in self._world.resting
            return startable and not over and not self._comes_with_the_switch(name, spec)
        waits = seen.life is Life.READY and (self.switching or not seen.proven)
        return seen.life is Life.STARTING or waits

    def _comes_with_the_switch(self, name: str, spec: ModuleSpec) -> bool:
        if self.switching or is_same(self._committed.get(name), spec):
            return False
        return spec.run.update == "stop-first" or self._held or not self._complete

    # --- the switch ---------------------------------------------------------------------------

    def _beside_is_proven(self, name: str, spec: ModuleSpec) -> bool:
        """Return whether this module does not hold the switch back."""
        if is_same(self._committed.get(name), spec) or spec.run.update == "stop-first":
            return True
        seen = self._seen(key_of(name, spec))
        return seen is not None and (
            seen.life in RELEASED
            or (
                seen.life is Life.READY
                and seen.proven
                and not self._is_to_compare(name, spec, seen)
            )
        )

    def _serves_another(self, name: str, spec: ModuleSpec) -> bool:
        return any(
            key.module == name and key != key_of(name, spec) and seen.life in RELEASED
            for key, seen in self._world.instances.items()
        )

    def _seen(self, key: Key) -> Instance | None:
        return self._world.instances.get(key)
