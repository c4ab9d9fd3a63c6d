"""What the resident agent must not import: each of these costs a small device megabytes."""

import json
import subprocess
import sys

HEAVY = frozenset(
    {
        "aiohttp",
        "asyncio",
        "bcrypt",
        "click",
        "cryptography",
        "docker",
        "fastapi",
        "httpx",
        "jsonschema",
        "multiprocessing",
        "numpy",
        "pydantic",
        "requests",
        "rich",
        "securesystemslib",
        "sqlalchemy",
        "tarfile",
        "tuf",
        "urllib3",
        "yaml",
    }
)
RESIDENT = (
    "import json, sys, skerry_agent.cli, skerry_agent.assembly; print(json.dumps([*sys.modules]))"
)


def test_the_resident_agent_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT], capture_output=True, check=True, timeout=30
    )
    imported = {name.partition(".")[0] for name in json.loads(done.stdout)}

    assert imported & HEAVY == set()
    assert "paho" in imported  # the list is read from a process that really is the agent


def test_the_resident_agent_knows_no_other_part_of_skerry() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT], capture_output=True, check=True, timeout=30
    )
    ours = {name.partition(".")[0] for name in json.loads(done.stdout) if name.startswith("skerry")}

    assert ours == {"skerry_agent", "skerry_contract"}
