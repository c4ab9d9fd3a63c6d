"""The connection to an object store."""

from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from skerry_cloud.blobs.s3.address import BucketAddress
from skerry_contract.errors import ObjectStoreError

CONNECT_S = 5.0
SILENCE_S = 30.0
"""Longest silence of an object store that has a request."""
_CONNECTIONS = 40
"""As many as the API has threads, so that none waits for a connection."""


def connect(
    address: BucketAddress, *, connect_s: float = CONNECT_S, silence_s: float = SILENCE_S
) -> Any:
    """Return a client of the object store; nothing is asked yet. Any thread may use it.

    The keys are looked for where every client of AWS looks: in the environment, then in the file.

    Raises:
        ObjectStoreError: The settings make no sense to the library.
    """
    session = botocore.session.Session()
    if address.credentials_file:
        if not Path(address.credentials_file).is_file():
            raise ObjectStoreError(
                f"there is no file of keys {address.credentials_file}",
                remedy="Correct --s3-credentials-file.",
            )
        session.set_config_variable("credentials_file", address.credentials_file)
    if address.ca and not Path(address.ca).is_file():
        raise ObjectStoreError(f"there is no file {address.ca}", remedy="Correct s3_ca.")
    if address.endpoint:
        # The address that tells machines of AWS their keys means nothing elsewhere.
        session.get_component("credential_provider").remove("iam-role")
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if address.path_style else "virtual"},
        connect_timeout=connect_s,
        read_timeout=silence_s,
        max_pool_connections=_CONNECTIONS,
        # We try again ourselves, within a deadline, and send digests of our own.
        retries={"mode": "standard", "total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        return session.create_client(
            "s3",
            region_name=address.region,
            endpoint_url=address.endpoint or None,
            verify=address.ca or None,
            config=config,
        )
    except (BotoCoreError, ValueError) as error:
        raise ObjectStoreError(
            f"{address}: {error}", remedy="Correct the settings of S3."
        ) from error
