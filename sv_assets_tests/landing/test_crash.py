"""Kill whatever runs at whatever instant, run again: the same result as if nothing had happened.

The short version of each test is part of every run; the long one (`-m soak`) kills two hundred times.
"""

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from sv_assets.catalogue import Source
from sv_assets.errors import TransientError
from sv_assets.landing.land import land_table
from sv_assets.landing.land_queue import land_queue
from sv_assets.local import start_mongo
from sv_assets.mongo import Document, Store
from sv_assets_tests.landing.crash import VISIBILITY_SECONDS, land_and_kill, quickly_visible, timed
from sv_assets_tests.landing.estate import CAPTURES, ITEM, documents, item, land
from sv_assets_tests.landing.test_land_queue import WebShop, bodies, sqs, standard
from sv_assets_tests.settled import start_settled_mongo
from sv_assets_tests.sources.shop import Shop

__all__ = ["sqs", "standard"]
SHORT_AND_LONG = pytest.mark.parametrize(
    "kills", [8, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]
)
ROWS, PAGE_ROWS = 600, 25


def declared(shop: Shop, mode: str) -> Source:
    return shop.declare(capture=CAPTURES[mode], rest=[f"page_rows: {PAGE_ROWS}", "feeds: {party: {email: Name}}"])


def fill(shop: Shop) -> None:
    rows = [item(n) for n in range(1, ROWS + 1)]
    rows[50:60] = [(*row[:2], "a lot", *row[3:]) for row in rows[50:60]]
    shop.run("DROP TABLE IF EXISTS Item")
    shop.table("Item", ITEM, rows)


def change(shop: Shop) -> None:
    """Updates, inserts, deletes, a mended row and a newly bad one."""
    shop.run("DELETE FROM Item WHERE Id % 10 = 1")
    changed = [item(n, "new", ROWS + n) for n in range(2, ROWS, 7) if n % 10 != 1]
    shop.run("DELETE FROM Item WHERE Id % 7 = 2 AND Id < ?", ROWS)
    shop.insert("Item", [*changed, *(item(n, "added", ROWS + n) for n in range(ROWS + 1, ROWS + 101))])
    shop.run(
        "UPDATE Item SET Price = 'a lot', RowVer = ?, ModifiedAt = ? WHERE Id = 100", *reversed(item(1, "", 2000)[3:])
    )


def seen(store: Store, source: Source) -> tuple[dict[Any, Document], list[str]]:
    """Everything but what tells one run from another: the versions of snapshots and tombstones are moments of reading."""
    found = documents(store, source)
    for document in found.values():
        if document["_sv"]["deleted"] or source.table.capture.mode == "snapshot":
            del document["_sv"]["version"]
        if document["_sv"]["deleted"]:
            del document["_sv"]["hash"]
    open_entries = store.control["quarantine"].find({"source": source.key, "status": "open"})
    return found, sorted(entry["key"] for entry in open_entries)


def beside(store: Store, name: str) -> Store:
    return Store(store.client, f"{store.prefix}{name}_")


def drop(store: Store) -> None:
    for database in store.databases():
        store.client.drop_database(database.name)


@SHORT_AND_LONG
@pytest.mark.parametrize("mode", sorted(CAPTURES))
def test_landing_that_is_killed_at_any_instant_and_run_again_lands_the_same(
    store: Store, shop: Shop, mode: str, kills: int
) -> None:
    source, calm, chance = declared(shop, mode), beside(store, "calm"), random.Random(kills)
    fill(shop)
    seconds = timed(lambda: land(calm, shop, source))
    first = seen(calm, source)
    change(shop)
    land(calm, shop, source)
    second = seen(calm, source)
    assert len(first[1]) == 10
    assert len(second[1]) in (9, 10)
    killed = 0
    while killed < kills:
        drop(store)
        fill(shop)
        for _ in range(2):
            killed += land_and_kill(source.key, seconds * 0.8, chance)
        land(store, shop, source)
        assert seen(store, source) == first
        change(shop)
        for _ in range(2):
            killed += land_and_kill(source.key, seconds * 0.5, chance)
        land(store, shop, source)
        assert seen(store, source) == second
        assert land(store, shop, source).outcome.landed == 0
    drop(calm)


