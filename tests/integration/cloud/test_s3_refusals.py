"""A server that starts with a bucket that it cannot use, and where its keys may stand."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skerry_cloud.blobs.s3.backend import open_backend
from skerry_cloud.blobs.s3.bucket import Bucket
from skerry_cloud.blobs.s3.cache import Cache
from skerry_cloud.blobs.s3.patience import Patience
from skerry_cloud.blobs.s3.uses import BlobUses
from skerry_cloud.database import Database
from skerry_contract.errors import ObjectStoreError
from support.seaweedfs import READER, READER_SECRET, SECRET, Seaweedfs
from support.stores import GRACE_S, address_of

pytestmark = pytest.mark.integration

REFUSALS: dict[str, tuple[dict[str, str], dict[str, Any], str, str]] = {
    "no such bucket": ({}, {"bucket": "nowhere"}, "NoSuchBucket", "Make the bucket"),
    "a wrong secret": (
        {"AWS_SECRET_ACCESS_KEY": "hunter2"},
        {},
        "SignatureDoesNotMatch",
        "AWS_SECRET_ACCESS_KEY",
    ),
    "an unknown key": ({"AWS_ACCESS_KEY_ID": "AKNOBODY"}, {}, "InvalidAccessKeyId", "AWS_ACCESS"),
    "a key that may only read": (
        {"AWS_ACCESS_KEY_ID": READER, "AWS_SECRET_ACCESS_KEY": READER_SECRET},
        {},
        "AccessDenied",
        "read, write and delete",
    ),
    "half a key": ({"AWS_SECRET_ACCESS_KEY": ""}, {}, "credentials", "AWS_SECRET_ACCESS_KEY"),
    "no file of keys": ({}, {"credentials_file": "/nowhere/keys"}, "/nowhere/keys", "Correct"),
    "no file of a CA": ({}, {"ca": "/nowhere/ca.pem"}, "/nowhere/ca.pem", "Correct"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_server_that_may_not_use_its_bucket_says_why_and_what_helps(
    case: str, seaweedfs: Seaweedfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables, changes, says, remedy = REFUSALS[case]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    address = replace(address_of(seaweedfs, seaweedfs.fresh()), **changes)
    database = Database.in_file(tmp_path / "uses.db")
    try:
        with pytest.raises(ObjectStoreError, match=says) as caught:
            open_backend(
                address,
                Cache(tmp_path / "cache", 0),
                BlobUses(database, time.time),
                grace_s=GRACE_S,
            )
    finally:
        database.close()
    assert remedy in caught.value.remedy
    assert "hunter2" not in f"{caught.value}{caught.value.remedy}"


def test_keys_may_stand_in_a_file(
    seaweedfs: Seaweedfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in seaweedfs.environment:
        monkeypatch.delenv(name)
    keys = tmp_path / "keys"
    lines = [f"{name.lower()} = {value}" for name, value in seaweedfs.environment.items()]
    keys.write_text("\n".join(["[default]", *lines, ""]))
    address = replace(address_of(seaweedfs, seaweedfs.fresh()), credentials_file=str(keys))
    bucket = Bucket(address)
    bucket.prepare(Patience())
    bucket.close()


def test_the_command_tells_an_object_store_that_is_away_and_no_secret(
    seaweedfs: Seaweedfs, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "skerry_cloud", "serve", "--data", str(tmp_path / "data")]
    where = ["--blobs", "s3://skerry/x", "--s3-endpoint", "http://127.0.0.1:9", "--port", "0"]
    broker = ["--broker", "mosquitto", "--broker-port", "0"]
    done = subprocess.run(
        [*command, *where, *broker], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "[OBJECT_STORE]" in done.stderr
    assert "whether the object store runs" in done.stderr
    assert SECRET not in done.stderr
    assert seaweedfs.environment["AWS_SECRET_ACCESS_KEY"] == SECRET
