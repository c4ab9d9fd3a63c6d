"""What can be shipped: models, and the modules that were built from them.

``files`` checks what was uploaded, ``models`` and ``modules`` keep named versions of it. Bytes
lie in the blob store; here are only names, digests and who needs whom.
"""
