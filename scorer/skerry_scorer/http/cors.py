"""Answers to pages of other origins (the Fetch standard, "CORS protocol")."""

from collections.abc import Mapping, Sequence

METHODS = "GET, POST"
"""Methods that pages of other origins may use, as in Azure's server."""


def cors_headers(
    origins: Sequence[str], request_headers: Mapping[str, str], method: str
) -> list[tuple[str, str]]:
    """Return the header fields that let a page read the answer; none where it may not.

    Args:
        origins: Origins that may; ``*`` stands for all.
        request_headers: Of the request, by lower-case name.
        method: Of the request; OPTIONS asks what would be allowed.
    """
    origin = request_headers.get("origin")
    if not origins or not origin:
        return []
    if "*" not in origins and origin not in origins:
        return []
    found = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
    if method == "OPTIONS" and "access-control-request-method" in request_headers:
        found.append(("Access-Control-Allow-Methods", METHODS))
        wanted = request_headers.get("access-control-request-headers")
        if wanted:
            found.append(("Access-Control-Allow-Headers", wanted))
    return found
