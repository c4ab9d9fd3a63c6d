"""MLflow's ``MLmodel`` (MLflow, "MLmodel format"): YAML beside the files of a model."""

import json
from typing import Any

import yaml

from skerry_cloud.formats.finding import MAX_TENSORS, DamagedError, Finding, Tensor
from skerry_cloud.formats.source import Budget, Source

NAME = "MLmodel"
MAX_BYTES = 256 * 1024
_MAX_ALIASES = 10
_NOTHING = ("", "null", "Null", "NULL", "~")
_FACTS = ("run_id", "utc_time_created", "mlflow_version", "model_uuid", "artifact_path")
_FRAMEWORKS = {
    "sklearn": "ScikitLearn", "keras": "TfKeras", "tensorflow": "TensorFlow", "onnx": "Onnx",
    "pytorch": "PyTorch",
}  # fmt: skip


def read(source: Source, path: str) -> Finding | None:
    """Read an MLmodel file, or return None if it is something else.

    Raises:
        DamagedError: It is called so, but holds no flavors.
        TooCostlyError: The budget is used up.
    """
    if source.size > MAX_BYTES:
        return None
    said = _load(source.at(0, source.size), source.budget)
    if not isinstance(said, dict) or not isinstance(said.get("flavors"), dict):
        return None
    flavors: dict[str, Any] = said["flavors"]
    facts = {key: _text(said[key]) for key in _FACTS if said.get(key, "") not in _NOTHING}
    facts["flavors"] = ", ".join(_text(name) for name in list(flavors)[:50])
    facts |= _framework(flavors)
    signature = said.get("signature")
    declared = signature if isinstance(signature, dict) else {}
    brings_code = [
        name
        for name, flavor in flavors.items()
        if isinstance(flavor, dict) and flavor.get("code", "") not in _NOTHING
    ]
    why = f"its flavor {_text(brings_code[0])} brings Python code" if brings_code else ""
    inputs, outputs = _columns(declared.get("inputs")), _columns(declared.get("outputs"))
    return Finding(path, "mlflow", why, inputs, outputs, facts)


def _load(data: bytes, budget: Budget) -> Any:
    try:
        text = data.decode("utf-8")
        aliases = 0
        for token in yaml.scan(text):
            budget.spend(1)
            aliases += isinstance(token, yaml.AliasToken)
        # Everything stays a text: neither numbers nor merged mappings can grow.
        return yaml.load(text, yaml.BaseLoader) if aliases <= _MAX_ALIASES else None  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DamagedError("it is no YAML") from error


def _framework(flavors: dict[str, Any]) -> dict[str, str]:
    for flavor, framework in _FRAMEWORKS.items():
        about = flavors.get(flavor)
        if isinstance(about, dict):
            version = about.get(f"{flavor}_version") or about.get("keras_version")
            found = {"framework": framework, "framework_version": _text(version or "")}
            return {key: value for key, value in found.items() if value}
    return {}


def _columns(written: Any) -> tuple[Tensor, ...]:
    """Read a schema: JSON text of a list of columns or tensors."""
    try:
        columns = json.loads(written) if isinstance(written, str) else []
    except (ValueError, RecursionError):
        return ()
    if not isinstance(columns, list):
        return ()
    whole = [one for one in columns[:MAX_TENSORS] if isinstance(one, dict)]
    return tuple(_column(one) for one in whole)


def _column(said: dict[str, Any]) -> Tensor:
    spec, name = said.get("tensor-spec"), _text(said.get("name") or "")
    if not isinstance(spec, dict):
        return Tensor(name, _text(said.get("type") or ""))
    shape = spec.get("shape")
    axes = shape if isinstance(shape, list) else []
    sizes = tuple(axis if isinstance(axis, int) else -1 for axis in axes[:64])
    return Tensor(name, _text(spec.get("dtype") or ""), sizes)


def _text(value: Any) -> str:
    return str(value)[:300]
