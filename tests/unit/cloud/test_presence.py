"""Whether a device is there, by table."""

import pytest

from skerry_cloud.fleet.presence import Heartbeat, Presence, Word, is_stale, presence
from skerry_contract.messages import DeviceState, State

NOW = 1_000_000.0


def said(state: DeviceState, ago_s: float, birth: int = 1, boot: str = "b1") -> Word:
    return Word(NOW - ago_s, State(state, boot, birth, ""))


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
        pytest.param(1, said("lost", 5), "offline", id="a heartbeat that comes after it was lost"),
        pytest.param(4.9998, said("disconnected", 5), "offline", id="overtaken by its goodbye"),
        pytest.param(1, said("lost", 5, boot="b0"), "online", id="a heartbeat of the next boot"),
        pytest.param(5, said("lost", 1, boot="b0"), "offline", id="which was before the goodbye"),
        pytest.param(900, said("lost", 1000, boot="b0"), "unknown", id="back once, then silent"),
        pytest.param(None, said("disconnected", 5), "offline", id="a goodbye and nothing else"),
    ],
)
def test_presence_is_judged_from_what_was_heard_and_when(
    heartbeat_ago_s: float | None, word: Word | None, expected: Presence
) -> None:
    heartbeat = (
        Heartbeat(NOW - heartbeat_ago_s, 60.0, "b1") if heartbeat_ago_s is not None else None
    )
    assert presence(heartbeat, word, NOW) == expected


READY = State("ready", "b1", 5, "")
GONE = State("disconnected", "b1", 5, "")


@pytest.mark.parametrize(
    ("new", "seen", "expected"),
    [
        pytest.param(State("lost", "b1", 4, ""), READY, "stale", id="an earlier connection's will"),
        pytest.param(State("lost", "b0", 4, ""), READY, "stale", id="an earlier boot's will"),
        pytest.param(State("lost", "b1", 5, ""), READY, "news", id="this connection's will"),
        pytest.param(State("ready", "b9", 1, ""), READY, "news", id="a device lost its count"),
        pytest.param(State("ready", "b1", 4, ""), READY, "stale", id="an earlier connection"),
        pytest.param(State("ready", "b1", 5, ""), GONE, "stale", id="overtaken by its goodbye"),
        pytest.param(State("ready", "b1", 6, ""), GONE, "news", id="back with a higher birth"),
        pytest.param(State("disconnected", "b1", 5, ""), GONE, "news", id="goodbye said twice"),
        pytest.param(State("lost", "b1", 4, ""), None, "news", id="the first that is heard"),
    ],
)
def test_a_state_is_stale_once_its_connection_has_ended(
    new: State, seen: State | None, expected: str
) -> None:
    assert is_stale(new, seen) is (expected == "stale")
