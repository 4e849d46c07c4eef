"""Landing a table, as its owner would see it: what is new lands, what is wrong waits, what is gone is marked."""

import datetime as dt
import threading
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pymongo import MongoClient

from sv_assets.errors import ConfigurationError, TransientError
from sv_assets.landing.figures import read_to_the_end_at
from sv_assets.landing.land import LandingReport, land_table
from sv_assets.landing.reset import forget
from sv_assets.landing.writer import LandingWriter, Prepared
from sv_assets.mongo import Store, bulk_write, open_store
from sv_assets.sources.capture import CaptureReader
from sv_assets.sources.records import Batch, Window
from sv_assets.worklist import clear_pending
from sv_assets_tests.landing.estate import CAPTURES, ITEM, change, documents, entries, item, land, live_names
from sv_assets_tests.sources.shop import Shop

MODES = sorted(CAPTURES)


def bookmark(store: Store) -> Any:
    found = store.control["bookmarks"].find_one({"_id": "shop.item"})
    return found and found["position"]


def local_now() -> str:
    return dt.datetime.now(ZoneInfo("Europe/London")).replace(tzinfo=None).isoformat(" ", "microseconds")


# --- new and changed rows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_run_lands_what_is_new_and_a_replay_changes_nothing(store: Store, shop: Shop, mode: str) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 8)])
    source = shop.declare(capture=CAPTURES[mode], rest=["page_rows: 3"])
    first = land(store, shop, source)
    assert (first.outcome.read, first.outcome.inserted, first.bookmark_before) == (7, 7, "none (first run)")
    before = documents(store, source, ignore=())
    again = land(store, shop, source)
    assert again.outcome.landed == 0
    assert documents(store, source, ignore=()) == before
    change(shop, 3, "new", 100)
    shop.insert("Item", [item(8, "added", 101)])
    third = land(store, shop, source)
    assert (third.outcome.inserted, third.outcome.updated, third.outcome.landed) == (1, 1, 2)
    assert live_names(store, source) == {n: {3: "new", 8: "added"}.get(n, "old") for n in range(1, 9)}
    full = land(store, shop, source, full=True)
    assert (full.outcome.read, full.outcome.landed, full.outcome.unchanged) == (8, 0, 8)


def test_a_landed_document_is_the_row_and_its_bookkeeping(store: Store, shop: Shop) -> None:
    shop.table("Item", "A INT NOT NULL, B NVARCHAR(9) NOT NULL, D DATETIME2(7), N NVARCHAR(9), PRIMARY KEY (A, B)")
    shop.insert("Item", [(1, "x ", "2024-07-01 10:00:00.1234567", None)])
    source = shop.declare(
        key="A, B", rest=["feeds: {party: {email: N}, order: {number: B, placed_at: D, party: self}}"]
    )
    report = land(store, shop, source, run="run-1")
    (document,) = documents(store, source, ignore=("version", "hash", "extracted_at")).values()
    assert document == {
        "_id": '[1,"x "]', "A": 1, "B": "x ", "N": None,
        "D": dt.datetime(2024, 7, 1, 9, 0, 0, 123000, tzinfo=dt.timezone.utc),
        "_sv": {
            "system": "shop", "table": "dbo.Item", "op": "upsert", "run_id": "run-1", "deleted": False,
            "pending": ["identity", "orders"], "exact": {"D": "2024-07-01T10:00:00.1234567"}, "key": '[1,"x"]',
        },
    }  # fmt: skip
    assert report.columns == [("A", "int"), ("B", "nvarchar(9)"), ("D", "datetime2(7)"), ("N", "nvarchar(9)")]


def test_a_row_dated_ahead_can_still_be_corrected(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [(1, "wrong", 1, "2099-01-01 00:00:00", None)])
    source = shop.declare(capture=CAPTURES["modified_at"])
    land(store, shop, source)
    assert live_names(store, source) == {1: "wrong"}
    shop.run("UPDATE Item SET Name = 'mended', ModifiedAt = ?", local_now())
    land(store, shop, source)
    assert live_names(store, source) == {1: "mended"}


