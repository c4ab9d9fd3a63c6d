"""What an object store's refusal or silence means, and what helps."""

from typing import Any

from botocore import exceptions

from skerry_contract.errors import ObjectStoreError

_KEYS = (
    "Give the right ones: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --s3-credentials-file."
)
_RIGHTS = (
    "Let them list the bucket and its multipart uploads, and read, write and delete objects below "
    "the prefix, multipart uploads included."
)
_REMEDIES = {
    "NoSuchBucket": "Make the bucket, or name another with --blobs.",
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "InvalidToken": _KEYS,
    "ExpiredToken": _KEYS,
    "AccessDenied": _RIGHTS,
    "AllAccessDisabled": _RIGHTS,
    "403": _RIGHTS,
    "RequestTimeTooSkewed": "Set the clocks: this machine's and the object store's differ.",
    "PermanentRedirect": "Name the bucket's region with --s3-region.",
    "AuthorizationHeaderMalformed": "Name the bucket's region with --s3-region.",
    "QuotaExceeded": "Free some space in the object store, or raise its quota.",
    "XMinioStorageFull": "Free some space in the object store.",
}
_PASSING = (
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "RequestTimeout",
    "SlowDown",
    "IncompleteBody",
)
_AWAY = "Try again; if it stays so, see whether the object store runs and --s3-endpoint is right."
_NO_KEYS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
)
_SILENCE = (
    exceptions.ConnectionError,
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
)
_MISSING = ("404", "NoSuchKey", "NotFound")

FAILURES = (exceptions.BotoCoreError, exceptions.ClientError)
"""What the library raises."""


def code_of(error: Exception) -> str:
    """Return the object store's own word for a refusal; empty if it did not answer."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def says_missing(error: Exception) -> bool:
    """Tell whether the object store says that there is no such object."""
    return code_of(error) in _MISSING


def is_passing(error: Exception) -> bool:
    """Tell whether the same request may succeed soon with nobody changing anything."""
    if isinstance(error, exceptions.ClientError):
        status = int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return status >= 500 or status == 429 or code_of(error) in _PASSING
    if isinstance(error, exceptions.SSLError):
        return False
    return isinstance(error, _SILENCE)


def told(what: str, error: Exception) -> ObjectStoreError:
    """Return the error for ``what``, which could not be done; no secret is part of it."""
    code = code_of(error)
    if code:
        message = str(_answer(error).get("Error", {}).get("Message", "")).strip()
        remedy = _REMEDIES.get(code, "See the object store's log.")
        return ObjectStoreError(f"{what}: {message or 'refused'} ({code})", remedy=remedy)
    if isinstance(error, exceptions.SSLError):
        remedy = "Name the file of whom to believe as s3_ca, or correct --s3-endpoint."
    elif isinstance(error, _NO_KEYS):
        remedy = _KEYS
    else:
        remedy = _AWAY
    return ObjectStoreError(f"{what}: {_first_line(error)}", remedy=remedy)


def _answer(error: Exception) -> dict[str, Any]:
    return error.response if isinstance(error, exceptions.ClientError) else {}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
