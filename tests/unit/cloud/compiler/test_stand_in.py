"""A Python that answers for another machine."""

import json
import subprocess
from pathlib import Path

import pytest

from skerry_cloud.compiler.platforms import PLATFORMS, find_platform
from skerry_cloud.compiler.request import Base
from skerry_cloud.compiler.stand_in import provide, stand_in
from skerry_cloud.compiler.trial import find_how

ASKED = """
import json, os, platform, sys, sysconfig
libc = os.confstr("CS_GNU_LIBC_VERSION")
machines = [platform.machine(), os.uname().machine, sysconfig.get_platform()]
print(json.dumps([*machines, libc, sys.argv]))
"""


def test_it_answers_for_the_other_machine(tmp_path: Path) -> None:
    program = stand_in(tmp_path, "armv7l")
    command = [str(program), "-I", "-B", "-c", ASKED, "one"]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    assert answer == ["armv7l", "armv7l", "linux-armv7l", "glibc 2.36", ["-c", "one"]]
    assert stand_in(tmp_path, "armv7l") == program


def test_what_is_there_already_is_offered_and_left_out_of_the_lock(tmp_path: Path) -> None:
    assert provide({}, find_platform("linux/arm/v7"), tmp_path) == []
    options = provide({"numpy": "1.24.2"}, find_platform("linux/arm/v7"), tmp_path)
    assert options == ["--find-links", tmp_path, "--no-emit-package", "numpy"]
    assert [path.name for path in tmp_path.iterdir()] == [
        "numpy-1.24.2-cp311-cp311-linux_armv7l.whl"
    ]


def test_without_an_emulator_another_platform_cannot_be_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    elsewhere = [platform for platform in PLATFORMS if not platform.is_here]
    assert [find_how(platform, Base(())) for platform in elsewhere] == [None] * len(elsewhere)
