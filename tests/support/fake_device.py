"""A device that decides nothing: it speaks MQTT as the contract says, and keeps what it hears."""

import json
from typing import Any

from skerry_contract import shape, topics
from skerry_contract.commands import CommandState, Response
from skerry_contract.messages import Ack, Batch, Caps, Item, RuntimeCaps, State
from skerry_contract.topics import DeviceTopics
from support.cloud_server import CloudServer
from support.mqtt import MqttClient
from support.waiting import eventually

WHEN = "2026-11-22T16:00:00Z"


class FakeDevice:
    """Speaks MQTT as a device does, and decides nothing."""

    def __init__(self, server: CloudServer, name: str, will: State | None = None) -> None:
        self.name = name
        self.topics = DeviceTopics("home", name)
        self.token = server.add_device(name)["token"]
        self.server = server
        self.will = will
        self.mqtt = self._connect()

    def _connect(self) -> MqttClient:
        will = (self.topics("state"), shape.dump(self.will)) if self.will else None
        client = MqttClient(
            self.server.broker_port, self.name, self.token, client_id=self.name, will=will
        )
        client.connect()
        assert not client.refused, client.refused
        client.subscribe(*map(self.topics, (*topics.TO_DEVICE, topics.REQUESTS)))
        return client

    def reconnect(self) -> None:
        self.mqtt.close()
        self.mqtt = self._connect()

    def say(self, tail: str, value: Any) -> None:
        self.mqtt.publish(self.topics(tail), shape.dump(value), retain=True)

    def send(self, *numbers: int, floor: int = 1, boot: str = "b1", tail: str = "t/m/s") -> None:
        items = tuple(Item(n, WHEN, {"n": n}) for n in numbers)
        self.mqtt.publish(self.topics(tail), shape.dump(Batch(boot, floor, items)))

    def acknowledged(self, stream: str = "m/s", boot: str = "b1") -> int:
        found = 0
        for payload in self.mqtt.payloads(self.topics("ack")):
            for ack in shape.parse(Ack, payload, max_bytes=100_000).acks:
                if (ack.stream, ack.boot) == (stream, boot):
                    found = ack.seq
        return found

    def wait_acknowledged(self, number: int, **which: str) -> None:
        eventually(lambda: self.acknowledged(**which) == number, why=f"ack of {number}")

    def seen(self) -> Any:
        return self.server.get(f"/v1/devices/{self.name}")

    def stored(self, **query: Any) -> list[int]:
        wanted = "&".join(f"{key}={value}" for key, value in query.items())
        page = self.server.get(f"/v1/telemetry?device={self.name}&limit=1000&{wanted}")
        return [item["data"]["n"] for item in page["items"]]

    # --- commands ---------------------------------------------------------------------------

    def understand(self, *types: str) -> None:
        """Say which commands it understands, and wait until the cloud knows."""
        runtime = RuntimeCaps("process", "none")
        caps = Caps("b1", WHEN, "0.1", "linux/amd64", "3.11", runtime, commands=types)
        self.say("caps", caps)
        eventually(lambda: (self.seen()["caps"] or {}).get("commands") == list(types))

    def requests(self, command: str) -> list[Any]:
        """Return the signed parts of the requests of a command, as often as they came."""
        return [
            json.loads(one.payload)["command"]["signed"]
            for one in list(self.mqtt.messages)
            if f"/{command}/req" in one.topic
        ]

    def respond(self, command: Any, state: CommandState, **more: Any) -> None:
        """Say how far a command is."""
        tail = f"cmd/{command['type']}/{command['id']}/res"
        response = Response("b1", WHEN, state, **more)
        self.mqtt.publish(self.topics(tail), shape.dump(response))

    def confirmed(self) -> set[str]:
        """Return the commands whose end the cloud has confirmed."""
        payloads = self.mqtt.payloads(self.topics("ack"))
        acks = (shape.parse(Ack, payload, max_bytes=100_000) for payload in payloads)
        return {command for ack in acks for command in ack.commands}
