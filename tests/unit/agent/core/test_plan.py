"""The planner, by table and then over every state of a small world."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from skerry_agent.core.plan import plan, target_of
from skerry_agent.core.steps import Commit, Discard, Prove, Pull, Serve, Start, Step, Stop
from skerry_agent.core.world import RELEASED, Instance, Key, Life, Modules, World, key_of
from skerry_contract.desired import ModuleSpec
from skerry_contract.manifest import Restart, RunSettings, Update
from skerry_contract.names import Digest


def spec(letter: str, update: Update = "side-by-side", restart: Restart = "always") -> ModuleSpec:
    run = RunSettings(update=update, restart=restart)
    return ModuleSpec(f"m:{ord(letter)}", Digest(f"sha256:{letter * 64}"), 100, run)


A, B, C = spec("a"), spec("b"), spec("c")
B_STOP_FIRST = spec("b", "stop-first")
A_NEVER = spec("a", restart="never")
A_ON_FAILURE = spec("a", restart="on-failure")
A_ON_UNHEALTHY = spec("a", restart="on-unhealthy")
STARTING, READY, SERVING = Instance(Life.STARTING), Instance(Life.READY), Instance(Life.SERVING)
UNREADY = Instance(Life.UNREADY)
PROVEN, UNHEALTHY = Instance(Life.READY, proven=True), Instance(Life.UNHEALTHY)


def k(wanted: ModuleSpec) -> Key:
    return key_of("m", wanted)


def exited(status: int | None) -> Instance:
    return Instance(Life.EXITED, status=status)


def row(
    images: tuple[ModuleSpec, ...] = (),
    *pairs: tuple[ModuleSpec, Instance],
    bad: tuple[ModuleSpec, ...] = (),
    resting: tuple[ModuleSpec, ...] = (),
    held: bool = False,
    tried: tuple[ModuleSpec, ...] = (),
) -> World:
    return World(
        frozenset(one.digest for one in images),
        {k(one): instance for one, instance in pairs},
        frozenset(map(k, bad)),
        frozenset(map(k, resting)),
        held=held,
        tried=frozenset(map(k, tried)),
    )


@pytest.mark.parametrize(
    ("desired", "committed", "given", "expected"),
    [
        # first deployment
        pytest.param(A, None, row(), [Pull("m", A)], id="first: pull"),
        pytest.param(A, None, row((A,)), [Start(k(A), A)], id="first: start"),
        pytest.param(A, None, row((A,), (A, STARTING)), [], id="first: wait for init"),
        pytest.param(A, None, row((A,), (A, READY)), [Prove(k(A))], id="first: prove"),
        pytest.param(A, None, row((A,), (A, PROVEN)), [Serve(k(A))], id="first: serve"),
        pytest.param(A, None, row((A,), (A, SERVING)), [Commit({"m": A})], id="first: commit"),
        pytest.param(A, A, row((A,), (A, SERVING)), [], id="settled: rest"),
        pytest.param(
            A, None, row((A,), (A, exited(1)), resting=(A,)), [], id="first: crashed, pause"
        ),
        pytest.param(
            A, None, row((A,), (A, exited(1))), [Start(k(A), A)], id="first: crashed, again"
        ),
        # supervision of what is committed
        pytest.param(A, A, row((A,)), [Start(k(A), A)], id="after a reboot: start"),
        pytest.param(A, A, row((A,), (A, READY)), [Serve(k(A))], id="restarted: serve, is proven"),
        pytest.param(A, A, row((A,), (A, UNHEALTHY)), [Stop(k(A))], id="unhealthy: stop"),
        pytest.param(
            A_NEVER, A_NEVER, row((A_NEVER,), (A_NEVER, exited(1))), [], id="policy never: leave"
        ),
        pytest.param(
            A_ON_FAILURE,
            A_ON_FAILURE,
            row((A_ON_FAILURE,), (A_ON_FAILURE, exited(0))),
            [],
            id="policy on-failure: leave after status 0",
        ),
        pytest.param(
            A_ON_FAILURE,
            A_ON_FAILURE,
            row((A_ON_FAILURE,), (A_ON_FAILURE, exited(2))),
            [Start(k(A_ON_FAILURE), A_ON_FAILURE)],
            id="policy on-failure: start after status 2",
        ),
        pytest.param(A, A, row((), (A, SERVING)), [Pull("m", A)], id="image lost: pull, runs on"),
        # side by side
        pytest.param(B, A, row((A,), (A, SERVING)), [Pull("m", B)], id="update: pull, old serves"),
        pytest.param(
            B, A, row((A,)), [Pull("m", B), Start(k(A), A)], id="update: old is down, start it"
        ),
        pytest.param(
            B, A, row((A, B), (A, SERVING)), [Start(k(B), B)], id="update: start beside the old"
        ),
        pytest.param(
            B, A, row((A, B), (A, SERVING), (B, READY)), [Prove(k(B))], id="update: prove"
        ),
        pytest.param(
            B, A, row((A, B), (A, SERVING), (B, PROVEN)), [Stop(k(A))], id="update: switch"
        ),
        pytest.param(B, A, row((A, B), (B, PROVEN)), [Serve(k(B))], id="update: serve"),
        pytest.param(B, A, row((A, B), (B, SERVING)), [Commit({"m": B})], id="update: commit"),
        pytest.param(B, B, row((A, B), (B, SERVING)), [Discard(A.digest)], id="update: clear"),
        pytest.param(
            B,
            A,
            row((A, B), (A, SERVING), (B, STARTING), bad=(B,)),
            [Stop(k(B))],
            id="bad: stop it, the old one is not touched",
        ),
        pytest.param(
            B, A, row((A, B), (A, SERVING), bad=(B,)), [Discard(B.digest)], id="bad: clear"
        ),
        pytest.param(
            B,
            A,
            row((A, B), (B, SERVING), bad=(B,)),
            [Stop(k(B)), Start(k(A), A)],
            id="bad: return",
        ),
        pytest.param(
            C,
            A,
            row((A, C), (A, SERVING), (B, STARTING)),
            [Stop(k(B)), Start(k(C), C)],
            id="overtaken: the candidate nobody wants goes",
        ),
        # stop first
        pytest.param(
            B_STOP_FIRST,
            A,
            row((A,), (A, SERVING)),
            [Pull("m", B_STOP_FIRST)],
            id="stop first: pull before anything stops",
        ),
        pytest.param(
            B_STOP_FIRST,
            A,
            row((A, B_STOP_FIRST), (A, SERVING)),
            [Stop(k(A))],
            id="stop first: stop",
        ),
        pytest.param(
            B_STOP_FIRST,
            A,
            row((A, B_STOP_FIRST)),
            [Start(k(B_STOP_FIRST), B_STOP_FIRST)],
            id="stop first: start",
        ),
        pytest.param(
            B_STOP_FIRST,
            A,
            row((A, B_STOP_FIRST), (B_STOP_FIRST, READY)),
            [Prove(k(B_STOP_FIRST))],
            id="stop first: prove",
        ),
        pytest.param(
            B_STOP_FIRST,
            A,
            row((A, B_STOP_FIRST), bad=(B_STOP_FIRST,)),
            [Start(k(A), A)],
            id="stop first: bad, return",
        ),
        # held
        pytest.param(
            B, A, row((A,), (A, SERVING), held=True), [Pull("m", B)], id="held: pull all the same"
        ),
        pytest.param(
            B,
            A,
            row((A, B), (A, SERVING), held=True),
            [Start(k(B), B)],
            id="held: try",
        ),
        pytest.param(
            B, A, row((A, B), (A, SERVING), (B, PROVEN), held=True), [], id="held: no switch"
        ),
        pytest.param(
            B,
            A,
            row((A, B), (A, SERVING), (B, PROVEN), held=True, tried=(B,)),
            [Stop(k(B))],
            id="held: what was tried gives its memory back",
        ),
        pytest.param(B, A, row((A, B), (A, SERVING), held=True, tried=(B,)), [], id="held: wait"),
        pytest.param(
            B,
            A,
            row((A, B), (A, SERVING), tried=(B,)),
            [Start(k(B), B)],
            id="no longer held: try again beside the old",
        ),
        pytest.param(
            B_STOP_FIRST,
            A,
            row((A, B_STOP_FIRST), (A, SERVING), held=True),
            [],
            id="held: no stop",
        ),
        pytest.param(
            B_STOP_FIRST,
            A,
            row((A, B_STOP_FIRST), (B_STOP_FIRST, STARTING), held=True),
            [Start(k(A), A), Stop(k(B_STOP_FIRST))],
            id="held: a switch that was broken off is taken back",
        ),
        pytest.param(
            B,
            A,
            row((A, B), (B, SERVING), held=True),
            [Commit({"m": B})],
            id="held: too late",
        ),
        pytest.param(A, A, row((A,), held=True), [Start(k(A), A)], id="held: supervise"),
        pytest.param(
            B,
            A,
            row((A, B), (B, SERVING), bad=(B,), held=True),
            [Stop(k(B)), Start(k(A), A)],
            id="held: return all the same",
        ),
        # restart policies and readiness
        pytest.param(
            A_NEVER,
            A_NEVER,
            row((A_NEVER,), (A_NEVER, exited(None))),
            [Start(k(A_NEVER), A_NEVER)],
            id="policy never: start what a power cut ended",
        ),
        pytest.param(
            A_ON_FAILURE,
            A_ON_FAILURE,
            row((A_ON_FAILURE,), (A_ON_FAILURE, UNHEALTHY)),
            [],
            id="policy on-failure: leave what hangs",
        ),
        pytest.param(
            A_ON_UNHEALTHY,
            A_ON_UNHEALTHY,
            row((A_ON_UNHEALTHY,), (A_ON_UNHEALTHY, UNHEALTHY)),
            [Stop(k(A_ON_UNHEALTHY))],
            id="policy on-unhealthy: stop what hangs",
        ),
        pytest.param(A, A, row((A,), (A, UNREADY)), [], id="unready: leave"),
        pytest.param(B, A, row((A, B), (B, UNREADY)), [], id="unready: no commit"),
        pytest.param(
            B,
            A,
            row((A, B), (A, SERVING), (B, READY), resting=(B,)),
            [],
            id="update: golden set unanswered, pause",
        ),
        # removal
        pytest.param(None, A, row((A,), (A, SERVING)), [Stop(k(A))], id="unwanted: stop"),
        pytest.param(None, A, row((A,)), [Commit({})], id="unwanted: commit"),
        pytest.param(None, None, row((A,)), [Discard(A.digest)], id="unwanted: clear"),
    ],
)
def test_next_steps(
    desired: ModuleSpec | None, committed: ModuleSpec | None, given: World, expected: list[Step]
) -> None:
    assert list(plan(modules(desired), modules(committed), given)) == expected


def test_a_new_name_for_the_same_image_restarts_nothing() -> None:
    renamed = replace(A, image="other:9")
    given = row((A,), (A, SERVING))

    assert plan({"m": renamed}, {"m": A}, given) == (Commit({"m": renamed}),)


def test_one_bad_module_holds_back_the_whole_deployment() -> None:
    desired, committed = {"m": B, "n": B}, {"m": A, "n": A}
    bad = frozenset({key_of("n", B)})

    assert target_of(desired, committed, bad) == committed


def test_no_module_switches_before_all_are_proven() -> None:
    desired, committed = {"m": B, "n": B}, {"m": A, "n": A}
    given = World(
        frozenset({A.digest, B.digest}),
        {
            key_of("m", A): SERVING,
            key_of("n", A): SERVING,
            key_of("m", B): PROVEN,
            key_of("n", B): STARTING,
        },
    )

    assert plan(desired, committed, given) == ()


# --- every state of a small world ---------------------------------------------------------------

WANTS = [None, A, B, B_STOP_FIRST]
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


def modules(wanted: ModuleSpec | None) -> Modules:
    return {"m": wanted} if wanted else {}


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


@pytest.mark.parametrize("desired", [B, B_STOP_FIRST, None])
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
