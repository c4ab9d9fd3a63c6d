"""``skerry-agent hold`` and ``release``, on a device folder without an agent."""

import json
from pathlib import Path
from typing import Any

import pytest

from skerry_agent.cli import main
from support.device_folder import write_device_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_device_folder(tmp_path / "porch")


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--output", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_hold_is_made_shown_and_released(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ("--home", str(folder))
    assert main(["hold", *home, "--owner", "olga", "--reason", "the line runs"]) == 0
    assert capsys.readouterr().out.startswith("held: hold of olga until 20")

    assert main(["status", *home]) == 3  # no agent runs; the hold is in force all the same
    assert "held        hold of olga until" in capsys.readouterr().out

    [hold] = said(capsys, "release", *home, "--owner", "max")["holds"]
    assert (hold["kind"], hold["owner"], hold["reason"]) == ("hold", "olga", "the line runs")
    assert said(capsys, "release", *home, "--owner", "olga") == {"holds": []}


def test_everything_is_released_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ("--home", str(folder))
    for owner in ("olga", "max"):
        main(["hold", *home, "--owner", owner, "--for", "30m"])
    capsys.readouterr()
    assert said(capsys, "release", *home, "--all") == {"holds": []}


def test_an_override_is_a_hold_of_another_kind(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ("--home", str(folder))
    [made] = said(capsys, "release", *home, "--owner", "olga", "--override", "10m")["holds"]
    assert made["kind"] == "override"
    assert said(capsys, "release", *home, "--owner", "olga") == {"holds": []}


@pytest.mark.parametrize("time", ["", "5", "h", "1.5h", "-1h", "0x1s", "99999999999s"])
def test_a_time_that_is_none_is_wrong_usage(folder: Path, time: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["hold", "--home", str(folder), f"--for={time}"])


def test_a_lease_that_is_too_long_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hold", "--home", str(folder), "--for", "31d"]) == 1
    assert "a lease is from 1 to 2592000 s" in capsys.readouterr().err


def test_a_damaged_hold_holds_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["hold", "--home", str(folder), "--owner", "olga"])
    [file] = (folder / "state" / "holds").iterdir()
    file.write_bytes(b"{")
    capsys.readouterr()
    assert said(capsys, "release", "--home", str(folder), "--owner", "max") == {"holds": []}
    assert not file.exists()
