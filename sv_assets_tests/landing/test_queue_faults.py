"""Whatever happens to SQS, to MongoDB or to us: every message in is a message out, once, and deleted when it is safe."""

import random
import threading
from collections.abc import Callable
from typing import Any, get_args

import pytest

from sv_assets.errors import ConfigurationError, TransientError
from sv_assets.landing.archive import Archive
from sv_assets.sources.sqs import receive
from sv_assets.sources.sqs.receive import Bounds
from sv_assets_tests.landing.crash import VISIBILITY_SECONDS, land_and_kill
from sv_assets_tests.landing.queue_faults import (
    Counted,
    Run,
    changed,
    fifo,
    hidden_again,
    in_flight,
    make_queue,
    proxy,
    queue,
    quick_retries,
    standard,
)
from sv_assets_tests.landing.test_land_queue import sqs
from sv_assets_tests.queue_proxy import BATCHES, Replacing

__all__ = ["fifo", "make_queue", "proxy", "queue", "quick_retries", "sqs", "standard"]
pytestmark = pytest.mark.timeout(150)
SOAK = [pytest.mark.soak, pytest.mark.timeout(3600)]
BROKEN = get_args(Replacing)


# Processes that are killed.


@pytest.mark.parametrize("kills", [8, pytest.param(100, marks=SOAK)])
def test_runs_that_are_killed_at_any_instant_lose_nothing_and_double_nothing(queue: Counted, kills: int) -> None:
    chance = random.Random(kills)
    queue.source = changed(queue.source, visibility_seconds=VISIBILITY_SECONDS)
    killed = rounds = 0
    while killed < kills:
        rounds += 1
        assert rounds < 3 * kills, "no run was hit: kill earlier"
        queue.send_versions(60, 30, first=1 + 2 * rounds)
        queue.send(f"poison {rounds}", group=f"g{chance.randrange(4)}")
        killed += land_and_kill(queue.source.key, 0.5, chance)
        queue.check_again()
        assert queue.unsafe == []
    queue.drain()
    queue.reconcile()


# SQS ill.


@pytest.mark.usefixtures("quick_retries")
def test_whatever_sqs_answers_nothing_is_lost(fifo: Counted) -> None:
    """Each fault comes more often in a row than botocore tries."""
    queue = fifo
    queue.source = changed(queue.source, visibility_seconds=VISIBILITY_SECONDS)
    queue.send_versions(120, 60, groups=12)
    for operation in ("ReceiveMessage", "DeleteMessageBatch"):
        for kind in BROKEN:
            queue.proxy.inject(operation, kind, times=5, moment="either", seconds=0.1)
    queue.drain()
    assert all(queue.proxy.injected[kind] >= 5 for kind in BROKEN)
    queue.reconcile()
    assert hidden_again(queue.proxy.ledger) == []


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("operation", ["GetQueueUrl", "GetQueueAttributes"])
def test_an_sqs_that_is_ill_at_the_start_is_transient(standard: Counted, operation: str) -> None:
    standard.send_versions(5, 5)
    for kind in BROKEN:
        standard.proxy.inject(operation, kind, seconds=0.1)
        with pytest.raises(TransientError, match="system web: "):
            standard.land()
        standard.proxy.calm()
    assert not standard.proxy.ledger.sequence
    standard.land()
    standard.reconcile()


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(100, 140), marks=SOAK)])
def test_any_mixture_of_faults_loses_nothing(make_queue: Callable[..., Counted], seeds: range) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        queue = make_queue(chance.choice(["", ".fifo"]), visibility_seconds=VISIBILITY_SECONDS)
        queue.send_versions(80, 40, groups=10)
        queue.send("poison", '{"id": "no version"}', group="g2")
        for operation in ("ReceiveMessage", *sorted(BATCHES)):
            for kind in BROKEN:
                queue.proxy.inject(operation, kind, probability=chance.uniform(0, 0.08), moment="either", seconds=0.1)
        for kind in ("partial_failure", "expired_handles"):
            queue.proxy.inject("*", kind, probability=chance.uniform(0, 0.3), share=chance.random())
        queue.proxy.inject("ReceiveMessage", "stale_receive", probability=0.05)
        if not queue.is_fifo:
            queue.proxy.inject("ReceiveMessage", "doubled_delivery", probability=0.3)
        runs = [Run(queue.land) for _ in range(2)]
        for run in runs:
            run.end()
        assert queue.proxy.injected
        queue.proxy.calm()
        queue.drain()
        queue.reconcile()


