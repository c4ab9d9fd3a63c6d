"""Blobs in a bucket of an S3-compatible object store, with a cache on this machine's disk.

``backend`` is what the store of blobs uses; ``bucket`` speaks to the object store, ``cache`` keeps
copies, ``uses`` remembers when each blob was used.
"""
