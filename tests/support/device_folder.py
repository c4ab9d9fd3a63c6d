"""A device folder as flashing makes it, without the agent in it."""

import json
from pathlib import Path
from typing import Any

from skerry_contract.envelope import Key, KeyValue

KEY = Key(KeyValue("ab" * 32))
DEVICE = {
    "schema": 1,
    "fleet": "home",
    "device": "porch-camera",
    "broker": {"host": "127.0.0.1", "port": 1883, "tls": False},
    "cloud": {"url": "http://127.0.0.1:7700"},
}
TARGETS = {"keyids": [KEY.keyid], "threshold": 1}
TRUST = {
    "keys": {
        KEY.keyid: {
            "keytype": "ed25519",
            "scheme": "ed25519",
            "keyval": {"public": "ab" * 32},
        }
    },
    "roles": {"targets": TARGETS},
}


def write_device_folder(folder: Path, **changes: Any) -> Path:
    """Write the files that an agent wants to see, with ``changes`` to ``device.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "device.json").write_text(json.dumps({**DEVICE, **changes}))
    (folder / "trust.json").write_text(json.dumps(TRUST))
    (folder / "token").write_text("secret-1\n")
    (folder / "token").chmod(0o600)
    return folder
