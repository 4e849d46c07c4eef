"""The fraud assets as Dagster runs them: what they show, and that each check finds its fault."""

from pathlib import Path

import dagster as dg
import pytest

from sv_assets.components.lineage import COLUMN_LINEAGE
from sv_assets.defs.fraud import assets, checks
from sv_assets.fraud.evaluate import TRUTH
from sv_assets.fraud.evaluating import refresh_signals
from sv_assets.fraud.signals import NAMES
from sv_assets.mongo import Store
from sv_assets.resources import MongoResource
from sv_assets_tests.fraud.shop import after, order, put_orders, refund

ASSETS = [assets.signals, assets.model, assets.scores, assets.cases, assets.figures]
CHECKS = [checks.every_order_has_signals, checks.orders_are_as_in_training, checks.planted_fraud_is_found]


def run(only: dg.AssetSelection | None = None) -> dg.ExecuteInProcessResult:
    resources = {"mongo": MongoResource()}
    return dg.materialize([*ASSETS, *CHECKS], resources=resources, selection=only, raise_on_error=False)


def failed_checks(result: dg.ExecuteInProcessResult) -> dict[str, str | None]:
    return {e.check_name: e.description for e in result.get_asset_check_evaluations() if not e.passed}


@pytest.fixture
def shop(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    """Five hundred ordinary orders and eight of a card tester."""
    ordinary = [
        order(n, after(hours=3 * n), customer=f"C{n % 90}", device=f"d{n % 90}", total=20 + n % 37) for n in range(510)
    ]
    testing = [order(900 + n, after(days=50, minutes=3 * n), device="bad", card=f"k{n}", total=9) for n in range(8)]
    store.single_view["orders"].insert_many(
        [{**one, "_sv": {"hash": str(one["_id"]), "pending": ["fraud"]}} for one in (*ordinary, *testing)]
    )
    truth = tmp_path / "fraud.csv"
    lines = [f"sales.orderheader,{900 + n},card_testing,I1,1" for n in range(8)]
    truth.write_text("\n".join(["source,key,pattern,incident,fraud", *lines]) + "\n")
    monkeypatch.setenv(TRUTH, str(truth))
    return store


def test_assets_show_what_they_did_where_columns_come_from_and_pictures(shop: Store) -> None:
    result = run()
    assert result.success
    assert failed_checks(result) == {}
    shown = {
        e.asset_key.path[-1]: e.materialization.metadata for e in result.get_asset_materialization_events()
    }  # fmt: skip
    assert shown["signals"]["inserted"].value == 518
    lineage = shown["signals"][COLUMN_LINEAGE].value.deps_by_column
    assert set(lineage) == set(NAMES)
    assert dg.TableColumnDep(dg.AssetKey(["single_view", "orders"]), "payments.card") in lineage["card_orders_1h"]
    assert "value" in {
        dep.column_name for dep in shown["scores"][COLUMN_LINEAGE].value.deps_by_column["card_testing_on_device"]
    }
    assert shown["model"]["trained_now"].value is True
    assert shown["cases"]["open"].value >= 6
    for asset, picture in (
        ("model", "drift"),
        ("cases", "open_by_rule"),
        ("metrics", "by_day"),
        ("metrics", "right_by_rule"),
    ):
        assert "data:image/svg+xml;base64," in shown[asset][picture].value
    assert "bad" not in str(shown)
    again = {e.asset_key.path[-1]: e.materialization.metadata for e in run().get_asset_materialization_events()}
    assert {name: m["documents_written"].value for name, m in again.items()} == dict.fromkeys(shown, 0)


def test_each_check_finds_its_fault(shop: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    shop.fraud["signals"].delete_one({"_id": "sales.orderheader:3"})
    shop.fraud["signals"].update_many({}, {"$set": {"signals.declined_24h": 7.0}})
    shop.fraud["scores"].update_many({}, {"$set": {"flagged": False}})
    put_orders(shop, [order(1, after(days=1), refunds=[refund(after(days=2), 5)])])
    shop.single_view["orders"].update_many({}, {"$unset": {"_sv.pending": 1}})
    found = failed_checks(run(dg.AssetSelection.checks(*CHECKS)))
    assert found.keys() == {check.check_key.name for check in CHECKS}
    assert "517 orders have signals, of 518" in str(found["every_order_has_signals"])
    assert "declined_24h" in str(found["orders_are_as_in_training"])
    assert "0.0% are flagged" in str(found["planted_fraud_is_found"])


def test_orders_of_who_restricted_their_data_and_of_no_known_moment_are_not_missed(store: Store) -> None:
    put_orders(store, [order(n, after(days=n), customer=f"C{n}") for n in range(4)])
    odd = [
        order(7, None),
        {**order(8, None), "placed_at": "soon"},
        {**order(9, None), "placed_at": "2026-03-04T09:00:00Z"},
    ]
    put_orders(store, odd)
    store.single_view["statements"].insert_one({"_id": "s1", "customer_id": "OLD", "kind": "restriction"})
    store.identity["aliases"].insert_one({"_id": "OLD", "customer_id": "C2"})
    store.single_view["customers"].insert_one({"_id": "C2", "rights": {"restricted": True}, "_sv": {"hash": "x"}})
    refresh_signals(store)
    only = dg.AssetSelection.checks(checks.every_order_has_signals)
    (seen,) = run(only).get_asset_check_evaluations()
    assert seen.passed, seen.description
    assert "4 orders have signals, of 4" in str(seen.description)
    store.fraud["signals"].delete_one({"_id": "sales.orderheader:1"})
    assert failed_checks(run(only)).keys() == {"every_order_has_signals"}
    store.single_view["customers"].update_one({"_id": "C2"}, {"$set": {"_sv.pending": ["fraud"]}})
    assert failed_checks(run(only)) == {}, "the one order that is missing may be of who waits"
