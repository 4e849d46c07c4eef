"""Every customer has a card, made of what is known now; and calls are measured whole."""

import dagster as dg

from sv_assets.components.station import explained_failures
from sv_assets.contact_centre.cards import COLLECTION, STATION
from sv_assets.contact_centre.settings import load_settings
from sv_assets.resources import MongoResource

_CARD = dg.AssetKey(["contact_centre", "customer_card"])


@dg.asset_check(asset=_CARD, description="Every customer has one card, and there is none for anybody else.")
def every_customer_has_a_card(mongo: MongoResource) -> dg.AssetCheckResult:
    with explained_failures(), mongo.store() as store:
        customers = store.single_view["customers"].count_documents({})
        cards = store.contact_centre[COLLECTION].count_documents({})
        waiting = store.single_view["customers"].count_documents({"_sv.pending": STATION})
    return dg.AssetCheckResult(
        passed=abs(cards - customers) <= waiting,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{cards:,} cards for {customers:,} customers, of whom {waiting:,} changed since.",
        metadata={"cards": cards, "customers": customers, "waiting": waiting},
    )


@dg.asset_check(
    asset=dg.AssetKey(["contact_centre", "calls"]),
    description="Every call of a known customer with a moment is measured; those of nobody are counted.",
)
def every_call_is_measured(mongo: MongoResource) -> dg.AssetCheckResult:
    kinds = {"$in": load_settings().measures.call_kinds}
    with explained_failures(), mongo.store() as store:
        interactions = store.single_view["interactions"]
        made = interactions.count_documents({"kind": kinds, "at": {"$type": "date"}, "customer_id": {"$ne": None}})
        nobody = interactions.count_documents({"kind": kinds, "unresolved": True})
        measured = store.contact_centre["calls"].count_documents({})
        waiting = store.identity["clusters"].count_documents({"_sv.pending": "calls"})
    return dg.AssetCheckResult(
        passed=made == measured or waiting > 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{measured:,} of {made:,} calls are measured; {nobody:,} calls belong to nobody known.",
        metadata={"calls": made, "measured": measured, "of_nobody": nobody, "customers_waiting": waiting},
    )
