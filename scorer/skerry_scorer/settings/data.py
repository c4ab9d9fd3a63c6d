"""What may be collected of inputs and predictions: how much, without which fields, and where to."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from skerry_scorer.settings.inputs import SettingsError

Redaction = Literal["drop", "hash"]

DEFAULT_BUDGET_MB = 64
"""MiB that collected data may take, if nobody says otherwise."""


@dataclass(frozen=True)
class DataPolicy:
    """Where collected data goes, and what is left out of it.

    Attributes:
        folder: Folder for it.
        rate_percent: How many of a hundred requests are collected.
        redact: What becomes of fields of these names.
        budget_bytes: What the folder may hold.
        endpoint: Name of the service, for paths.
        deployment: Name of the deployment, for paths.
    """

    folder: Path
    rate_percent: float = 100.0
    redact: Mapping[str, Redaction] = field(default_factory=dict)
    budget_bytes: int = DEFAULT_BUDGET_MB * 1024 * 1024
    endpoint: str = "local"
    deployment: str = "default"

    def wants(self, correlation_id: str) -> bool:
        """Return whether what belongs to this id is collected: all of it is, or nothing."""
        return zlib.crc32(correlation_id.encode("utf-8", "replace")) < 2**32 * (
            self.rate_percent / 100
        )


def read_policy(told: Mapping[str, Any], env: Mapping[str, str]) -> DataPolicy | None:
    """Return the policy of ``settings.json``, else of the environment, or None: then it is off.

    Args:
        told: What ``settings.json`` holds.
        env: Environment variables.

    Raises:
        SettingsError: A value is missing or wrong; the text names it.
    """
    value = told.get("data")
    if value is None and env.get("SKERRY_DATA_DIR"):
        value = _of_environment(env)
    if value is None:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("folder"), str):
        raise SettingsError("data: expected an object with a folder")
    return DataPolicy(
        Path(value["folder"]),
        _number(value.get("rate_percent", 100), "data.rate_percent", 100),
        _redactions(value.get("redact", {})),
        int(_number(value.get("budget_mb", DEFAULT_BUDGET_MB), "data.budget_mb", 2**20) * 2**20),
        endpoint=env.get("ENDPOINT_NAME") or env.get("SERVICE_NAME") or DataPolicy.endpoint,
        deployment=env.get("DEPLOYMENT_NAME") or DataPolicy.deployment,
    )


def _of_environment(env: Mapping[str, str]) -> dict[str, Any]:
    pairs = [pair.partition("=") for pair in env.get("SKERRY_DATA_REDACT", "").split(",") if pair]
    return {
        "folder": env["SKERRY_DATA_DIR"],
        "rate_percent": _float(env.get("SKERRY_DATA_RATE_PERCENT") or "100"),
        "budget_mb": _float(env.get("SKERRY_DATA_BUDGET_MB") or str(DEFAULT_BUDGET_MB)),
        "redact": {name.strip(): how.strip() for name, _, how in pairs},
    }


def _float(given: str) -> Any:
    try:
        return float(given)
    except ValueError:
        return given


def _number(value: Any, where: str, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
        raise SettingsError(f"{where}: expected a number from 0 to {high:g}, got {value!r:.40}")
    return float(value)


def _redactions(value: Any) -> dict[str, Redaction]:
    if not isinstance(value, dict):
        raise SettingsError("data.redact: expected an object")
    found: dict[str, Redaction] = {}
    for name, how in value.items():
        if how not in ("drop", "hash"):
            raise SettingsError(f"data.redact.{name}: expected drop or hash, got {how!r:.40}")
        found[name] = "drop" if how == "drop" else "hash"
    return found
