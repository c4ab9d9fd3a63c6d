"""The connections to an object store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from skerry_cloud.blobs.s3 import failures
from skerry_cloud.blobs.s3.address import BucketAddress
from skerry_contract.errors import ObjectStoreError

_CONNECTIONS = 40
"""As many as the API has threads, so that none waits for a connection."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait for an object store.

    Attributes:
        connect_s: Seconds that connecting, or sending 16 KiB, may take.
        silence_s: Longest silence, in seconds, once it has a request.
    """

    connect_s: float
    silence_s: float


USUAL = Limits(5.0, 30.0)
BRIEF = Limits(2.0, 5.0)


def connect(address: BucketAddress, *limits: Limits) -> list[Any]:
    """Return a client of the object store for each of ``limits``; nothing is asked yet.

    Any thread may use them. The keys are looked for where every client of AWS looks: in the
    environment, then in the file.

    Raises:
        ObjectStoreError: The settings make no sense to the library.
    """
    session = botocore.session.Session()
    if address.credentials_file:
        _check_file(address.credentials_file, "--s3-credentials-file")
        session.set_config_variable("credentials_file", address.credentials_file)
    if address.ca:
        _check_file(address.ca, "s3_ca")
    if address.endpoint:
        # The address that tells machines of AWS their keys means nothing elsewhere.
        session.get_component("credential_provider").remove("iam-role")
    try:
        return [
            session.create_client(
                "s3",
                region_name=address.region,
                endpoint_url=address.endpoint or None,
                verify=address.ca or None,
                config=_config(address, one),
            )
            for one in limits
        ]
    except BotoCoreError as error:
        raise failures.told(f"the object store {address} cannot be used", error) from error
    except ValueError as error:
        remedy = "Correct the settings of the object store."
        raise ObjectStoreError(f"{address}: {error}", remedy=remedy) from error


def _config(address: BucketAddress, limits: Limits) -> Config:
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if address.path_style else "virtual"},
        connect_timeout=limits.connect_s,
        read_timeout=limits.silence_s,
        max_pool_connections=_CONNECTIONS,
        # We try again ourselves, within a deadline, and send digests of our own.
        retries={"mode": "standard", "total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def _check_file(path: str, option: str) -> None:
    if not Path(path).is_file():
        raise ObjectStoreError(f"there is no file {path}", remedy=f"Correct {option}.")
