"""What the host is told: by environment variables, and by ``settings.json`` in its run folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skerry_scorer.settings.data import DataPolicy, read_policy
from skerry_scorer.settings.inputs import Input, SettingsError, read_inputs, text

MAX_SETTINGS_BYTES = 256 * 1024
"""Largest ``settings.json`` that is read."""
DEFAULT_PORT = 5001
"""TCP port where there is no run folder."""


@dataclass(frozen=True)
class Limits:
    """Bounds of the host's own.

    Attributes:
        max_body_bytes: Longest request body and largest input file.
        max_waiting: Requests that may wait for ``run()``; more are turned away with 503.
        max_held_bytes: Bytes of requests that may wait for ``run()``; the first one always may.
        max_receiving_bytes: Bytes of requests that have begun to come and are not whole, together.
        scoring_timeout_ms: How long a request may take, waiting included, in milliseconds.
        run_deadline_s: Seconds that one call of ``run()`` may take before the process is ended, for
            nothing else ends a call that hangs; None for no end.
        run_threads: How many calls of ``run()`` may be under way at once.
        batch_size: Most items of one call of ``run_batch()``; 1 does without.
        batch_wait_s: How long the first item of a batch waits for others, in seconds.
        max_connections: HTTP connections at the same time, per listener.
        request_s: Seconds in which a request must have come, from its first byte to its last.
        idle_s: Seconds that a connection may stay open without a request, and an answer unread.
        drain_s: Seconds between SIGTERM and the end, at most.
    """

    max_body_bytes: int = 100 * 1024 * 1024
    max_waiting: int = 64
    max_held_bytes: int = 256 * 1024 * 1024
    max_receiving_bytes: int = 256 * 1024 * 1024
    scoring_timeout_ms: int = 3_600_000
    run_deadline_s: float | None = None
    run_threads: int = 1
    batch_size: int = 1
    batch_wait_s: float = 0.002
    max_connections: int = 128
    request_s: float = 120.0
    idle_s: float = 75.0
    drain_s: float = 8.0


@dataclass(frozen=True)
class Service:
    """How the service is called over HTTP, by the variables of Azure's inference server.

    Attributes:
        name: Title of the API description.
        version: Its version.
        path_prefix: First part of all paths as clients see them, without slashes; "" for none.
        cors_origins: Origins of pages that may ask; ``*`` stands for all.
        server_version: Answered as ``x-ms-server-version``; "" for no such header.
        model_name: Name of the model in the Open Inference Protocol.
        model_version: Its version there; "" for none.
    """

    name: str = "ML service"
    version: str = "1.0"
    path_prefix: str = ""
    cors_origins: tuple[str, ...] = ()
    server_version: str = ""
    model_name: str = "model"
    model_version: str = ""


@dataclass(frozen=True)
class Settings:
    """All that the host is told.

    Attributes:
        app_root: Folder of the entry script and of ``golden.json``.
        entry_script: Path of the entry script below ``app_root``.
        run_dir: The run folder, or None.
        address: Where to listen on TCP, if ``port`` says so.
        port: TCP port, 0 for any free one, None for no TCP.
        shared_port: Whether another host may listen on ``port`` too: then this one does so only
            once ``init()`` has returned, so that one can take the other's place without a gap.
        inputs: What is fed to ``run()``, by input name.
        stream: Stream that results go to.
        results_to_stdout: Whether results are printed instead of handed to an agent.
        limits: Bounds of the host's own.
        service: How the service is called over HTTP.
        json_logs: Whether logs are JSON lines.
        data: What entry scripts may collect, or None for nothing.
    """

    app_root: Path
    entry_script: str
    run_dir: Path | None = None
    address: str = "0.0.0.0"  # noqa: S104 - a container's port is published from outside it
    port: int | None = None
    shared_port: bool = False
    inputs: Mapping[str, Input] = field(default_factory=dict)
    stream: str = "scores"
    results_to_stdout: bool = False
    limits: Limits = field(default_factory=Limits)
    service: Service = field(default_factory=Service)
    json_logs: bool = False
    data: DataPolicy | None = None


def read_settings(env: Mapping[str, str]) -> Settings:
    """Return the settings that ``env`` and the run folder that it names hold.

    Raises:
        SettingsError: A value is missing or wrong; the text names it.
    """
    script = env.get("AZUREML_ENTRY_SCRIPT", "")
    if not script:
        raise SettingsError("AZUREML_ENTRY_SCRIPT must name the entry script, such as score.py")
    run_dir = Path(env["SKERRY_RUN_DIR"]) if env.get("SKERRY_RUN_DIR") else None
    told = _read_file(run_dir / "settings.json") if run_dir else {}
    port = _number(env, "SKERRY_PORT", DEFAULT_PORT, 0, 65_535)
    return Settings(
        app_root=Path(env.get("AML_APP_ROOT") or "/var/azureml-app"),
        entry_script=script,
        run_dir=run_dir,
        address=env.get("SKERRY_ADDRESS") or Settings.address,
        port=port if env.get("SKERRY_PORT") or not run_dir else None,
        shared_port=env.get("SKERRY_SHARED_PORT", "0") == "1",
        inputs=read_inputs(told.get("inputs", {})),
        stream=text(told.get("stream", "scores"), "stream"),
        results_to_stdout=told.get("results", "agent") == "stdout",
        limits=_limits(env),
        service=_service(env),
        json_logs=_log_format(env) == "json",
        data=read_policy(told, env),
    )


def _log_format(env: Mapping[str, str]) -> str:
    told = env.get("SKERRY_LOG_FORMAT") or "text"
    if told not in ("text", "json"):
        raise SettingsError(f"SKERRY_LOG_FORMAT must be text or json, got {told!r:.40}")
    return told


def _limits(env: Mapping[str, str]) -> Limits:
    default = Limits()
    timeout_ms = default.scoring_timeout_ms
    return Limits(
        max_body_bytes=_number(env, "SKERRY_MAX_BODY_BYTES", default.max_body_bytes, 1, 2**31),
        max_waiting=_number(env, "SKERRY_MAX_WAITING", default.max_waiting, 1, 10_000),
        max_held_bytes=_number(env, "SKERRY_MAX_HELD_BYTES", default.max_held_bytes, 1, 2**40),
        max_receiving_bytes=_number(
            env, "SKERRY_MAX_RECEIVING_BYTES", default.max_receiving_bytes, 1, 2**40
        ),
        scoring_timeout_ms=_number(env, "SCORING_TIMEOUT_MS", timeout_ms, 1, 10**9),
        run_deadline_s=_number(env, "SKERRY_RUN_DEADLINE_S", 0, 0, 86_400) or None,
        run_threads=_number(env, "SKERRY_RUN_THREADS", default.run_threads, 1, 64),
        batch_size=_number(env, "SKERRY_BATCH_SIZE", default.batch_size, 1, 10_000),
        batch_wait_s=_number(env, "SKERRY_BATCH_WAIT_MS", 2, 0, 60_000) / 1000,
        max_connections=_number(env, "SKERRY_MAX_CONNECTIONS", default.max_connections, 1, 100_000),
        request_s=float(_number(env, "SKERRY_REQUEST_S", int(default.request_s), 1, 86_400)),
        idle_s=float(_number(env, "SKERRY_IDLE_S", int(default.idle_s), 1, 86_400)),
        drain_s=float(_number(env, "SKERRY_DRAIN_S", int(default.drain_s), 0, 3600)),
    )


def _model(env: Mapping[str, str]) -> tuple[str, str]:
    # …/azureml-models/<name>/<version> where there is one model; several have no name together.
    *_, parent, name, version = ("", "", "", *Path(env.get("AZUREML_MODEL_DIR", "")).parts)
    return (name, version) if parent == "azureml-models" else (Service.model_name, "")


def _service(env: Mapping[str, str]) -> Service:
    model = _model(env)
    origins = (origin.strip() for origin in env.get("AML_CORS_ORIGINS", "").split(","))
    return Service(
        name=env.get("SERVICE_NAME") or Service.name,
        version=env.get("SERVICE_VERSION") or Service.version,
        path_prefix=env.get("SERVICE_PATH_PREFIX", "").strip("/"),
        cors_origins=tuple(origin for origin in origins if origin),
        server_version=env.get("HTTP_X_MS_SERVER_VERSION", ""),
        model_name=env.get("SKERRY_MODEL_NAME") or model[0],
        model_version=model[1],
    )


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SETTINGS_BYTES + 1)
        if len(data) > MAX_SETTINGS_BYTES:
            raise SettingsError(f"{path}: more than {MAX_SETTINGS_BYTES} bytes")
        told = json.loads(data)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: {error}") from error
    if not isinstance(told, dict):
        raise SettingsError(f"{path}: expected an object")
    return told


def _number(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    given = env.get(name) or str(default)
    if not (given.isascii() and given.isdigit() and low <= int(given) <= high):
        raise SettingsError(
            f"{name} must be a whole number from {low} to {high}, not {given!r:.40}"
        )
    return int(given)
