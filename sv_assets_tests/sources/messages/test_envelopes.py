"""A document comes out of its envelopes as it went in, and what only looks like an envelope stays as it is."""

import base64
import gzip
import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sv_assets.catalogue.queue import QueueEntry
from sv_assets.local import RunningServer
from sv_assets.sources.messages.envelope import MAX_LAYERS, MAX_MEMBERS, gunzip
from sv_assets.sources.records import Record, Rejected
from sv_assets_tests.sources.messages.opened import (
    BUCKET,
    Objects,
    body,
    eventbridge,
    gzipped,
    opened,
    pointer,
    queue,
    reason,
    record,
    sns,
)
from sv_assets_tests.sources.messages.test_convert import JSON

DETECT = queue()
PLAIN = queue(envelope="plain")
LARGE = queue(payloads={"buckets": [BUCKET]})
DOCUMENTS = st.dictionaries(st.text(max_size=4), JSON, max_size=3).map(
    lambda rest: {**rest, "account": {"id": "a"}, "v": 1}
)
LAYERS = st.lists(st.sampled_from(["sns", "eventbridge", "gzip", "s3", "bytes in s3"]), max_size=MAX_LAYERS)


def wrapped(text: str, layers: list[str], store: Objects) -> tuple[str, list[str]]:
    """`text` in `layers`, the first innermost, and those that could be put around it, the first outermost."""
    around: list[str] = []
    for layer in layers:
        if layer == "sns":
            text = sns(text)
        elif layer == "gzip":
            text = gzipped(text)
        elif layer == "eventbridge" and text.startswith("{"):
            text = eventbridge(json.loads(text))
        elif layer.endswith("s3") and not store.held:
            store.held["k"] = gzip.compress(text.encode()) if layer.startswith("bytes") else text.encode()
            text = pointer("k")
        else:
            continue
        around.insert(0, layer)
    return text, around


@settings(deadline=None)
@given(DOCUMENTS, LAYERS)
def test_a_document_comes_out_of_any_envelopes_as_it_went_in(document: dict[str, Any], layers: list[str]) -> None:
    bare = opened(json.dumps(document)).content
    store = Objects()
    text, around = wrapped(json.dumps(document), layers, store)
    declared = ["gzip" if layer == "bytes in s3" else layer for layer in around if layer != "s3"]
    for envelope in ("detect", declared or "plain"):
        result = opened(text, queue(payloads={"buckets": [BUCKET]}, envelope=envelope), store)
        if isinstance(bare, Record):
            assert result.content == bare
            assert (result.pointer is not None) == bool(store.held)
        else:
            assert isinstance(result.content, Rejected)
            assert result.content.reason == bare.reason


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_as_gzip_never_raise(data: bytes) -> None:
    for packed in (data, b"\x1f\x8b\x08" + data, gzip.compress(data) + data, gzip.compress(data)[:-3]):
        text = base64.b64encode(packed).decode()
        for by in (DETECT, queue(envelope=["gzip"])):
            opened(text, by)
        opened(pointer("k"), LARGE, Objects({"k": packed}))


@settings(deadline=None)
@given(st.text(max_size=50))
def test_arbitrary_text_in_an_envelope_never_raises(text: str) -> None:
    for outer in (sns(text), sns(eventbridge({"text": text})), gzipped(text), "H4sI" + text, sns("H4sI" + text)):
        for by in (DETECT, PLAIN, queue(envelope=["sns", "gzip"]), queue(envelope=["eventbridge"])):
            opened(outer, by)


@pytest.mark.parametrize(
    "changed",
    [
        {"Type": "SubscriptionConfirmation"}, {"Type": "Notice"}, {"TopicArn": "account-changes"}, {"TopicArn": "arn:aws"},
        {"TopicArn": "arn:aws:sqs:eu-west-2:1:x"}, {"TopicArn": 5}, {"MessageId": 5}, {"Message": {"a": 1}}, {"Timestamp": None},
    ],
)  # fmt: skip
def test_what_is_not_quite_a_notification_is_a_document(changed: dict[str, Any]) -> None:
    text = json.dumps({**json.loads(sns(body())), "account": {"id": "outer"}, "v": 1, **changed})
    assert record(text).key == "outer"
    assert "no SNS notification" in reason(text, queue(envelope="sns"))


