"""What an engineer sees of a table in the UI: its landing, the reconciliation of its deletes, and their checks."""

import datetime as dt
from typing import Any

import dagster as dg
import pytest

from sv_assets.catalogue import Source
from sv_assets.components.keys import landing_key
from sv_assets.components.landing_assets import (
    CAPTURE_CHECK,
    foreign_key_lineage,
    landing_asset,
    legacy_asset,
    partitions_of,
)
from sv_assets.components.reconciliation_assets import DELETES_CHECK, reconciliation_asset
from sv_assets.components.source_checks import audits_of
from sv_assets.landing.skip import why_not_now
from sv_assets.mongo import Store
from sv_assets.resources import MongoResource
from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.landing.estate import CAPTURES, ITEM, item, live_names
from sv_assets_tests.sources.change_log import INSERT, ChangeLog
from sv_assets_tests.sources.shop import Shop


@pytest.fixture
def shop(catalogued: Catalogued) -> Shop:
    return Shop(catalogued)


def ran(
    source: Source, instance: dg.DagsterInstance, config: dict[str, Any] | None = None, **how: Any
) -> dg.ExecuteInProcessResult:
    """Landing, and its reconciliation where it has one, as a run of the UI would do them."""
    assets = [landing_asset(source), *([] if source.table.capture.mode == "cdc" else [reconciliation_asset(source)])]
    key = landing_key(source).to_python_identifier()
    ops = {f"{key}__deletes": {"config": config}} if config else {}
    return dg.materialize(
        assets, resources={"mongo": MongoResource()}, instance=instance, run_config={"ops": ops}, **how
    )


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    return {e.check_name: (e.passed, e.description or "") for e in result.get_asset_check_evaluations()}


def test_too_many_deletes_are_refused_until_the_launch_config_allows_them(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(n) for n in range(1, 11)])
    source = shop.declare(capture=CAPTURES["rowversion"])
    with dg.DagsterInstance.ephemeral() as instance:
        assert checks_of(ran(source, instance))[DELETES_CHECK][0]
        shop.run("DELETE FROM Item WHERE Id > 5")
        passed, sentence = checks_of(ran(source, instance))[DELETES_CHECK]
        assert not passed
        assert sentence.startswith("5 of 10 landed rows are gone from the source, more than 20%: none was deleted.")
        assert "allow_deletes: true" in sentence
        assert len(live_names(store, source)) == 10
        passed, sentence = checks_of(ran(source, instance, {"allow_deletes": True}))[DELETES_CHECK]
    assert passed
    assert sentence == "5 of 10 landed rows are gone from the source and were deleted."
    assert sorted(live_names(store, source)) == [1, 2, 3, 4, 5]


def test_all_keys_are_compared_where_the_launch_config_says_so(store: Store, shop: Shop) -> None:
    """A row that never landed hides a deleted one from the counts."""
    shop.table("Item", ITEM, [item(n) for n in range(1, 11)])
    source = shop.declare(capture=CAPTURES["modified_at"])
    with dg.DagsterInstance.ephemeral() as instance:
        ran(source, instance)
        shop.run("DELETE FROM Item WHERE Id = 4")
        shop.insert("Item", [(11, "undated", 1, None, None)])
        result = ran(source, instance)
        assert not checks_of(result)[CAPTURE_CHECK][0]
        assert "1 rows have no ModifiedAt" in checks_of(result)[CAPTURE_CHECK][1]
        assert 4 in live_names(store, source)
        ran(source, instance, {"compare_all": True})
    assert 4 not in live_names(store, source)


@pytest.mark.parametrize(("by", "key"), [("day", "2026-11-20"), ("hour", "2026-11-20-12:00")])
def test_a_day_or_an_hour_of_changes_can_be_landed_again(store: Store, shop: Shop, by: str, key: str) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40)")
    log = ChangeLog(shop)
    log.enable("Id INT, Name NVARCHAR(40)")
    log.commit(INSERT, (1, "at noon"))
    log.tick(minutes=48 * 60)
    log.commit(INSERT, (2, "two days later"))
    source = shop.declare(capture="{mode: cdc}", rest=[f"partitions: {{by: {by}, start: 2026-11-01}}"])
    with dg.DagsterInstance.ephemeral() as instance:
        result = ran(source, instance, partition_key=key)
        assert checks_of(result)[CAPTURE_CHECK][0]
        assert live_names(store, source) == {1: "at noon"}
        assert store.control["bookmarks"].find_one({"_id": source.key}) is None
        ran(source, instance)
        partitions = partitions_of(source)
        assert partitions is not None
        materialized = instance.get_materialized_partitions(landing_key(source))
    assert live_names(store, source) == {1: "at noon", 2: "two days later"}
    assert materialized <= set(partitions.get_partition_keys())
    assert key in materialized


