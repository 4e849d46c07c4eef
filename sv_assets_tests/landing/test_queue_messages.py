"""Messages of every kind, in every order and number: each lands or is quarantined whole, and the newest version stays."""

from typing import Any

import pytest

from sv_assets.landing import land_queue as landing_module
from sv_assets.sources.sqs.receive import Bounds
from sv_assets_tests.landing.queue_faults import (
    Counted,
    Run,
    fifo,
    make_queue,
    proxy,
    queue,
    standard,
)
from sv_assets_tests.landing.test_land_queue import sqs

__all__ = ["fifo", "make_queue", "proxy", "queue", "sqs", "standard"]
pytestmark = pytest.mark.timeout(150)
SOAK = [pytest.mark.soak, pytest.mark.timeout(3600)]


# The same message again.


def test_messages_that_come_twice_at_once_land_once(standard: Counted) -> None:
    standard.send_versions(120, 40)
    standard.send("poison", "poison too")
    standard.proxy.inject("ReceiveMessage", "doubled_delivery", share=0.8)
    runs = [Run(standard.land) for _ in range(2)]
    reports = [run.end() for run in runs]
    assert sum(report.outcome.read for report in reports) > 122
    standard.proxy.calm()
    standard.drain()
    standard.reconcile()


def test_duplicates_days_apart_change_nothing(standard: Counted) -> None:
    """The producer sends the same once more, under another message id; and SQS a message that was deleted."""
    standard.send({"id": "a", "v": 1}, {"id": "a", "v": 2})
    standard.proxy.inject("ReceiveMessage", "doubled_delivery", share=1.0)
    standard.land(bounds=Bounds(messages=2))
    before = standard.landed
    standard.proxy._faults.clear()  # the second deliveries are still to come
    report = standard.land()
    assert (report.outcome.read, report.outcome.landed) == (2, 0)
    standard.send({"id": "a", "v": 2}, {"id": "a", "v": 1})
    report = standard.land()
    assert (report.outcome.read, report.outcome.landed) == (2, 0)
    assert standard.landed == before
    standard.reconcile()


def test_versions_in_reverse_over_several_runs_leave_the_newest(standard: Counted) -> None:
    for version in (9, 1, 5, 9):
        standard.send(*[{"id": f"k{n}", "v": version + n % 2} for n in range(20)])
        standard.land()
    standard.reconcile()


# Garbage.


def test_bytes_that_are_not_utf8_spoil_one_message_alone(queue: Counted) -> None:
    queue.send_versions(20, 20)
    queue.proxy.inject("ReceiveMessage", "garbled_body", times=1, share=0.01)
    report = queue.land()
    (garbled,) = queue.proxy.ledger.count("garbled")
    assert (report.outcome.read, report.outcome.quarantined) == (20, 1)
    (entry,) = queue.store.control["quarantine"].find({"source": queue.source.key})
    assert entry["raw"]["message_id"] == garbled
    whole = queue.archived.pop(garbled)
    assert "\udcc3(\udcff" in whole and whole.replace("\udcc3(\udcff", "") == queue.sent[garbled]
    assert {k: v for k, v in queue.archived.items() if k != garbled} == {
        k: v for k, v in queue.sent.items() if k != garbled
    }
    assert len(queue.landed) == 19
    assert queue.depth.total == 0


def test_garbage_between_good_messages_is_quarantined_whole(queue: Counted) -> None:
    deep = '{"id": "deep", "v": 1, "d": ' + "[" * 100_000 + "]" * 100_000 + "}"
    garbage = [
        deep,
        '{"id": "x", "v": 1, "d": ' + '{"a":' * 95 + "1" + "}" * 96,
        " ",
        '{"id": "\\udc00", "v": 1}',
        '{"id": "x", "v": 1, "\\ud83d": 1}',
        '{"id": "x", "v": 1, "a\\u0000b": 1}',
        '{"id": "x", "v": NaN}',
        '{"id": "x", "v": 9223372036854775808}',
        '{"id": ["x"], "v": 1}',
        "[1, 2]",
        "nul",
        "H4sIAAAA",
        "H4sI" + "A" * 1000,
        "9" * 5000,
        '"' + "x" * 200_000,
    ]
    good = [
        {"id": "$set.a.b", "v": 1, "$set": {"a.b": {"$ne": 1}}, "": {".": [], "$": None}},
        {"id": "", "x": 1, "v": 1} | {"id": "a.$[].b"},
        {"id": "k" * 900, "v": 1},
        {"id": "Zoë\u2028\U0001f600", "v": "a text version"},
        {"id": 7, "v": 1, "_id": "mine", "_sv": {"version": 99}},
    ]
    for n, text in enumerate(garbage):
        queue.send(text, good[n % len(good)], group=f"g{n % 3}")
        if n < len(good):
            queue.send(good[n], group="later")
    queue.poison = {identifier for identifier, text in queue.sent.items() if text in garbage}
    queue.newest = {str(body["id"]): body["v"] for body in good}
    report = queue.land()
    assert report.outcome.quarantined == len(garbage)
    queue.reconcile()
    assert queue.landed == {str(body["id"]): body for body in good}


def test_an_empty_body_is_quarantined(standard: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQS takes none, and neither does ministack: so it is emptied on the way."""
    standard.send({"id": "a", "v": 1}, {"id": "b", "v": 1})
    real = standard.proxy._garble

    def empty(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        del messages[0]["Body"]
        real(messages)
        return messages

    monkeypatch.setattr(standard.proxy, "_garble", empty)
    report = standard.land()
    assert (report.outcome.read, report.outcome.inserted, report.outcome.quarantined) == (2, 1, 1)
    assert sorted(standard.archived.values()) == ["", '{"id": "b", "v": 1}']
    assert standard.depth.total == 0


def test_an_attribute_that_is_no_unicode_spoils_one_message_alone(
    standard: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQS refuses such text when it is sent; so it is spoilt on the way."""
    standard.send_versions(3, 3)
    real = standard.proxy._garble

    def spoil(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        messages[0]["MessageAttributes"] = {"kind": {"DataType": "String", "StringValue": "half \udc00"}}
        real(messages)
        return messages

    monkeypatch.setattr(standard.proxy, "_garble", spoil)
    report = standard.land()
    assert report.outcome.read == 3
    assert len(standard.archived) == 3
    assert standard.depth.total == 0
    assert len(standard.landed) + report.outcome.quarantined == 3


# Clocks.


def test_neither_their_clocks_nor_ours_decide_what_is_newest(
    standard: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions are all that counts: of producers whose clocks go wrong, in runs whose clocks go wrong."""
    import datetime as dt

    class Clock(dt.datetime):
        off = dt.timedelta()

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
            return dt.datetime.now(tz) + cls.off

    class Time:
        datetime, timezone, date, timedelta = Clock, dt.timezone, dt.date, dt.timedelta

    monkeypatch.setattr(landing_module, "dt", Time)
    sent = [
        (0, "2026-11-24T09:30:00Z"),
        (-48, "2026-11-24T10:29:59+01:00"),
        (48, "2026-11-24T09:30:00.5Z"),
        (-9000, "2099-01-01T00:00:00Z"),
        (9000, "2026-11-24T09:30:01Z"),
        (0, "1970-01-01T00:00:00Z"),
    ]
    for n, (hours, version) in enumerate(sent):
        Clock.off = dt.timedelta(hours=hours)
        standard.send({"id": "a", "v": version, "n": n})
        standard.land()
    assert standard.landed["a"]["n"] == 3
    assert len(standard.archived) == len(sent)
    assert standard.depth.total == 0