def test_rows_without_a_modified_value_are_landed_once_and_counted(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(1), (2, "undated", 1, None, None)])
    source = shop.declare(capture=CAPTURES["modified_at"])
    assert land(store, shop, source).findings.figures == {"rows_without_capture_value": 1}
    assert live_names(store, source) == {1: "old", 2: "undated"}


@pytest.mark.parametrize("times", [1, 2])
def test_a_window_lands_its_days_and_moves_no_bookmark(store: Store, shop: Shop, times: int) -> None:
    shop.table("Item", ITEM, [(n, "old", 1, f"2024-01-0{n} 12:00:00", None) for n in range(1, 6)])
    source = shop.declare(capture=CAPTURES["modified_at"], rest=["partitions: {by: day, start: 2024-01-01}"])
    for _ in range(times):
        report = land(store, shop, source, window=Window(dt.date(2024, 1, 2), dt.date(2024, 1, 4)))
    assert sorted(live_names(store, source)) == [2, 3]
    assert report.outcome.by_partition == {"2024-01-02": 1, "2024-01-03": 1}
    assert bookmark(store) is None
    assert land(store, shop, source).outcome.inserted == 3


# --- quarantine ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_bad_row_waits_in_quarantine_while_the_rest_land_and_is_resolved_when_mended(
    store: Store, shop: Shop, mode: str
) -> None:
    shop.table("Item", ITEM, [item(1), (2, "bad", "a lot", *item(2)[3:]), item(3)])
    source = shop.declare(capture=CAPTURES[mode])
    report = land(store, shop, source)
    assert (report.outcome.read, report.outcome.inserted, report.outcome.quarantined) == (3, 2, 1)
    assert live_names(store, source) == {1: "old", 3: "old"}
    (entry,) = entries(store)
    assert (entry["source"], entry["key"], entry["raw"]["Name"]) == ("shop.item", "2", "bad")
    assert entry["reason"] == "Price is not a decimal number"
    land(store, shop, source, full=True)
    assert [(e["_id"], e["first_seen"]) for e in entries(store)] == [(entry["_id"], entry["first_seen"])], "not doubled"
    change(shop, 2, "mended", 100)
    land(store, shop, source)
    assert live_names(store, source)[2] == "mended"
    assert entries(store) == []
    (resolved,) = entries(store, "resolved")
    assert "raw" not in resolved


def test_the_landed_version_of_a_row_stays_while_its_next_one_is_in_quarantine(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(1), item(2)])
    source = shop.declare(capture=CAPTURES["rowversion"])
    land(store, shop, source)
    shop.run("UPDATE Item SET Price = 'a lot', RowVer = ? WHERE Id = 1", (50).to_bytes(8, "big"))
    assert land(store, shop, source).outcome.deleted == 0
    assert live_names(store, source) == {1: "old", 2: "old"}
    assert len(entries(store)) == 1


def test_text_that_is_not_unicode_goes_to_quarantine_and_the_rest_land(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(1), item(2)])
    shop.run("UPDATE Item SET Name = CAST(X'4a6f73e9' AS TEXT) WHERE Id = 1")
    source = shop.declare()
    report = land(store, shop, source)
    assert (report.outcome.inserted, report.outcome.quarantined) == (1, 1)
    assert entries(store)[0]["raw"]["Name"].startswith("'Jos")


def test_quarantine_tells_reasons_and_not_values(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [(1, "Jane Roe", "jane@example.com", None, None)])
    source = shop.declare(capture=CAPTURES["snapshot"])
    land(store, shop, source)
    assert LandingWriter(store, shop.catalogue, source, "r").quarantine.reasons() == ["Price is not a decimal number"]


# --- deletes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_rows_that_are_gone_get_tombstones_once(store: Store, shop: Shop, mode: str) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 21)])
    source = shop.declare(capture=CAPTURES[mode], rest=["page_rows: 3", "feeds: {party: {email: Name}}"])
    land(store, shop, source)
    store.landing[source.key].update_many({}, {"$unset": {"_sv.pending": ""}})
    shop.run("DELETE FROM Item WHERE Id IN (7, 20)")
    report = land(store, shop, source, run="run-2")
    assert (report.outcome.deleted, report.deletes_refused) == (2, 0)
    found = documents(store, source)
    assert sorted(key for key, d in found.items() if d["_sv"]["deleted"]) == [7, 20]
    assert [key for key, d in found.items() if "pending" in d["_sv"]] == [7, 20]
    assert land(store, shop, source).outcome.landed == 0
    shop.insert("Item", [(7, "back", 1, local_now(), (200).to_bytes(8, "big"))])
    assert land(store, shop, source).outcome.landed == 1
    assert live_names(store, source)[7] == "back"


