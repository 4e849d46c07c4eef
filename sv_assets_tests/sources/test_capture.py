"""Each capture mode reads every row that is new, exactly once where nothing moves, and loses none where something does."""

import datetime as dt
from collections import Counter
from contextlib import closing
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sv_assets.sources.capture import modified_at
from sv_assets.sources.records import Window
from sv_assets_tests.sources.shop import Shop

NOW = dt.datetime.now(ZoneInfo("Europe/London")).replace(tzinfo=None, microsecond=0)
MODIFIED_AT = "{mode: modified_at, column: ModifiedAt, lag: 5m}"
ROWVERSION = "{mode: rowversion, column: RowVer}"


def at(minutes_ago: float) -> str:
    return (NOW - dt.timedelta(minutes=minutes_ago)).isoformat(" ")


def version(number: int) -> bytes:
    return number.to_bytes(8, "big")


# --- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page_rows", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("mode", ["snapshot", "rowversion", "modified_at"])
def test_a_scan_reads_every_row_of_a_composite_key_once(shop: Shop, mode: str, page_rows: int) -> None:
    keys = list(product(["a", "A", "b", "ä", "", " "], [-1, 0, 1], ["2024-01-01", "2024-01-02"]))
    shop.table(
        "Item", "A NVARCHAR(9) NOT NULL, B INT NOT NULL, C DATE NOT NULL, ModifiedAt DATETIME2, RowVer ROWVERSION, PRIMARY KEY (A, B, C)",
        [(*key, at(60), version(5)) for key in keys],
    )  # fmt: skip
    captures = {"snapshot": "{mode: snapshot}", "rowversion": ROWVERSION, "modified_at": MODIFIED_AT}
    source = shop.declare(key="C, A, B", capture=captures[mode], rest=[f"page_rows: {page_rows}"])
    records, _ = shop.read(source)
    read = Counter((r.fields["A"], int(r.fields["B"]), r.fields["C"].date().isoformat()) for r in records)
    assert read == Counter(keys)
    assert len({record.key for record in records}) == len(keys)


@pytest.mark.parametrize("page_rows", [1, 2, 3])
@pytest.mark.parametrize("mode", ["rowversion", "modified_at"])
def test_rows_that_share_a_version_are_read_once_across_page_borders(shop: Shop, mode: str, page_rows: int) -> None:
    rows = [(a, b, at(60 + a % 2), version(7 + a % 2)) for a in range(4) for b in range(3)]
    shop.table(
        "Item", "A INT NOT NULL, B INT NOT NULL, ModifiedAt DATETIME2, RowVer ROWVERSION, PRIMARY KEY (A, B)", rows
    )
    source = shop.declare(
        key="A, B", capture=ROWVERSION if mode == "rowversion" else MODIFIED_AT, rest=[f"page_rows: {page_rows}"]
    )
    start: dict[str, Any] = (
        {"rowversion": version(0)} if mode == "rowversion" else {"modified_at": "2000-01-01 00:00:00.0000000"}
    )
    records, _ = shop.read(source, start)
    assert Counter((int(r.fields["A"]), int(r.fields["B"])) for r in records) == Counter((a, b) for a, b, *_ in rows)


def test_an_empty_table_leaves_a_bookmark_from_which_its_first_row_is_found(shop: Shop) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, ModifiedAt DATETIME2, RowVer ROWVERSION")
    for mode in (MODIFIED_AT, ROWVERSION):
        source = shop.declare(capture=mode)
        records, position = shop.read(source)
        assert records == []
        shop.run("INSERT INTO Item VALUES (1, ?, ?)", at(90 * 24 * 60), version(3))
        records, _ = shop.read(source, position)
        assert [record.key for record in records] == [1]
        shop.run("DELETE FROM Item")


def test_an_interrupted_scan_goes_on_where_it_stopped_whatever_the_key_type(shop: Shop) -> None:
    keys = [(n, f"2024-01-0{n} 00:00:00.000{n}", f"00000000-0000-0000-0000-00000000000{n}") for n in range(1, 6)]
    shop.table(
        "Item",
        "A DECIMAL(9,2) NOT NULL, B DATETIME2(7) NOT NULL, C UNIQUEIDENTIFIER NOT NULL, PRIMARY KEY (A, B, C)",
        keys,
    )
    source = shop.declare(key="A, B, C", rest=["page_rows: 2"])
    first = shop.batches(source)[0]
    rest, _ = shop.read(source, first.position)
    assert sorted(r.fields["C"].int for r in [*first.records, *rest]) == [1, 2, 3, 4, 5]


# --- the hand-over from the scan to the increments -------------------------------------------------------------------


