"""Content-addressed bytes: written whole or not at all, verified, found again by their digest.

``BlobStore`` is what the rest of the server uses. Where its bytes lie is a ``Backend``'s business:
a folder (``folder``), or a bucket of an S3-compatible object store (``s3``).
"""

from skerry_cloud.blobs.backend import CHUNK, MAX_BLOB_BYTES, Backend, Blob, Readable, Stored
from skerry_cloud.blobs.folder import FolderBackend
from skerry_cloud.blobs.store import BlobStore, BlobWriter

__all__ = [
    "CHUNK",
    "MAX_BLOB_BYTES",
    "Backend",
    "Blob",
    "BlobStore",
    "BlobWriter",
    "FolderBackend",
    "Readable",
    "Stored",
]
