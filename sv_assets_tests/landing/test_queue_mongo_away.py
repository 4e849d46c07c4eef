"""MongoDB goes away while a queue lands: for a while, or for good."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, BulkWriteError

from sv_assets.catalogue.queue import Payloads
from sv_assets.errors import TransientError
from sv_assets.landing import land_queue as landing_module
from sv_assets.landing.archive import Archive
from sv_assets.landing.writer import LandingWriter
from sv_assets.local import start_mongo
from sv_assets.mongo import Document, Store
from sv_assets.sources.sqs import receive
from sv_assets_tests.landing.crash import VISIBILITY_SECONDS
from sv_assets_tests.landing.queue_faults import (
    Counted,
    Run,
    changed,
    fifo,
    hidden_again,
    make_queue,
    proxy,
    queue,
    standard,
    wait_until,
)
from sv_assets_tests.landing.test_land_queue import sqs
from sv_assets_tests.settled import start_settled_mongo

__all__ = ["fifo", "make_queue", "proxy", "queue", "sqs", "standard"]
pytestmark = pytest.mark.timeout(150)
SOAK = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("seconds", [1.0, pytest.param(60.0, marks=SOAK)])
def test_a_run_rides_out_a_mongodb_that_is_away_for_a_while(
    standard: Counted, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seconds < 5:
        monkeypatch.setattr(landing_module, "PAUSES", (0.1, *[0.2] * 50))
    monkeypatch.setattr(receive, "BATCH_MESSAGES", 20)
    queue = standard
    server = start_settled_mongo(tmp_path / "mongo")
    try:
        with MongoClient[Document](server.url, serverSelectionTimeoutMS=500 if seconds < 5 else 10_000) as client:
            queue.store = Store(client)
            queue.send_versions(200, 100)
            queue.send("poison", group="g1")
            run = Run(queue.land)
            wait_until(lambda: queue.proxy.ledger.gone, "the first messages to be deleted")
            server.kill()
            threading.Event().wait(seconds)
            gone = len(queue.proxy.ledger.gone)
            assert gone < len(queue.sent), "it was not in the middle"
            server = start_mongo(tmp_path / "mongo", sync_on_commit=True, port=server.port)
            report = run.end()
            assert report.stopped == ""
            queue.reconcile()
            assert hidden_again(queue.proxy.ledger) == []
            assert set(queue.proxy.ledger.delivered.values()) == {1}, "it kept what it held"
    finally:
        server.stop()


def test_a_mongodb_that_stays_away_leaves_messages_in_the_queue_for_a_later_run(
    fifo: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing_module, "PAUSES", (0.1, 0.1))
    monkeypatch.setattr(receive, "BATCH_MESSAGES", 20)
    queue = fifo
    server = start_settled_mongo(tmp_path / "mongo")
    try:
        with MongoClient[Document](server.url, serverSelectionTimeoutMS=300) as client:
            queue.store = Store(client)
            queue.source = changed(queue.source, visibility_seconds=VISIBILITY_SECONDS, max_in_flight=60)
            queue.send_versions(160, 80, groups=16)
            run = Run(queue.land)
            wait_until(lambda: queue.proxy.ledger.gone, "the first messages to be deleted")
            server.kill()
            with pytest.raises(TransientError, match="MongoDB does not answer"):
                run.end()
            held = set(queue.proxy.ledger.delivered) - set(queue.proxy.ledger.gone)
            assert queue.depth.total == len(queue.sent) - len(queue.proxy.ledger.gone)
            threading.Event().wait(VISIBILITY_SECONDS + 0.5)
            assert queue.depth.in_flight == len(held) > 0, "hidden for longer than usual"
            assert not queue.proxy.ledger.released
            server = start_mongo(tmp_path / "mongo", sync_on_commit=True, port=server.port)
            queue.show_all()
            queue.drain()
            queue.reconcile()
    finally:
        server.stop()


def test_landing_that_is_tried_again_counts_each_message_once(
    standard: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt is written, and its acknowledgement lost."""
    monkeypatch.setattr(landing_module, "PAUSES", (0.1, 0.1))
    real = LandingWriter.write
    fail_once(monkeypatch, LandingWriter, "write", AutoReconnect("connection closed"), after=real)
    standard.send({"id": "a", "v": 1}, {"id": "a", "v": 2}, {"id": "b", "v": 1}, "poison")
    report = standard.land()
    assert (report.outcome.read, report.outcome.stale, report.outcome.quarantined) == (4, 1, 1)
    assert report.outcome.inserted + report.outcome.unchanged == 2
    assert report.findings.figures["messages_archived"] == 4
    standard.reconcile()


def test_a_majority_that_is_slow_to_acknowledge_is_waited_for(
    standard: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing_module, "PAUSES", (0.1, 0.1))
    slow = [{"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting for replication timed out"}]
    fail_once(monkeypatch, Archive, "put", BulkWriteError({"writeErrors": [], "writeConcernErrors": slow}))
    standard.send_versions(10, 10)
    standard.land()
    standard.reconcile()


def test_a_mongodb_that_is_away_while_messages_are_opened_leaves_them_for_later(
    make_queue: Callable[..., Counted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be opened is looked up in the archive first, where a queue has payloads in S3."""
    queue = make_queue(payloads=Payloads(buckets=["b"]))
    queue.send("poison")
    queue.send_versions(5, 5)
    fail_once(monkeypatch, Archive, "message", AutoReconnect("connection closed"))
    report = queue.land()
    assert report.findings.figures["messages_left_for_later"] == 1
    queue.show_all()
    queue.land()
    queue.reconcile()


def fail_once(
    monkeypatch: pytest.MonkeyPatch, of: type, name: str, error: Exception, after: Callable[..., Any] | None = None
) -> None:
    """The first call of a method fails: at its end, where `after` is the method."""
    real = getattr(of, name)
    failed: list[Exception] = []

    def call(*args: Any) -> Any:
        if failed:
            return real(*args)
        failed.append(error)
        if after:
            after(*args)
        raise error

    monkeypatch.setattr(of, name, call)
