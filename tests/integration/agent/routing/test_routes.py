"""Results on their way between real scorer hosts, over HTTP, and to a real broker."""

import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from skerry_agent.reconciling.clock import machine_clock
from skerry_agent.reconciling.holds import Holds
from skerry_agent.routing.inlet import Inlet
from skerry_agent.routing.queues import RouteQueues
from skerry_agent.routing.router import Router
from skerry_agent.telling.outbox import Entry
from skerry_agent.unix_http import UnixConnection, socket_address
from skerry_contract.errors import NoSpaceError
from skerry_contract.manifest import Broker, FolderInput, Route, RoutedInput, RunSettings
from support.mosquitto import Mosquitto
from support.scorer_host import ScorerHost
from support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SHOUT = "def init(): pass\ndef run(data): return data.upper()\n"
LENGTH = """
import json
def init(): pass
def run(data): return {"of": json.loads(data)["result"], "length": len(json.loads(data)["result"])}
"""


class Device:
    """The routing half of an agent: doors for instances, queues, and what would go upstream."""

    def __init__(self, folder: Path, *, limit_bytes: int = 10**6) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.up: list[Entry] = []
        self.full = False
        self._inlets: list[Inlet] = []
        self._open()

    def _open(self) -> None:
        self.queues = RouteQueues(self.folder / "routes.db", limit_bytes=self.limit_bytes)
        self.router = Router(self.queues, self._upstream)

    def _upstream(self, entries: Sequence[Entry]) -> None:
        if self.full:
            raise NoSpaceError("outbox: full")
        self.up.extend(entries)

    def run_dir(self, module: str) -> Path:
        path = self.folder / "run" / module
        path.mkdir(parents=True, exist_ok=True)
        return path

    def add(self, module: str, run: RunSettings) -> Path:
        path = self.run_dir(module)
        door = self.router.open(f"{module}.1", module, run)
        locks = Holds(self.folder, machine_clock())
        self._inlets.append(Inlet(module, path, door, locks))
        return path

    def close(self) -> None:
        for inlet in self._inlets:
            inlet.close()
        self._inlets.clear()
        self.router.stop()
        self.queues.close()

    def results(self, module: str) -> list[Any]:
        found = [one for one in list(self.up) if one.stream.startswith(f"{module}/")]
        return [json.loads(one.data)["result"] for one in found]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path)
    yield made
    made.close()


def host(device: Device, module: str, script: str, run: RunSettings) -> ScorerHost:
    """Return a scorer host of the device, not yet started, with its inputs below its run folder."""
    app = device.folder / "app" / module
    app.mkdir(parents=True)
    (app / "score.py").write_text(script)
    run_dir = device.add(module, run)
    made = ScorerHost(run_dir, app)
    inputs: dict[str, Any] = {}
    for name, given in run.inputs.items():
        folder = run_dir / "inputs" / name
        folder.mkdir(parents=True)
        if isinstance(given, FolderInput):
            inputs[name] = {"folder": str(folder)}
        elif isinstance(given, RoutedInput):
            inputs[name] = {"stream": given.stream, "aside": str(folder)}
    made.settings(inputs=inputs, stream="scores")
    return made


def serve(*hosts: ScorerHost) -> None:
    for one in hosts:
        one.ready()
        assert one.request("POST", "/skerry/serve").status in (200, 204)


def drop(device: Device, module: str, name: str, text: str) -> None:
    folder = device.run_dir(module) / "inputs" / "texts"
    (folder / f".{name}").write_text(text)
    (folder / f".{name}").rename(folder / name)


READS = RunSettings(inputs={"texts": FolderInput("texts")})
FED = RunSettings(inputs={"words": RoutedInput("shout/scores")})


def test_one_modules_results_are_another_ones_input(device: Device) -> None:
    shout, length = host(device, "shout", SHOUT, READS), host(device, "length", LENGTH, FED)
    try:
        serve(shout, length)
        for number in range(20):
            drop(device, "shout", f"{number:02}.txt", "a" * number)
        eventually(lambda: len(device.results("length")) == 20, 30, why="all results of both")
        assert {"of": "AAA", "length": 3} in device.results("length")
        assert sorted(map(len, device.results("shout"))) == list(range(20))
        levels = device.queues.levels()
        eventually(
            lambda: device.queues.levels()["input/length/words"].rows == 0, why="an empty queue"
        )
        assert set(levels) == {"input/length/words"}
    finally:
        shout.kill()
        length.kill()


def test_what_a_killed_module_had_not_scored_comes_again(device: Device) -> None:
    slow = LENGTH.replace("def run(data):", "import time\ndef run(data):\n    time.sleep(0.2);")
    shout, length = host(device, "shout", SHOUT, READS), host(device, "length", slow, FED)
    try:
        serve(shout, length)
        for number in range(10):
            drop(device, "shout", f"{number:02}.txt", "a" * number)
        eventually(lambda: len(device.results("length")) >= 2, 30, why="some results")
        length.kill()
        serve(length)
        wanted = set(range(10))
        eventually(
            lambda: {one["length"] for one in device.results("length")} == wanted, 30, why="all"
        )
    finally:
        shout.kill()
        length.kill()


def test_what_is_queued_outlives_the_agent(device: Device, tmp_path: Path) -> None:
    shout = host(device, "shout", SHOUT, READS)
    device.router.open("length.1", "length", FED)
    try:
        serve(shout)
        drop(device, "shout", "a.txt", "abc")
        eventually(lambda: device.results("shout") == ["ABC"], why="a result")
    finally:
        shout.kill()
    device.close()
    again = Device(tmp_path)
    length = host(again, "length", LENGTH, FED)
    try:
        serve(length)
        eventually(lambda: again.results("length") == [{"of": "ABC", "length": 3}], why="the rest")
    finally:
        length.kill()
        again.close()


