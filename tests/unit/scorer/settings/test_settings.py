"""What the host is told, and what it takes as told."""

import json
from pathlib import Path

import pytest

from skerry_scorer.settings.host import DEFAULT_PORT, read_settings
from skerry_scorer.settings.inputs import FolderInput, SettingsError

SCRIPT = {"AZUREML_ENTRY_SCRIPT": "score.py"}


def test_without_a_run_folder_the_host_listens_on_tcp() -> None:
    settings = read_settings(SCRIPT)
    assert (settings.port, settings.run_dir) == (DEFAULT_PORT, None)
    assert settings.app_root == Path("/var/azureml-app")


@pytest.mark.parametrize(("text", "port"), [("", None), ("0", 0), ("8080", 8080)])
def test_with_a_run_folder_tcp_is_off_unless_a_port_is_named(
    tmp_path: Path, text: str, port: int | None
) -> None:
    env = {**SCRIPT, "SKERRY_RUN_DIR": str(tmp_path), "SKERRY_PORT": text}
    assert read_settings(env).port == port


def test_inputs_and_stream_come_from_the_run_folder(tmp_path: Path) -> None:
    told = {
        "inputs": {"frames": {"folder": "/inputs/frames", "pattern": "*.png"}},
        "stream": "faces",
        "later": "ignored",
    }
    (tmp_path / "settings.json").write_text(json.dumps(told))
    settings = read_settings({**SCRIPT, "SKERRY_RUN_DIR": str(tmp_path)})
    assert settings.inputs == {"frames": FolderInput(Path("/inputs/frames"), "*.png")}
    assert settings.stream == "faces"
    assert settings.results_to_stdout is False


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ("{", "settings.json: "),
        ("[]", "expected an object"),
        ('{"inputs": 1}', "inputs: expected an object"),
        ('{"inputs": {"a": 1}}', r"inputs\.a: expected an object"),
        ('{"inputs": {"a": {}}}', r"inputs\.a\.folder: expected text"),
        ('{"stream": ""}', "stream: expected text"),
        (" " * 300_000, "more than"),
    ],
)
def test_a_settings_file_that_is_wrong_is_told_by_field(
    tmp_path: Path, told: str, match: str
) -> None:
    (tmp_path / "settings.json").write_text(told)
    with pytest.raises(SettingsError, match=match):
        read_settings({**SCRIPT, "SKERRY_RUN_DIR": str(tmp_path)})


@pytest.mark.parametrize(
    "env",
    [
        {},
        {**SCRIPT, "SKERRY_PORT": "65536"},
        {**SCRIPT, "SKERRY_PORT": "-1"},
        {**SCRIPT, "SKERRY_PORT": "٣"},
        {**SCRIPT, "SKERRY_MAX_BODY_BYTES": "0"},
        {**SCRIPT, "SKERRY_DRAIN_S": "soon"},
    ],
)
def test_a_variable_that_is_wrong_is_named(env: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"AZUREML_ENTRY_SCRIPT|SKERRY_"):
        read_settings(env)
