"""Canonical JSON: the one way to write a value as bytes, so that a signature over it holds.

Source: OLPC canonical JSON, as the TUF specification 1.0.31, section 4.2, prescribes it. Keys are
sorted, strings escape only the quote and the backslash, and there are no fractions.
"""

from typing import Any

from skerry_contract.errors import ContractError


def encode(value: Any) -> bytes:
    """Return the canonical bytes of a JSON value.

    Raises:
        ContractError: The value holds a fraction or something that is not JSON in UTF-8.
    """
    try:
        return "".join(_parts(value)).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ContractError("half a surrogate pair cannot be signed") from error


def _parts(value: Any) -> list[str]:
    if isinstance(value, str):
        return ['"', value.replace("\\", "\\\\").replace('"', '\\"'), '"']
    if value is None or isinstance(value, bool):
        return [{None: "null", True: "true", False: "false"}[value]]
    if isinstance(value, int):
        return [str(value)]
    if isinstance(value, list | tuple):
        return ["[", *_joined([_parts(item) for item in value]), "]"]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        pairs = [[*_parts(key), ":", *_parts(value[key])] for key in sorted(value)]
        return ["{", *_joined(pairs), "}"]
    raise ContractError(f"{type(value).__name__} {value!r:.60} cannot be signed")


def _joined(items: list[list[str]]) -> list[str]:
    return [part for i, item in enumerate(items) for part in ([",", *item] if i else item)]
