"""Ed25519 over the interpreter's own OpenSSL: the RFC's vectors, and a second opinion."""

import random
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from skerry_agent import ed25519

# RFC 8032, section 7.1: public key, message, signature.
VECTORS = {
    "TEST 1": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3970"
            "1cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    "TEST 2": (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613"
            "d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    "TEST 3": (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760"
            "984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    "TEST SHA(abc)": (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23"
            "a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c6"
            "6431e0303dca179c138ac17ad9bef1177331a704"
        ),
    ),
}
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
PUBLIC = PRIVATE.public_key().public_bytes_raw()
# Points of small order, and encodings that are not reduced: where libraries have disagreed.
ODD_POINTS = [
    bytes(32),
    b"\x01" + bytes(31),
    b"\x01" + bytes(30) + b"\x80",
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    b"\xff" * 32,
]
ORDER = 2**252 + 27742317777372353535851937790883648493


def second_opinion(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def flipped(random_: random.Random, data: bytes) -> bytes:
    if not data:
        return b"x"
    changed = bytearray(data)
    changed[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("name", VECTORS)
def test_the_vectors_of_the_rfc_are_accepted_and_their_neighbours_refused(name: str) -> None:
    public, message, signature = map(bytes.fromhex, VECTORS[name])
    assert ed25519.verify(public, signature, message)
    assert not ed25519.verify(public, signature, message + b"x")
    assert not ed25519.verify(public, signature[:-1] + b"\x7f", message)
    assert not ed25519.verify(PUBLIC, signature, message)


def test_thousands_of_damaged_signatures_are_judged_as_by_a_second_library() -> None:
    random_ = random.Random(8032)  # noqa: S311 - the same cases each time
    accepted = 0
    for n in range(3000):
        message = random_.randbytes(random_.choice([0, 1, 31, 200]))
        public, signature = PUBLIC, PRIVATE.sign(message)
        match n % 4:
            case 1:
                public = flipped(random_, public)
            case 2:
                signature = flipped(random_, signature)
            case 3:
                message = flipped(random_, message)
            case _:
                pass
        verdict = ed25519.verify(public, signature, message)
        assert verdict == second_opinion(public, signature, message)
        assert verdict == (n % 4 == 0)
        accepted += verdict
    assert accepted == 750


def test_odd_points_and_scalars_are_judged_as_by_a_second_library() -> None:
    genuine = PRIVATE.sign(b"m")
    scalar = int.from_bytes(genuine[32:], "little")
    scalars = [0, 1, scalar, scalar + ORDER, ORDER, ORDER - 1, 2**256 - 1]
    cases = [
        (public, point + value.to_bytes(32, "little"))
        for public in [PUBLIC, *ODD_POINTS]
        for point in [genuine[:32], *ODD_POINTS]
        for value in scalars
    ]
    for public, signature in cases:
        verdict = ed25519.verify(public, signature, b"m")
        assert verdict == second_opinion(public, signature, b"m"), (public.hex(), signature.hex())


def test_a_signature_cannot_be_changed_into_another_good_one() -> None:
    genuine = PRIVATE.sign(b"m")
    grown = int.from_bytes(genuine[32:], "little") + ORDER
    assert not ed25519.verify(PUBLIC, genuine[:32] + grown.to_bytes(32, "little"), b"m")


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_a_key_of_another_length_is_refused(size: int) -> None:
    assert not ed25519.verify((PUBLIC * 2)[:size], PRIVATE.sign(b"m"), b"m")


@pytest.mark.parametrize("size", [0, 1, 63, 65, 128])
def test_a_signature_of_another_length_is_refused(size: int) -> None:
    assert not ed25519.verify(PUBLIC, (PRIVATE.sign(b"m") * 2)[:size], b"m")


def test_a_message_may_hold_any_bytes_and_be_long() -> None:
    for message in (b"", b"\0", b"a\0b", bytes(1_000_000)):
        assert ed25519.verify(PUBLIC, PRIVATE.sign(message), message)
    assert not ed25519.verify(PUBLIC, PRIVATE.sign(b"a\0b"), b"a\0c")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_twenty_thousand_verifications_leave_no_memory_behind() -> None:
    """A key or a context that is not freed takes 100 bytes at least: 2 MB in all."""
    message = bytes(64)
    good, bad = PRIVATE.sign(message), PRIVATE.sign(b"other")
    for _ in range(500):
        ed25519.verify(PUBLIC, good, message)
        ed25519.verify(b"\xff" * 32, bad, message)
    before = resident_bytes()
    for _ in range(10_000):
        ed25519.verify(PUBLIC, good, message)
        ed25519.verify(PUBLIC, bad, message)
    assert resident_bytes() - before < 1_000_000
