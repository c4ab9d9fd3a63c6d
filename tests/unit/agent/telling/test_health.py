"""What is measured, read from files as the kernel writes them."""

from pathlib import Path

import pytest

from skerry_agent.telling.health import Metrics, WallClock, processor_s, resident_bytes

FILES = {
    "proc/meminfo": "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:   400 kB\nSwapFree: 0 kB\n",
    "proc/uptime": "3600.50 100.00\n",
    "proc/net/dev": (
        "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n"
        "    lo:  999 1 0 0 0 0 0 0  999 1 0 0 0 0 0 0\n"
        "  eth0: 1000 1 0 0 0 0 0 0   20 1 0 0 0 0 0 0\n"
        "wwan0.1:   5 1 0 0 0 0 0 0    6 1 0 0 0 0 0 0\n"
        "  idle:    0 0 0 0 0 0 0 0    0 0 0 0 0 0 0 0\n"
    ),
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "51250\n",
    "sys/class/thermal/thermal_zone1/type": "GPU\n",
    "sys/class/thermal/thermal_zone1/temp": "48000\n",
    "sys/class/thermal/thermal_zone2/type": "broken\n",
    "sys/class/thermal/thermal_zone2/temp": "n/a\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_machine_is_read_from_the_kernels_files(root: Path, tmp_path: Path) -> None:
    found = Metrics(tmp_path, lambda: 2.0, root).read()
    expected = {
        "memory_total_bytes": 1000 * 1024.0,
        "memory_available_bytes": 400 * 1024.0,
        "uptime_s": 3600.5,
        "connectivity_recv_bytes": 1005.0,
        "connectivity_sent_bytes": 26.0,
        "connectivity_eth0_recv_bytes": 1000.0,
        "connectivity_wwan0_1_sent_bytes": 6.0,
        "cpu_temperature_celsius": 51.25,
        "temperature_gpu_celsius": 48.0,
        "connectivity_connected_time_ms": 2000.0,
    }
    assert {name: found[name] for name in expected} == expected
    assert "connectivity_idle_recv_bytes" not in found
    assert found["disk_free_bytes"] <= found["disk_total_bytes"]


def test_what_a_machine_does_not_tell_is_left_out(tmp_path: Path) -> None:
    found = Metrics(tmp_path / "gone", lambda: 0.0, tmp_path).read()
    for name in ("uptime_s", "cpu_temperature_celsius", "connectivity_recv_bytes"):
        assert name not in found
    assert "disk_free_bytes" not in found
    assert found["operational_crashes"] == 0


def test_an_hour_with_a_crash_is_no_crash_free_one(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, lambda: 0.0)
    metrics._started -= 3 * 3600
    assert metrics.read()["operational_crashfree_hours"] == pytest.approx(3, abs=0.01)
    metrics.crashed()
    metrics.crashed()
    found = metrics.read()
    assert found["operational_crashes"] == 2
    assert found["operational_crashfree_hours"] == pytest.approx(2, abs=0.01)


def test_a_wall_clock_that_is_set_is_noticed_and_one_that_drifts_is_not() -> None:
    wall = WallClock()
    wall.look(1000.0, 10.0)
    found = wall.look(1061.0, 70.0)
    assert found["clock_jumps"] == 0
    found = wall.look(1061.0 + 3.15e8, 71.0)
    assert found["clock_jumps"] == 1
    assert found["clock_last_jump_s"] == pytest.approx(3.15e8, abs=5)
    assert found["clock_synchronized"] in (0.0, 1.0)


def test_a_process_tells_what_it_uses() -> None:
    assert resident_bytes() > 2**20
    assert processor_s(1) >= 0