def test_a_gap_in_the_log_is_a_warning_of_the_run_that_found_it(store: Store, shop: Shop) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40)", [(1, "one")])
    log = ChangeLog(shop)
    log.enable("Id INT, Name NVARCHAR(40)")
    log.tick()
    source = shop.declare(capture="{mode: cdc}")
    with dg.DagsterInstance.ephemeral() as instance:
        assert checks_of(ran(source, instance))[CAPTURE_CHECK][0]
        log.tick()
        log.clean_up(log.tick())
        passed, sentence = checks_of(ran(source, instance))[CAPTURE_CHECK]
        assert not passed
        assert "the table was read whole again" in sentence
        assert checks_of(ran(source, instance))[CAPTURE_CHECK][0]


def test_a_system_is_left_alone_outside_its_allowed_times(
    store: Store, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.table("Item", ITEM, [item(1)])
    source = shop.declare(capture=CAPTURES["rowversion"])
    hour = dt.datetime.now(dt.timezone.utc).hour
    never_now = [f"* {(hour + 12) % 24} * * *"]
    closed = Source(source.sql_system.model_copy(update={"allowed_times": never_now, "time_zone": "UTC"}), source.table)
    with dg.DagsterInstance.ephemeral() as instance:
        result = ran(closed, instance)
    assert result.success
    assert "may not be read at this time; the next time is" in checks_of(result)[CAPTURE_CHECK][1]
    assert live_names(store, source) == {}
    opened = Source(source.sql_system.model_copy(update={"allowed_times": ["* * * * *"]}), source.table)
    assert why_not_now(opened) == ""


def test_a_table_that_vanished_keeps_what_has_landed(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(1)])
    source = shop.declare(capture=CAPTURES["rowversion"])
    with dg.DagsterInstance.ephemeral() as instance:
        ran(source, instance)
        shop.run("DROP TABLE Item")
        gone = shop.declare(capture=CAPTURES["rowversion"], rest=["vanished: 2026-11-24"])
        result = ran(gone, instance)
    assert result.success
    assert "vanished from shop" in checks_of(result)[DELETES_CHECK][1]
    assert live_names(store, source) == {1: "old"}


COLUMNS = "columns: {Id: int, Name: nvarchar(40), Price: 'decimal(9,2)', ModifiedAt: datetime2(3), RowVer: rowversion}"


def schema_check(source: Source, instance: dg.DagsterInstance) -> tuple[bool, str]:
    result = dg.materialize(
        [landing_asset(source), audits_of([source])], resources={"mongo": MongoResource()}, instance=instance
    )
    return checks_of(result)["schema_as_declared"]


def test_a_schema_that_drifts_from_its_declaration_is_said_and_the_run_goes_on(store: Store, shop: Shop) -> None:
    shop.table("Item", ITEM, [item(1)])
    source = shop.declare(capture=CAPTURES["snapshot"], rest=[COLUMNS])
    with dg.DagsterInstance.ephemeral() as instance:
        assert schema_check(source, instance) == (
            True,
            "dbo.Item has the 5 columns, the key and the 0 foreign keys that are declared.",
        )
        shop.run("ALTER TABLE Item ADD COLUMN Colour NVARCHAR(9)")
        shop.run("ALTER TABLE Item DROP COLUMN Price")
        passed, sentence = schema_check(source, instance)
    assert not passed
    assert "Colour is new: nvarchar(9)" in sentence
    assert "Price is no longer there" in sentence
    assert "`sv introspect shop` brings the declaration up to date" in sentence
    assert live_names(store, source) == {1: "old"}


def test_foreign_keys_are_lines_between_the_legacy_tables_unless_they_close_a_circle(shop: Shop) -> None:
    refers = "foreign_keys: [{{columns: [{0}], table: {1}, key: [Id]}}]"
    entry = "    - {{name: {0}, key: [Id], capture: {{mode: snapshot}}, {1}}}\n"
    shop.catalogued.declare(
        entry.format("dbo.A", refers.format("B", "dbo.B"))
        + entry.format("dbo.B", refers.format("C", "dbo.C"))
        + entry.format("dbo.C", refers.format("A", "dbo.A"))
        + entry.format("dbo.D", refers.format("D", "dbo.D"))
    )
    sources = shop.catalogue.sources
    lineage = foreign_key_lineage(sources)
    assert {key: [other.name for other in others] for key, others in lineage.items()} == {
        "shop.a": ["dbo.B"], "shop.b": ["dbo.C"], "shop.c": [], "shop.d": [],
    }  # fmt: skip
    specs = [legacy_asset(source, lineage[source.key]) for source in sources]
    dg.Definitions(assets=specs).resolve_asset_graph()
    assert specs[2].metadata["foreign keys"] == "A → dbo.A (Id)"