def say(run_dir: Path, number: int, data: Any) -> dict[str, Any]:
    """Hand over one result as a module does, and return the answer."""
    line = json.dumps({"id": number, "items": [{"stream": "scores", "data": data}]}) + "\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        with socket_address(run_dir / "agent.sock") as address:
            connection.connect(address)
        connection.sendall(line.encode())
        found: dict[str, Any] = json.loads(connection.makefile().readline())
        return found


def test_a_module_that_takes_nothing_makes_its_source_wait_and_nothing_is_stored_twice(
    tmp_path: Path,
) -> None:
    device = Device(tmp_path, limit_bytes=1000)
    try:
        run_dir = device.add("shout", RunSettings())
        device.router.open("length.1", "length", FED)
        assert say(run_dir, 1, "x" * 900) == {"stored": 1}
        assert say(run_dir, 2, "y" * 900)["retry"] == 2
        assert len(device.up) == 1
        device.full = True  # and the other way round
        assert say(run_dir, 3, "z")["retry"] == 3
        assert device.queues.levels()["input/length/words"].rows == 1
    finally:
        device.close()


def test_what_nobody_wants_is_dropped_and_counted(device: Device) -> None:
    run_dir = device.add("shout", RunSettings(upstream=("alarms",)))
    assert say(run_dir, 1, "x") == {"stored": 1}
    assert (device.up, device.router.unrouted) == ([], 1)


def ask(run_dir: Path, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    connection = UnixConnection(run_dir / "agent.sock", 20)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data else None
    finally:
        connection.close()


def test_a_container_that_is_not_skerrys_takes_part_over_http(device: Device) -> None:
    any_run = device.add("sensor", RunSettings())
    fed_run = device.add("length", RunSettings(inputs={"words": RoutedInput("sensor/*")}))
    assert ask(fed_run, "GET", "/inputs/words") == (204, None)
    assert ask(any_run, "POST", "/results/heat", b'{"c":\n 21.5}') == (200, {"stored": 1})
    assert [(one.stream, one.data) for one in device.up] == [("sensor/heat", b'{"c":21.5}')]

    status, found = ask(fed_run, "GET", "/inputs/words?wait_s=5")
    assert (status, found["stream"], found["data"]) == (200, "sensor/heat", {"c": 21.5})
    # Until it says that it has dealt with it, it comes again.
    assert ask(fed_run, "GET", "/inputs/words")[1] == found
    assert ask(fed_run, "DELETE", f"/inputs/words/{found['id']}") == (204, None)
    assert ask(fed_run, "GET", "/inputs/words") == (204, None)

    assert ask(any_run, "POST", "/events/low-battery", b'{"text": "11 V"}')[0] == 200
    assert device.up[-1].stream == "event/low-battery"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "told"),
    [
        ("POST", "/results/heat", b"{", 400, "no JSON"),
        ("POST", "/results/heat", b'1},{"stream":"b","data":2', 400, "no JSON"),
        ("POST", "/results/heat", b"NaN", 400, ""),
        ("POST", "/results/heat", b'"' + b"x" * 70_000 + b'"', 413, "65536"),
        ("POST", "/results/He..at", b"1", 404, "no such"),
        ("GET", "/inputs/none", None, 404, "no such"),
        ("GET", "/inputs/words?wait_s=x", None, 400, "wait_s"),
        ("PUT", "/results/heat", b"1", 405, "no such"),
        ("GET", "/", None, 404, "/results/"),
        ("DELETE", "/inputs/words/x", None, 404, "no such"),
    ],
)
def test_what_is_asked_wrongly_over_http_is_told(
    device: Device, method: str, path: str, body: bytes | None, status: int, told: str
) -> None:
    run_dir = device.add("sensor", RunSettings(inputs={"words": RoutedInput("x/*")}))
    found = ask(run_dir, method, path, body)
    assert found[0] == status
    assert told in found[1]["text"]
    assert device.up == []


def test_a_full_outbox_is_told_over_http_as_well(device: Device) -> None:
    run_dir = device.add("sensor", RunSettings())
    device.full = True
    assert ask(run_dir, "POST", "/results/heat", b"1")[0] == 503


class Reader:
    """Reads everything from a broker."""

    def __init__(self, broker: Mosquitto) -> None:
        self.messages: list[tuple[str, Any]] = []
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="reader", clean_session=False
        )
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_message = lambda _client, _data, message: self.messages.append(
            (message.topic, json.loads(message.payload))
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_a_broker_gets_all_results_though_it_is_away_for_a_while(
    device: Device, tmp_path: Path
) -> None:
    broker = Mosquitto(tmp_path)
    here = Broker(broker.host, broker.port)
    run = RunSettings(upstream=(), routes={"site": Route("site/{module}/{stream}", broker=here)})
    run_dir = device.add("shout", run)
    for number in range(100):
        assert say(run_dir, number, number) == {"stored": number}
    broker.start()
    reader = Reader(broker)
    try:
        eventually(
            lambda: {data for _, data in reader.messages} == set(range(100)), 60, why="the first"
        )
        broker.kill()
        for number in range(100, 200):
            assert say(run_dir, number, number) == {"stored": number}
        broker.start()
        eventually(
            lambda: {data for _, data in reader.messages} == set(range(200)), 60, why="the rest"
        )
        assert {name for name, _ in reader.messages} == {"site/shout/scores"}
        (name,) = device.queues.levels()
        eventually(lambda: device.queues.levels()[name].rows == 0, 30, why="all acknowledged")
        assert device.queues.levels()[name].counted == {"delivered": 200}
        assert device.up == []
    finally:
        reader.close()
        device.close()
        broker.stop()
