"""Landing from a source's own log of changes: deletes are told, versions order everything, gaps are made good."""

import datetime as dt
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv_assets.catalogue import Source
from sv_assets.landing import land as landing
from sv_assets.landing.writer import LandingWriter, Outcome
from sv_assets.mongo import Store
from sv_assets.sources.records import Batch, Deletion, Record
from sv_assets_tests.examples import examples
from sv_assets_tests.landing.crash import land_and_kill, timed
from sv_assets_tests.landing.estate import documents, land, live_names
from sv_assets_tests.landing.test_crash import SHORT_AND_LONG, drop
from sv_assets_tests.sources.change_log import AFTER, DELETE, INSERT, ChangeLog
from sv_assets_tests.sources.change_tracking import TrackedShop
from sv_assets_tests.sources.shop import Shop

COLUMNS = "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40)"
START = dt.datetime(2026, 11, 23, tzinfo=dt.timezone.utc)


def captured(shop: Shop, mode: str = "cdc", *rest: str) -> Source:
    return shop.declare(capture=f"{{mode: {mode}}}", rest=["page_rows: 3", "feeds: {party: {email: Name}}", *rest])


@pytest.fixture
def log(shop: Shop) -> ChangeLog:
    shop.table("Item", COLUMNS, [(n, f"n{n}") for n in range(1, 21)])
    log = ChangeLog(shop)
    log.enable("Id INT, Name NVARCHAR(40)")
    log.tick()
    return log


@contextmanager
def tracking(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackedShop]:
    """Landing opens its own connections, so they are taught what only SQL Server knows where they are opened."""
    tracked = TrackedShop(shop)
    open_database = landing.open_database

    def opened(*args: Any) -> Any:
        database = open_database(*args)
        tracked.teach(database.engine)
        return database

    with monkeypatch.context() as patched:
        patched.setattr(landing, "open_database", opened)
        yield tracked


def test_inserts_updates_and_deletes_of_the_log_land_and_a_replay_changes_nothing(
    store: Store, shop: Shop, log: ChangeLog
) -> None:
    source = captured(shop)
    assert land(store, shop, source).outcome.inserted == 20
    log.commit(INSERT, (21, "new"))
    log.commit(AFTER, (3, "changed"))
    log.commit(DELETE, (5, "n5"))
    report = land(store, shop, source)
    assert (report.outcome.inserted, report.outcome.updated, report.outcome.deleted) == (1, 1, 1)
    assert live_names(store, source) == {n: f"n{n}" for n in range(1, 21) if n != 5} | {3: "changed", 21: "new"}
    gone = documents(store, source)[5]
    assert (gone["_sv"]["op"], gone["_sv"]["pending"], gone["Name"]) == ("delete", ["identity"], "n5")
    before = documents(store, source, ignore=())
    assert land(store, shop, source).outcome.landed == 0
    assert land(store, shop, source, full=True).outcome.landed == 0
    assert documents(store, source, ignore=()) == before


