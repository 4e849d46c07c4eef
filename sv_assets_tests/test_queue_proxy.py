"""The proxy that misbehaves does what it says: each fault as a boto3 client sees it, and the ledger of what came of it."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)

from sv_assets.local import RunningServer
from sv_assets_tests.queue_proxy import QueueProxy


def client_of(url: str, service: Any = "sqs") -> Any:
    """A client that never tries again."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=2, max_pool_connections=20),
    )


@dataclass
class Through:
    """A queue of the test's own: filled and looked at directly, used through the proxy."""

    proxy: QueueProxy
    direct: Any
    client: Any
    url: str

    def send(self, *bodies: str, **how: str) -> list[str]:
        return [self.direct.send_message(QueueUrl=self.url, MessageBody=body, **how)["MessageId"] for body in bodies]

    def receive(self, **how: Any) -> list[dict[str, Any]]:
        how = {"MaxNumberOfMessages": 10, "AttributeNames": ["All"], **how}
        return list(self.client.receive_message(QueueUrl=self.url, **how).get("Messages", []))

    def delete(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        entries = [{"Id": m["MessageId"], "ReceiptHandle": m["ReceiptHandle"]} for m in messages]
        return dict(self.client.delete_message_batch(QueueUrl=self.url, Entries=entries))

    def show(self, messages: list[dict[str, Any]], seconds: int) -> dict[str, Any]:
        entries = [
            {"Id": m["MessageId"], "ReceiptHandle": m["ReceiptHandle"], "VisibilityTimeout": seconds} for m in messages
        ]
        return dict(self.client.change_message_visibility_batch(QueueUrl=self.url, Entries=entries))

    @property
    def depth(self) -> tuple[int, int]:
        """How many messages wait, and how many are in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.direct.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(attributes[names[0]]), int(attributes[names[1]])


@pytest.fixture
def proxy(sqs_server: RunningServer) -> Iterator[QueueProxy]:
    with QueueProxy(sqs_server.url, seed=1) as made:
        yield made


@pytest.fixture
def through(sqs_server: RunningServer, proxy: QueueProxy) -> Through:
    direct = client_of(sqs_server.url)
    url = direct.create_queue(QueueName=f"proxied-{uuid4().hex}")["QueueUrl"]
    return Through(proxy, direct, client_of(proxy.url), url)


@pytest.fixture
def fifo(through: Through) -> Through:
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    through.url = through.direct.create_queue(QueueName=f"p-{uuid4().hex}.fifo", Attributes=attributes)["QueueUrl"]
    return through


def ids(messages: list[dict[str, Any]]) -> list[str]:
    return [message["MessageId"] for message in messages]


def test_everything_goes_through_the_proxy_whatever_host_a_queue_url_names(through: Through) -> None:
    (sent,) = through.send("a")
    assert through.proxy.url not in through.url
    (message,) = through.receive()
    through.client.change_message_visibility(
        QueueUrl=through.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=60
    )
    through.client.delete_message(QueueUrl=through.url, ReceiptHandle=message["ReceiptHandle"])
    name = through.url.rsplit("/", 1)[1]
    assert through.client.get_queue_url(QueueName=name)["QueueUrl"].startswith(through.proxy.url)
    operations = ["ReceiveMessage", "ChangeMessageVisibility", "DeleteMessage", "GetQueueUrl"]
    assert through.proxy.requests == dict.fromkeys(operations, 1)
    assert through.proxy.ledger.sequence == [("delivered", sent), ("extended", sent), ("deleted", sent)]
    assert not through.proxy.injected


def test_other_services_pass_untouched(sqs_server: RunningServer, proxy: QueueProxy) -> None:
    proxy.inject("*", "error_500")
    s3, bucket = client_of(proxy.url, "s3"), f"b-{uuid4().hex}"
    body = bytes(range(256)) * 8192
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    s3.put_object(Bucket=bucket, Key="k/ü", Body=body)
    assert s3.head_object(Bucket=bucket, Key="k/ü")["ContentLength"] == len(body)
    assert s3.get_object(Bucket=bucket, Key="k/ü")["Body"].read() == body
    s3.delete_object(Bucket=bucket, Key="k/ü")
    assert proxy.requests == {"other": 5}


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("error_500", "InternalFailure", 500),
        ("unavailable_503", "503", 503),
        ("throttled", "RequestThrottled", 400),
        ("rate_exceeded", "ThrottlingException", 400),
    ],
)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_error_comes_before_or_after_the_server_has_done_it(
    through: Through, kind: Any, code: str, status: int, moment: Any
) -> None:
    (sent,) = through.send("a")
    messages = through.receive()
    through.proxy.inject("DeleteMessageBatch", kind, times=1, moment=moment)
    with pytest.raises(ClientError) as caught:
        through.delete(messages)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert through.depth == ((0, 1) if moment == "before" else (0, 0))
    ledger = through.proxy.ledger
    assert (ledger.deleted, ledger.deleted_untold) == (set(), set() if moment == "before" else {sent})
    assert [done["Id"] for done in through.delete(messages)["Successful"]] == [sent], "also what is deleted already"
    assert (ledger.deleted, ledger.deleted_untold, ledger.gone) == ({sent}, set(), [sent])
    assert through.proxy.injected == {kind: 1}


@pytest.mark.parametrize(
    ("kind", "moment", "error"),
    [
        ("timed_out", "before", ReadTimeoutError),
        ("timed_out", "after", ReadTimeoutError),
        ("cut", "before", ConnectionClosedError),
        ("cut", "after", ConnectionClosedError),
        ("cut_in_half", "after", ConnectionClosedError),
    ],
)
def test_a_connection_ends_without_an_answer(
    through: Through, kind: Any, moment: Any, error: type[HTTPClientError]
) -> None:
    (sent,) = through.send("a")
    through.proxy.inject("ReceiveMessage", kind, times=1, moment=moment, seconds=3)
    with pytest.raises(error):
        through.receive()
    assert through.depth == ((1, 0) if moment == "before" else (0, 1))
    assert through.proxy.ledger.sequence == ([] if moment == "before" else [("lost", sent)])
    assert ids(through.receive()) == ([sent] if moment == "before" else [])


def test_a_fault_at_either_moment_comes_at_both(through: Through) -> None:
    (sent,) = through.send("a")
    messages = through.receive()
    through.proxy.inject("*", "cut", times=20, moment="either")
    for _ in range(20):
        with pytest.raises(ConnectionClosedError):
            through.show(messages, 60)
    assert 0 < through.proxy.ledger.count("extended")[sent] < 20
    assert len(through.show(messages, 60)["Successful"]) == 1


def test_silence_ends_with_the_connection(through: Through) -> None:
    through.proxy.inject("ReceiveMessage", "timed_out", seconds=0.2)
    began = time.monotonic()
    with pytest.raises(ConnectionClosedError):
        through.receive()
    assert time.monotonic() - began >= 0.2


def test_some_entries_of_a_batch_fail(through: Through) -> None:
    sent = through.send(*"abcdefghij")
    messages = through.receive()
    through.proxy.inject("*", "partial_failure", times=2)
    answer = through.show(messages, 0)
    released = [done["Id"] for done in answer["Successful"]]
    assert 0 < len(released) < 10 and len(released) + len(answer["Failed"]) == 10
    assert set(through.proxy.ledger.released) == set(released)
    assert through.depth == (len(released), 10 - len(released))

    answer = through.delete(messages)
    failed = [entry.pop("Id") for entry in answer["Failed"]]
    assert 0 < len(failed) < 10
    assert {json.dumps(entry) for entry in answer["Failed"]} == {
        '{"SenderFault": false, "Code": "InternalError", "Message": "We encountered an internal error. Please try again."}'
    }
    assert through.proxy.ledger.deleted == set(sent) - set(failed)
    assert sum(through.depth) == len(failed)
    through.delete([message for message in messages if message["MessageId"] in failed])
    assert through.proxy.ledger.deleted == set(sent)
    assert through.depth == (0, 0)


def test_a_batch_may_fail_wholly(through: Through) -> None:
    through.send("a", "b")
    messages = through.receive()
    through.proxy.inject("DeleteMessageBatch", "partial_failure", share=1)
    answer = through.delete(messages)
    assert (len(answer.get("Successful", [])), len(answer["Failed"])) == (0, 2)
    assert through.depth == (0, 2)


def test_expired_handles_are_refused_by_the_server(through: Through) -> None:
    through.send(*"abcdefghij")
    messages = through.receive()
    through.proxy.inject("DeleteMessageBatch", "expired_handles", times=1)
    failed = through.delete(messages)["Failed"]
    assert 0 < len(failed) < 10
    assert {(entry["Code"], entry["SenderFault"]) for entry in failed} == {("ReceiptHandleIsInvalid", True)}
    assert through.depth == (0, len(failed))
    assert len(through.proxy.ledger.deleted) == 10 - len(failed)
    through.proxy.inject("ChangeMessageVisibility", "expired_handles")
    with pytest.raises(ClientError, match="ReceiptHandleIsInvalid"):
        through.client.change_message_visibility(
            QueueUrl=through.url, ReceiptHandle=messages[0]["ReceiptHandle"], VisibilityTimeout=0
        )


def test_a_message_is_delivered_twice_to_whoever_asks_next(through: Through) -> None:
    sent = through.send("a", "b")
    through.proxy.inject("ReceiveMessage", "doubled_delivery", times=1, share=1)
    first = through.receive()
    other = Through(through.proxy, through.direct, client_of(through.proxy.url), through.url)
    second = other.receive(WaitTimeSeconds=20)  # nobody waits for what is there: the client would have given up
    assert sorted(ids(first)) == sorted(ids(second)) == sorted(sent)
    assert sorted(m["Body"] for m in second) == ["a", "b"]
    assert {m["Attributes"]["ApproximateReceiveCount"] for m in second} == {"2"}
    assert not {m["ReceiptHandle"] for m in first} & {m["ReceiptHandle"] for m in second}
    assert through.receive() == []
    assert len(other.show(second, 60)["Successful"]) == 2
    assert len(other.delete(second[:1])["Successful"]) == 1
    assert through.depth == (0, 1), "the second handle deletes"
    assert len(through.delete(first)["Successful"]) == 2, "and the first one as well, afterwards"
    assert through.depth == (0, 0)
    assert set(through.proxy.ledger.delivered.values()) == {2}


def test_an_answer_of_as_many_as_were_asked_for_comes_with_what_is_doubled(through: Through) -> None:
    through.send(*"abc")
    through.proxy.inject("ReceiveMessage", "doubled_delivery", times=1, share=1)
    rounds = [through.receive(MaxNumberOfMessages=2) for _ in range(4)]
    assert [len(messages) for messages in rounds] == [2, 2, 1, 0]


def test_messages_may_be_in_flight_and_with_nobody(through: Through) -> None:
    (sent,) = through.send("a")
    through.proxy.inject("ReceiveMessage", "stale_receive", times=1)
    assert through.receive(VisibilityTimeout=1) == []
    assert through.depth == (0, 1)
    assert through.proxy.ledger.sequence == [("lost", sent)]
    assert ids(through.receive(WaitTimeSeconds=2)) == [sent]
    assert through.receive() == []
    assert through.proxy.injected == {"stale_receive": 1}


@pytest.mark.parametrize("always", [False, True])
def test_a_body_that_is_no_utf_8_is_garbled_once_or_always(through: Through, always: bool) -> None:
    (sent,) = through.send("Zoë")
    through.proxy.inject("ReceiveMessage", "garbled_body", always=always)
    with pytest.raises(UnicodeDecodeError):
        through.receive(VisibilityTimeout=0)
    if always:
        with pytest.raises(UnicodeDecodeError):
            through.receive(VisibilityTimeout=0)
        through.proxy.calm()
    assert [m["Body"] for m in through.receive()] == ["Zoë"]
    assert through.proxy.ledger.count("garbled") == {sent: 2 if always else 1}


def test_the_order_of_a_message_group_is_kept(fifo: Through) -> None:
    sent = {group: fifo.send(*(f"{group}{n}" for n in range(3)), MessageGroupId=group) for group in "gh"}
    messages = fifo.receive()
    fifo.proxy.inject("DeleteMessageBatch", "cut", times=1, moment="after")
    with pytest.raises(ConnectionClosedError):
        fifo.delete([m for m in messages if m["Body"] in ("g0", "g1")])
    fifo.show([m for m in messages if m["Body"] == "g2"], 0)
    ledger = fifo.proxy.ledger
    assert ledger.group("g") == [("delivered", message) for message in sent["g"]] + [
        ("deleted_untold", sent["g"][0]),
        ("deleted_untold", sent["g"][1]),
        ("released", sent["g"][2]),
    ]
    assert ledger.group("h") == [("delivered", message) for message in sent["h"]]
    assert ledger.gone == sent["g"][:2]


def test_faults_come_by_probability_and_stop_when_calmed(through: Through) -> None:
    through.proxy.inject("ReceiveMessage", "throttled", probability=0.3)

    def throttled(rounds: int) -> int:
        count = 0
        for _ in range(rounds):
            try:
                through.receive()
            except ClientError:
                count += 1
        return count

    assert 30 <= throttled(150) == through.proxy.injected["throttled"] <= 60
    through.proxy.calm()
    assert throttled(20) == 0
    assert through.proxy.requests["ReceiveMessage"] == 170


@pytest.mark.parametrize(
    ("operation", "kind"), [("ReceiveMessage", "partial_failure"), ("DeleteMessage", "stale_receive"), ("*", "bored")]
)
def test_what_cannot_be_is_said_at_once(proxy: QueueProxy, operation: str, kind: Any) -> None:
    with pytest.raises(ValueError, match=kind):
        proxy.inject(operation, kind)


def test_a_server_that_is_away_is_away_through_the_proxy_too(through: Through) -> None:
    with QueueProxy("http://127.0.0.1:1") as proxy, pytest.raises(ConnectionClosedError):
        client_of(proxy.url).list_queues()
    through.receive()
    through.proxy.close()
    with pytest.raises((EndpointConnectionError, ConnectionClosedError)):
        through.receive()


def test_what_a_killed_client_was_to_get_is_lost(through: Through) -> None:
    def wait() -> None:
        with pytest.raises(ReadTimeoutError):  # its read time-out ends the client's connection, as a kill would
            through.receive(WaitTimeSeconds=4)

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join()
    (sent,) = through.send("a")
    deadline = time.monotonic() + 5
    while not through.proxy.ledger.sequence and time.monotonic() < deadline:
        time.sleep(0.02)
    assert through.proxy.ledger.sequence == [("lost", sent)]


def test_many_clients_lose_and_double_nothing_through_a_calm_proxy(through: Through) -> None:
    sent = set()
    for begin in range(0, 2000, 10):
        entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(begin, begin + 10)]
        answer = through.direct.send_message_batch(QueueUrl=through.url, Entries=entries)
        sent |= {done["MessageId"] for done in answer["Successful"]}

    def drain() -> None:
        while messages := through.receive():
            through.delete(messages)

    receivers = [threading.Thread(target=drain) for _ in range(4)]
    for receiver in receivers:
        receiver.start()
    for receiver in receivers:
        receiver.join()
    ledger = through.proxy.ledger
    assert ledger.deleted == set(ledger.delivered) == sent
    assert set(ledger.delivered.values()) == {1}