@pytest.mark.parametrize("cut_short", [False, True])
@pytest.mark.parametrize("mode", ["rowversion", "modified_at"])
@pytest.mark.parametrize("page", [1, 2, 3])
def test_what_changes_between_the_pages_of_the_first_scan_is_not_lost(
    shop: Shop, mode: str, page: int, cut_short: bool
) -> None:
    shop.table(
        "Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(20), ModifiedAt DATETIME2, RowVer ROWVERSION",
        [(n, "old", at(60), version(n)) for n in range(10, 16)],
    )  # fmt: skip
    source = shop.declare(capture=ROWVERSION if mode == "rowversion" else MODIFIED_AT, rest=["page_rows: 2"])
    database, reader = shop.open(source)
    names: dict[Any, str] = {}
    position: Any = None
    with closing(database):
        batches = reader.read(None)
        for number, batch in enumerate(batches, 1):
            names.update((record.key, record.fields["Name"]) for record in batch.records)
            position = batch.position
            if number == page:
                shop.run(
                    "UPDATE Item SET Name = 'new', ModifiedAt = ?, RowVer = ? WHERE Id IN (10, 13, 15)",
                    at(0.5),
                    version(50),
                )
                shop.run(
                    "INSERT INTO Item VALUES (9, 'new', ?, ?), (99, 'new', ?, ?)",
                    at(0.4),
                    version(51),
                    at(0.4),
                    version(52),
                )
                if cut_short:
                    break
    # A scan that was cut short is ended by the next run; the run after it reads what changed meanwhile.
    for _ in range(2 if cut_short else 1):
        records, position = shop.read(source, position)
        names.update((record.key, record.fields["Name"]) for record in records)
    assert {key for key, name in names.items() if name == "new"} == {9, 10, 13, 15, 99}
    assert set(names) == {9, 10, 11, 12, 13, 14, 15, 99}


# --- modified_at -----------------------------------------------------------------------------------------------------


def items(shop: Shop, *rows: tuple[int, str | None]) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, ModifiedAt DATETIME2(7)", rows)


def keys_of(records: Any) -> list[int]:
    return [int(record.key) for record in records]


def test_a_row_dated_ahead_waits_and_does_not_carry_the_bookmark_away(shop: Shop) -> None:
    items(shop, (1, at(60)))
    source = shop.declare(capture=MODIFIED_AT)
    _, position = shop.read(source)
    shop.insert("Item", [(2, "2099-01-01 00:00:00"), (3, at(30))])
    records, position = shop.read(source, position)
    assert keys_of(records) == [1, 3]
    assert position["modified_at"] == at(30) + ".0000000"
    shop.insert("Item", [(4, at(10))])
    assert 4 in keys_of(shop.read(source, position)[0])
    shop.run("UPDATE Item SET ModifiedAt = ? WHERE Id = 2", at(5))
    assert 2 in keys_of(shop.read(source, position)[0])


def test_a_scan_lands_a_row_dated_far_ahead_as_of_now_so_that_what_comes_is_newer(shop: Shop) -> None:
    items(shop, (1, "2099-01-01 00:00:00"), (2, at(60)))
    source = shop.declare(capture=MODIFIED_AT)
    records, position = shop.read(source)
    versions = {int(record.key): str(record.version) for record in records}
    assert versions[2] == at(60) + ".0000000"
    assert at(0) <= versions[1] < at(-24 * 60)
    assert position["modified_at"] == at(60) + ".0000000"


def test_rows_without_a_value_are_read_by_the_first_scan_and_counted(shop: Shop) -> None:
    items(shop, (1, None), (2, at(60)), (3, None))
    source = shop.declare(capture=MODIFIED_AT)
    records, position = shop.read(source)
    assert keys_of(records) == [1, 2, 3]
    assert keys_of(shop.read(source, position)[0]) == [2]
    database, reader = shop.open(source)
    with closing(database):
        findings = reader.findings()
    assert findings.figures == {"rows_without_capture_value": 2}
    assert findings.warnings == ["2 rows have no ModifiedAt: their changes are seen by full runs only."]


def test_a_late_commit_within_the_lag_is_found_and_one_beyond_it_is_not(shop: Shop) -> None:
    items(shop, (1, at(60)))
    source = shop.declare(capture=MODIFIED_AT)
    _, position = shop.read(source)
    shop.insert("Item", [(2, at(64.9)), (3, at(65.1))])
    assert keys_of(shop.read(source, position)[0]) == [2, 1]


def test_rows_of_the_last_moment_wait_for_the_margin(shop: Shop) -> None:
    items(shop, (1, at(3000)), (2, at(1)))
    source = shop.declare(capture="{mode: modified_at, column: ModifiedAt, lag: 5m, margin: 24h}")
    records, position = shop.read(source)
    assert keys_of(records) == [1, 2], "the first scan takes everything"
    assert position["modified_at"].startswith(at(3000)), "but goes on from where no writer can be open"


def test_the_bookmark_never_goes_back_and_keeps_all_seven_digits(shop: Shop) -> None:
    items(shop, (1, "2024-01-01 10:00:00.1234567"))
    source = shop.declare(capture=MODIFIED_AT)
    _, position = shop.read(source)
    assert position["modified_at"] == "2024-01-01 10:00:00.1234567"
    shop.insert("Item", [(2, "2024-01-01 09:58:00")])
    records, position = shop.read(source, position)
    assert keys_of(records) == [2, 1]
    assert position["modified_at"] == "2024-01-01 10:00:00.1234567"


