"""Layers compressed otherwise, byte for byte."""

import gzip
import hashlib
import random
import zlib
from pathlib import Path

import pytest
import zstandard

from skerry.images.compression import MAX_LAYER_BYTES, Compression, recompress, unpack
from skerry.images.documents import GZIP_TYPE, TAR_TYPE, ZSTD_TYPE, Descriptor, digest_of
from skerry_contract.errors import ContractError, DigestError

DATA = b"a layer" * 30_000 + random.Random(1).randbytes(400_000)  # noqa: S311 - repeatable
SKIPPED = (0x184D2A53).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"index"
"""A frame that readers pass over (RFC 8878, 3.1.2); zstd:chunked keeps its index in one."""


def frame(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1, write_checksum=True).compress(data)


def layer_in(folder: Path, data: bytes, media_type: str) -> tuple[Path, Descriptor]:
    path = folder / "layer"
    path.write_bytes(data)
    return path, Descriptor(media_type, digest_of(data), len(data))


@pytest.mark.parametrize("wanted", ["gzip", "zstd"])
@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (DATA, TAR_TYPE),
        (gzip.compress(DATA, 1), GZIP_TYPE),
        (gzip.compress(DATA[:7], 1) + gzip.compress(DATA[7:], 1), GZIP_TYPE),
        (frame(DATA), ZSTD_TYPE),
        (frame(DATA[:7]) + SKIPPED + frame(DATA[7:]) + SKIPPED, ZSTD_TYPE),
    ],
    ids=["tar", "gzip", "gzip members", "zstd", "zstd frames"],
)
def test_a_layer_in_any_form_becomes_the_same_bytes_in_another(
    tmp_path: Path, data: bytes, media_type: str, wanted: Compression
) -> None:
    path, layer = layer_in(tmp_path, data, media_type)
    made = recompress(path, layer, digest_of(DATA), wanted, tmp_path / "made")
    written = (tmp_path / "made").read_bytes()
    assert (digest_of(written), len(written)) == (made.digest, made.size)
    if wanted == "gzip":
        assert gzip.decompress(written) == DATA
        again = zlib.compressobj(6, zlib.DEFLATED, 31)
        assert written == again.compress(DATA) + again.flush()
    else:
        reader = zstandard.ZstdDecompressor()
        assert reader.decompress(written, max_output_size=len(DATA)) == DATA
        # Changes only together with the release of zstandard or the level: see the ADR.
        want = "6d6e596063af45ca12ee66efca95e8b0"
        assert hashlib.sha256(written).hexdigest()[:32] == want


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (DATA[:-1], TAR_TYPE),
        (gzip.compress(DATA, 1)[:-9], GZIP_TYPE),
        (gzip.compress(DATA, 1)[:-1] + b"!", GZIP_TYPE),
        (b"no gzip", GZIP_TYPE),
        (frame(DATA)[:-1000], ZSTD_TYPE),
        (frame(DATA) + b"more", ZSTD_TYPE),
        (frame(DATA)[:-1] + b"!", ZSTD_TYPE),
        (b"no zstd", ZSTD_TYPE),
        (b"", ZSTD_TYPE),
    ],
)
def test_what_is_not_whole_is_refused(tmp_path: Path, data: bytes, media_type: str) -> None:
    path, layer = layer_in(tmp_path, data, media_type)
    with pytest.raises(DigestError, match=layer.digest):
        recompress(path, layer, digest_of(DATA), "zstd", tmp_path / "made")


def test_a_layer_that_wants_gigabytes_of_memory_is_refused(tmp_path: Path) -> None:
    asks = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    writer = zstandard.ZstdCompressor(compression_params=asks).compressobj()
    path, layer = layer_in(tmp_path, writer.compress(DATA) + writer.flush(), ZSTD_TYPE)
    with pytest.raises(DigestError, match="too much memory"):
        unpack(path, layer, digest_of(DATA), lambda _piece: None)


def test_a_layer_that_grows_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_LAYER_BYTES >= 2**36
    monkeypatch.setattr("skerry.images.compression.MAX_LAYER_BYTES", 2**24)
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(2**26))
    path, layer = layer_in(tmp_path, bomb, ZSTD_TYPE)
    sizes: list[int] = []
    with pytest.raises(ContractError, match="more than"):
        unpack(path, layer, digest_of(b""), lambda piece: sizes.append(len(piece)))
    assert sum(sizes) <= 2**24


def test_another_compression_is_refused(tmp_path: Path) -> None:
    path, layer = layer_in(tmp_path, b"x", "application/vnd.oci.image.layer.v1.tar+lz4")
    with pytest.raises(ContractError, match=r"tar\+lz4"):
        unpack(path, layer, digest_of(b"x"), lambda _piece: None)
