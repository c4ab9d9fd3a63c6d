"""Small worlds for the planner: one module, a few revisions, and what is seen of them."""

from dataclasses import replace

from skerry_agent.core.world import Instance, Key, Life, Modules, World, key_of
from skerry_contract.desired import ModuleSpec
from skerry_contract.manifest import Restart, RunSettings, Shadow, Update
from skerry_contract.names import Digest


def spec(letter: str, update: Update = "side-by-side", restart: Restart = "always") -> ModuleSpec:
    run = RunSettings(update=update, restart=restart)
    return ModuleSpec(f"m:{ord(letter)}", Digest(f"sha256:{letter * 64}"), 100, run)


A, B, C = spec("a"), spec("b"), spec("c")
B_STOP_FIRST = spec("b", "stop-first")
B_SHADOW = replace(B, run=RunSettings(shadow=Shadow()))
A_NEVER = spec("a", restart="never")
A_ON_FAILURE = spec("a", restart="on-failure")
A_ON_UNHEALTHY = spec("a", restart="on-unhealthy")
STARTING, READY, SERVING = Instance(Life.STARTING), Instance(Life.READY), Instance(Life.SERVING)
UNREADY = Instance(Life.UNREADY)
COMPARED = Instance(Life.READY, proven=True, compared=True)
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


def modules(wanted: ModuleSpec | None) -> Modules:
    return {"m": wanted} if wanted else {}
