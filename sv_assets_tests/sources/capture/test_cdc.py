"""CDC: every change once, in the order of the log; gaps are read again whole, and loudly."""

import datetime as dt
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv_assets.catalogue import Source
from sv_assets.errors import ConfigurationError
from sv_assets.sources.capture.cdc import Place
from sv_assets.sources.records import Batch, Window
from sv_assets_tests.examples import examples
from sv_assets_tests.sources.change_log import AFTER, BEFORE, DELETE, INSERT, ChangeLog, lsn
from sv_assets_tests.sources.shop import Shop

COLUMNS = "Id INT, Name NVARCHAR(40)"


@pytest.fixture
def log(shop: Shop) -> ChangeLog:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40)", [(1, "one"), (2, "two")])
    log = ChangeLog(shop)
    log.enable(COLUMNS)
    return log


def declared(shop: Shop, *rest: str, capture: str = "{mode: cdc}") -> Source:
    return shop.declare(capture=capture, rest=["page_rows: 2", *rest])


def told(batches: list[Batch]) -> list[tuple[Any, Any]]:
    """What the batches say happened, in the order of versions: (key, name), and no name for a deleted row."""
    changes = [(r.version, r.key, r.fields["Name"]) for b in batches for r in b.records]
    changes += [(d.version, d.key, None) for b in batches for d in b.deletions]
    return [(key, name) for _, key, name in sorted(changes)]


def test_a_scan_comes_first_and_changes_follow_in_the_order_of_the_log(shop: Shop, log: ChangeLog) -> None:
    source = declared(shop)
    log.tick()
    records, position = shop.read(source)
    assert [(r.key, r.fields) for r in records] == [(1, {"Id": 1, "Name": "one"}), (2, {"Id": 2, "Name": "two"})]
    log.commit(INSERT, (3, "three"))
    log.commit(AFTER, (1, "one again"))
    log.commit(DELETE, (2, "two"))
    batches = shop.batches(source, position)
    assert told(batches) == [(3, "three"), (1, "one again"), (2, None)]
    assert all(r.version > records[0].version for b in batches for r in b.records)
    assert told(shop.batches(source, batches[-1].position)) == []


def test_changes_of_one_transaction_are_ordered_by_command_before_sequence(shop: Shop, log: ChangeLog) -> None:
    """The log of this test counts sequence values down, as the ones of a transaction's commands may be."""
    source = declared(shop)
    log.tick()
    _, position = shop.read(source)
    log.record((INSERT, (5, "a")), (BEFORE, (5, "a")), (AFTER, (5, "b")), (DELETE, (5, "b")), (INSERT, (5, "c")))
    batches = shop.batches(source, position)
    assert told(batches)[-1] == (5, "c")
    assert "a" not in [name for _, name in told(batches[-2:])]


def test_a_change_table_without_command_ids_is_read(shop: Shop) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40)")
    log = ChangeLog(shop)
    log.enable(COLUMNS, command_id=False)
    log.tick()
    source = declared(shop)
    _, position = shop.read(source)
    for n in range(5):
        log.record((INSERT, (n, f"n{n}")), command_id=False)
    assert told(shop.batches(source, position)) == [(n, f"n{n}") for n in range(5)]


def test_the_bookmark_moves_on_where_nothing_of_the_table_changed(shop: Shop, log: ChangeLog) -> None:
    source = declared(shop)
    log.tick()
    _, position = shop.read(source)
    number = [log.tick() for _ in range(5)][-1]
    _, moved = shop.read(source, position)
    assert Place.of(moved["cdc"]) == Place(lsn(number))
    log.clean_up(number)
    log.commit(INSERT, (9, "nine"))
    batches = shop.batches(source, moved)
    assert told(batches) == [(9, "nine")], "no gap, although everything before was cleaned up"


def test_a_run_goes_on_within_a_transaction_that_it_did_not_finish(shop: Shop, log: ChangeLog) -> None:
    source = declared(shop)
    log.tick()
    _, position = shop.read(source)
    log.record(*((INSERT, (n, f"n{n}")) for n in range(10, 17)))
    first, *rest = shop.batches(source, position)
    assert len(first.records) == 2
    assert told(shop.batches(source, first.position)) == told(rest)
    assert told([first, *rest]) == [(n, f"n{n}") for n in range(10, 17)]


