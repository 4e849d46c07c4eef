"""Quarantined messages land once the declaration is mended; the others stay, with the reason of today."""

import datetime as dt
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest

from sv_assets.landing import retry as retrying
from sv_assets.landing.land import land_table
from sv_assets.landing.quarantine import Chosen, Quarantine, count_by_reason, newest_entries
from sv_assets.landing.retry import RetryReport, retry_quarantined
from sv_assets.landing.writer import LandingWriter
from sv_assets.ledger import Erased, Policy, record_trace, write
from sv_assets.local import RunningServer
from sv_assets.mongo import Store
from sv_assets.sources.capture import open_reader
from sv_assets.sources.database import open_database
from sv_assets.sources.records import Rejected
from sv_assets.sources.table import describe
from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.landing.estate import CAPTURES, ITEM, documents, entries, item, live_names
from sv_assets_tests.queue_estate import QueueEstate, made_queues
from sv_assets_tests.sources.shop import Shop

SCHEMA = {"required": ["id", "v", "name"]}
MENDED = {"required": ["id", "v"]}


@pytest.fixture(params=["", ".fifo"], ids=["standard", "fifo"])
def web(
    request: pytest.FixtureRequest,
    catalogued: Catalogued,
    sqs_server: RunningServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[QueueEstate]:
    with made_queues(catalogued, sqs_server, monkeypatch) as make:
        yield make(request.param)


def retry(store: Store, web: QueueEstate, chosen: Chosen | None = None, **how: Any) -> RetryReport:
    catalogue = web.declare()
    return retry_quarantined(store, catalogue, catalogue.sources[0], chosen or Chosen(()), "retry", **how)


def landed(store: Store, web: QueueEstate) -> dict[str, Any]:
    return {key: document["body"] for key, document in documents(store, web.source).items()}


def test_after_the_schema_is_mended_messages_land_and_the_others_say_why_they_stay(
    store: Store, web: QueueEstate
) -> None:
    web.declare(schemas=[{"json_schema": SCHEMA}])
    web.send({"id": "a", "v": 1}, {"id": "b", "v": 1}, {"id": "c"}, "not json", {"id": "d", "v": 1, "name": "x"})
    assert web.land(store).outcome.quarantined == 4
    before = {entry["_id"]: entry for entry in entries(store)}
    web.declare(schemas=[{"json_schema": MENDED}])
    report = retry(store, web)
    assert (report.tried, report.landable, report.outcome.inserted, report.outlines) == (4, 2, 2, 0)
    assert sorted(report.reasons.values()) == [1, 1]
    assert sorted(landed(store, web)) == ["a", "b", "d"]
    assert len(entries(store, "resolved")) == 2
    left = entries(store)
    assert sorted(entry["reason"].partition("required, ")[2] or entry["reason"] for entry in left) == [
        "but v missing",
        "the body is not JSON",
    ]
    for entry in left:
        assert {**entry, "reason": ""} == {**before[entry["_id"]], "reason": ""}, "whole, and as old as it was"


def test_a_newer_version_that_has_landed_stays(store: Store, web: QueueEstate) -> None:
    web.declare(schemas=[{"json_schema": SCHEMA}])
    web.send({"id": "a", "v": 1}, {"id": "a", "v": 3, "name": "new"}, {"id": "b", "v": 5})
    web.land(store)
    web.declare(schemas=None)
    report = retry(store, web)
    assert (report.landable, report.outcome.inserted, report.outcome.updated, report.outcome.stale) == (2, 1, 0, 1)
    assert landed(store, web)["a"] == {"id": "a", "v": 3, "name": "new"}
    assert not entries(store)
    assert retry(store, web).tried == 0


def test_a_dry_run_changes_nothing(store: Store, web: QueueEstate) -> None:
    web.declare(schemas=[{"json_schema": SCHEMA}])
    web.send({"id": "a", "v": 1}, "not json")
    web.land(store)
    before = entries(store)
    web.declare(schemas=None)
    report = retry(store, web, dry_run=True)
    assert (report.tried, report.landable, dict(report.reasons)) == (2, 1, {"the body is not JSON": 1})
    assert entries(store) == before
    assert not landed(store, web)


def test_only_the_chosen_entries_are_tried(store: Store, web: QueueEstate) -> None:
    web.declare(schemas=[{"json_schema": SCHEMA}])
    web.send({"id": "a", "v": 1}, {"id": "b", "v": 1}, {"id": "c", "v": 1}, "not json")
    web.land(store)
    web.declare(schemas=None)
    now = dt.datetime.now(dt.timezone.utc)
    by_key = {json.loads(e["raw"]["body"])["id"]: e["_id"] for e in entries(store) if e["raw"]["body"] != "not json"}
    assert retry(store, web, Chosen((), ids=(by_key["b"],))).outcome.inserted == 1
    assert retry(store, web, Chosen((), reason="NOT json")).landable == 0
    assert retry(store, web, Chosen((), since=now)).tried == 0
    assert retry(store, web, Chosen((), reason="name missing"), limit=1).outcome.inserted == 1
    assert len(entries(store)) == 2


def test_memory_is_bounded_by_batches_and_every_entry_is_tried(
    store: Store, web: QueueEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "BATCH_MESSAGES", 7)
    web.declare(schemas=[{"json_schema": SCHEMA}])
    web.send(*[{"id": f"k{n}", "v": 1} for n in range(60)])
    web.land(store)
    web.declare(schemas=None)
    sizes: list[int] = []
    report = retry(store, web, advance=lambda report: sizes.append(report.tried))
    assert sizes == [*range(7, 60, 7), 60]
    assert (report.outcome.inserted, len(entries(store))) == (60, 0)


def test_a_body_in_s3_is_read_when_its_bucket_has_been_declared(
    store: Store, web: QueueEstate, sqs_server: RunningServer
) -> None:
    s3 = boto3.client("s3", endpoint_url=sqs_server.url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")  # fmt: skip
    s3.create_bucket(Bucket="big")
    s3.put_object(Bucket="big", Key="k", Body=json.dumps({"id": "a", "v": 1, "n": 7}))
    web.send(["com.amazon.sqs.javamessaging.MessageS3Pointer", {"s3BucketName": "big", "s3Key": "k"}])
    assert web.land(store).outcome.quarantined == 1
    web.declare(payloads={"buckets": ["big"]})
    assert retry(store, web).outcome.inserted == 1
    assert landed(store, web)["a"]["n"] == 7
    assert not entries(store)


def test_an_entry_that_holds_only_an_outline_stays_with_its_reason(store: Store, web: QueueEstate) -> None:
    web.declare()
    key = web.source.key
    Quarantine(store, key).put([Rejected("a at version 'x'", "the version is text", {"body": "repr"})], "run")
    report = retry(store, web)
    assert (report.tried, report.landable, report.outlines) == (1, 0, 1)
    assert [entry["reason"] for entry in entries(store)] == ["the version is text"]


def test_rows_of_a_table_are_read_again_by_their_keys(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 6)])
    for number in (2, 3, 4):
        shop.run("UPDATE Item SET Price = 'cheap' WHERE Id = ?", number)
    source = shop.declare(capture=CAPTURES["modified_at"])
    land_table(store, shop.catalogue, source, "first")
    assert len(entries(store)) == 3
    bookmark = store.control["bookmarks"].find_one({"_id": source.key})
    shop.run("UPDATE Item SET Price = 2.5 WHERE Id = 2")
    shop.run("DELETE FROM Item WHERE Id = 3")
    dry = retry_quarantined(store, shop.catalogue, source, Chosen(()), "retry", dry_run=True)
    assert (dry.tried, dry.landable, dry.outcome.landed) == (3, 1, 0)
    assert len(entries(store)) == 3
    report = retry_quarantined(store, shop.catalogue, source, Chosen(()), "retry")
    assert (report.tried, report.landable, report.outcome.inserted, report.outcome.quarantined) == (3, 1, 1, 0)
    assert set(live_names(store, source)) == {1, 2, 5}
    assert {e["key"]: e["reason"].split(" ")[0] for e in entries(store)} == {"3": "the", "4": "Price"}
    assert all(entry["raw"] for entry in entries(store)), "what is gone from the source is kept here alone"
    assert store.control["bookmarks"].find_one({"_id": source.key}) == bookmark
    again = retry_quarantined(store, shop.catalogue, source, Chosen(()), "again")
    assert (again.tried, again.landable) == (2, 0)


