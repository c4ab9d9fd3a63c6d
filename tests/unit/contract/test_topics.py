"""Topics: what is built is read back, and nothing foreign is taken for a device's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_contract import topics
from skerry_contract.errors import NameInvalidError
from skerry_contract.names import DEVICE_ID, NAME
from skerry_contract.topics import DeviceTopics, Topic

PORCH = DeviceTopics("home", "porch-camera")
TAILS = [topics.DESIRED, topics.REPORTED, topics.STATE, topics.CAPS, topics.HEALTH, topics.ACK]
ids, names = st.from_regex(DEVICE_ID, fullmatch=True), st.from_regex(NAME, fullmatch=True)


@pytest.mark.parametrize("tail", TAILS)
def test_a_document_of_a_device_has_one_level_below_its_prefix(tail: str) -> None:
    assert PORCH(tail) == f"skerry/v1/home/porch-camera/{tail}"
    assert topics.parse(PORCH(tail)) == Topic("home", "porch-camera", (tail,))


@given(ids, ids, names, names)
def test_topics_of_streams_and_events_are_read_back(
    fleet: str, device: str, module: str, stream: str
) -> None:
    built = DeviceTopics(fleet, device)
    telemetry, event = built.telemetry(module, stream), built.event(stream)
    assert topics.parse(telemetry) == Topic(fleet, device, ("t", module, stream))
    assert topics.parse(event) == Topic(fleet, device, ("event", stream))
    assert telemetry.startswith(f"{built.prefix}/")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "skerry/v1",
        "skerry/v1/home/porch",
        "skerry/v1/home/porch/",
        "skerry/v1/home//state",
        "skerry/v1//porch/state",
        "/skerry/v1/home/porch/state",
        "skerry/v2/home/porch/state",
        "other/v1/home/porch/state",
        "skerry/v1/home/porch/state\n",
        "skerry/v1/home/porch/+",
        "skerry/v1/home/#",
        "skerry/v1/+/porch/state",
        "skerry/v1/home/Porch/state",
        "skerry/v1/home/porch/t/cam/a.b",
        "skerry/v1/home/porch/t/cam/scores/",
        "skerry/v1/home/porch/a/b/c/d/e",
        "$SYS/broker/uptime",
        "x" * 100_000,
    ],
    ids=lambda topic: topic[:40],
)
def test_a_foreign_or_odd_topic_is_refused(topic: str) -> None:
    with pytest.raises(NameInvalidError) as caught:
        topics.parse(topic)
    assert len(caught.value.text) < 1000


@given(st.text(alphabet="skerry/v1hom+#. \n\0", max_size=60).map(lambda end: f"skerry/v1/{end}"))
def test_whatever_the_topic_it_is_read_back_or_refused(topic: str) -> None:
    try:
        found = topics.parse(topic)
    except NameInvalidError:
        return
    assert DeviceTopics(found.fleet, found.device)("/".join(found.tail)) == topic


@pytest.mark.parametrize(("fleet", "device"), [("h", "porch"), ("home", "a/b"), ("home", "+++")])
def test_no_topics_are_built_for_an_odd_id(fleet: str, device: str) -> None:
    with pytest.raises(NameInvalidError):
        DeviceTopics(fleet, device)


@pytest.mark.parametrize("name", ["", "a/b", "#", "+", "a\n"])
def test_no_topic_is_built_for_an_odd_name(name: str) -> None:
    with pytest.raises(NameInvalidError):
        PORCH.telemetry(name, "scores")
    with pytest.raises(NameInvalidError):
        PORCH.telemetry("cam", name)
    with pytest.raises(NameInvalidError):
        PORCH.event(name)
