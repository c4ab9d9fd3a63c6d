"""What an object store's refusals mean, and how long they are borne."""

import re

import pytest
from botocore import exceptions

from skerry_cloud.blobs.s3 import failures
from skerry_cloud.blobs.s3.address import read_address
from skerry_cloud.blobs.s3.patience import Patience, Trying
from skerry_contract.errors import ContractError, ObjectStoreError

URL = "http://127.0.0.1:1"


def refusal(code: str, status: int) -> exceptions.ClientError:
    answer = {
        "Error": {"Code": code, "Message": "so"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return exceptions.ClientError(answer, "PutObject")


@pytest.mark.parametrize(
    ("error", "passing", "remedy"),
    [
        (refusal("NoSuchBucket", 404), False, "--blobs"),
        (refusal("InvalidAccessKeyId", 403), False, "AWS_ACCESS_KEY_ID"),
        (refusal("SignatureDoesNotMatch", 403), False, "AWS_SECRET_ACCESS_KEY"),
        (refusal("AccessDenied", 403), False, "read, write and delete"),
        (refusal("RequestTimeTooSkewed", 403), False, "Set the clocks"),
        (refusal("PermanentRedirect", 301), False, "--s3-region"),
        (refusal("Unheard", 400), False, "log"),
        (refusal("BadDigest", 400), True, "log"),
        (refusal("SlowDown", 503), True, "log"),
        (refusal("TooMany", 429), True, "log"),
        (refusal("InternalError", 500), True, "log"),
        (exceptions.EndpointConnectionError(endpoint_url=URL), True, "--s3-endpoint"),
        (exceptions.ReadTimeoutError(endpoint_url=URL), True, "--s3-endpoint"),
        (exceptions.ResponseStreamingError(error="cut"), True, "--s3-endpoint"),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), True, "Try again"),
        (exceptions.SSLError(endpoint_url=URL, error="self-signed"), False, "s3_ca"),
        (exceptions.NoCredentialsError(), False, "--s3-credentials-file"),
    ],
    ids=str,
)
def test_every_failure_has_a_remedy_and_only_passing_ones_are_tried_again(
    error: Exception, *, passing: bool, remedy: str
) -> None:
    assert failures.is_passing(error) is passing
    told = failures.told("s3://b/k cannot be stored", error)
    assert told.code == "OBJECT_STORE"
    assert told.text.startswith("s3://b/k cannot be stored: ")
    assert remedy in told.remedy


class Hours:
    """Time that passes by pauses alone."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses: list[float] = []

    def now(self) -> float:
        return self.now_s

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_s += seconds


def test_passing_failures_are_borne_with_pauses_until_the_deadline_and_then_told() -> None:
    hours = Hours()
    patience = Patience(30.0, 0.2, 5.0, hours.now, hours.pause)

    def fail() -> None:
        raise refusal("SlowDown", 503)

    with pytest.raises(ObjectStoreError, match=re.escape("b cannot be read: so (SlowDown)")):
        patience.attempt("b cannot be read", fail)
    assert hours.now_s <= 30.0
    assert len(hours.pauses) > 5
    bounds = [min(5.0, 0.2 * 2**number) for number in range(len(hours.pauses))]
    assert all(pause <= bound for pause, bound in zip(hours.pauses, bounds, strict=True))
    assert len(set(hours.pauses)) > 3, "they differ from one client to the next"


def test_what_cannot_be_done_is_told_at_once() -> None:
    hours = Hours()
    trying = Trying(Patience(30.0, 0.2, 5.0, hours.now, hours.pause), "it")
    with pytest.raises(ObjectStoreError):
        trying.failed(refusal("AccessDenied", 403))
    assert hours.pauses == []


def test_progress_gives_all_patience_back() -> None:
    hours = Hours()
    trying = Trying(Patience(1.0, 0.9, 0.9, hours.now, hours.pause), "it")
    for _ in range(50):
        trying.failed(refusal("SlowDown", 503))
        trying.advanced()
    assert hours.now_s > 1.0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://my.bucket-1/a/b", ("my.bucket-1", "a/b/")),
        ("s3://bucket/a/", ("bucket", "a/")),
    ],
)
def test_an_address_is_a_bucket_and_a_prefix(url: str, expected: tuple[str, str]) -> None:
    assert read_address(url) == expected


@pytest.mark.parametrize(
    "url",
    ["", "bucket", "s3://", "s3://Bucket", "s3://b", "http://bucket", "s3://bucket//a",
     "s3://bucket/a/../b", "s3://bucket/a b", "s3://key:hunter2@bucket", "s3://bucket?x=hunter2"],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_telling_secrets(url: str) -> None:
    with pytest.raises(ContractError, match="no address of a bucket") as caught:
        read_address(url)
    assert "hunter2" not in str(caught.value)
