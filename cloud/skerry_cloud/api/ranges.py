"""Blobs over HTTP, whole or in part (RFC 9110, section 14)."""

import re

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from skerry_cloud.blobs import BlobStore

_HOUR_S = 3600


def blob_response(request: Request, blobs: BlobStore, digest: str, media_type: str) -> Response:
    """Answer a GET or HEAD for a blob.

    A range that cannot be satisfied is 416; a header that is not a single range of bytes is
    passed over, as the RFC has it, and the whole blob is sent.

    Raises:
        NameInvalidError: It is no digest.
        NotFoundError: It is not here.
    """
    size = blobs.size(digest)
    headers = {
        "Accept-Ranges": "bytes",
        "Docker-Content-Digest": digest,
        "ETag": f'"{digest}"',
        # Content that is named by its digest never changes.
        "Cache-Control": f"private, immutable, max-age={24 * _HOUR_S}",
    }
    wanted = None
    if request.headers.get("if-range") in (None, headers["ETag"]):
        wanted = parse_range(request.headers.get("range", ""), size)
    first, last = wanted or (0, size - 1)
    if wanted and first > last:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    headers["Content-Length"] = str(last - first + 1)
    if wanted:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    status = 206 if wanted else 200
    if request.method == "HEAD":
        return Response(None, status, headers, media_type)
    pieces = blobs.pieces(digest, first, last - first + 1)
    return StreamingResponse(pieces, status, headers, media_type)


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the first and last byte that a ``Range`` header asks for.

    Returns:
        None for the whole; a pair with the first above the last for what cannot be satisfied.
    """
    found = re.fullmatch(r"bytes=(\d{0,19})-(\d{0,19})", header.strip())
    if found is None or found.group(1) == found.group(2) == "":
        return None
    if found.group(1) == "":
        return max(0, size - int(found.group(2))), size - 1
    first = int(found.group(1))
    last = min(int(found.group(2) or size), size - 1)
    return (first, last) if first <= last else (1, 0)
