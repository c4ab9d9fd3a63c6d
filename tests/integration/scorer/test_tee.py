"""What one host scores is shown to another, over real sockets."""

from pathlib import Path

import pytest

from skerry_agent import host as agent_host
from skerry_agent.host import Sample
from support.agent_socket import Listen
from support.scorer_host import MakeHost
from support.waiting import eventually

pytestmark = pytest.mark.integration

KINDS = """
def init(): ...
def run(data): return {"kind": type(data).__name__, "length": len(data)}
"""
RAISES = """
def init(): ...
def run(data): raise ValueError("not this one")
"""


def put(folder: Path, name: str, data: bytes) -> None:
    beside = folder / f".{name}"
    beside.write_bytes(data)
    beside.rename(folder / name)


def next_sample(run_dir: Path) -> Sample:
    return eventually(lambda: agent_host.tee(run_dir, timeout_s=10), 30, why="a sample")


def test_an_input_is_shown_as_it_was_scored_and_the_next_version_scores_it_too(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    old, new = make_host(KINDS), make_host(KINDS)
    listen(old.run_dir)
    old.settings(inputs={"frames": {"folder": str(inputs), "pattern": "*"}}, stream="s")
    for one in (old, new):
        one.ready()
    assert agent_host.tee(old.run_dir, timeout_s=10) is None
    agent_host.serve(old.run_dir)

    for name, data, kind in (("a.png", b"\xff\x00\n\x01", "bytes"), ("b.json", b"[1,2]", "str")):
        put(inputs, name, data)
        sample = next_sample(old.run_dir)
        assert (sample.data, sample.is_text) == (data, kind == "str")
        assert sample.result == {"kind": kind, "length": len(data)}
        result, ms = agent_host.score(new.run_dir, sample, timeout_s=10)
        assert result == sample.result
        assert ms >= 0
    assert new.status()["serving"] is False


def test_nothing_is_kept_unless_somebody_asks(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    old = make_host(KINDS)
    listen(old.run_dir)
    old.settings(inputs={"frames": {"folder": str(inputs), "pattern": "*"}}, stream="s")
    old.ready()
    agent_host.serve(old.run_dir)
    put(inputs, "a.png", b"a")
    eventually(lambda: not list(inputs.glob("*.png")), 30)
    assert agent_host.tee(old.run_dir, timeout_s=10) is None


def test_a_version_that_raises_gives_a_result_that_agrees_with_none(make_host: MakeHost) -> None:
    new = make_host(RAISES)
    new.ready()
    sample = Sample(b"x", is_text=False, result=1, ms=1.0)
    result, _ = agent_host.score(new.run_dir, sample, timeout_s=10)
    assert str(result).startswith("status 500: ")
    assert "not this one" in str(result)
