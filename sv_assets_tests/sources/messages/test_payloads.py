"""Bodies in S3 are read from the declared buckets alone, within bounds, and what goes wrong loses nothing."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sv_assets.catalogue.model import SqsQueuesModel
from sv_assets.catalogue.queue import Payloads
from sv_assets.errors import ConfigurationError, DataError, SvError, TransientError
from sv_assets.local import RunningServer
from sv_assets.sources.messages import Pointer
from sv_assets.sources.messages.payloads import PROBE_KEY, S3Payloads
from sv_assets_tests.sources.messages.opened import (
    BUCKET,
    Objects,
    body,
    gzipped,
    opened,
    pointer,
    queue,
    reason,
    record,
    sns,
)

LARGE = queue(payloads={"buckets": [BUCKET]})
KEY = "customers/zoe@example.com"


def system(url: str | None, region: str | None = "eu-west-2") -> SqsQueuesModel:
    return SqsQueuesModel(system="web", endpoint=url, region=region, owners=["team:web"], queues=[LARGE])


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def bucket(sqs_server: RunningServer) -> Iterator[Any]:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    s3: Any = boto3.resource("s3", endpoint_url=sqs_server.url, region_name="eu-west-2", **keys)
    made = s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    yield made
    made.objects.all().delete()
    made.delete()


def store(url: str, **declared: Any) -> S3Payloads:
    return S3Payloads(system(url), Payloads(buckets=[BUCKET], **declared))


@pytest.mark.parametrize(
    "name",
    [
        "software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer",
        "awsv2.repackaged.software.amazon.payloadoffloading.PayloadS3Pointer",
    ],
)  # fmt: skip
def test_a_body_in_s3_is_opened_and_kept_with_its_message(sqs_server: RunningServer, bucket: Any, name: str) -> None:
    text = body(name="Zo\u00eb", note="x" * 300_000)
    bucket.put_object(Key=KEY, Body=text.encode())
    payloads = store(sqs_server.url)
    result = opened(pointer(KEY, name=name), LARGE, payloads)
    assert result.content == record(text)
    assert (result.message.payload, result.pointer) == (text, Pointer(BUCKET, KEY))
    assert result.pointer is not None
    payloads.delete(result.pointer)
    assert "is gone (NoSuchKey)" in reason(pointer(KEY, name=name), LARGE, payloads)
    payloads.delete(result.pointer)


def test_pointers_lie_in_envelopes_and_envelopes_in_s3(sqs_server: RunningServer, bucket: Any) -> None:
    payloads = store(sqs_server.url)
    for data in (gzipped(body()).encode(), gzip.compress(body().encode()), sns(gzipped(body())).encode()):
        bucket.put_object(Key=KEY, Body=data)
        assert record(sns(pointer(KEY)), LARGE, payloads) == record(body())


def test_a_payload_that_is_not_text_is_rejected_with_its_bytes(sqs_server: RunningServer, bucket: Any) -> None:
    bucket.put_object(Key=KEY, Body=b"\xff\x00\xfe")
    result = opened(pointer(KEY), LARGE, store(sqs_server.url))
    assert result.message.payload == b"\xff\x00\xfe"
    assert reason(pointer(KEY), LARGE, store(sqs_server.url)) == "the body in S3 is not UTF-8 text"


def test_a_rejected_message_keeps_its_payload_and_its_object(sqs_server: RunningServer, bucket: Any) -> None:
    bucket.put_object(Key=KEY, Body=b"not json")
    payloads = store(sqs_server.url)
    result = opened(pointer(KEY), LARGE, payloads)
    assert (result.message.payload, result.pointer) == ("not json", None)
    assert payloads.read(Pointer(BUCKET, KEY)) == b"not json"


def test_a_payload_too_large_stays_in_s3(sqs_server: RunningServer, bucket: Any) -> None:
    bucket.put_object(Key=KEY, Body=b"x" * 2049)
    payloads = store(sqs_server.url, max_bytes=2048)
    assert reason(pointer(KEY), LARGE, payloads) == (
        f"the body in the bucket {BUCKET} is larger than 2,048 bytes (`payloads.max_bytes`)"
    )
    assert store(sqs_server.url, max_bytes=2049).read(Pointer(BUCKET, KEY)) == b"x" * 2049


def test_an_object_stays_where_the_catalogue_says_so(sqs_server: RunningServer, bucket: Any) -> None:
    bucket.put_object(Key=KEY, Body=b"{}")
    payloads = store(sqs_server.url, delete=False)
    payloads.delete(Pointer(BUCKET, KEY))
    store(sqs_server.url).delete(Pointer("another-bucket", KEY))
    assert payloads.read(Pointer(BUCKET, KEY)) == b"{}"


def test_only_declared_buckets_are_read(sqs_server: RunningServer) -> None:
    why = reason(pointer(KEY, "of-somebody-else"), LARGE, store(sqs_server.url))
    assert why == "the body lies in a bucket of S3 that `payloads.buckets` of this queue does not name"
    assert "declare `payloads`" in reason(pointer(KEY))


def test_a_bucket_that_does_not_exist_is_a_fault_of_the_catalogue(sqs_server: RunningServer) -> None:
    missing = S3Payloads(system(sqs_server.url), Payloads(buckets=["no-such-bucket"]))
    with pytest.raises(ConfigurationError, match="system web: the bucket no-such-bucket does not exist"):
        missing.read(Pointer("no-such-bucket", KEY))


def test_a_payload_that_the_message_has_is_not_read_again() -> None:
    objects = Objects()
    result = opened(pointer("k"), LARGE, objects, payload=body())
    assert (objects.reads, result.pointer) == (0, Pointer(BUCKET, "k"))
    assert result.content == record(body())


def test_a_pointer_in_s3_is_not_followed_again() -> None:
    assert reason(pointer("k"), LARGE, Objects({"k": pointer("k").encode()})) == "the body in S3 points to S3 again"


@pytest.mark.parametrize(
    "place",
    [
        {},
        {"s3BucketName": BUCKET},
        {"s3Key": "k", "s3BucketName": 4},
        {"s3Key": "", "s3BucketName": BUCKET},
        [],
        "x",
        None,
    ],
)
def test_half_a_pointer_is_rejected(place: Any) -> None:
    text = json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", place])
    assert "does not name its s3BucketName and s3Key" in reason(text, LARGE, Objects())


@settings(deadline=None)
@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_arbitrary_pointers_never_raise(name: str, key: str) -> None:
    opened(pointer(key, name), LARGE, Objects({key: body().encode()}))


class Faulty(BaseHTTPRequestHandler):
    """An S3 that answers as told: `answers` by key, `(status, code or headers, body)`."""

    answers: dict[str, tuple[int, dict[str, str], bytes]] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        status, headers, data = self.answers.get(self.path.split("/", 2)[2], refusal(404, "NoSuchKey"))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    do_DELETE = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


def refusal(status: int, code: str, message: str = "no") -> tuple[int, dict[str, str], bytes]:
    xml = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, {"Content-Type": "application/xml"}, xml.encode()


@pytest.fixture
def faulty() -> Iterator[str]:
    Faulty.answers = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


DENIED = refusal(403, "AccessDenied")
OF_KMS = refusal(403, "AccessDenied", "not authorized to perform: kms:Decrypt on resource")


def fault(url: str, answer: tuple[int, dict[str, str], bytes], **declared: Any) -> SvError:
    Faulty.answers["k"] = answer
    with pytest.raises(SvError) as caught:
        store(url, **declared).read(Pointer(BUCKET, "k"))
    assert "'k'" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(503, "SlowDown"), TransientError), (refusal(500, "InternalError"), TransientError),
        (refusal(503, "ServiceUnavailable"), TransientError), (refusal(400, "RequestTimeout"), TransientError),
        ((502, {}, b"<html>"), TransientError), ((200, {"Content-Length": "100"}, b"cut off"), TransientError),
        (refusal(404, "NoSuchKey"), DataError), (refusal(403, "InvalidObjectState"), DataError),
        (refusal(400, "InvalidRequest"), DataError), (refusal(400, "KeyTooLongError"), DataError),
        (refusal(404, "NoSuchBucket"), ConfigurationError), (refusal(403, "InvalidAccessKeyId"), ConfigurationError),
        (refusal(403, "SignatureDoesNotMatch"), ConfigurationError), (refusal(400, "ExpiredToken"), ConfigurationError),
        (OF_KMS, ConfigurationError),
    ],
)  # fmt: skip
def test_what_s3_answers_is_a_fault_of_the_right_kind(faulty: str, answer: Any, kind: type[SvError]) -> None:
    assert type(fault(faulty, answer)) is kind


def test_one_forbidden_object_is_a_fault_of_its_message(faulty: str) -> None:
    """A missing object is said to be missing: so we may read the bucket, and it is this object that is closed to us."""
    assert type(fault(faulty, DENIED)) is DataError


def test_a_forbidden_bucket_stops_the_run(faulty: str) -> None:
    Faulty.answers[PROBE_KEY] = DENIED
    why = fault(faulty, DENIED)
    assert type(why) is ConfigurationError
    assert "s3:GetObject, s3:ListBucket" in str(why)


@pytest.mark.parametrize("denied", [DENIED, OF_KMS])
def test_where_others_could_be_read_a_forbidden_object_is_a_fault_of_its_message(faulty: str, denied: Any) -> None:
    Faulty.answers.update({"good": (200, {}, b"{}"), "bad": denied, PROBE_KEY: DENIED})
    payloads = store(faulty)
    assert payloads.read(Pointer(BUCKET, "good")) == b"{}"
    with pytest.raises(DataError, match="forbidden to us, or gone"):
        payloads.read(Pointer(BUCKET, "bad"))


def test_a_length_that_lies_does_not_fill_memory(faulty: str) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer = (200, {"Content-Length": "", "Transfer-Encoding": "chunked"}, chunk * 64 + b"0\r\n\r\n")
    assert "is larger than 1,024 bytes" in str(fault(faulty, answer, max_bytes=1024))


def test_a_refused_deletion_is_a_fault_of_our_permissions(faulty: str) -> None:
    Faulty.answers["k"] = DENIED
    with pytest.raises(ConfigurationError, match="s3:DeleteObject"):
        store(faulty).delete(Pointer(BUCKET, "k"))


def test_nobody_listening_is_transient_and_says_no_key() -> None:
    with pytest.raises(TransientError, match="system web: the bucket large-messages does not answer") as caught:
        store("http://127.0.0.1:1").read(Pointer(BUCKET, KEY))
    assert caught.value.__cause__ is None
    assert KEY not in str(caught.value)


def test_a_transient_fault_of_s3_passes_through(faulty: str) -> None:
    Faulty.answers["k"] = refusal(503, "SlowDown")
    with pytest.raises(TransientError):
        opened(pointer("k"), LARGE, store(faulty))


def test_logs_show_neither_keys_nor_bodies(
    sqs_server: RunningServer, bucket: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.put_object(Key=KEY, Body=body(name="S3CR3T").encode())
    with caplog.at_level("DEBUG"):
        payloads = store(sqs_server.url)
        record(pointer(KEY), LARGE, payloads)
        payloads.delete(Pointer(BUCKET, KEY))
        reason(pointer(KEY), LARGE, payloads)
    assert "zoe" not in caplog.text
    assert "S3CR3T" not in caplog.text


def test_the_key_of_an_object_is_in_no_repr() -> None:
    assert "zoe" not in repr(Pointer(BUCKET, KEY))
