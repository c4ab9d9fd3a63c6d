"""The planner, by table."""

from dataclasses import replace

import pytest

from skerry_agent.core.plan import plan, target_of
from skerry_agent.core.steps import Commit, Compare, Discard, Prove, Pull, Serve, Start, Step, Stop
from skerry_agent.core.world import World, key_of
from skerry_contract.desired import ModuleSpec
from support.worlds import (
    A_NEVER,
    A_ON_FAILURE,
    A_ON_UNHEALTHY,
    B_SHADOW,
    B_STOP_FIRST,
    COMPARED,
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
        # shadow comparison
        pytest.param(
            B_SHADOW,
            A,
            row((A, B_SHADOW), (A, SERVING), (B_SHADOW, PROVEN)),
            [Compare(k(B_SHADOW), k(A))],
            id="shadow: compare with what serves",
        ),
        pytest.param(
            B_SHADOW,
            A,
            row((A, B_SHADOW), (A, SERVING), (B_SHADOW, COMPARED)),
            [Stop(k(A))],
            id="shadow: compared, switch",
        ),
        pytest.param(
            B_SHADOW,
            A,
            row((A, B_SHADOW), (A, exited(1)), (B_SHADOW, PROVEN), resting=(A,)),
            [Stop(k(A))],
            id="shadow: nothing serves to compare with",
        ),
        pytest.param(
            B_SHADOW,
            None,
            row((B_SHADOW,), (B_SHADOW, PROVEN)),
            [Serve(k(B_SHADOW))],
            id="shadow: first",
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
