"""Makes the source of each input that the settings name."""

from collections.abc import Callable

from skerry_scorer.inputs.folder import InputFolder
from skerry_scorer.inputs.source import Source
from skerry_scorer.inputs.stream_input import Origin, StreamInput
from skerry_scorer.settings.host import Settings
from skerry_scorer.settings.inputs import (
    CommandInput,
    FolderInput,
    HttpInput,
    RoutedInput,
    SettingsError,
    TimerInput,
    TopicInput,
)


def make_sources(settings: Settings, wake: Callable[[], None]) -> dict[str, Source]:
    """Return the sources by input name; nothing is read before the first ``take``.

    Args:
        settings: All that the host is told.
        wake: Called, from any thread, when a message has come.

    Raises:
        SettingsError: An input needs what is not here.
    """
    max_bytes = settings.limits.max_body_bytes
    found: dict[str, Source] = {}
    for name, told in settings.inputs.items():
        if isinstance(told, HttpInput):
            continue  # these come by themselves
        if isinstance(told, FolderInput):
            found[name] = InputFolder(name, told, max_bytes=max_bytes)
            continue
        origin = _origin(name, told, settings)
        found[name] = StreamInput(name, told.aside, form=told.form, origin=origin, wake=wake)
    return found


def _origin(
    name: str, told: TopicInput | CommandInput | TimerInput | RoutedInput, settings: Settings
) -> Origin:
    # Imported only here: whoever reads no topic pays for no MQTT, and so on.
    if isinstance(told, TopicInput):
        from skerry_scorer.inputs.topic import Topic  # noqa: PLC0415

        return Topic(name, told, max_bytes=settings.limits.max_body_bytes)
    if isinstance(told, CommandInput):
        from skerry_scorer.inputs.command import Command  # noqa: PLC0415

        return Command(name, told.command)
    if isinstance(told, RoutedInput):
        from skerry_scorer.inputs.routed import Routed  # noqa: PLC0415

        if settings.run_dir is None:
            raise SettingsError(f"input {name}: only an agent can feed it: set SKERRY_RUN_DIR")
        return Routed(name, settings.run_dir / "agent.sock")
    from skerry_scorer.inputs.timer import Timer  # noqa: PLC0415

    return Timer(name, told.every_s)
