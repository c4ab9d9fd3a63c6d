"""Where results go, row by row."""

import pytest

from skerry_agent.core.routing import Table, broker_queue, input_queue, topic
from skerry_contract.manifest import Broker, Route, RoutedInput, RunSettings

HERE, THERE = Broker(), Broker(host="hub.local", tls=True)
FED = input_queue("names", "boxes")


def table(producer: RunSettings, **consumers: RunSettings) -> Table:
    made = Table()
    made.set("faces.1", "faces", producer)
    for module, run in consumers.items():
        made.set(f"{module}.1", module, run)
    return made


def fed_by(stream: str) -> RunSettings:
    return RunSettings(inputs={"boxes": RoutedInput(stream)})


@pytest.mark.parametrize(
    ("producer", "consumer", "stream", "expected"),
    [
        (RunSettings(), RunSettings(), "scores", (True, [])),
        (RunSettings(upstream=()), RunSettings(), "scores", (False, [])),
        (RunSettings(upstream=("alarms",)), RunSettings(), "scores", (False, [])),
        (RunSettings(upstream=("alarms",)), RunSettings(), "alarms", (True, [])),
        (RunSettings(), fed_by("faces/scores"), "scores", (True, [FED])),
        (RunSettings(), fed_by("faces/scores"), "alarms", (True, [])),
        (RunSettings(), fed_by("faces/*"), "alarms", (True, [FED])),
        (RunSettings(), fed_by("other/scores"), "scores", (True, [])),
        (RunSettings(upstream=()), fed_by("faces/*"), "alarms", (False, [FED])),
        (
            RunSettings(routes={"a": Route("x", broker=HERE), "b": Route("y", broker=THERE)}),
            fed_by("faces/*"),
            "scores",
            (True, [broker_queue(HERE), broker_queue(THERE), FED]),
        ),
        (
            RunSettings(routes={"a": Route("x", stream="alarms")}),
            RunSettings(),
            "scores",
            (True, []),
        ),
    ],
)
def test_a_result_goes_where_it_is_wanted(
    producer: RunSettings, consumer: RunSettings, stream: str, expected: tuple[bool, list[str]]
) -> None:
    way = table(producer, names=consumer).way("faces.1", "faces", stream)
    assert (way.upstream, [one.name for one in way.queues]) == expected


def test_an_old_and_a_new_instance_of_a_module_share_their_queue() -> None:
    both = table(RunSettings(), names=fed_by("faces/*"))
    both.set("names.2", "names", RunSettings(inputs={"boxes": RoutedInput("faces/*", priority=1)}))
    (one,) = both.way("faces.1", "faces", "scores").queues
    assert (one.name, one.priority) == (FED, 1)
    both.remove("names.2")
    both.remove("names.1")
    assert both.way("faces.1", "faces", "scores").queues == ()


def test_two_routes_to_one_broker_are_two_messages() -> None:
    routes = {"a": Route("site/{stream}"), "b": Route("all/{module}/{stream}")}
    way = table(RunSettings(routes=routes)).way("faces.1", "faces", "scores")
    assert [one.subject for one in way.queues] == ["site/scores", "all/faces/scores"]


def test_another_user_at_a_broker_is_another_queue() -> None:
    assert broker_queue(HERE) != broker_queue(Broker(user="a"))
    made = table(RunSettings(routes={"a": Route("x"), "b": Route("y", broker=THERE)}))
    assert made.brokers() == {broker_queue(HERE): HERE, broker_queue(THERE): THERE}


def test_names_stand_in_a_topic() -> None:
    assert topic("a/{module}/{stream}/{other}", "faces", "scores") == "a/faces/scores/{other}"
