"""The planner over every state of a small world: it comes to rest, and breaks no promise."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from skerry_agent.core.plan import plan, target_of
from skerry_agent.core.steps import Commit, Compare, Discard, Prove, Pull, Serve, Start, Step, Stop
from skerry_agent.core.world import RELEASED, Instance, Key, Life, Modules, World, key_of
from skerry_contract.desired import ModuleSpec
from support.worlds import (
    B_SHADOW,
    B_STOP_FIRST,
    PROVEN,
    READY,
    SERVING,
    STARTING,
    UNHEALTHY,
    UNREADY,
    A,
    B,
    C,
    exited,
    k,
    modules,
    row,
)

WANTS = [None, A, B, B_STOP_FIRST, B_SHADOW]
LIVES: list[Instance | None] = [
    None,
    STARTING,
    READY,
    PROVEN,
    SERVING,
    UNREADY,
    UNHEALTHY,
    exited(0),
    exited(1),
]


def every_world() -> Iterator[World]:
    for old, new, stranger in product(LIVES, LIVES, (None, SERVING)):
        pairs = [(A, old), (B, new), (C, stranger)]
        for letters in product((False, True), repeat=3):
            images = tuple(one for one, there in zip((A, B, C), letters, strict=True) if there)
            for bad in ((), (B,), (A,)):
                alive = [(one, instance) for one, instance in pairs if instance is not None]
                yield row(images, *alive, bad=bad)


def apply(step: Step, before: World, committed: Modules) -> tuple[World, Modules]:
    instances = dict(before.instances)
    match step:
        case Pull(_, wanted):
            return replace(before, images=before.images | {wanted.digest}), committed
        case Start(key, _):
            instances[key] = STARTING
        case Stop(key):
            instances.pop(key)
        case Prove(key):
            instances[key] = replace(instances[key], proven=True)
        case Compare(key, _):
            instances[key] = replace(instances[key], compared=True)
        case Serve(key):
            instances[key] = replace(instances[key], life=Life.SERVING)
        case Commit(chosen):
            return before, chosen
        case Discard(digest):
            return replace(before, images=before.images - {digest}), committed
    return replace(before, instances=instances), committed


def settle(before: World) -> World:
    """Let every ``init()`` return."""
    lives = {
        key: {Life.STARTING: READY, Life.UNREADY: SERVING}.get(instance.life, instance)
        for key, instance in before.instances.items()
    }
    return replace(before, instances=lives)


@pytest.mark.parametrize("committed", [None, A])
@pytest.mark.parametrize("desired", WANTS)
def test_comes_to_rest_from_every_state(
    desired: ModuleSpec | None, committed: ModuleSpec | None
) -> None:
    for start in every_world():
        now, good = start, modules(committed)
        for _ in range(16):
            for step in plan(modules(desired), good, now):
                now, good = apply(step, now, good)
            now = settle(now)

        assert plan(modules(desired), good, now) == (), start
        target = target_of(modules(desired), modules(committed), start.bad)
        assert good == target, start
        serving = {key for key, one in now.instances.items() if one.life is Life.SERVING}
        assert serving == {key_of(name, one) for name, one in target.items()}, start
        assert now.images == {one.digest for one in target.values()}, start


@pytest.mark.parametrize("committed", [None, A])
@pytest.mark.parametrize("desired", WANTS)
def test_no_step_breaks_a_promise(desired: ModuleSpec | None, committed: ModuleSpec | None) -> None:
    good = modules(committed)
    for start in every_world():
        target = target_of(modules(desired), good, start.bad)
        for step in plan(modules(desired), good, start):
            match step:
                case Stop(key) if key == k(A) and committed and k(A) not in start.bad:
                    assert a_successor_is_ready(start, target) or sick(start, key), start
                case Start(key, wanted):
                    assert wanted.digest in start.images, start
                    assert key not in start.bad or good.get("m") == wanted, start
                case Serve(key):
                    proven = start.instances[key].proven
                    assert proven or key == (k(A) if committed else None), start
                case _:
                    pass


@pytest.mark.parametrize("desired", [B, B_STOP_FIRST, B_SHADOW, None])
def test_nothing_that_serves_makes_room_while_the_switch_is_held(
    desired: ModuleSpec | None,
) -> None:
    new = k(desired) if desired else None
    for start in every_world():
        begun = new in start.instances and start.instances[new].life in RELEASED if new else False
        if begun or new in start.bad:
            continue
        held = replace(start, held=True)
        for step in plan(modules(desired), {"m": A}, held):
            assert step != Stop(k(A)) or sick(start, k(A)), start
            assert not isinstance(step, Commit) or desired is None, start


def test_what_is_held_comes_to_rest_too() -> None:
    for start in every_world():
        now, good, tried = start, modules(A), frozenset({k(B)})
        if k(A) in start.bad:
            continue
        for _ in range(16):
            now = replace(now, held=True, tried=tried)
            for step in plan(modules(B), good, now):
                now, good = apply(step, now, good)
            now = settle(now)
        assert plan(modules(B), good, now) == (), start


def a_successor_is_ready(start: World, target: Modules) -> bool:
    new = target.get("m")
    if new is None:
        return True
    if new.digest not in start.images:
        return False
    candidate = start.instances.get(key_of("m", new))
    if new.run.update == "stop-first":
        return True
    return candidate is not None and (candidate.proven or candidate.life in RELEASED)


def sick(start: World, key: Key) -> bool:
    return start.instances[key].life is Life.UNHEALTHY


def test_two_modules_come_to_rest_from_every_pair_of_lives() -> None:
    desired, committed = {"m": B, "n": B_STOP_FIRST}, {"m": A, "n": A}
    keys = [key_of(name, one) for name, one in (("m", A), ("m", B), ("n", A), ("n", B_STOP_FIRST))]
    some = [life for life in LIVES if life not in (UNREADY, exited(0))]
    for lives in product(some, repeat=4):
        pairs = zip(keys, lives, strict=True)
        now = World(frozenset({A.digest}), {key: one for key, one in pairs if one is not None})
        good: Modules = committed
        for _ in range(16):
            for step in plan(desired, good, now):
                now, good = apply(step, now, good)
            now = settle(now)

        assert (plan(desired, good, now), good) == ((), desired), lives
