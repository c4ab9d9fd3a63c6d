"""What is said of a local service, given what is seen of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from skerry.local.interpreter import unmet
from skerry.local.logs import Follower, last_lines
from skerry.local.places import Places
from skerry.local.record import Record, State, model_dir, state_of
from skerry_contract import shape
from skerry_contract.errors import EnvironmentFileError

RECORD = Record("a", 80, "/src", "score.py", "/usr/bin/python3", models={"m/1": "/cache/m"})


@pytest.mark.parametrize(
    ("record", "alive", "ready", "state"),
    [
        (None, False, None, "deleted"),
        (None, True, True, "deleted"),
        (RECORD, False, None, "failed"),
        (RECORD, True, False, "deploying"),
        (RECORD, True, True, "running"),
        (RECORD, True, None, "unknown"),
    ],
)
def test_state(record: Record | None, alive: bool, ready: bool | None, state: State) -> None:  # noqa: FBT001
    assert state_of(record, alive=alive, ready=ready) == state


def test_a_record_comes_back_as_it_went() -> None:
    record = replace(RECORD, files=("score.py",), env={"A": "b"}, generation=7, created=1.5)
    assert shape.parse(Record, shape.dump(record), max_bytes=10_000) == record


@pytest.mark.parametrize(
    ("places", "folder"),
    [
        ((), ""),
        (("m/1",), "m/1"),
        (("m/0/a.bin", "m/0/b.bin"), "m/0"),
        (("m/1", "n/2"), ""),
        (("m/1", "m/2"), ""),
    ],
)
def test_where_the_script_finds_its_models(places: tuple[str, ...], folder: str) -> None:
    assert model_dir(dict.fromkeys(places, "/x")) == folder


@pytest.mark.parametrize(
    ("line", "met"),
    [
        ("numpy", True),
        ("NumPy==1.26.4", True),
        ("numpy==1.26.*", True),
        ("numpy>=2", False),
        ("pillow", False),
        ("tensorflow==2.15.*", True),
        ("tensorflow>=2.16", False),
        ("numpy[extra]", False),
        ("pillow; python_version < '3'", True),
        ("numpy==1.26.4 --hash=sha256:00", True),
    ],
)
def test_what_an_interpreter_lacks(line: str, met: bool) -> None:  # noqa: FBT001
    assert unmet([line], {"numpy": "1.26.4", "tensorflow-cpu": "2.15.1"}) == ([] if met else [line])


def test_nonsense_is_named() -> None:
    with pytest.raises(EnvironmentFileError, match="!!"):
        unmet(["!!"], {})


def test_the_folders_follow_the_xdg_specification() -> None:
    places = Places.of_user({"XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "relative"})
    assert places.services == Path("/s/skerry/services")
    assert places.cache == Path.home() / ".cache" / "skerry"


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert last_lines(log, 5) == ""
    log.write_text("1\n2\n3\n")
    assert last_lines(log, 2) == "2\n3"
    assert last_lines(log, 0) == ""


def test_lines_are_handed_on_whole_and_once(tmp_path: Path) -> None:
    log, seen = tmp_path / "log.txt", list[str]()
    log.write_text("before\n")
    follower = Follower(log, seen.append)
    with log.open("a") as file:
        for piece in ("on", "e\ntwo\nthr", "ee\n"):
            file.write(piece)
            file.flush()
            follower.look()
    assert seen == ["one", "two", "three"]