def test_a_row_of_somebody_who_is_erased_meanwhile_does_not_go_back_to_quarantine(
    store: Store, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.table("Item", ITEM, [item(1), item(2)])
    shop.run("UPDATE Item SET Price = 'cheap' WHERE Id = 2")
    source = shop.declare(capture=CAPTURES["modified_at"])
    land_table(store, shop.catalogue, source, "first")
    batch = list(entries(store))
    monkeypatch.setenv("SV_ERASURE_KEY", "k1:" + "11" * 32)
    now = dt.datetime.now(dt.timezone.utc)
    write(store, "e-1", now, [Erased(record_trace(source.key, "2"), source.key)], Policy({}, 0))
    store.control["quarantine"].delete_many({})
    writer = LandingWriter(store, shop.catalogue, source, "retry", goes_on=True)
    with closing(open_database(source.sql_system, source)) as database:
        retrying._read_again(open_reader(database, describe(database, source)), batch, writer, RetryReport(source.key))
    assert list(entries(store)) == []


def test_rows_with_a_key_of_several_columns_are_read_again(store: Store, shop: Shop) -> None:
    shop.table("Item", "A INT NOT NULL, B NVARCHAR(9) NOT NULL, Price DECIMAL(9,2), PRIMARY KEY (A, B)")
    shop.insert("Item", [(1, "x", "cheap"), (1, "y", "dear"), (2, "x", 1)])
    source = shop.declare(key="A, B")
    land_table(store, shop.catalogue, source, "first")
    shop.run("UPDATE Item SET Price = 2 WHERE A = 1 AND B = 'y'")
    report = retry_quarantined(store, shop.catalogue, source, Chosen(()), "retry")
    assert (report.tried, report.landable) == (2, 1)
    assert [entry["key"] for entry in entries(store)] == ['[1,"x"]']


def test_entries_are_listed_newest_first_and_counted_by_reason(store: Store) -> None:
    for source in ("a.one", "a.two"):
        for n in range(3):
            reason = "why (1)" if n else "other"
            Quarantine(store, source).put([Rejected(f"k{n}", reason, {"n": n, "secret": "s"})], f"run{n}")
            time.sleep(0.01)
    Quarantine(store, "a.two").resolve(["k2"])
    both = Chosen(("a.one", "a.two"))
    assert count_by_reason(store, both) == [("a.one", "why (1)", 2), ("a.one", "other", 1), ("a.two", "other", 1), ("a.two", "why (1)", 1)]  # fmt: skip
    newest = newest_entries(store, both, 4)
    assert [(entry["source"], entry["key"]) for entry in newest] == [
        ("a.two", "k1"), ("a.two", "k0"), ("a.one", "k2"), ("a.one", "k1"),
    ]  # fmt: skip
    assert all("raw" not in entry for entry in newest)
    assert Counter(e["source"] for e in newest_entries(store, Chosen(("a.one",), reason="WHY (1"), 9)) == {"a.one": 2}
    assert [e["key"] for e in newest_entries(store, Chosen(both.sources, "resolved"), 9)] == ["k2"]
    assert not newest_entries(store, Chosen(both.sources, since=dt.datetime.now(dt.timezone.utc)), 9)
