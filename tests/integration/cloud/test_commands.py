"""Commands from the API to a device and back, over a real broker; and the gaps of its streams."""

from collections.abc import Iterator
from typing import Any

import pytest

from skerry_contract import shape
from skerry_contract.commands import LogLines
from skerry_contract.messages import Failure, Health, OutboxHealth
from support.cloud_server import CloudServer
from support.fake_device import WHEN, FakeDevice
from support.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=["mosquitto", "nats"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CloudServer]:
    with CloudServer(tmp_path_factory.mktemp("data"), broker=request.param) as running:
        yield running


@pytest.fixture
def device(server: CloudServer, request: pytest.FixtureRequest) -> Iterator[FakeDevice]:
    connected = FakeDevice(server, f"dev-{abs(hash(request.node.name)) % 10**8}")
    yield connected
    connected.mqtt.close()


def issue(device: FakeDevice, type_: str = "check", **more: Any) -> Any:
    return device.server.post(f"/v1/devices/{device.name}/commands", {"type": type_, **more})


def look(device: FakeDevice, command: Any, query: str = "") -> Any:
    return device.server.get(f"/v1/devices/{device.name}/commands/{command['id']}{query}")


def refusal(device: FakeDevice, body: Any) -> tuple[int, str]:
    answer = device.server.ask("POST", f"/v1/devices/{device.name}/commands", body)
    return answer.status_code, answer.json()["error"]["text"]


def test_a_command_is_followed_from_its_request_to_its_end(device: FakeDevice) -> None:
    device.understand("check")
    command = issue(device)
    assert (command["state"], command["issued_by"]) == ("issued", "admin")
    (asked,) = eventually(lambda: device.requests(command["id"]))
    assert (asked["device"], asked["type"], asked["number"]) == (device.name, "check", 1)
    seen = command["revision"]
    for state, more in (("accepted", {}), ("executing", {}), ("executing", {"step": 1})):
        device.respond(command, state, text=f"{state}!", **more)  # type: ignore[arg-type] # of the table
        found = look(device, command, f"?wait_s=20&seen={seen}")
        assert (found["state"], found["text"], found["is_over"]) == (state, f"{state}!", False)
        seen = found["revision"]
    device.respond(command, "successful", result={"findings": []})
    found = look(device, command, f"?wait_s=20&seen={seen}")
    assert (found["state"], found["result"]) == ("successful", {"findings": []})
    eventually(lambda: command["id"] in device.confirmed())


def test_what_comes_late_or_twice_changes_nothing(device: FakeDevice) -> None:
    device.understand("check")
    command = issue(device)
    failure = Failure("PROBE", "it did not answer")
    device.respond(command, "executing", step=3)
    eventually(lambda: look(device, command)["state"] == "executing")
    device.respond(command, "executing", step=2, text="late")
    device.respond(command, "accepted", text="late")
    device.respond(command, "failed", failure=failure)
    device.respond(command, "successful")
    eventually(lambda: command["id"] in device.confirmed())
    found = look(device, command)
    assert (found["state"], found["failure"]["text"]) == ("failed", "it did not answer")
    assert found["revision"] == 2


def test_a_device_is_not_asked_what_it_does_not_understand(device: FakeDevice) -> None:
    assert refusal(device, {"type": "check"})[0] == 409
    device.understand("check")
    status, text = refusal(device, {"type": "reboot"})
    assert (status, "does not carry out reboot" in text) == (409, True)
    assert refusal(device, {"type": "fly"})[0] == 400
    assert refusal(device, {"type": "check", "args": {"deep": True}})[0] == 400
    assert refusal(device, {"type": "check", "deadline_s": 0})[0] == 400
    listed = device.server.get(f"/v1/devices/{device.name}/commands")
    assert listed == {"commands": []}


def test_a_device_that_is_away_is_asked_when_it_comes_back(device: FakeDevice) -> None:
    device.understand("check")
    device.mqtt.close()
    command = issue(device)
    device.reconnect()
    device.understand("check")
    eventually(lambda: device.requests(command["id"]))


