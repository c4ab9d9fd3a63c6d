"""Logins, and how every command tells that something is wrong."""

import json
import socket
from pathlib import Path

import pytest

from skerry.cli_docs import document
from support.fake_cloud import TOKEN, FakeCloud
from support.skerry_command import Skerry

pytestmark = pytest.mark.integration


def test_a_login_is_tried_before_it_is_kept_and_only_its_owner_reads_it(
    skerry: Skerry, cloud: FakeCloud
) -> None:
    before = skerry.login_file.read_bytes()
    refused = skerry("login", cloud.url, "--token", "wrong")
    assert refused.returncode == 3
    assert "[UNAUTHORIZED]" in refused.stderr
    assert skerry.login_file.read_bytes() == before

    skerry.login_file.unlink()
    assert "home" in skerry.ok("login", cloud.url + "/", "--token", "-", stdin=f"{TOKEN}\n")
    assert skerry.login_file.stat().st_mode & 0o777 == 0o600
    skerry.ok("model", "list")


def test_without_a_login_the_way_to_one_is_told(skerry: Skerry) -> None:
    skerry.login_file.unlink()
    done = skerry("model", "list")
    assert done.returncode == 3
    assert "skerry up" in done.stderr


def test_a_login_with_a_wrong_token_leads_to_the_login_command(
    skerry: Skerry, cloud: FakeCloud
) -> None:
    skerry.login_file.write_text(json.dumps({"url": cloud.url, "token": "wrong"}))
    done = skerry("model", "list")
    assert done.returncode == 3
    assert "skerry login URL --token" in done.stderr
    assert "Flash" not in done.stderr


def test_a_server_that_is_not_there_is_status_3_and_json_when_asked(
    skerry: Skerry,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        skerry.login_file.write_text(json.dumps({"url": url, "token": TOKEN}))
        done = skerry("device", "add", "porch", "--output", "json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["code"] == "NET"
    assert url in done.stderr


def test_a_passing_trouble_is_overcome_and_a_post_is_not_repeated(
    skerry: Skerry, cloud: FakeCloud
) -> None:
    cloud.trouble = [503, 502]
    skerry.ok("model", "list")
    cloud.trouble = [503]
    done = skerry("device", "add", "porch")
    assert done.returncode == 1
    assert cloud.requests.count("POST /v1/devices") == 1


def test_wrong_usage_is_status_2(skerry: Skerry) -> None:
    for words in (
        ["model", "show", "sentiment:first"],
        ["device", "add", "../evil"],
        ["device", "flash", "porch"],
        ["model", "register", "-p", "x", "-n", "m", "--tag", "nothing"],
        ["nonsense"],
    ):
        assert skerry(*words).returncode == 2, words


def test_wrong_usage_is_told_on_stderr_alone_as_the_page_says(skerry: Skerry) -> None:
    done = skerry("model", "show", "sentiment:first", "--output", "json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "sentiment:first" in done.stderr
    assert "(status 2) is told on stderr alone" in document()


def test_every_command_has_an_example_in_its_help(skerry: Skerry) -> None:
    nouns = {
        "model": "register list show download delete",
        "module": "build list delete show export push import",
        "device": "add flash list show remove",
        "deployment": "push list show delete",
        "telemetry": "tail",
    }
    for noun, verbs in nouns.items():
        for verb in verbs.split():
            assert f"Example: skerry {noun} {verb}" in skerry.ok(noun, verb, "--help")


def test_tables_that_go_to_a_file_are_plain_and_uncut(skerry: Skerry, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    skerry.ok("model", "register", "-p", "f", "-n", "m", "--description", "[bold] " + "long " * 80)
    shown = skerry.ok("model", "list")
    assert len(shown.splitlines()) == 2
    assert "[bold] " + "long " * 79 in shown
    assert shown.isascii()
