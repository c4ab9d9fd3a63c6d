"""What is asked and what is run are read from files that people have."""

import json
from pathlib import Path

import pytest

from skerry.inference import InferenceConfig
from skerry.profile import requests, scorer
from skerry_contract.errors import ScorerError


def test_each_line_of_json_lines_is_a_body(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"n": 1}\n\n{"n": 2}\n')
    assert [body.data for body in requests.read(file)] == [b'{"n": 1}', b'{"n": 2}']


def test_a_csv_file_has_a_heading_and_one_column(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('sample_request\n"{""text"": ""a, b""}"\n')
    assert [body.data for body in requests.read(file)] == [b'{"text": "a, b"}']


def test_each_file_of_a_folder_is_a_body(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden").write_text("x")
    found = requests.read(tmp_path)
    assert [(one.name, one.content_type) for one in found] == [
        ("a.json", "application/json"),
        ("b.png", "application/octet-stream"),
    ]


@pytest.mark.parametrize("name", ["empty.jsonl", "none.jsonl"])
def test_without_bodies_the_remedy_says_how_to_give_them(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ScorerError) as caught:
        requests.read(tmp_path / name)
    assert "-d" in caught.value.remedy


def test_a_folder_without_a_golden_set_needs_bodies(tmp_path: Path) -> None:
    with pytest.raises(ScorerError, match="golden set"):
        requests.golden(tmp_path)


def test_an_inference_configuration_names_script_environment_and_variables(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    python = {"condaDependencies": {"dependencies": [{"pip": ["numpy==1.26.4"]}]}}
    environment = {"python": python, "environmentVariables": {"SITE": "porch"}}
    told = {"entryScript": "score.py", "sourceDirectory": "./source", "environment": environment}
    file = tmp_path / "inferenceConfig.json"
    file.write_text(json.dumps(told))

    found = scorer.from_source(InferenceConfig.from_file(file).resolve())

    assert (found.folder, found.entry_script) == (tmp_path / "source", "score.py")
    assert (found.requirements.lines, found.env) == (("numpy==1.26.4",), {"SITE": "porch"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("env.yml", "dependencies:\n- joblib=1.4\n"),
        ("requirements.txt", "joblib==1.4.*\n"),
        ("pyproject.toml", '[project]\ndependencies = ["joblib==1.4.*"]\n'),
    ],
)
def test_a_folder_says_in_any_form_what_it_needs(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "score.py").touch()
    (tmp_path / name).write_text(text)
    (tmp_path / "module.toml").write_text(f'environment = "{name}"\n')
    assert scorer.from_folder(tmp_path).requirements.lines == ("joblib==1.4.*",)
