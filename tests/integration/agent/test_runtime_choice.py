"""Which runtime a device gets."""

from pathlib import Path
from typing import Any

import pytest

from skerry_agent.runtimes.choice import choose
from skerry_contract.device import BrokerAddress, CloudAddress, DeviceConfig
from skerry_contract.errors import RuntimeFailedError
from support.dockerd import Dockerd

pytestmark = pytest.mark.integration


def config(runtime: Any, socket: Path) -> DeviceConfig:
    return DeviceConfig(
        "home",
        "porch",
        BrokerAddress("127.0.0.1"),
        CloudAddress("http://127.0.0.1"),
        runtime=runtime,
        docker_socket=str(socket),
    )


def test_docker_is_taken_where_it_answers(dockerd: Dockerd, tmp_path: Path) -> None:
    for runtime in ("auto", "docker"):
        caps = choose(config(runtime, dockerd.socket), tmp_path).caps()
        assert (caps.name, caps.isolation) == ("docker", "container")
        assert {"memory", "cpu", "pids", "network", "device_files", "root", "seccomp"} == set(
            caps.enforces
        )


def test_processes_are_taken_where_docker_does_not_answer(tmp_path: Path) -> None:
    caps = choose(config("auto", tmp_path / "none.sock"), tmp_path).caps()
    assert (caps.name, caps.isolation) == ("process", "runc")


def test_a_choice_that_was_made_once_stays(dockerd: Dockerd, tmp_path: Path) -> None:
    choose(config("auto", tmp_path / "none.sock"), tmp_path)
    assert choose(config("auto", dockerd.socket), tmp_path).caps().name == "process"


def test_processes_are_taken_where_they_are_asked_for(dockerd: Dockerd, tmp_path: Path) -> None:
    assert choose(config("process", dockerd.socket), tmp_path).caps().name == "process"


def test_docker_that_is_asked_for_and_away_says_so_when_it_is_used(tmp_path: Path) -> None:
    runtime = choose(config("docker", tmp_path / "none.sock"), tmp_path)
    with pytest.raises(RuntimeFailedError, match=r"none\.sock"):
        runtime.caps()