@SHORT_AND_LONG
def test_a_table_that_changes_while_its_first_scan_is_killed_again_and_again_ends_up_whole(
    store: Store, shop: Shop, kills: int
) -> None:
    """Changes fall between the pieces of one scan: the bookmark taken before the scan finds them after it."""
    for mode in ("rowversion", "modified_at"):
        source, chance = declared(shop, mode), random.Random(kills)
        drop(store)
        shop.run("DROP TABLE IF EXISTS Item")
        shop.table("Item", ITEM, [item(n) for n in range(1, ROWS + 1)])
        for n in range(kills // 2):
            land_and_kill(source.key, 0.05, chance)
            number = chance.randrange(1, ROWS + 1)
            shop.run("DELETE FROM Item WHERE Id = ?", number)
            shop.insert("Item", [item(number, f"change {n}", ROWS + n)])
        for _ in range(2):
            land(store, shop, source)
        in_source, _ = shop.read(source)
        landed = documents(store, source)
        assert {r.key: r.fields["Name"] for r in in_source} == {key: d["Name"] for key, d in landed.items()}
        assert {r.key: r.version for r in in_source} == {key: d["_sv"]["version"] for key, d in landed.items()}


@SHORT_AND_LONG
def test_a_queue_whose_runs_are_killed_loses_no_message(store: Store, standard: WebShop, kills: int) -> None:
    source, chance = standard.source, random.Random(kills)
    sent: dict[str, int] = {}
    killed = numbers = 0
    while killed < kills:
        batch = [{"id": f"k{numbers + n if n % 3 else n}", "v": numbers + n} for n in range(100)]
        numbers += 100
        chance.shuffle(batch)
        for body in batch:
            sent[str(body["id"])] = max(sent.get(str(body["id"]), -1), int(str(body["v"])))
        standard.send(*batch)
        killed += land_and_kill(source.key, 0.6, chance)
    deadline = time.monotonic() + 60
    while standard.depth.total and time.monotonic() < deadline:
        land_queue(store, standard.catalogue, quickly_visible(source), "run")
        time.sleep(VISIBILITY_SECONDS / 4)
    assert standard.depth.total == 0
    assert {key: body["v"] for key, body in bodies(store, source).items()} == sent


@SHORT_AND_LONG
def test_a_mongodb_that_is_killed_in_the_middle_of_landing_loses_nothing(
    kills: int, tmp_path: Path, shop: Shop, store: Store
) -> None:
    """Its own server."""
    source, calm, chance = declared(shop, "rowversion"), store, random.Random(kills)
    catalogue = shop.catalogue
    fill(shop)
    land(calm, shop, source)
    expected = seen(calm, source)
    server = start_settled_mongo(tmp_path / "mongo")
    seconds = timed(lambda: land_table(Store(MongoClient(server.url)), catalogue, source, "warm"))
    broken = 0
    try:
        for n in range(max(2, kills // 4)):
            failures: list[Exception] = []

            def run(target: Store, failures: list[Exception] = failures) -> None:
                try:
                    land_table(target, catalogue, source, "killed")
                except Exception as error:
                    failures.append(error)

            with MongoClient[Document](server.url, serverSelectionTimeoutMS=300) as client:
                thread = threading.Thread(target=run, args=[Store(client, f"kill{n}_")])
                thread.start()
                time.sleep(chance.uniform(0.02, seconds))
                server.kill()
                thread.join()
            broken += len(failures)
            assert all(isinstance(failure, TransientError) for failure in failures), failures
            port = server.port
            server = start_mongo(tmp_path / "mongo", sync_on_commit=True, port=port)
            assert server.port == port
            with MongoClient[Document](server.url) as client:
                again = Store(client, f"kill{n}_")
                land_table(again, catalogue, source, "again")
                assert seen(again, source) == expected
                assert land_table(again, catalogue, source, "once more").outcome.landed == 0
                drop(again)
    finally:
        server.stop()
    assert broken, "no run was hit: kill earlier"