def test_the_newest_rowversion_being_deleted_is_found(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [*(item(n) for n in range(1, 10)), item(10, version=5000)])
    source = shop.declare(capture=CAPTURES["rowversion"])
    land(store, shop, source)
    shop.run("DELETE FROM Item WHERE Id = 10")
    assert land(store, shop, source).outcome.deleted == 1
    assert 10 not in live_names(store, source)


def test_a_row_that_waits_does_not_hide_a_deleted_one(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 11)])
    source = shop.declare(capture=CAPTURES["modified_at"])
    land(store, shop, source)
    shop.run("DELETE FROM Item WHERE Id = 4")
    shop.insert("Item", [(11, "ahead", 1, "2099-01-01 00:00:00", None)])
    assert land(store, shop, source).outcome.deleted == 1
    assert 4 not in live_names(store, source)


def test_a_full_run_finds_deletes_that_rows_which_never_landed_would_hide(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 11)])
    source = shop.declare(capture=CAPTURES["modified_at"])
    land(store, shop, source)
    shop.run("DELETE FROM Item WHERE Id = 4")
    shop.insert("Item", [(11, "undated", 1, None, None)])
    land(store, shop, source, full=True)
    assert 4 not in live_names(store, source)
    assert 11 in live_names(store, source)


def test_too_many_deletes_are_refused_until_they_are_allowed(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 11)])
    source = shop.declare(rest=["max_delete_share: 0.3"])
    land(store, shop, source)
    shop.run("DELETE FROM Item WHERE Id > 6")
    refused = land(store, shop, source)
    assert (refused.deletes_refused, refused.outcome.deleted) == (4, 0)
    assert len(live_names(store, source)) == 10
    allowed = land(store, shop, source, allow_deletes=True)
    assert (allowed.deletes_refused, allowed.outcome.deleted) == (0, 4)
    assert sorted(live_names(store, source)) == [1, 2, 3, 4, 5, 6]
    shop.run("DELETE FROM Item WHERE Id = 1")
    assert land(store, shop, source).outcome.deleted == 1, "1 of 6 is within the share again"


def test_an_emptied_table_is_not_believed(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 11)])
    source = shop.declare(capture=CAPTURES["rowversion"])
    land(store, shop, source)
    shop.run("DELETE FROM Item")
    assert land(store, shop, source).deletes_refused == 10
    assert len(live_names(store, source)) == 10


def test_deletes_that_are_ignored_leave_the_rows(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 11)])
    source = shop.declare(rest=["deletes: ignore"])
    land(store, shop, source)
    shop.run("DELETE FROM Item WHERE Id = 1")
    report = land(store, shop, source, full=True)
    assert (report.outcome.deleted, report.deletes_refused) == (0, 0)
    assert len(live_names(store, source)) == 10


# --- work lists ------------------------------------------------------------------------------------------------------


def test_every_change_comes_onto_the_work_list_and_unchanged_rows_do_not(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 11)])
    source = shop.declare(rest=["feeds: {party: {email: Name}}"])
    land(store, shop, source)
    collection = store.landing[source.key]
    assert {tuple(d["_sv"]["pending"]) for d in collection.find()} == {("identity",)}
    bulk_write(collection, clear_pending(list(collection.find()), "identity", "hash"))
    change(shop, 2, "new", 100)
    shop.insert("Item", [item(11, "added", 101)])
    shop.run("DELETE FROM Item WHERE Id = 5")
    land(store, shop, source)
    assert sorted(d["_id"] for d in collection.find({"_sv.pending": "identity"})) == [2, 5, 11]


