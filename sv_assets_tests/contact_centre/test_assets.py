"""The contact centre as Dagster runs it: what its assets show, and checks that find their faults."""

import datetime as dt

import dagster as dg

from sv_assets.components.lineage import COLUMN_LINEAGE
from sv_assets.contact_centre.cards import COLLECTION
from sv_assets.defs.contact_centre import assets, checks
from sv_assets_tests.components.test_single_view import failed_checks, run
from sv_assets_tests.contact_centre.test_metrics import call
from sv_assets_tests.retailer import Retailer, day

CHECKS = [checks.every_customer_has_a_card, checks.every_call_is_measured]


def test_assets_show_what_was_done_with_figures_and_pictures_and_no_person(shop: Retailer) -> None:
    now = dt.datetime.now(dt.timezone.utc)
    shop.land("contactcentre.call", call(1, now - dt.timedelta(days=3)), call(2, now - dt.timedelta(days=1)))
    shop.run()
    result = run(assets.customer_card, assets.calls, assets.metrics, *CHECKS)
    assert result.success
    assert failed_checks(result) == {}
    (card,), (calls,), (metrics,) = (
        result.asset_materializations_for_node(f"contact_centre__{name}")
        for name in ("customer_card", "calls", "metrics")
    )
    assert (card.metadata["inserted"].value, calls.metadata["inserted"].value) == (2, 2)
    assert metrics.metadata["repeat_share_28_days"].value == 0.5
    assert metrics.metadata["handling_seconds_28_days"].value == 60
    for name in ("repeat_calls", "handling_time", "found_at_first_try"):
        assert "data:image/svg+xml;base64," in str(metrics.metadata[name].value)
    for materialisation in (card, calls, metrics):
        assert COLUMN_LINEAGE in materialisation.metadata
        assert "jane" not in str(materialisation.metadata).lower()


def test_each_check_finds_its_fault(shop: Retailer) -> None:
    shop.land("contactcentre.call", call(1, day(1)))
    shop.run()
    run(assets.customer_card, assets.calls)
    shop.store.contact_centre[COLLECTION].insert_one({"_id": "C0"})
    shop.store.contact_centre["calls"].delete_many({})
    found = failed_checks(run(assets.customer_card, assets.calls, *CHECKS, only=dg.AssetSelection.checks(*CHECKS)))
    assert "3 cards for 2 customers" in str(found["every_customer_has_a_card"])
    assert "0 of 1 calls are measured" in str(found["every_call_is_measured"])
    clusters = shop.store.identity["clusters"]
    caller = shop.store.single_view["interactions"].find_one({})["customer_id"]
    only = dg.AssetSelection.checks(checks.every_call_is_measured)
    for pending, fails in ((next(i for i in shop.customers() if i != caller), True), (caller, False)):
        clusters.update_one({"_id": pending}, {"$set": {"_sv.pending": ["calls"]}})
        assert bool(failed_checks(run(checks.every_call_is_measured, assets.calls, only=only))) is fails


def test_calls_of_another_system_in_other_words_are_measured_and_the_check_agrees(shop: Retailer) -> None:
    """Kinds in any case, and moments as text, as messages give them."""
    shop.land("contactcentre.call", call(1, day(1)), call(2, day(2)))
    shop.run()
    interactions = shop.store.single_view["interactions"]
    interactions.update_one({"_id": "contactcentre.call:1"}, {"$set": {"kind": "Call", "at": "2026-11-02T09:00:00Z"}})
    result = run(assets.customer_card, assets.calls, checks.every_call_is_measured)
    assert failed_checks(result) == {}
    assert shop.store.contact_centre["calls"].count_documents({}) == 2
