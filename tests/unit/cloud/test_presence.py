"""Whether a device is there, by table."""

import pytest

from skerry_cloud.fleet.presence import Heartbeat, Presence, Word, is_stale_will, presence
from skerry_contract.messages import DeviceState, State

NOW = 1_000_000.0


def said(state: DeviceState, ago_s: float, birth: int = 1) -> Word:
    return Word(NOW - ago_s, State(state, "b1", birth, ""))


@pytest.mark.parametrize(
    ("heartbeat_ago_s", "word", "expected"),
    [
        pytest.param(None, None, "unknown", id="never heard of"),
        pytest.param(None, said("ready", 1), "unknown", id="ready, but no heartbeat yet"),
        pytest.param(5, said("ready", 9), "online", id="ready and beating"),
        pytest.param(179.9, said("ready", 900), "online", id="two heartbeats missed"),
        pytest.param(180, said("ready", 900), "unknown", id="three heartbeats missed"),
        pytest.param(5, None, "online", id="beating, its state was lost on the way"),
        pytest.param(5, said("lost", 1), "offline", id="the broker lost it"),
        pytest.param(5, said("disconnected", 1), "offline", id="it said goodbye"),
        pytest.param(9999, said("lost", 9000), "offline", id="gone for long"),
        pytest.param(1, said("lost", 5), "online", id="a heartbeat after the goodbye"),
        pytest.param(900, said("lost", 1000), "unknown", id="back once, then silent"),
    ],
)
def test_presence_is_judged_from_what_was_heard_and_when(
    heartbeat_ago_s: float | None, word: Word | None, expected: Presence
) -> None:
    heartbeat = Heartbeat(NOW - heartbeat_ago_s, 60.0) if heartbeat_ago_s is not None else None
    assert presence(heartbeat, word, NOW) == expected


@pytest.mark.parametrize(
    ("state", "birth", "stale"),
    [
        pytest.param("lost", 4, True, id="the will of a connection before"),
        pytest.param("lost", 5, False, id="the will of this connection"),
        pytest.param("ready", 1, False, id="a device that lost its count"),
    ],
)
def test_only_the_will_of_an_earlier_connection_is_stale(
    state: DeviceState,
    birth: int,
    stale: bool,  # noqa: FBT001 (a column of the table)
) -> None:
    seen = said("ready", 1, birth=5).state
    assert is_stale_will(State(state, "b1", birth, ""), seen) is stale
    assert not is_stale_will(State(state, "b1", birth, ""), None)