def test_a_row_that_changed_meanwhile_stays_on_the_work_list(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 4)])
    source = shop.declare(rest=["feeds: {party: {email: Name}}"])
    land(store, shop, source)
    collection = store.landing[source.key]
    read_by_the_station = list(collection.find())
    change(shop, 2, "new", 100)
    land(store, shop, source)
    bulk_write(collection, clear_pending(read_by_the_station, "identity", "hash"))
    assert [d["_id"] for d in collection.find({"_sv.pending": "identity"})] == [2]
    assert live_names(store, source)[2] == "new"


# --- faults ----------------------------------------------------------------------------------------------------------


def test_a_bookmark_moves_only_after_the_write_that_it_covers(
    store: Store, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault between two pages, which cannot be timed from outside; test_crash.py kills real servers at random."""
    shop.table("Item", ITEM, [item(n) for n in range(1, 7)])
    source = shop.declare(capture=CAPTURES["rowversion"], rest=["page_rows: 2"])
    send, seen = LandingWriter.send, []

    def fail_on_the_second(self: LandingWriter, prepared: Prepared, outcome: Any) -> None:
        seen.append(prepared)
        if len(seen) == 2:
            raise OSError("the network is gone")
        send(self, prepared, outcome)

    with monkeypatch.context() as patched:
        patched.setattr(LandingWriter, "send", fail_on_the_second)
        with pytest.raises(OSError, match="network"):
            land(store, shop, source)
    assert bookmark(store)["scan_after"] == [2]
    assert read_to_the_end_at(store, source.key) is None
    assert sorted(live_names(store, source)) == [1, 2]
    assert land(store, shop, source).outcome.read == 4
    assert len(live_names(store, source)) == 6


def test_when_a_source_was_read_to_its_end_is_known_until_it_starts_over(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [])
    source = shop.declare(capture=CAPTURES["modified_at"], rest=["partitions: {by: day, start: 2024-01-01}"])
    assert read_to_the_end_at(store, source.key) is None
    land(store, shop, source)
    of_an_empty_table = read_to_the_end_at(store, source.key)
    assert of_an_empty_table is not None
    shop.insert("Item", [item(n) for n in range(1, 6)])
    land(store, shop, source, window=Window(dt.date(2024, 1, 1), dt.date(2024, 1, 2)))
    assert read_to_the_end_at(store, source.key) == of_an_empty_table
    land(store, shop, source)
    now = read_to_the_end_at(store, source.key)
    assert now is not None and now > of_an_empty_table
    forget(store, source)
    assert read_to_the_end_at(store, source.key) is None


def test_a_source_that_fails_between_two_pages_leaves_what_was_read_so_far(
    store: Store, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 7)])
    source = shop.declare(rest=["page_rows: 2"])
    read = CaptureReader.read

    def drop_the_table(self: CaptureReader, position: Any) -> Iterator[Batch]:
        for number, batch in enumerate(read(self, position)):
            yield batch
            if number == 1:
                shop.run("ALTER TABLE Item RENAME TO Elsewhere")

    monkeypatch.setattr(CaptureReader, "read", drop_the_table)
    with pytest.raises(ConfigurationError, match="system shop: the database refuses"):
        land(store, shop, source)
    assert len(live_names(store, source)) == 4
    assert bookmark(store)["scan_after"] == [4]


def test_nobody_listening_is_one_sentence_without_the_password(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.table("Item", ITEM, [item(1)])
    source = shop.declare()
    url = "mongodb://me:s3cr3t@127.0.0.1:1/?serverSelectionTimeoutMS=300"
    monkeypatch.setenv("SV_MONGO_URL", url)
    away = Store(MongoClient(url, serverSelectionTimeoutMS=300))
    with pytest.raises(TransientError) as caught:
        land(away, shop, source)
    assert "mongodb://me:***@127.0.0.1:1" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://x", "mongodb://", "mongodb://u:s3cr3t@h:port"])
def test_a_mongo_url_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="SV_MONGO_URL is not a MongoDB connection string") as caught:
        open_store(url)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "declared",
    [{"name": "dbo.Itm"}, {"key": "Nope"}, {"key": "Name"}, {"capture": "{mode: rowversion, column: Price}"}],
)
def test_a_wrong_declaration_writes_nothing(store: Store, shop: Shop, declared: Any) -> None:
    shop.table("Item", ITEM, [item(1), item(2)])
    source = shop.declare(**declared)
    with pytest.raises(ConfigurationError):
        land(store, shop, source)
    written = [name for database in store.databases() for name in database.list_collection_names()]
    assert written == []


@pytest.mark.parametrize(("before", "after"), [("snapshot", "rowversion"), ("rowversion", "modified_at")])
def test_another_capture_mode_asks_to_start_over(store: Store, shop: Shop, before: str, after: str) -> None:
    shop.table("Item", ITEM, [item(1)])
    land(store, shop, shop.declare(capture=CAPTURES[before]))
    with pytest.raises(ConfigurationError, match=f"captured by {before} and is now declared as {after}.*sv reset"):
        land(store, shop, shop.declare(capture=CAPTURES[after]))
    assert land(store, shop, shop.declare(capture=CAPTURES[before])).outcome.landed == 0


@pytest.mark.parametrize("mode", MODES)
def test_two_runs_at_once_do_no_harm(store: Store, shop: Shop, mode: str) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 301)])
    source = shop.declare(capture=CAPTURES[mode], rest=["page_rows: 50", "feeds: {party: {email: Name}}"])
    catalogue = shop.catalogue
    reports: list[LandingReport] = []
    failures: list[Exception] = []
    together = threading.Barrier(2)

    def run(name: str) -> None:
        together.wait()
        try:
            reports.append(land_table(store, catalogue, source, name))
        except Exception as error:
            failures.append(error)

    for _ in range(2):
        threads = [threading.Thread(target=run, args=(f"run-{n}",)) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        change(shop, 7, "new", 1000)
    assert failures == []
    assert sum(r.outcome.inserted for r in reports) == 300
    land(store, shop, source)
    names = live_names(store, source)
    assert names == {n: "new" if n == 7 else "old" for n in range(1, 301)}
    assert all(d["_sv"]["pending"] == ["identity"] for d in documents(store, source).values())


def test_two_tombstones_of_one_run_differ_in_their_hash(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 12)])
    source = shop.declare(capture=CAPTURES["snapshot"])
    land(store, shop, source)
    shop.run("DELETE FROM Item WHERE Id <= 2")
    land(store, shop, source)
    hashes = [d["_sv"]["hash"] for d in store.landing[source.key].find({"_sv.deleted": True})]
    assert len(hashes) == len(set(hashes)) == 2


@pytest.mark.parametrize("mode", ["modified_at", "rowversion"])
def test_a_row_that_is_restored_as_it_was_comes_back_with_a_full_run(store: Store, shop: Shop, mode: str) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 12)])
    source = shop.declare(capture=CAPTURES[mode])
    land(store, shop, source)
    shop.run("DELETE FROM Item WHERE Id = 3")
    assert land(store, shop, source).outcome.deleted == 1
    shop.insert("Item", [item(3)])
    land(store, shop, source, full=True)
    assert live_names(store, source) == dict.fromkeys(range(1, 12), "old")


def test_a_decimal_key_lands_as_the_whole_number_that_it_is(store: Store, shop: Shop) -> None:
    shop.table("Item", "Id NUMERIC(18,0) NOT NULL PRIMARY KEY, Name NVARCHAR(9)", [(1, "a"), (12345678901, "b")])
    source = shop.declare(capture=CAPTURES["snapshot"])
    assert land(store, shop, source).outcome.inserted == 2
    assert land(store, shop, source).outcome.unchanged == 2
    assert sorted(documents(store, source)) == [1, 12345678901]


def test_a_changed_key_is_refused_until_the_old_copy_is_forgotten(store: Store, shop: Shop) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Code NVARCHAR(9) NOT NULL UNIQUE", [(1, "a")])
    land(store, shop, shop.declare())
    renamed = shop.declare(key="Code")
    with pytest.raises(ConfigurationError, match=r"landed by the key \(Id\).*sv reset shop.item"):
        land(store, shop, renamed)
    forget(store, renamed)
    land(store, shop, renamed, full=True, allow_deletes=True)
    assert [key for key, d in documents(store, renamed).items() if not d["_sv"]["deleted"]] == ["a"]
