"""``skerry up`` with the real server."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from skerry import login
from skerry.login import Login
from support.skerry_command import Skerry

pytestmark = pytest.mark.integration


@contextmanager
def up(skerry: Skerry, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    command = [sys.executable, "-m", "skerry", "up", "--port", "0", "--broker-port", "0", *words]
    process = subprocess.Popen(command, cwd=skerry.cwd, env=skerry.env, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process, process.stdout:
        try:
            yield process, process.stdout
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(45)


def test_up_serves_hands_over_the_login_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    skerry = Skerry(tmp_path / "login.json", tmp_path)
    with up(skerry, "--output", "json") as (process, stdout):
        ready = json.loads(stdout.readline())
        assert ready["ready"] is True
        assert skerry.login_file.stat().st_mode & 0o777 == 0o600
        assert skerry.ok("model", "list").startswith("MODEL")
        process.send_signal(signal.SIGINT)
        assert process.wait(45) == 0
    assert skerry("model", "list").returncode == 3


def test_up_tells_what_to_type_next_and_leaves_another_servers_login_alone(tmp_path: Path) -> None:
    skerry = Skerry(tmp_path / "login.json", tmp_path)
    login.write(skerry.login_file, Login("https://work.example", "precious"))
    with up(skerry) as (process, stdout):
        told = ""
        while "mosquitto_sub" not in told:
            line = stdout.readline().decode()
            assert line, told
            told += line
        assert "export SKERRY_LOGIN=" in told
        assert "-t 'skerry/v1/+/+/t/#'" in told
        assert login.read(skerry.login_file).token == "precious"
        process.send_signal(signal.SIGTERM)
        assert process.wait(45) == 0


def test_a_second_server_on_one_folder_fails_with_the_servers_own_words(tmp_path: Path) -> None:
    skerry = Skerry(tmp_path / "login.json", tmp_path)
    with up(skerry, "--output", "json") as (_, stdout):
        assert stdout.readline()
        second = skerry("up", "--port", "0", "--broker-port", "0")
        assert second.returncode == 1
        assert "[CONFLICT]" in second.stderr
        assert second.stdout == ""
    assert (tmp_path / "skerry-data").is_dir()


def test_with_tls_the_command_the_device_and_the_reader_know_whom_to_believe(
    tmp_path: Path,
) -> None:
    skerry = Skerry(tmp_path / "login.json", tmp_path)
    with up(skerry, "--tls", "--output", "json") as (_, stdout):
        assert json.loads(stdout.readline())["url"].startswith("https://")
        skerry.ok("device", "add", "porch")
        skerry.ok("device", "flash", "porch", "--output", "porch")
    assert (tmp_path / "porch/ca.pem").read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert (tmp_path / "skerry-data/ca.pem").is_file()
