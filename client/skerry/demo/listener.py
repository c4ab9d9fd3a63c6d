"""Read MQTT topics as any client would: one JSON line per message, until SIGTERM.

    SKERRY_PASSWORD=… python -m skerry.demo.listener HOST PORT USERNAME CA TOPIC…

``CA`` is a file of certificates to believe, or ``-`` for a connection without TLS.
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode


def main(argv: Sequence[str], password: str) -> None:
    """Connect, subscribe at least once delivery, and write what comes; never returns by itself."""
    host, port, username, ca, *topics = argv
    client = Client(CallbackAPIVersion.VERSION2)
    if username:
        client.username_pw_set(username, password)
    if ca != "-":
        client.tls_set(ca)

    def subscribe(
        _client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _p: Properties | None
    ) -> None:
        if reason.is_failure:
            _write({"refused": str(reason)})
            return
        client.subscribe([(topic, 1) for topic in topics])
        _write({"connected": f"{host}:{port}", "topics": topics})

    def show(_client: Client, _data: Any, message: MQTTMessage) -> None:
        payload = json.loads(message.payload) if message.payload else None
        _write({"topic": message.topic, "payload": payload, "retained": message.retain})

    client.on_connect = subscribe
    client.on_message = show
    client.connect(host, int(port), keepalive=30)
    client.loop_forever()


def _write(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:], os.environ.get("SKERRY_PASSWORD", ""))
