"""Where a bucket is."""

import re
from dataclasses import dataclass

from skerry_contract.errors import ContractError

_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_PREFIX = r"(?:[A-Za-z0-9!_.*'()-]+/)*"


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """A bucket, and how to reach it; no secret is part of it.

    Attributes:
        bucket: Its name.
        prefix: What the names of our objects begin with: empty, or with "/" at its end.
        endpoint: URL of the object store; empty for that of AWS in ``region``.
        region: What requests are signed for.
        path_style: Whether the bucket stands in the path of a URL, and not in its host.
        ca: PEM file of whom to believe; empty for the usual ones.
        credentials_file: File with the keys, in the form of ``~/.aws/credentials``; empty for the
            usual places.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    path_style: bool = True
    ca: str = ""
    credentials_file: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".removesuffix("/")


def read_address(url: str) -> tuple[str, str]:
    """Return the bucket and the prefix that an address such as ``s3://bucket/prefix`` names.

    Raises:
        ContractError: It is no such address.
    """
    found = re.fullmatch(rf"s3://({_BUCKET})(?:/(.*))?", url)
    prefix = (found[2] or "") if found else ""
    prefix += "/" if prefix and not prefix.endswith("/") else ""
    steps = prefix.split("/")
    if not found or not re.fullmatch(_PREFIX, prefix) or {".", ".."} & set(steps):
        # Its text may hold a secret, so it is not repeated.
        raise ContractError(
            "is no address of a bucket",
            ("blobs",),
            subject="settings",
            remedy="Write s3://BUCKET or s3://BUCKET/PREFIX, or leave it out for a folder.",
        )
    return found[1], prefix