@pytest.mark.parametrize(
    "changed",
    [
        {"detail": "text"}, {"detail": None}, {"account": {"id": "outer"}}, {"account": "12345"}, {"detail-type": 1},
        {"source": None}, {"region": None}, {"time": 17}, {"id": 4},
    ],
)  # fmt: skip
def test_what_is_not_quite_an_event_is_a_document(changed: dict[str, Any]) -> None:
    event = json.loads(eventbridge({"key": "inner", "v": 1}))
    text = json.dumps({**event, "key": "outer", "v": 1, **changed})
    assert record(text, QueueEntry(name="q", key="$.key", version="$.v")).key == "outer"
    assert "no whole EventBridge event" in reason(text, queue(envelope="eventbridge"))


def test_plain_never_unwraps_but_follows_a_pointer() -> None:
    for text in (sns(body()), eventbridge(json.loads(body()))):
        assert "key $.account.id" in reason(text, PLAIN)
    assert "not JSON" in reason(gzipped(body()), PLAIN)
    large = queue(envelope="plain", payloads={"buckets": [BUCKET]})
    assert record(pointer("k"), large, Objects({"k": body().encode()})).key == "a1"
    assert "key $.account.id" in reason(pointer("k"), large, Objects({"k": sns(body()).encode()}))


def test_declared_layers_must_be_there_but_gzip_need_not() -> None:
    declared = queue(envelope=["sns", "gzip"])
    assert record(sns(gzipped(body())), declared).key == "a1"
    assert record(sns(body()), declared).key == "a1"
    assert "declares the envelope sns" in reason(body(), declared)
    assert "declares the envelope eventbridge" in reason(body(), queue(envelope="eventbridge"))
    assert "not JSON" in reason(sns(gzipped(body())), queue(envelope="sns"))
    assert "key $.account.id" in reason(sns(sns(body())), declared), "the declared ones are all that come off"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: f"\n  {text}\n", lambda text: "\r\n".join(text[n : n + 76] for n in range(0, len(text), 76)),
        lambda text: text.rstrip("="), lambda text: text.replace("+", "-").replace("/", "_"),
    ],
)  # fmt: skip
def test_base64_is_read_as_the_many_write_it(change: Callable[[str], str]) -> None:
    text = body(note="".join(chr(33 + n * 7 % 90) for n in range(300)))
    assert record(change(gzipped(text))) == record(text)


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:12], lambda d: d + b"x", lambda d: d[:-6] + b"\0" + d[-5:]]
)
def test_a_damaged_gzip_stream_is_rejected(damage: Callable[[bytes], bytes]) -> None:
    text = base64.b64encode(damage(gzip.compress(body().encode()))).decode()
    assert reason(text) == "the body begins as gzip does, but is cut off or damaged"


def test_members_of_a_gzip_stream_are_one() -> None:
    half = len(body()) // 2
    data = gzip.compress(body()[:half].encode()) + gzip.compress(body()[half:].encode())
    assert record(base64.b64encode(data).decode()) == record(body())
    many = gzip.compress(body().encode()) + gzip.compress(b"") * MAX_MEMBERS
    assert "damaged" in reason(base64.b64encode(many).decode())


def test_a_gzip_bomb_is_rejected_in_little_memory() -> None:
    small = queue(payloads={"buckets": [BUCKET], "max_bytes": 1024**2})
    text = gzipped(bytes(256 * 1024**2))
    tracemalloc.start()
    assert "unpacks to more than 1,048,576 bytes" in reason(text, small)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 1024**2
    assert "unpacks to more than 12,582,912 bytes" in reason(text)


def test_unpacked_to_the_byte_it_may_have() -> None:
    assert gunzip(gzip.compress(b"x" * 1000), 1000) == b"x" * 1000


