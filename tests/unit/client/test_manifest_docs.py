"""What is generated from the manifest's classes is fresh, and the examples follow it."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it ships no types
import pytest
import yaml

from skerry import manifest_docs
from skerry_contract import manifest
from skerry_contract.errors import ContractError

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "deploy-manifests").glob("*.y*ml"))
EVERY_FIELD = yaml.safe_load((ROOT / "deploy-manifests" / "every-field.yaml").read_text())
SCHEMA = json.loads(manifest_docs.schema_text())


def test_the_published_schema_is_fresh() -> None:
    published = (ROOT / "deploy-manifests" / "schema.json").read_text()
    assert published == manifest_docs.schema_text(), "run scripts/generate"


def test_the_page_about_manifests_is_fresh() -> None:
    published = (ROOT / "docs" / "manifest.md").read_text()
    assert published == manifest_docs.page_text(), "run scripts/generate"


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_follows_the_schema_and_the_contract(path: Path) -> None:
    value = yaml.safe_load(path.read_text())
    jsonschema.validate(value, SCHEMA)
    manifest.read(value)


def test_the_example_of_every_field_leaves_none_out() -> None:
    def missing(schema: dict[str, Any], value: dict[str, Any], path: str) -> list[str]:
        names = schema.get("properties") or dict.fromkeys(value, schema["additionalProperties"])
        found = [f"{path}{name}" for name in names if name not in value]
        for name, inner in names.items():
            if isinstance(value.get(name), dict) and inner.get("type") == "object":
                closed = inner.get("properties") or isinstance(inner["additionalProperties"], dict)
                found += missing(inner, value[name], f"{path}{name}.") if closed else []
        return found

    assert missing(SCHEMA, EVERY_FIELD, "") == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"modulse": {}}, id="an unknown field"),
        pytest.param({"name": "Porch"}, id="a name with a capital"),
        pytest.param({"target": {"devices": []}}, id="no device"),
        pytest.param({"target": {}}, id="a missing field"),
        pytest.param({"modules": {"faces": {"image": "face-detector"}}}, id="no version"),
        pytest.param({"modules": {"no_name": {"image": "a:1"}}}, id="a bad module name"),
        pytest.param({"expires_days": 0}, id="a number too small"),
        pytest.param({"expires_days": "soon"}, id="text for a number"),
        pytest.param({"schema": 2}, id="another version"),
    ],
)
def test_schema_and_contract_refuse_the_same(change: dict[str, Any]) -> None:
    wrong = {**EVERY_FIELD, **change}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)
    with pytest.raises(ContractError):
        manifest.read(wrong)


def test_the_page_names_every_field_with_its_meaning() -> None:
    page = manifest_docs.page_text()
    for name in ("expires_days", "start_deadline_s", "memory_mb", "pattern", "network"):
        assert f"| `{name}` |" in page
    assert page.count("## check") == 1
    assert (
        "| `restart` | `always` or `on-unhealthy` or `on-failure` or `never` | `always` |" in page
    )