def test_one_device_cannot_speak_for_another(server: CloudServer, device: FakeDevice) -> None:
    device.understand("check", "support-bundle")
    command = issue(device)
    stranger = FakeDevice(server, f"{device.name}-x")
    stranger.respond(command, "successful")
    stranger.respond(issue(device), "successful")
    device.respond(command, "accepted")
    eventually(lambda: look(device, command)["state"] == "accepted")
    path = f"/v1/devices/{device.name}/commands/{issue(device, 'support-bundle')['id']}/bundle"
    assert server.ask("PUT", path, b"x", token=stranger.token).status_code == 401
    stranger.mqtt.close()


def test_a_bundle_comes_from_its_device_for_a_command_that_asked_for_it(
    server: CloudServer, device: FakeDevice
) -> None:
    device.understand("support-bundle", "check")
    command, other = issue(device, "support-bundle"), issue(device)
    path = f"/v1/devices/{device.name}/commands/{command['id']}/bundle"
    assert server.ask("GET", path).status_code == 404
    assert server.ask("PUT", path, b"\x1f\x8b!", token=device.token).status_code == 204
    assert server.ask("GET", path).content == b"\x1f\x8b!"
    assert server.ask("GET", path, token=device.token).status_code == 401
    wrong = f"/v1/devices/{device.name}/commands/{other['id']}/bundle"
    assert server.ask("PUT", wrong, b"x", token=device.token).status_code == 409
    device.respond(command, "successful")
    eventually(lambda: look(device, command)["is_over"])
    assert server.ask("PUT", path, b"x", token=device.token).status_code == 409


def test_lines_of_a_log_are_kept_in_their_order_and_losses_are_seen(device: FakeDevice) -> None:
    device.understand("logs", "check")
    command, other = issue(device, "logs"), issue(device)
    for lease, first, lines in (
        (command, 1, ("one", "two\0")),
        (command, 5, ("five",)),
        (command, 1, ("one",)),
        (other, 1, ("nobody asked",)),
    ):
        data = shape.dump(LogLines("b1", WHEN, lease["id"], first, lines))
        device.mqtt.publish(device.topics("log/m"), data)
    device.respond(command, "successful")
    eventually(lambda: look(device, command)["is_over"])
    page = look(device, command, "/log")
    assert [(line["n"], line["text"]) for line in page["lines"]] == [
        (1, "one"),
        (2, "two\ufffd"),
        (5, "five"),
    ]
    assert look(device, command, "/log?after=5")["lines"] == []
    assert look(device, other, "/log")["lines"] == []


def test_a_device_that_is_removed_takes_its_commands_along(device: FakeDevice) -> None:
    device.understand("logs")
    command = issue(device, "logs")
    data = shape.dump(LogLines("b1", WHEN, command["id"], 1, ("x",)))
    device.mqtt.publish(device.topics("log/m"), data)
    eventually(lambda: look(device, command, "/log")["lines"])
    assert device.server.ask("DELETE", f"/v1/devices/{device.name}").status_code == 204
    answer = device.server.ask("GET", f"/v1/devices/{device.name}/commands/{command['id']}")
    assert answer.status_code == 404


def test_every_gap_is_listed_with_its_numbers(device: FakeDevice) -> None:
    device.send(1, 2, 6)
    device.wait_acknowledged(2)
    assert device.server.get(f"/v1/devices/{device.name}/gaps")["gaps"] == []
    device.send(9, floor=9)
    device.wait_acknowledged(9)
    device.send(11, floor=11)
    device.wait_acknowledged(11)
    device.say("health", Health("b1", WHEN, 60, outbox=OutboxHealth(dropped={"full": 6})))
    found = eventually(
        lambda: (
            g if (g := device.server.get(f"/v1/devices/{device.name}/gaps"))["dropped"] else None
        )
    )
    gaps = {(one["stream"], one["first"], one["last"]) for one in found["gaps"]}
    assert gaps == {("m/s", 3, 5), ("m/s", 7, 8), ("m/s", 10, 10)}
    assert (found["lost"], found["stored"], found["dropped"]) == (
        {"m/s": 6},
        {"m/s": 5},
        {"full": 6},
    )