def test_gzip_of_what_is_not_text_is_rejected_whole() -> None:
    text = gzipped(b"\xff\xfe\x00")
    assert "not UTF-8" in reason(text)


def test_envelopes_without_end_are_rejected() -> None:
    text = body()
    for _ in range(MAX_LAYERS + 1):
        text = sns(text)
    assert reason(text) == f"the body lies in more than {MAX_LAYERS} envelopes"


def test_eventbridge_says_the_event_type_and_the_catalogue_can_say_otherwise() -> None:
    text = eventbridge(json.loads(body(type="Inner")), "AccountChanged")
    assert opened(text).event == "AccountChanged"
    assert opened(text, queue(event_type="$.type")).event == "Inner"
    assert opened(text, queue(event_type="$.absent")).event == "AccountChanged"
    assert opened(text, queue(event_type="kind"), attributes={"kind": "Attribute"}).event == "Attribute"
    assert opened(body()).event is None
    assert opened(body(type=7), queue(event_type="$.type")).event == "7"


def test_an_attribute_of_a_notification_says_the_event_type() -> None:
    carried = {"kind": {"Type": "String", "Value": "AccountClosed"}}
    by = queue(event_type="kind")
    assert opened(sns(body(), MessageAttributes=carried), by).event == "AccountClosed"
    assert opened(body(), by, attributes={"kind": b"\xff"}).event is None


def test_an_event_type_that_is_not_unicode_is_rejected() -> None:
    assert "event type is not Unicode" in reason(eventbridge(json.loads(body()), "\ud800"))


class Aws:
    """A queue of the test's own in the embedded AWS, and clients of what sends to it."""

    def __init__(self, url: str, name: str) -> None:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        make = boto3.Session(region_name="eu-west-2", **keys).client
        self.sqs, self.sns, self.events = (make(kind, endpoint_url=url) for kind in ("sqs", "sns", "events"))
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        names = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        self.arn = names["Attributes"]["QueueArn"]

    def body(self) -> str:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            answer = self.sqs.receive_message(QueueUrl=self.queue, WaitTimeSeconds=1, MessageAttributeNames=["All"])
            for message in answer.get("Messages", []):
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                return str(message["Body"])
        raise AssertionError("nothing came")


@pytest.fixture
def aws(sqs_server: RunningServer, request: pytest.FixtureRequest) -> Aws:
    return Aws(sqs_server.url, f"e{abs(hash(request.node.nodeid))}")


@pytest.mark.parametrize("raw", ["true", "false"])
def test_a_message_that_sns_delivers_is_opened(aws: Aws, raw: str) -> None:
    topic = aws.sns.create_topic(Name=f"t{raw}")["TopicArn"]
    how = {"RawMessageDelivery": raw}
    aws.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=aws.arn, Attributes=how)
    attributes = {"kind": {"DataType": "String", "StringValue": "AccountChanged"}}
    aws.sns.publish(TopicArn=topic, Subject="s", Message=body(name="Zo\u00eb"), MessageAttributes=attributes)
    text = aws.body()
    assert ("TopicArn" in text) == (raw == "false")
    result = opened(text, queue(event_type="kind"))
    assert result.content == record(body(name="Zo\u00eb"))
    assert result.event == ("AccountChanged" if raw == "false" else None), "raw delivery has it on the message"
    record(text, queue(envelope="plain" if raw == "true" else "sns"))


def test_an_event_that_eventbridge_delivers_is_opened(aws: Aws) -> None:
    pattern = json.dumps({"source": ["web"]})
    aws.events.put_rule(Name="r", EventPattern=pattern)
    aws.events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": aws.arn}])
    aws.events.put_events(Entries=[{"Source": "web", "DetailType": "AccountChanged", "Detail": body(name="Zo\u00eb")}])
    text = aws.body()
    result = opened(text)
    assert (result.content, result.event) == (record(body(name="Zo\u00eb")), "AccountChanged")
    record(text, queue(envelope="eventbridge"))