def test_only_what_was_not_deleted_is_asked_for_again(standard: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    standard.send_versions(60, 60)
    asked: list[list[str]] = []
    check = standard.proxy.before_deleting

    def note(messages: list[str]) -> None:
        asked.append(messages)
        check(messages)

    monkeypatch.setattr(standard.proxy, "before_deleting", note)
    standard.proxy.inject("DeleteMessageBatch", "partial_failure", times=6)
    report = standard.land()
    assert report.undeleted_messages == 0
    assert sorted(message for messages in asked for message in messages) == sorted(standard.sent), "each just once"
    standard.reconcile()


def test_what_sqs_never_deletes_is_landed_once_and_counted(standard: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive, "DELETE_ATTEMPTS", 2)
    standard.send_versions(10, 10)
    standard.proxy.inject("DeleteMessageBatch", "partial_failure", share=1.0)
    report = standard.land()
    assert (report.outcome.read, report.undeleted_messages) == (10, 10)
    assert standard.archived == standard.sent
    standard.proxy.calm()
    standard.show_all()
    assert standard.land().outcome.landed == 0
    standard.reconcile()


def test_messages_whose_handles_have_expired_come_again_and_change_nothing(fifo: Counted) -> None:
    queue = fifo
    queue.source = changed(queue.source, visibility_seconds=VISIBILITY_SECONDS)
    queue.send_versions(40, 20)
    queue.proxy.inject("DeleteMessageBatch", "expired_handles", times=2, share=0.5)
    report = queue.land()
    assert 1 <= report.undeleted_messages < 40
    queue.drain()
    queue.reconcile()


# How much is in our hands.


def test_bodies_of_a_mebibyte_are_not_all_held_at_once(standard: Counted) -> None:
    limit, receivers = 3 * 1024**2, 2
    standard.source = changed(standard.source, max_bytes_in_flight=limit, receivers=receivers)
    for n in range(40):
        head = f'{{"id": "k{n}", "v": 1, "text": "'
        standard.send(head + "x" * (1024**2 - len(head) - 2) + '"}')
    sizes = {identifier: len(text) for identifier, text in standard.sent.items()}
    assert set(sizes.values()) == {1024**2}
    standard.land()
    held = in_flight(standard.proxy.ledger, sizes.__getitem__)
    assert held <= limit + receivers * 10 * 1024**2, held
    standard.reconcile()


def test_no_more_messages_are_in_flight_than_declared(queue: Counted) -> None:
    queue.source = changed(queue.source, max_in_flight=25, receivers=6)
    queue.send_versions(120, 60)
    queue.land()
    assert 10 <= in_flight(queue.proxy.ledger) <= 25
    queue.reconcile()


def test_exactly_as_many_messages_are_received_as_the_run_may(queue: Counted) -> None:
    queue.send_versions(60, 60)
    report = queue.land(bounds=Bounds(messages=33))
    assert report.outcome.read == sum(queue.proxy.ledger.delivered.values()) == 33
    assert report.stopped == "it had received 33 messages"
    assert queue.depth.total == 27
    assert sorted(queue.archived) == sorted(queue.proxy.ledger.gone)
    queue.land()
    queue.reconcile()


# The queue goes away.


def test_a_queue_that_is_purged_in_the_middle_lands_what_was_received(
    queue: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.send_versions(60, 60)
    real = Archive.put
    purged = threading.Event()

    def put(self: Archive, *args: Any) -> Any:
        if not purged.is_set():
            queue.client.purge_queue(QueueUrl=queue.url)
            purged.set()
        return real(self, *args)

    monkeypatch.setattr(Archive, "put", put)
    report = queue.land()
    received = set(queue.proxy.ledger.delivered)
    assert report.stopped == ""
    assert set(queue.archived) == received
    assert len(queue.landed) == report.outcome.read == len(received) >= 10
    assert report.undeleted_messages == len(received)
    assert queue.depth.total == 0


def test_a_queue_that_is_deleted_in_the_middle_lands_what_was_received(
    queue: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.send_versions(60, 60)
    real = Archive.put

    def put(self: Archive, *args: Any) -> Any:
        queue.client.delete_queue(QueueUrl=queue.url)
        monkeypatch.setattr(Archive, "put", real)
        return real(self, *args)

    monkeypatch.setattr(Archive, "put", put)
    with pytest.raises(ConfigurationError, match="system web: there is no queue") as caught:
        Run(queue.land).end(60)
    assert "\n" not in str(caught.value)
    assert set(queue.archived) == set(queue.proxy.ledger.delivered)
    assert len(queue.landed) == len(queue.archived) >= 10
