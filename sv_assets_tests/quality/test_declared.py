"""Checks that an analyst declares in YAML beside the table."""

import datetime as dt
from typing import Any

import dagster as dg
import pytest

from sv_assets.catalogue import Source
from sv_assets.components.keys import landing_key
from sv_assets.components.landing_assets import landing_asset
from sv_assets.components.source_checks import audits_of
from sv_assets.errors import ConfigurationError
from sv_assets.landing.land import land_table
from sv_assets.mongo import Store
from sv_assets.quality.landing import audit, check_landing
from sv_assets.quality.result import Result
from sv_assets.quality.results import history, record, state_of, states
from sv_assets.quality.subject import Subject
from sv_assets.resources import MongoResource
from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.sources.shop import Shop

ITEM = "Id INT NOT NULL PRIMARY KEY, Code VARCHAR(20), Price DECIMAL(9,2), Kind VARCHAR(9), Parent INT, SoldAt DATETIME2(3)"
ROWS = [
    (1, "A-1", 1.5, "new", None, "2026-03-01 10:00:00.000"),
    (2, "A-2", 20, "used", 1, "2026-03-02 10:00:00.000"),
    (3, "A-2", -3, "odd", 9, "2027-03-02 10:00:00.000"),
    (4, None, 4, "new", 1, None),
]
SCHEMA_OF_ITEMS = """
import pandera.pandas as pa
Items = pa.DataFrameSchema({"Kind": pa.Column(str, pa.Check.isin(["new", "used"]))})
"""


@pytest.fixture
def shop(catalogued: Catalogued) -> Shop:
    made = Shop(catalogued)
    made.table("Item", ITEM, ROWS)
    return made


def evaluated(store: Store, shop: Shop, *checks: str) -> dict[str, Result]:
    """The results of these declared checks, after landing."""
    source = shop.declare(rest=["checks:", *(f"  - {check}" for check in checks)])
    land_table(store, shop.catalogue, source, "run")
    subject = Subject(store, shop.catalogue, source, dt.datetime.now(dt.timezone.utc))
    titles = {check.title for check in source.entry.checks}
    results = [*check_landing(subject), *audit(subject)]
    return {result.check: result for result in results if result.check in titles}


@pytest.mark.parametrize(
    ("check", "passes", "figures"),
    [
        ("{check: unique, columns: [Code]}", False, {"repeated_values": 1, "rows": 2}),
        ("{check: unique, columns: [Code, Kind]}", True, {"repeated_values": 0}),
        ("{check: unique, columns: Code, where: {Kind: new}}", True, {"repeated_values": 0}),
        ("{check: not_null, columns: [Code]}", False, {"empty:Code": 1}),
        ("{check: not_null, columns: [Code], at_least: 0.75}", True, {"empty:Code": 1}),
        ("{check: accepted_values, column: Kind, values: [new, used]}", False, {"violating": 1}),
        ("{check: accepted_values, column: Kind, values: [new, used, odd]}", True, {"violating": 0}),
        ("{check: range, column: Price, min: 0}", False, {"violating": 1}),
        ("{check: range, column: Price, min: -3, max: 20.0}", True, {"violating": 0}),
        ("{check: range, column: SoldAt, min: 2026-01-01, max: 2026-12-31}", False, {"violating": 1}),
        ("{check: matches, column: Code, pattern: 'A-[0-9]'}", True, {"violating": 0}),
        ("{check: matches, column: Code, pattern: 'A-1'}", False, {"violating": 2}),
        ("{check: references, column: Parent, table: dbo.Item}", False, {"violating": 1}),
        ("{check: references, column: Parent, table: dbo.Item, at_least: 0.5}", True, {"violating": 1}),
        ("{check: row_count, min: 5}", False, {"rows": 4}),
        ("{check: row_count, min: 1, max: 4}", True, {"rows": 4}),
        ("{check: mongo, name: no_bargains, violating: {Price: {$lt: 2}}}", False, {"violating": 2}),
        ("{check: mongo, name: cheap, violating: {$expr: {$gt: [$Price, 100]}}}", True, {"violating": 0}),
        ("{check: sql, name: sold_before_made, query: 'SELECT Id FROM Item WHERE Price < 0'}", False, {"violating": 1}),
        ("{check: sql, name: sold, query: 'SELECT Id FROM Item WHERE Price < 0', at_most: 1}", True, {"violating": 1}),
    ],
)
def test_a_declared_check_says_what_violates_it(
    store: Store, shop: Shop, check: str, passes: bool, figures: dict[str, Any]
) -> None:
    (result,) = evaluated(store, shop, check).values()
    assert result.passed is passes, result.sentence
    assert result.figures.items() >= figures.items()
    assert result.severity == "WARN"