def test_a_gap_is_read_again_whole_and_said(shop: Shop, log: ChangeLog) -> None:
    source = declared(shop)
    log.tick()
    _, position = shop.read(source)
    log.commit(INSERT, (3, "three"))
    log.commit(DELETE, (1, "one"))
    log.clean_up(log.tick())
    database, reader = shop.open(source)
    with closing(database):
        batches = list(reader.read(position))
        findings = reader.findings()
    assert reader.scanned
    assert sorted((r.key, r.fields["Name"]) for b in batches for r in b.records) == [(2, "two"), (3, "three")]
    assert findings.figures["gaps"] == 1
    assert "read whole again" in findings.warnings[0]
    assert told(shop.batches(source, batches[-1].position)) == []


def test_a_scan_right_after_cdc_was_enabled_leaves_no_gap(shop: Shop, log: ChangeLog) -> None:
    """The capture job has noted nothing yet: the position is where the instance begins."""
    source = declared(shop)
    _, position = shop.read(source)
    log.commit(INSERT, (3, "three"))
    assert told(shop.batches(source, position)) == [(3, "three")]


def test_two_instances_during_a_schema_change_are_read_one_after_the_other(shop: Shop, log: ChangeLog) -> None:
    source = declared(shop)
    log.tick()
    _, position = shop.read(source)
    log.commit(INSERT, (3, "three"))
    shop.run("ALTER TABLE Item ADD COLUMN Colour NVARCHAR(9)")
    log.enable(COLUMNS + ", Colour NVARCHAR(9)", instance="dbo_Item_v2")
    for n in (4, 5):  # from here on both instances see every change
        log.record((INSERT, (n, f"n{n}")))
        log.number -= 1
        log.run("DELETE FROM lsn_time_mapping WHERE start_lsn = ?", lsn(log.number + 1))
        log.record((INSERT, (n, f"n{n}", "red")), instance="dbo_Item_v2")
    batches = shop.batches(source, position)
    assert told(batches) == [(3, "three"), (4, "n4"), (5, "n5")]
    assert [r.fields.get("Colour") for b in batches for r in b.records] == [None, "red", "red"]
    log.run("DELETE FROM change_tables WHERE capture_instance = 'dbo_Item'")
    log.run('DROP TABLE "dbo_Item_CT"')
    log.record((INSERT, (6, "six", "blue")), instance="dbo_Item_v2")
    assert told(shop.batches(source, batches[-1].position)) == [(6, "six")]


def test_a_bad_change_that_a_later_one_mends_in_the_same_page_is_not_kept(shop: Shop, log: ChangeLog) -> None:
    source = declared(shop)
    log.tick()
    _, position = shop.read(source)
    log.record((INSERT, (7, b"no text")), (AFTER, (7, "text")))
    batches = shop.batches(source, position)
    assert told(batches) == [(7, "text")]
    assert not any(b.rejected for b in batches)


@pytest.mark.parametrize(("by", "partition"), [("day", "2026-11-20"), ("hour", "2026-11-20-12:00")])
def test_changes_belong_to_the_time_at_which_they_were_committed(
    shop: Shop, log: ChangeLog, by: str, partition: str
) -> None:
    source = declared(shop, f"partitions: {{by: {by}, start: 2026-01-01}}")
    log.commit(INSERT, (3, "three"))
    log.tick(minutes=24 * 60)
    log.commit(INSERT, (4, "four"))
    database, reader = shop.open(source)
    start = dt.datetime.fromisoformat(partition[:10]) + dt.timedelta(hours=12)
    with closing(database):
        batches = list(reader.read_window(Window(start, start + dt.timedelta(hours=1))))
        assert list(reader.read_window(Window(dt.date(2026, 1, 1), dt.date(2026, 1, 2)))) == []
    assert told(batches) == [(3, "three")]
    assert [r.partition for b in batches for r in b.records] == [partition]
    assert not any(b.position for b in batches)


def test_a_window_whose_changes_were_cleaned_up_says_so(shop: Shop, log: ChangeLog) -> None:
    source = declared(shop, "partitions: {by: day, start: 2026-01-01}")
    log.commit(INSERT, (3, "three"))
    log.run("UPDATE change_tables SET start_lsn = ?", lsn(log.number + 5))
    database, reader = shop.open(source)
    with closing(database), pytest.raises(ConfigurationError, match="cleaned up at the source"):
        list(reader.read_window(Window(dt.date(2026, 11, 20), dt.date(2026, 11, 21))))


