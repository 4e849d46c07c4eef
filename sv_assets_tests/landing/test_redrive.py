"""Dead letters are looked at where they lie, and moved back so that none is lost and each lands once."""

import datetime as dt
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sv_assets.errors import ConfigurationError, TransientError
from sv_assets.landing import redrive as moving
from sv_assets.landing.redrive import Wanted, look, redrive
from sv_assets.local import RunningServer
from sv_assets.mongo import Store
from sv_assets.sources.sqs.faults import explained
from sv_assets.sources.sqs.queue import Depth, Queue, Received
from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.landing.estate import documents
from sv_assets_tests.queue_estate import Made, QueueEstate, made_queues
from sv_assets_tests.queue_proxy import QueueProxy

ALL = Wanted()


@pytest.fixture
def make(catalogued: Catalogued, sqs_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    with made_queues(catalogued, sqs_server, monkeypatch) as made:
        yield made


@pytest.fixture(params=["", ".fifo"], ids=["standard", "fifo"])
def web(request: pytest.FixtureRequest, make: Made) -> QueueEstate:
    return make(request.param)


@pytest.fixture
def fifo(make: Made) -> QueueEstate:
    return make(".fifo")


@pytest.fixture
def standard(make: Made) -> QueueEstate:
    return make("")


def numbered(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": f"k{n}", "v": n, **more} for n in range(count)]


def test_all_dead_letters_move_back_and_land(store: Store, web: QueueEstate) -> None:
    for group in "abc":
        web.give_up_on(*numbered(15, group=group), group=group)
    report = redrive(web.source, ALL)
    assert (report.there, report.seen, report.moved, report.refused, report.undeleted) == (45, 45, 45, 0, 0)
    assert (web.dead, web.depth) == (Depth(0, 0, 0), Depth(45, 0, 0))
    assert web.land(store).outcome.read == 45
    assert len(documents(store, web.source)) == 15


def test_what_sqs_gave_up_on_by_itself_moves_back(store: Store, web: QueueEstate) -> None:
    web.send({"id": "a", "v": 1})
    for _ in range(4):
        web.client.receive_message(QueueUrl=web.url, VisibilityTimeout=0)
    assert web.dead.total == 1
    assert redrive(web.source, ALL).moved == 1
    assert web.land(store).outcome.inserted == 1


def test_the_order_within_a_group_is_kept(fifo: QueueEstate) -> None:
    for n in range(24):
        fifo.give_up_on({"id": f"k{n}", "v": n}, group="ab"[n % 2])
    assert redrive(fifo.source, ALL).moved == 24
    taken = fifo.taken()
    for group in "ab":
        versions = [json.loads(m["Body"])["v"] for m in taken if m["Attributes"]["MessageGroupId"] == group]
        assert versions == sorted(versions) and len(versions) == 12


def test_attributes_go_with_the_message(web: QueueEstate) -> None:
    web.give_up_on(
        {"id": "a", "v": 1},
        kind={"DataType": "String", "StringValue": "Zoë"},
        raw={"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    )
    redrive(web.source, ALL)
    (message,) = web.taken()
    attributes = message["MessageAttributes"]
    assert (attributes["kind"]["StringValue"], attributes["raw"]["BinaryValue"]) == ("Zoë", b"\x00\xff")
    assert message["Attributes"].get("MessageGroupId") == ("g" if web.is_fifo else None)


def test_only_the_wanted_ones_move_and_the_others_are_given_back(web: QueueEstate) -> None:
    web.declare(event_type="$.type")
    ids = web.give_up_on({"id": "a", "v": 1, "type": "one"}, {"id": "b", "v": 1, "type": "two"}, "not json")
    time.sleep(0.05)
    now = dt.datetime.now(dt.timezone.utc)
    time.sleep(0.05)
    ids += web.give_up_on({"id": "c", "v": 1, "type": "two"}, {"id": "d", "v": 1, "type": "two"}, group="h")
    assert redrive(web.source, Wanted(messages=frozenset(ids[:1]))).moved == 1
    assert redrive(web.source, Wanted(event="two", sent_after=now), limit=1).moved == 1
    assert redrive(web.source, Wanted(event="one")).moved == 0
    assert redrive(web.source, Wanted(sent_before=now, only_landable=True)).moved == 1
    assert web.dead == Depth(2, 0, 0), "given back at once"
    assert sorted(body["id"] for body in web.bodies()) == ["a", "b", "c"]
    assert [m["Body"] for m in web.taken(web.dead_url)] == ["not json", '{"id": "d", "v": 1, "type": "two"}']


def test_those_behind_others_of_their_group_that_stay_are_reached_while_sqs_shows_them(fifo: QueueEstate) -> None:
    """At most ten of a group come together; those that stay take their places."""
    fifo.give_up_on(*["not json"] * 4, *numbered(30))
    report = redrive(fifo.source, Wanted(only_landable=True))
    assert (report.seen, report.moved, report.unseen) == (34, 30, 0)
    assert [body["v"] for body in fifo.bodies()] == list(range(30))
    fifo.taken(fifo.dead_url)
    fifo.give_up_on(*["not json"] * 10, *numbered(5))
    report = redrive(fifo.source, Wanted(only_landable=True))
    assert (report.seen, report.moved, report.unseen) == (10, 0, 5)
    assert fifo.dead == Depth(15, 0, 0)


def test_a_dry_run_says_what_would_move_and_moves_nothing(web: QueueEstate) -> None:
    web.send({"id": "w", "v": 1})
    web.give_up_on({"id": "a", "v": 1}, "not json", '{"id": "b"}', "nor this")
    report = redrive(web.source, ALL, dry_run=True)
    assert (report.matched, report.landable, report.moved) == (4, 1, 0)
    assert sorted(report.reasons.values()) == [1, 2]
    assert (web.dead, web.depth) == (Depth(4, 0, 0), Depth(1, 0, 0))
    (waiting,) = web.taken()
    assert waiting["Attributes"]["ApproximateReceiveCount"] == "1", "by this test alone"


def test_looking_shows_each_once_and_leaves_it(web: QueueEstate) -> None:
    web.declare(event_type="$.type")
    web.give_up_on(*numbered(6, type="new"), "not json")
    web.give_up_on(*numbered(6, type="old"), group="h")
    letters = look(web.source, 100)
    assert len({letter.message.message_id for letter in letters}) == len(letters)
    assert len(letters) == (10 if web.is_fifo else 13), "six of one group are with four of another: SQS shows no more"
    assert {(letter.event, letter.reason) for letter in letters} == {
        ("new", ""), ("old", ""), (None, "the body is not JSON"),
    }  # fmt: skip
    assert len(look(web.source, 3)) == 3
    assert web.dead == Depth(13, 0, 0)


def test_a_redrive_killed_between_sending_and_deleting_loses_nothing_and_lands_once(
    store: Store, web: QueueEstate, sqs_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.give_up_on(*numbered(25))
    program = "import sv_assets.landing.redrive as r; r.HOLD_SECONDS = 3; from sv_assets.cli import main; main()"
    with QueueProxy(sqs_server.url) as proxy:
        proxy.inject("DeleteMessageBatch", "timed_out", seconds=60)
        monkeypatch.setenv("SQS_ENDPOINT_URL", proxy.url)
        command = [sys.executable, "-c", program, "queues", "redrive", web.source.key, "--yes"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            _wait_until(lambda: proxy.requests["DeleteMessageBatch"] > 0)
            process.kill()
    monkeypatch.setenv("SQS_ENDPOINT_URL", sqs_server.url)
    assert web.depth.total > 0, "sent"
    assert web.dead.total == 25, "and not deleted"
    _wait_until(lambda: web.dead.in_flight == 0)
    assert redrive(web.source, ALL).moved == 25
    report = web.land(store)
    assert report.outcome.read == 25 if web.is_fifo else report.outcome.read > 25
    assert {key: d["body"]["v"] for key, d in documents(store, web.source).items()} == {f"k{n}": n for n in range(25)}
    assert (web.depth.total, web.dead.total) == (0, 0)


def test_when_sqs_fails_in_the_middle_the_rest_is_given_back(web: QueueEstate, monkeypatch: pytest.MonkeyPatch) -> None:
    web.give_up_on(*numbered(25))
    send, calls = Queue.send, []

    def failing(self: Queue, messages: list[Received], once: str) -> list[Received]:
        calls.append(len(messages))
        if sum(calls) > 12:
            raise TransientError("SQS is ill.")
        return send(self, messages, once)

    with monkeypatch.context() as patched:
        patched.setattr(Queue, "send", failing)
        with pytest.raises(TransientError, match=r"had been moved. Run the command again"):
            redrive(web.source, ALL)
    moved = web.depth.total
    assert 10 <= moved <= 12
    assert web.dead == Depth(25 - moved, 0, 0)
    assert redrive(web.source, ALL).moved == 25 - moved
    assert [body["v"] for body in web.bodies()] == list(range(25))


def test_a_group_stops_where_a_send_was_refused(fifo: QueueEstate, monkeypatch: pytest.MonkeyPatch) -> None:
    fifo.give_up_on(*numbered(6), group="a")
    fifo.give_up_on(*numbered(12), group="b")
    send = Queue.send

    def refusing(self: Queue, messages: list[Received], once: str) -> list[Received]:
        refused = [m for m in messages if m.message.group == "a" and json.loads(m.message.body)["v"] == 2]
        rest = [m for m in messages if m not in refused]
        return refused + (send(self, rest, once) if rest else [])

    monkeypatch.setattr(Queue, "send", refusing)
    report = redrive(fifo.source, ALL)
    assert (report.moved, report.refused, report.seen) == (14, 4, 18)
    taken = fifo.taken()
    by_group = {g: [json.loads(m["Body"])["v"] for m in taken if m["Attributes"]["MessageGroupId"] == g] for g in "ab"}
    assert by_group == {"a": [0, 1], "b": list(range(12))}
    assert [body["v"] for body in fifo.bodies(fifo.dead_url)] == [2, 3, 4, 5]


def test_deletes_that_fail_are_tried_again_and_else_counted(
    web: QueueEstate, sqs_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.give_up_on(*numbered(8))
    with QueueProxy(sqs_server.url, seed=3) as proxy:
        monkeypatch.setenv("SQS_ENDPOINT_URL", proxy.url)
        proxy.inject("DeleteMessageBatch", "partial_failure", times=2)
        report = redrive(web.source, ALL)
        assert (report.moved, report.undeleted, web.dead.total) == (8, 0, 0)
        web.give_up_on({"id": "x", "v": 1})
        proxy.inject("DeleteMessageBatch", "partial_failure")
        report = redrive(web.source, ALL)
        assert (report.moved, report.undeleted) == (1, 1)
        proxy.calm()
    monkeypatch.setenv("SQS_ENDPOINT_URL", sqs_server.url)
    assert web.dead == Depth(1, 0, 0)


def test_messages_that_fill_a_request_go_in_several(standard: QueueEstate) -> None:
    standard.give_up_on(*[{"id": f"k{n}", "v": n, "text": "x" * 300_000} for n in range(5)])
    assert redrive(standard.source, ALL).moved == 5
    assert sorted(body["v"] for body in standard.bodies()) == list(range(5))


def test_a_message_that_is_no_text_any_more_stays_and_the_others_go(
    standard: QueueEstate, sqs_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    standard.give_up_on(*numbered(5))
    with QueueProxy(sqs_server.url) as proxy:
        monkeypatch.setenv("SQS_ENDPOINT_URL", proxy.url)
        proxy.inject("ReceiveMessage", "garbled_body", share=0.2, times=1, always=True)
        report = redrive(standard.source, ALL)
    monkeypatch.setenv("SQS_ENDPOINT_URL", sqs_server.url)
    assert (report.moved, report.refused) == (4, 1)
    assert (standard.depth.total, standard.dead) == (4, Depth(1, 0, 0))


def test_what_dies_again_meanwhile_is_left_for_the_next_time(
    standard: QueueEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a message that cannot be landed would go round for ever."""
    standard.give_up_on(*numbered(3))
    send = Queue.send

    def dying(self: Queue, messages: list[Received], once: str) -> list[Received]:
        standard.give_up_on(*[m.message.body for m in messages])
        return send(self, messages, once)

    monkeypatch.setattr(Queue, "send", dying)
    assert redrive(standard.source, ALL).moved == 3
    assert standard.dead.total == 3


def test_no_more_is_held_than_the_guard_allows(standard: QueueEstate) -> None:
    standard.declare(max_in_flight=20)
    standard.give_up_on(*["not json"] * 45)
    report = redrive(standard.source, Wanted(only_landable=True))
    assert (report.seen, report.moved) == (20, 0)
    assert "20 that stay are held" in report.stopped
    assert standard.dead == Depth(45, 0, 0)


def test_a_pointer_to_s3_moves_and_its_payload_stays(
    standard: QueueEstate, store: Store, sqs_server: RunningServer
) -> None:
    s3 = boto3.client("s3", endpoint_url=sqs_server.url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")  # fmt: skip
    s3.create_bucket(Bucket="payloads")
    s3.put_object(Bucket="payloads", Key="k", Body=json.dumps({"id": "a", "v": 1, "type": "big"}))
    pointer = ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "payloads", "s3Key": "k"}]
    standard.declare(payloads={"buckets": ["payloads"]}, event_type="$.type")
    standard.give_up_on(pointer)
    assert look(standard.source, 1)[0].event == "big"
    assert redrive(standard.source, Wanted(event="big")).moved == 1
    assert s3.list_objects_v2(Bucket="payloads")["KeyCount"] == 1
    assert standard.land(store).outcome.inserted == 1


def test_a_queue_without_dead_letters_is_one_sentence(standard: QueueEstate) -> None:
    standard.client.set_queue_attributes(QueueUrl=standard.url, Attributes={"RedrivePolicy": ""})
    with pytest.raises(ConfigurationError, match=r"has no dead-letter queue.*declare it as `dead_letters`"):
        redrive(standard.source, ALL)
    standard.give_up_on({"id": "a", "v": 1})
    standard.declare(dead_letters=standard.dead_name)
    assert redrive(standard.source, ALL).moved == 1


def test_who_may_not_send_is_told_what_is_needed(standard: QueueEstate, monkeypatch: pytest.MonkeyPatch) -> None:
    standard.give_up_on({"id": "a", "v": 1})

    def refuse(self: Queue, messages: list[Received], once: str) -> list[Received]:
        with explained(self.source.system, self.name):
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "SendMessageBatch")

    monkeypatch.setattr(Queue, "send", refuse)
    with pytest.raises(ConfigurationError, match="our role needs sqs:SendMessage on"):
        redrive(standard.source, ALL)
    assert standard.dead == Depth(1, 0, 0)


def test_nothing_of_a_body_is_logged(web: QueueEstate, caplog: pytest.LogCaptureFixture) -> None:
    web.give_up_on({"id": "s3cr3t", "v": 1}, "s3cr3t")
    with caplog.at_level(logging.DEBUG, logger="sv_assets"):
        report = redrive(web.source, ALL, dry_run=True)
        letters = look(web.source, 10)
        redrive(web.source, ALL)
    assert "s3cr3t" not in caplog.text + repr(report) + repr(letters)


def _wait_until(is_so: Any, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.1)


def test_a_kept_message_holds_nothing_but_its_handle(standard: QueueEstate) -> None:
    """So that a hundred thousand that stay need little memory."""
    standard.give_up_on({"id": "a", "v": 1, "text": "long" * 1000})
    with moving.DeadLetters(standard.source) as letters:
        assert sum(len(batch) for batch in letters.batches()) == 1
        (held,) = letters._held.values()
        assert isinstance(held, Received) and not held.message.body


def test_dead_letters_that_another_queue_shares_stay(make: Made) -> None:
    """SQS says of each which queue gave it up."""
    ours, theirs = make(""), make("")
    arn = ours.client.get_queue_attributes(QueueUrl=ours.dead_url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    for queue, body in ((theirs, {"id": "theirs", "v": 1}), (ours, {"id": "ours", "v": 1})):
        queue.client.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": policy})
        queue.send(body)
        for _ in range(2):
            queue.client.receive_message(QueueUrl=queue.url, VisibilityTimeout=0)
    assert ours.dead.total == 2
    assert redrive(ours.source, ALL).moved == 1
    assert (ours.bodies(), ours.dead.total, theirs.depth.total) == ([{"id": "ours", "v": 1}], 1, 0)


def test_attributes_keep_their_types(standard: QueueEstate) -> None:
    attributes = {
        "ExtendedPayloadSize": {"DataType": "Number", "StringValue": "262145"},
        "trace": {"DataType": "String.w3c", "StringValue": "00-1"},
        "seal": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    standard.give_up_on({"id": "a", "v": 1}, **attributes)
    assert redrive(standard.source, ALL).moved == 1
    (message,) = standard.taken()
    assert message["MessageAttributes"] == attributes
