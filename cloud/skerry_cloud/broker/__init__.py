"""The MQTT broker that ``skerry up`` brings along: a real one, as a child process.

Read it in this order. ``rights`` says who may do what, ``accounts`` keeps passwords as hashes,
``mosquitto`` and ``nats`` turn both into the configuration of one broker program, ``child`` keeps
the program running under a bounded log, ``running`` joins them. ``tls`` makes certificates.

Every broker counts as lossy here: what must not be lost is in the cloud's database or in a
device's outbox. See ``docs/howto/brokers.md`` for what each program keeps over a crash.
"""

from skerry_cloud.broker.accounts import Login
from skerry_cloud.broker.engine import BrokerKind
from skerry_cloud.broker.running import Broker, BrokerSettings, start
from skerry_cloud.broker.tls import TlsFiles, provide_tls

__all__ = [
    "Broker",
    "BrokerKind",
    "BrokerSettings",
    "Login",
    "TlsFiles",
    "provide_tls",
    "start",
]