def test_what_is_written_in_the_hour_that_comes_twice_is_found(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In London the clocks go from 02:00 back to 01:00 on 27 October 2024: rows written then lie below the bookmark."""
    items(shop, (1, "2024-10-27 01:58:00"))
    source = shop.declare(capture=MODIFIED_AT)
    monkeypatch.setattr(modified_at, "now", lambda: dt.datetime(2024, 10, 27, 1, 20, tzinfo=dt.timezone.utc))
    _, position = shop.read(source)
    shop.insert("Item", [(2, "2024-10-27 01:10:00")])
    assert keys_of(shop.read(source, position)[0]) == [2, 1]


@pytest.mark.parametrize("text", ["2024-03-31 01:30:00", "2024-10-27 01:30:00"])
def test_times_that_the_clocks_skip_or_repeat_are_read(shop: Shop, text: str) -> None:
    items(shop, (1, text), (2, "2024-05-01 00:00:00"))
    source = shop.declare(capture=MODIFIED_AT)
    records, position = shop.read(source)
    assert keys_of(records) == [1, 2]
    increment, _ = shop.read(source, {"modified_at": "2024-03-01 00:00:00.0000000"})
    assert sorted(keys_of(increment)) == [1, 2]
    assert position["modified_at"] == max(text, "2024-05-01 00:00:00") + ".0000000"


def test_a_value_that_is_no_date_time_stops_only_its_own_row(shop: Shop) -> None:
    items(shop, (1, "2024-99-99 00:00:00"), (2, at(60)), (3, "soon"))
    source = shop.declare(capture=MODIFIED_AT)
    batches = shop.batches(source)
    assert [r.key for b in batches for r in b.records] == [2]
    assert [r.key_text for b in batches for r in b.rejected] == ["1", "3"]
    shop.run("DELETE FROM Item WHERE Id <> 1")
    assert shop.batches(source)[-1].position == {"modified_at": "0001-01-02 00:00:00.0000000"}


# --- rowversion ------------------------------------------------------------------------------------------------------


def test_rowversions_compare_as_unsigned_numbers(shop: Shop) -> None:
    low, middle, high = version(2**63 - 1), version(2**63), version(2**64 - 2)
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, RowVer ROWVERSION", [(1, low), (2, middle), (3, high)])
    source = shop.declare(capture=ROWVERSION, rest=["page_rows: 1"])
    records, position = shop.read(source)
    assert position["rowversion"] == version(2**64 - 1)
    records, _ = shop.read(source, {"rowversion": middle})
    assert keys_of(records) == [2, 3]
    assert [record.version for record in records] == [middle, high]


def test_a_rowversion_run_leaves_the_position_that_it_took_before_reading(shop: Shop) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, RowVer ROWVERSION", [(1, version(5))])
    source = shop.declare(capture=ROWVERSION)
    database, reader = shop.open(source)
    with closing(database):
        batches = reader.read({"rowversion": version(0)})
        first = next(batches)
        shop.run("INSERT INTO Item VALUES (2, ?)", version(6))
        *_, last = batches
    assert keys_of(first.records) == [1]
    assert last.position["rowversion"] == version(6)
    assert keys_of(shop.read(source, last.position)[0]) == [2]


# --- partitions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declaration", ["DATETIME2(7)", "DATE"])
def test_a_window_of_days_is_half_open(shop: Shop, declaration: str) -> None:
    times = ["2024-01-31", "2024-02-01", "2024-02-02", "2024-02-03"]
    if declaration != "DATE":
        times = [
            "2024-01-31 23:59:59.9999999",
            "2024-02-01 00:00:00",
            "2024-02-02 23:59:59.9999999",
            "2024-02-03 00:00:00.0000000",
        ]
    shop.table("Item", f"Id INT NOT NULL PRIMARY KEY, D {declaration}", [*enumerate(times), (9, None)])
    source = shop.declare(rest=["partitions: {by: day, start: 2024-01-01, column: D}", "page_rows: 1"])
    database, reader = shop.open(source)
    with closing(database):
        batches = list(reader.read_window(Window(dt.date(2024, 2, 1), dt.date(2024, 2, 3))))
    assert [int(r.key) for b in batches for r in b.records] == [1, 2]
    assert [r.partition for b in batches for r in b.records] == ["2024-02-01", "2024-02-02"]
    assert all(not b.position for b in batches), "a backfill moves no bookmark"


def test_days_side_by_side_cover_every_row_once(shop: Shop) -> None:
    start = dt.datetime(2024, 3, 30)
    rows = [(n, (start + dt.timedelta(hours=n)).isoformat(" ")) for n in range(72)]
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, D DATETIME", rows)
    source = shop.declare(rest=["partitions: {by: day, start: 2024-01-01, column: D}", "page_rows: 5"])
    database, reader = shop.open(source)
    read: list[int] = []
    with closing(database):
        for day in range(3):
            first = (start + dt.timedelta(days=day)).date()
            read += [
                int(r.key) for b in reader.read_window(Window(first, first + dt.timedelta(days=1))) for r in b.records
            ]
    assert read == list(range(72))