def test_changes_tracked_by_version_land_with_their_deletes(
    store: Store, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.table("Item", COLUMNS, [(n, f"n{n}") for n in range(1, 21)])
    with tracking(shop, monkeypatch) as tracked:
        source = captured(shop, "change_tracking")
        assert land(store, shop, source).outcome.inserted == 20
        tracked.write(*((n, "new") for n in range(18, 26)))
        tracked.delete(1, 2)
        report = land(store, shop, source)
        assert (report.outcome.inserted, report.outcome.updated, report.outcome.deleted) == (5, 3, 2)
        assert live_names(store, source) == {n: "new" if n >= 18 else f"n{n}" for n in range(3, 26)}
        assert land(store, shop, source).outcome.landed == 0


def test_rows_that_were_deleted_within_a_gap_are_found_by_reading_everything_again(
    store: Store, shop: Shop, log: ChangeLog
) -> None:
    source = captured(shop)
    land(store, shop, source)
    log.commit(DELETE, (5, "n5"))
    log.commit(AFTER, (6, "changed"))
    log.clean_up(log.tick())
    report = land(store, shop, source)
    assert report.scanned
    assert report.outcome.deleted == 1
    assert "read whole again" in report.findings.warnings[0]
    assert live_names(store, source) == {n: f"n{n}" for n in range(1, 21) if n != 5} | {6: "changed"}
    assert land(store, shop, source).findings.warnings == []


def test_a_gap_in_which_too_much_vanished_is_not_believed(store: Store, shop: Shop, log: ChangeLog) -> None:
    source = captured(shop)
    land(store, shop, source)
    for n in range(1, 11):
        log.commit(DELETE, (n, f"n{n}"))
    log.clean_up(log.tick())
    assert land(store, shop, source).deletes_refused == 10
    assert len(live_names(store, source)) == 20
    assert land(store, shop, source, full=True, allow_deletes=True).outcome.deleted == 10


@SHORT_AND_LONG
def test_a_log_whose_reading_is_killed_at_any_instant_loses_and_doubles_nothing(
    store: Store, shop: Shop, kills: int
) -> None:
    chance = random.Random(kills)
    shop.table("Item", COLUMNS)
    log = ChangeLog(shop)
    log.enable("Id INT, Name NVARCHAR(40)")
    shop.insert("Item", [(n, f"n{n}") for n in range(1, 301)])
    source = captured(shop)
    table = {n: f"n{n}" for n in range(1, 301)}
    seconds = timed(lambda: land(store, shop, source))
    drop(store)
    killed = number = 0
    while killed < kills:
        killed += land_and_kill(source.key, seconds * 0.7, chance)
        for _ in range(chance.randrange(4)):
            number += 1
            key = chance.randrange(1, 320)
            if key in table and chance.random() < 0.3:
                log.commit(DELETE, (key, table.pop(key)))
            else:
                log.commit(AFTER if key in table else INSERT, (key, f"change {number}"))
                table[key] = f"change {number}"
    for _ in range(2):
        land(store, shop, source)
    assert live_names(store, source) == table
    assert land(store, shop, source).outcome.landed == 0


# --- the guards of the log's writes ----------------------------------------------------------------------------------


class Writing:
    """Sends batches of a log, each read later than the one before."""

    def __init__(self, store: Store, shop: Shop) -> None:
        self.source = captured(shop)
        self._store, self._shop, self._moment = store, shop, START

    def send(self, *changes: Record | Deletion) -> Outcome:
        self._moment += dt.timedelta(seconds=1)
        records = [change for change in changes if isinstance(change, Record)]
        deletions = [change for change in changes if isinstance(change, Deletion)]
        outcome = Outcome()
        writer = LandingWriter(self._store, self._shop.catalogue, self.source, "run")
        writer.write(Batch(records, [], {}, self._moment, deletions, from_log=True), outcome)
        return outcome


def upserted(key: int, version: int, name: str) -> Record:
    return Record(key, str(key), {"Id": key, "Name": name}, version)


def test_a_change_replayed_after_its_row_was_deleted_does_not_bring_it_back(store: Store, shop: Shop) -> None:
    writing = Writing(store, shop)
    writing.send(upserted(1, 5, "a"))
    writing.send(Deletion(1, "1", 8))
    assert writing.send(upserted(1, 7, "late")).landed == 0
    assert live_names(store, writing.source) == {}
    writing.send(upserted(1, 9, "again"))
    assert live_names(store, writing.source) == {1: "again"}


def test_a_deletion_that_comes_before_its_row_waits_for_it(store: Store, shop: Shop) -> None:
    writing = Writing(store, shop)
    assert writing.send(Deletion(1, "1", 8)).deleted == 1
    writing.send(upserted(1, 7, "late"))
    assert live_names(store, writing.source) == {}


def test_a_newer_version_of_the_same_content_keeps_versions_between_out_and_makes_no_work(
    store: Store, shop: Shop
) -> None:
    writing = Writing(store, shop)
    writing.send(upserted(1, 1, "a"))
    store.landing[writing.source.key].update_many({}, {"$unset": {"_sv.pending": ""}})
    writing.send(upserted(1, 3, "a"))
    document = documents(store, writing.source)[1]
    assert document["_sv"]["version"] == 3
    assert "pending" not in document["_sv"]
    writing.send(upserted(1, 2, "b"))
    assert live_names(store, writing.source) == {1: "a"}


@settings(max_examples=examples(10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["a", "b", None])), min_size=1, max_size=8), st.data())
def test_any_order_and_any_repeats_of_a_log_end_in_its_last_state(
    store: Store, shop: Shop, history: list[tuple[int, str | None]], data: st.DataObject
) -> None:
    writing = Writing(store, shop)
    store.landing[writing.source.key].drop()
    changes: list[Record | Deletion] = [
        Deletion(key, str(key), version) if name is None else upserted(key, version, name)
        for version, (key, name) in enumerate(history)
    ]
    again = data.draw(st.lists(st.sampled_from(changes), max_size=4))
    for change in data.draw(st.permutations([*changes, *again])):
        writing.send(change)
    expected = dict(history)
    assert live_names(store, writing.source) == {key: name for key, name in expected.items() if name is not None}
