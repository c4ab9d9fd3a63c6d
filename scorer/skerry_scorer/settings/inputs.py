"""The inputs that ``settings.json`` names, one class for each kind."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Form = Literal["text", "bytes"]


class SettingsError(Exception):
    """A variable or a field of ``settings.json`` cannot be used as it is."""


@dataclass(frozen=True)
class FolderInput:
    """A folder whose files are scored.

    Attributes:
        folder: As the module sees it.
        pattern: Which files count, as a shell pattern.
    """

    folder: Path
    pattern: str = "*"


@dataclass(frozen=True)
class Broker:
    """Where an MQTT broker is, and how to be let in.

    Attributes:
        host: Name or address.
        port: TCP port.
        tls: Whether to speak TLS and to check the broker's certificate.
        ca: PEM certificates to trust instead of the system's, or "".
        user: User name, or "".
        password: Password of the user.
        password_file: File that holds it instead, read for each connection; or "". Paths of files
            are absolute, or below the input's folder.
        ca_file: File of PEM certificates to trust, instead of ``ca``; or "".
        certificate_file: File of the client's certificate, as PEM; or "".
        key_file: File of the certificate's key.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    tls: bool = False
    ca: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""


@dataclass(frozen=True)
class TopicInput:
    """An MQTT topic filter whose messages are scored.

    Attributes:
        topic: The filter.
        aside: Folder for the lock, the client id, and what failed.
        broker: Where to subscribe.
        form: What ``run()`` gets.
    """

    topic: str
    aside: Path
    broker: Broker = Broker()
    form: Form = "text"


@dataclass(frozen=True)
class CommandInput:
    """A command whose lines are scored.

    Attributes:
        command: Program and arguments.
        aside: Folder for the lock, the note, and what failed.
        form: What ``run()`` gets.
    """

    command: tuple[str, ...]
    aside: Path
    form: Form = "text"


@dataclass(frozen=True)
class TimerInput:
    """A clock that calls ``run()``.

    Attributes:
        every_s: Seconds between two calls.
        aside: Folder for the lock, the note, and what failed.
        form: What ``run()`` gets.
    """

    every_s: float
    aside: Path
    form: Form = "text"


@dataclass(frozen=True)
class RoutedInput:
    """Results of another module, which the agent feeds.

    Attributes:
        stream: Whose, for people: the agent knows it.
        aside: Folder for the lock, the note, and what failed.
        form: What ``run()`` gets.
    """

    stream: str
    aside: Path
    form: Form = "text"


@dataclass(frozen=True)
class HttpInput:
    """Requests to ``/score``, whose results go to the agent besides."""


Input = FolderInput | TopicInput | CommandInput | TimerInput | HttpInput | RoutedInput


def read_inputs(value: Any) -> dict[str, Input]:
    """Return the inputs of ``settings.json`` by their names.

    Raises:
        SettingsError: A field is missing or wrong; the text names it.
    """
    if not isinstance(value, dict):
        raise SettingsError("settings.json: inputs: expected an object")
    return {name: _input(entry, f"inputs.{name}") for name, entry in value.items()}


def text(value: Any, where: str) -> str:
    """Return a text that is not empty.

    Raises:
        SettingsError: It is something else.
    """
    if not isinstance(value, str) or not value:
        raise SettingsError(f"settings.json: {where}: expected text")
    return value


def _input(entry: Any, where: str) -> Input:
    if not isinstance(entry, dict):
        raise SettingsError(f"settings.json: {where}: expected an object")
    kinds = [kind for kind in ("http", "topic", "command", "every_s", "stream") if kind in entry]
    if not kinds:
        folder = Path(text(entry.get("folder"), f"{where}.folder"))
        return FolderInput(folder, text(entry.get("pattern", "*"), f"{where}.pattern"))
    if len(kinds) > 1:
        raise SettingsError(f"settings.json: {where}: expected one of {', '.join(kinds)}")
    if kinds == ["http"]:
        if entry["http"] != "/score":
            raise SettingsError(f"settings.json: {where}.http: expected /score")
        return HttpInput()
    aside = Path(text(entry.get("aside"), f"{where}.aside"))
    form = _form(entry.get("data", "text"), f"{where}.data")
    if kinds == ["topic"]:
        topic = text(entry["topic"], f"{where}.topic")
        broker = _broker(entry.get("broker", {}), f"{where}.broker", aside)
        return TopicInput(topic, aside, broker, form)
    if kinds == ["command"]:
        return CommandInput(_words(entry["command"], f"{where}.command"), aside, form)
    if kinds == ["stream"]:
        return RoutedInput(text(entry["stream"], f"{where}.stream"), aside)
    return TimerInput(_seconds(entry["every_s"], f"{where}.every_s"), aside)


def _form(value: Any, where: str) -> Form:
    if value not in ("text", "bytes"):
        raise SettingsError(f"settings.json: {where}: expected text or bytes")
    return "bytes" if value == "bytes" else "text"


def _words(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise SettingsError(f"settings.json: {where}: expected a list of texts")
    return tuple(text(word, f"{where}[{i}]") for i, word in enumerate(value))


def _seconds(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e8:
        raise SettingsError(f"settings.json: {where}: expected seconds above 0")
    return float(value)


_BROKER_TEXTS = (
    "ca",
    "user",
    "password",
    "password_file",
    "ca_file",
    "certificate_file",
    "key_file",
)


def _broker(value: Any, where: str, aside: Path) -> Broker:
    if not isinstance(value, dict):
        raise SettingsError(f"settings.json: {where}: expected an object")
    port = value.get("port", Broker.port)
    if type(port) is not int or not 0 < port < 65_536:
        raise SettingsError(f"settings.json: {where}.port: expected a port")
    texts = {name: value.get(name, "") for name in _BROKER_TEXTS}
    for name, found in texts.items():
        if not isinstance(found, str):
            raise SettingsError(f"settings.json: {where}.{name}: expected text")
        if found and name.endswith("_file"):
            texts[name] = str(aside / found)
    host = text(value.get("host", Broker.host), f"{where}.host")
    return Broker(host, port, value.get("tls") is True, **texts)
