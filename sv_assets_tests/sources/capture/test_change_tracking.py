"""Change tracking: changed rows with their values of now, deleted ones, and no change lost or passed over silently."""

from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv_assets.catalogue import Source
from sv_assets.errors import ConfigurationError
from sv_assets.sources.capture import pages
from sv_assets.sources.records import Batch
from sv_assets_tests.examples import examples
from sv_assets_tests.sources.change_tracking import TrackedShop
from sv_assets_tests.sources.shop import Shop


@pytest.fixture
def tracked(shop: Shop) -> TrackedShop:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40)", [(1, "one"), (2, "two")])
    return TrackedShop(shop)


def declared(shop: Shop) -> Source:
    return shop.declare(capture="{mode: change_tracking}", rest=["page_rows: 2"])


def read(tracked: TrackedShop, position: Any = None) -> list[Batch]:
    database, reader = tracked.open(declared(tracked.shop))
    with closing(database):
        return list(reader.read(position))


def told(batches: list[Batch]) -> dict[Any, str | None]:
    names: dict[Any, str | None] = {r.key: r.fields["Name"] for b in batches for r in b.records}
    return names | {d.key: None for b in batches for d in b.deletions}


def test_a_scan_comes_first_and_then_what_changed_with_its_values_of_now(tracked: TrackedShop) -> None:
    scan = read(tracked)
    assert told(scan) == {1: "one", 2: "two"}
    tracked.write((3, "three"))
    tracked.write((1, "one again"))
    tracked.write((1, "and again"))
    tracked.delete(2)
    changes = read(tracked, scan[-1].position)
    assert told(changes) == {3: "three", 1: "and again", 2: None}
    assert {r.key: r.version for b in changes for r in b.records} == {3: 11, 1: 13}
    assert [d.version for b in changes for d in b.deletions] == [14]
    assert all(r.version == 10 for b in scan for r in b.records)
    assert told(read(tracked, changes[-1].position)) == {}


def test_a_transaction_of_many_rows_is_read_in_pages_and_gone_on_with(tracked: TrackedShop) -> None:
    position = read(tracked)[-1].position
    tracked.write(*((n, f"n{n}") for n in range(10, 17)))
    first, *rest = read(tracked, position)
    assert len(first.records) == 2
    assert first.position == {"change_tracking": 10, "after": [11, 11]}
    assert told(read(tracked, first.position)) == told(rest)
    assert told([first, *rest]) == {n: f"n{n}" for n in range(10, 17)}


def test_a_page_of_large_changes_ends_by_their_bytes_and_the_rest_follows(
    tracked: TrackedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked.shop.run("DROP TABLE Item")
    tracked.shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NTEXT")
    monkeypatch.setattr(pages, "PAGE_BYTES", 100)
    position = read(tracked)[-1].position
    tracked.write(*((n, "x" * 60) for n in range(5)))
    monkeypatch.setattr(pages, "_ROWS_A_FETCH", 1)
    source = tracked.shop.declare(capture="{mode: change_tracking}", rest=["page_rows: 50"])
    database, reader = tracked.open(source)
    with closing(database):
        batches = list(reader.read(position))
    assert [len(b.records) for b in batches] == [2, 2, 1]
    assert told(batches) == dict.fromkeys(range(5), "x" * 60)


def test_a_version_that_is_no_longer_valid_means_the_whole_table_again_and_is_said(tracked: TrackedShop) -> None:
    position = read(tracked)[-1].position
    tracked.delete(1)
    tracked.clean_up()
    database, reader = tracked.open(declared(tracked.shop))
    with closing(database):
        assert told(list(reader.read(position))) == {2: "two"}
        findings = reader.findings()
    assert reader.scanned
    assert findings.figures == {"gaps": 1}
    assert "CHANGE_RETENTION" in findings.warnings[0]


@pytest.mark.parametrize(
    ("break_it", "statement"),
    [
        (lambda t: setattr(t, "current_is_known", False), "ALTER DATABASE [Shop] SET CHANGE_TRACKING = ON"),
        (lambda t: setattr(t, "minimum", None), "GRANT VIEW CHANGE TRACKING ON [dbo].[Item] TO"),
        (
            lambda t: (setattr(t, "minimum", None), t.system_table("DELETE FROM change_tracking_tables")),
            "ALTER TABLE [dbo].[Item] ENABLE CHANGE_TRACKING",
        ),
        (
            lambda t: t.system_table("UPDATE databases SET snapshot_isolation_state = 0"),
            "ALTER DATABASE [Shop] SET ALLOW_SNAPSHOT_ISOLATION ON",
        ),
    ],
)
def test_what_is_not_set_up_names_the_statement_a_dba_must_run(
    tracked: TrackedShop, break_it: Any, statement: str
) -> None:
    break_it(tracked)
    with pytest.raises(ConfigurationError) as caught:
        read(tracked)
    assert statement in str(caught.value)
    assert str(caught.value).startswith("system shop: table dbo.Item: ")


@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_history_read_in_any_pieces_ends_in_the_state_of_the_table(shop: Shop, data: st.DataObject) -> None:
    shop.catalogued.database.unlink(missing_ok=True)
    shop.catalogued.database.with_name("shop.sys.sqlite").unlink(missing_ok=True)
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40)", [(1, "one")])
    tracked, position = TrackedShop(shop), None
    table: dict[int, str] = {1: "one"}
    landed: dict[Any, tuple[Any, Any]] = {}

    def land(at_most: int | None) -> None:
        nonlocal position
        database, reader = tracked.open(declared(shop))
        with closing(database):
            for number, batch in enumerate(reader.read(position)):
                if number == at_most:
                    return
                for key, version, name in [
                    *((r.key, r.version, r.fields["Name"]) for r in batch.records),
                    *((d.key, d.version, None) for d in batch.deletions),
                ]:
                    if key not in landed or landed[key][0] < version or (landed[key][0] == version and name):
                        landed[key] = (version, name)
                position = batch.position
            if reader.scanned:
                for key in set(landed) - set(reader.keys()):
                    landed[key] = (reader.deletion_version(), None)

    for n, step in enumerate(data.draw(st.lists(st.sampled_from("wwdrkc"), min_size=4, max_size=25))):
        keys = data.draw(st.sets(st.integers(1, 7), min_size=1, max_size=5))
        if step == "w":
            tracked.write(*((key, f"v{n}") for key in keys))
            table |= dict.fromkeys(keys, f"v{n}")
        elif step == "d":
            tracked.delete(*(gone := keys & table.keys()))
            table = {key: name for key, name in table.items() if key not in gone}
        elif step in "rk":
            land(None if step == "r" else data.draw(st.integers(0, 3)))
        else:
            tracked.clean_up()
    for _ in range(2):  # what changed during a scan is for the run after it
        land(None)
    assert {key: name for key, (_, name) in landed.items() if name is not None} == table
