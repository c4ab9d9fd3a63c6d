"""The whole server in one process: broker, ingest, publisher, builds and API."""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from skerry_cloud import data_folder, messaging
from skerry_cloud.api.app import make_app
from skerry_cloud.assembly import CompileWith, Place, assemble, write_login
from skerry_cloud.broker import TlsFiles, provide_tls
from skerry_cloud.compiling import compiler_into
from skerry_cloud.keeper import Keeper
from skerry_cloud.settings import Settings
from skerry_cloud.web import Web, listen
from skerry_contract.errors import BrokerError

_LOOK_EVERY_S = 0.2
_CONNECT_S = 15.0
_STOP_S = 5.0
"""Seconds that each part has to end."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What is told once the server answers.

    Attributes:
        url: Where the API is.
        broker: Where the broker is, and which one.
        login: File that holds what people need to use the API.
    """

    url: str
    broker: Mapping[str, Any]
    login: str


def run(
    settings: Settings,
    stop: threading.Event,
    on_ready: Callable[[Ready], None],
    compile_with: CompileWith = compiler_into,
) -> None:
    """Serve until ``stop`` is set, then end everything within a bounded time.

    Args:
        settings: Where and how.
        stop: Ends it.
        on_ready: Called once the API answers and the broker is connected.
        compile_with: Makes the compiler.

    Raises:
        ConflictError: The data folder or the port is in use.
        BrokerError: The broker does not start, or does not let the cloud in.
    """
    with ExitStack() as undo:
        undo.enter_context(data_folder.held(settings.data))
        listener = undo.enter_context(listen(settings.options.host, settings.options.port))
        tls = _provide_tls(settings)
        bus = messaging.start(settings, tls)
        if bus.process is not None:
            undo.callback(bus.process.stop)
        place = Place(settings, _url(settings, listener, tls), bus, tls)
        parts = assemble(place, compile_with)
        undo.callback(parts.stop, within_s=_STOP_S)
        parts.start()
        if bus.process is not None and not parts.wait_connected(_CONNECT_S):
            raise BrokerError(f"the broker at {bus.address.host} does not let the cloud in")
        web = Web(make_app(parts.services), listener, tls)
        undo.callback(web.stop)
        web.start()
        on_ready(Ready(place.url, _told(bus.public), str(write_login(place))))
        keeper = Keeper(bus.process, time.monotonic) if bus.process is not None else None
        while not stop.wait(_LOOK_EVERY_S):
            web.check()
            if keeper is not None:
                keeper.look()


def _provide_tls(settings: Settings) -> TlsFiles | None:
    if not settings.options.tls:
        return None
    return provide_tls(settings.data / "tls", [settings.public_host, settings.options.host])


def _url(settings: Settings, listener: socket.socket, tls: TlsFiles | None) -> str:
    host = settings.public_host
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{listener.getsockname()[1]}"


def _told(broker: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: broker[name] for name in ("kind", "host", "port", "tls")}
