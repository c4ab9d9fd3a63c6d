"""Verify Ed25519 signatures with the OpenSSL that Python's ``ssl`` has loaded already.

A binding of our own and not a library, for the memory of small devices: this adds about 0.4 MB
to the agent, the smallest library 1.2 MB and the usual one 9 MB.
"""

import _ssl
import ctypes
from functools import cache
from typing import Any

_ED25519 = 1087  # NID_ED25519 in openssl/obj_mac.h


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether ``signature`` is one of ``public_key`` over ``message``.

    Args:
        public_key: 32 bytes (RFC 8032, section 5.1.5).
        signature: 64 bytes (RFC 8032, section 5.1.6).
        message: Any number of bytes.
    """
    if len(public_key) != 32 or len(signature) != 64:
        return False
    crypto = _libcrypto()
    key = crypto.EVP_PKEY_new_raw_public_key(_ED25519, None, public_key, len(public_key))
    context = crypto.EVP_MD_CTX_new()
    try:
        if not key or not context:
            return False
        if crypto.EVP_DigestVerifyInit(context, None, None, None, key) != 1:
            return False
        size = len(message)
        return bool(crypto.EVP_DigestVerify(context, signature, 64, message, size) == 1)
    finally:
        crypto.EVP_MD_CTX_free(context)
        crypto.EVP_PKEY_free(key)
        crypto.ERR_clear_error()


@cache
def _libcrypto() -> Any:
    # Symbols resolve through the libraries that the ssl module itself depends on.
    crypto = ctypes.CDLL(getattr(_ssl, "__file__", None))
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "EVP_PKEY_new_raw_public_key": (pointer, [ctypes.c_int, pointer, ctypes.c_char_p, size]),
        "EVP_PKEY_free": (None, [pointer]),
        "EVP_MD_CTX_new": (pointer, []),
        "EVP_MD_CTX_free": (None, [pointer]),
        "EVP_DigestVerifyInit": (ctypes.c_int, [pointer] * 5),
        "EVP_DigestVerify": (
            ctypes.c_int,
            [pointer, ctypes.c_char_p, size, ctypes.c_char_p, size],
        ),
        "ERR_clear_error": (None, []),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(crypto, name)
        function.restype, function.argtypes = result, arguments
    return crypto
