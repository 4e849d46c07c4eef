"""Every customer has a card, made of what is known now; and calls are measured whole."""

import dagster as dg

from sv_assets.components.recording import station_check
from sv_assets.contact_centre.calls import STATION as CALLS
from sv_assets.contact_centre.calls import is_call
from sv_assets.contact_centre.cards import COLLECTION, STATION
from sv_assets.contact_centre.settings import load_settings
from sv_assets.customers.values import moment
from sv_assets.mongo import Store, find_many
from sv_assets.quality.result import Result

_CARD = dg.AssetKey(["contact_centre", "customer_card"])
_CALLS = dg.AssetKey(["contact_centre", "calls"])


@station_check(_CARD, "Every customer has one card, and there is none for anybody else.")
def every_customer_has_a_card(store: Store) -> Result:
    customers = store.single_view["customers"].count_documents({})
    cards = store.contact_centre[COLLECTION].count_documents({})
    waiting = store.single_view["customers"].count_documents({"_sv.pending": STATION})
    return Result(
        "every_customer_has_a_card",
        _CARD.to_user_string(),
        passed=abs(cards - customers) <= waiting,
        severity="ERROR",
        sentence=f"{cards:,} cards for {customers:,} customers, of whom {waiting:,} changed since.",
        figures={"cards": cards, "customers": customers, "waiting": waiting},
    )


@station_check(_CALLS, "Every call of a known customer with a moment is measured; those of nobody are counted.")
def every_call_is_measured(store: Store) -> Result:
    interactions, settings = store.single_view["interactions"], load_settings()
    kinds = {"$in": [kind for kind in interactions.distinct("kind") if is_call({"kind": kind}, settings)]}
    of_customers = {"kind": kinds, "customer_id": {"$ne": None}}
    in_words = interactions.find({**of_customers, "at": {"$type": "string"}}, {"at": 1})  # as messages give it
    made = interactions.count_documents({**of_customers, "at": {"$type": "date"}})
    made += sum(moment(call["at"]) is not None for call in in_words)
    nobody = interactions.count_documents({"kind": kinds, "unresolved": True})
    measured = store.contact_centre[CALLS].count_documents({})
    waiting = store.identity["clusters"].count_documents({"_sv.pending": CALLS})
    may_differ = _calls_of_waiting(store) if made != measured and waiting else 0
    return Result(
        "every_call_is_measured",
        _CALLS.to_user_string(),
        passed=abs(made - measured) <= may_differ,
        sentence=f"{measured:,} of {made:,} calls are measured; {nobody:,} calls belong to nobody known.",
        figures={"calls": made, "measured": measured, "of_nobody": nobody, "customers_waiting": waiting},
    )


def _calls_of_waiting(store: Store) -> int:
    """How many calls at most are measured too many or too few of customers on the work list."""
    waiting = [c["_id"] for c in store.identity["clusters"].find({"_sv.pending": CALLS}, {"_id": 1})]
    held = (store.single_view["interactions"], store.contact_centre[CALLS])
    return sum(1 for collection in held for _ in find_many(collection, "customer_id", waiting, {"_id": 1}))
