"""What is asked and what is run are read from files that people have."""

import json
from pathlib import Path

import pytest

from skerry.profile import requests, scorer
from skerry_contract.errors import ManifestError, ScorerError


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


def test_an_inference_configuration_names_script_and_environment(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "score.py").write_text("")
    python = {"condaDependencies": {"dependencies": [{"pip": ["numpy==1.26.4"]}]}}
    told = {"entryScript": "score.py", "sourceDirectory": "./source"}
    file = tmp_path / "inferenceConfig.json"
    file.write_text(json.dumps({**told, "environment": {"python": python}}))

    found = scorer.from_inference_config(file)

    assert (found.folder, found.entry_script) == (tmp_path / "source", "score.py")
    assert found.requirements.lines == ("numpy==1.26.4",)


def test_an_inference_configuration_may_name_a_conda_file(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("")
    (tmp_path / "env.yml").write_text("dependencies:\n- pip:\n  - joblib==1.4.2\n")
    file = tmp_path / "ic.json"
    file.write_text(json.dumps({"entryScript": "score.py", "condaFile": "env.yml"}))
    assert scorer.from_inference_config(file).requirements.lines == ("joblib==1.4.2",)


@pytest.mark.parametrize("text", ["no json", "[]", "{}"])
def test_what_is_no_inference_configuration_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ic.json"
    file.write_text(text)
    with pytest.raises(ManifestError, match=r"ic\.json"):
        scorer.from_inference_config(file)