def test_a_declared_distribution_is_watched_with_the_others(store: Store, shop: Shop) -> None:
    shop.run("DELETE FROM Item")
    shop.insert("Item", [(n, f"B-{n}", n, "new" if n % 2 else "used", None, None) for n in range(1, 201)])
    source = shop.declare(rest=["checks: [{check: distribution, columns: [Kind]}]"])

    def drifted() -> bool:
        land_table(store, shop.catalogue, source, "run")
        results = audit(Subject(store, shop.catalogue, source, dt.datetime.now(dt.timezone.utc)))
        return not next(r.passed for r in results if r.check == "distribution_steady")

    assert not drifted()
    shop.run("UPDATE Item SET Kind = 'lent' WHERE Id % 3 = 0")
    assert drifted()


def test_a_pandera_schema_is_held_against_frames_of_landed_rows(
    store: Store, shop: Shop, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandera")
    (tmp_path / "shop_schemas.py").write_text(SCHEMA_OF_ITEMS)
    monkeypatch.syspath_prepend(str(tmp_path))
    (result,) = evaluated(store, shop, "{check: pandera, name: items, model: 'shop_schemas:Items'}").values()
    assert not result.passed
    assert result.figures["failures"] == 1
    assert "odd" not in result.sentence, "no value of a row"


def test_a_schema_that_cannot_be_imported_and_a_filter_that_is_none_are_said(store: Store, shop: Shop) -> None:
    with pytest.raises(ConfigurationError, match=r"defs.yaml:\d+: shop.item, checks, x: MongoDB refuses its filter"):
        evaluated(store, shop, "{check: mongo, name: x, violating: {Price: {$lowerThan: 1}}}")
    with pytest.raises(
        ConfigurationError, match=r"shop.item, checks, y: (pandera is not installed|nowhere:S cannot be)"
    ):
        evaluated(store, shop, "{check: pandera, name: y, model: 'nowhere:S'}")


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        ("{check: uniqe, columns: [A]}", "'uniqe' is not a known check; allowed: unique, not_null"),
        ("{check: unique, colums: [A]}", "'colums' is not a known word here. Did you mean columns?"),
        ("{columns: [A]}", "'check' is missing; allowed: unique"),
        ("{check: matches, column: A, pattern: '('}", "this is not a regular expression"),
        ("{check: sql, name: x, query: 'DELETE FROM a'}", "a query is one SELECT of the violating rows"),
        ("{check: sql, name: x, query: 'SELECT 1; DROP TABLE a'}", "a query is one SELECT of the violating rows"),
        ("{check: references, column: A, table: dbo.Itm}", "shop: dbo.Itm is not declared. Did you mean dbo.Item?"),
        ("{check: row_count, min: 1, name: fresh}", "fresh is a check that every source has by itself"),
        ("{check: unique, columns: [A], severity: warning}", "'warning' is not allowed here; allowed: warn, error"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_line_and_allowed_words(shop: Shop, check: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        shop.declare(rest=[f"checks: [{check}]"])
    assert sentence in str(raised.value)
    assert "defs.yaml:" in str(raised.value)


def test_a_blocking_check_stops_what_comes_after_and_its_result_is_kept(store: Store, shop: Shop) -> None:
    source: Source = shop.declare(
        rest=["checks: [{check: range, column: Price, min: 0, blocking: true}, {check: unique, columns: Code}]"]
    )

    @dg.asset(deps=[landing_key(source)])
    def downstream() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [landing_asset(source), audits_of([source]), downstream],
            resources={"mongo": MongoResource()},
            instance=instance,
            raise_on_error=False,
        )
    assert not result.success
    assert "downstream" not in {e.step_key for e in result.all_events if e.is_step_success}
    state = state_of(store, "landing/shop/item", "range_price")
    assert state is not None
    assert (state.passed, state.latest["severity"], state.latest["owners"]) == (False, "ERROR", ["team:shop"])
    assert state.latest["run_id"] == result.run_id
    evaluated_in_run = {e.check_name for e in result.get_asset_check_evaluations()}
    assert {s.latest["check"] for s in states(store)} == evaluated_in_run


def test_an_evaluation_that_is_repeated_counts_once_and_failing_since_is_the_first_failure(store: Store) -> None:
    asset = "landing/shop/item"
    for run, passed in enumerate([True, False, False]):
        for _ in range(2):
            record(
                store, [Result("fresh", asset, passed, "0 rows.", {"a.b": 1, "$c": dt.date(2026, 1, 1)})], f"run{run}"
            )
    found = list(history(store, asset, "fresh"))
    assert [result["passed"] for result in found] == [False, False, True]
    state = state_of(store, asset, "fresh")
    assert state is not None
    assert state.failing_since == found[1]["at"]
    assert state.trend == (True, False, False)
    assert found[0]["figures"] == {"a_b": 1, "c": "2026-01-01"}