def test_computed_columns_are_left_out_because_cdc_gives_null_for_them(shop: Shop) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40), Twice INT GENERATED ALWAYS AS (Id * 2)")
    shop.run("INSERT INTO Item (Id, Name) VALUES (1, 'one')")
    log = ChangeLog(shop)
    log.enable("Id INT, Name NVARCHAR(40), Twice INT")
    ((record,), _) = shop.read(declared(shop))
    assert record.fields == {"Id": 1, "Name": "one"}


@pytest.mark.parametrize(
    ("break_it", "statement"),
    [
        ("DROP TABLE change_tables", "sp_cdc_enable_db"),
        ("DELETE FROM change_tables", "sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'Item'"),
        ('DROP TABLE "dbo_Item_CT"', "GRANT SELECT ON SCHEMA::cdc"),
        ('ALTER TABLE "dbo_Item_CT" DROP COLUMN Id', "@captured_column_list"),
    ],
)
def test_what_is_not_set_up_names_the_statement_a_dba_must_run(
    shop: Shop, log: ChangeLog, break_it: str, statement: str
) -> None:
    log.run(break_it)
    with pytest.raises(ConfigurationError) as caught:
        shop.read(declared(shop))
    assert statement in str(caught.value)
    assert str(caught.value).startswith("system shop: table dbo.Item: ")


@given(
    st.tuples(st.binary(min_size=10, max_size=10), st.integers(0, 2**31 - 1), st.binary(min_size=10, max_size=10), st.integers(1, 4)),
    st.tuples(st.binary(min_size=10, max_size=10), st.integers(0, 2**31 - 1), st.binary(min_size=10, max_size=10), st.integers(1, 4)),
)  # fmt: skip
def test_versions_sort_as_the_log_does(one: Any, other: Any) -> None:
    assert (Place(*one).version < Place(*other).version) == (one < other)
    assert Place.of(Place(*one).version) == Place(*one)
    assert Place(one[0]).version >= Place(*one).version


@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_history_read_in_any_pieces_ends_in_the_state_of_the_table(shop: Shop, data: st.DataObject) -> None:
    """Changes, clean-ups and runs that stop after any batch, in any order: replayed, they are the table."""
    shop.catalogued.database.with_name("shop.cdc.sqlite").unlink(missing_ok=True)
    shop.run("DROP TABLE IF EXISTS Item")
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40)", [(1, "one")])
    log = ChangeLog(shop)
    log.enable(COLUMNS)
    source, position = declared(shop), None
    table: dict[int, str] = {1: "one"}
    landed: dict[Any, tuple[Any, Any]] = {}

    def land(at_most: int | None) -> None:
        nonlocal position
        database, reader = shop.open(source)
        with closing(database):
            for number, batch in enumerate(reader.read(position)):
                if number == at_most:
                    return
                for key, version, name in [
                    *((r.key, r.version, r.fields["Name"]) for r in batch.records),
                    *((d.key, d.version, None) for d in batch.deletions),
                ]:
                    if key not in landed or landed[key][0] < version:
                        landed[key] = (version, name)
                position = batch.position or position
            if reader.scanned:  # what landing's comparison of keys does after a scan
                for key in set(landed) - set(reader.keys()):
                    landed[key] = (reader.deletion_version(), None)

    for n, step in enumerate(data.draw(st.lists(st.sampled_from("iudrkc"), min_size=4, max_size=25))):
        key = data.draw(st.integers(1, 5))
        if step in "iu":
            log.commit(AFTER if key in table else INSERT, (key, f"v{n}"))
            table[key] = f"v{n}"
        elif step == "d" and key in table:
            log.commit(DELETE, (key, table.pop(key)))
        elif step == "r":
            land(None)
        elif step == "k":
            land(data.draw(st.integers(0, 3)))
        elif step == "c":
            log.clean_up(log.number)
    for _ in range(2):  # what changed during a scan is for the run after it
        land(None)
    assert {key: name for key, (_, name) in landed.items() if name is not None} == table
