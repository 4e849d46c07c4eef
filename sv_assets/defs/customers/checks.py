"""Nothing of the single view hangs in the air, and its money adds up."""

from typing import Any, Literal

import dagster as dg

from sv_assets.catalogue import load_catalogue
from sv_assets.components.recording import station_check
from sv_assets.customers.queries import plans
from sv_assets.customers.writing import LARGE_BYTES, MAX_BYTES, SOURCE
from sv_assets.landing.quarantine import Quarantine
from sv_assets.mongo import Store, in_batches
from sv_assets.quality import money
from sv_assets.quality.result import Result

_CUSTOMERS = dg.AssetKey(["single_view", "customers"])
_ORDERS = dg.AssetKey(["single_view", "orders"])
_ASSET = _CUSTOMERS.to_user_string()


def _resolvable(name: str, severity: Literal["WARN", "ERROR"]) -> dg.AssetChecksDefinition:
    one = name.removesuffix("s")
    title = f"every_{one}_has_a_customer"

    @station_check(dg.AssetKey(["single_view", name]), f"No {one} without a resolvable customer.", name=title)
    def check(store: Store) -> Result:
        facts = store.single_view[name]
        without, total = facts.count_documents({"unresolved": True}), facts.estimated_document_count()
        closed = [c["_id"] for c in store.identity["clusters"].find({"state": "closed"}, {"_id": 1})]
        left = sum(facts.count_documents({"customer_id": {"$in": ids}}) for ids in in_batches(closed))
        sentence = (
            f"Of {total:,} {name}, {without:,} refer to a person who has not landed, and {left:,} to one whose "
            "rows were all deleted at their sources."
        )
        figures = {"total": total, "without_customer": without, "of_deleted_people": left}
        return Result(
            title, f"single_view/{name}", without + left == 0, sentence, figures, severity if without else "WARN"
        )

    return check


every_order_has_a_customer = _resolvable("orders", "ERROR")
every_interaction_has_a_customer = _resolvable("interactions", "WARN")
every_consent_has_a_customer = _resolvable("consents", "WARN")
every_flag_has_a_customer = _resolvable("flags", "WARN")


@station_check(
    _ORDERS,
    "Orders, payments and refunds come to the same sums in landing and in the view, by currency and day.",
    name=money.CHECK,
)
def orders_add_up(store: Store) -> Result:
    return money.orders_add_up(store, load_catalogue())


@station_check(_CUSTOMERS, "What customers have spent are the sums of their orders, by currency.", name=money.CHECK)
def customers_add_up(store: Store) -> Result:
    return money.customers_add_up(store)


@station_check(
    _CUSTOMERS,
    "There is one customer document for each active cluster that the collection did not refuse, and none more.",
)
def one_document_per_customer(store: Store) -> Result:
    documents = store.single_view["customers"].count_documents({})
    clusters = store.identity["clusters"].count_documents({"state": "active"})
    refused = Quarantine(store, SOURCE).count()
    sentence = f"{documents:,} customer documents for {clusters:,} customers, {refused:,} of them refused."
    figures = {"documents": documents, "customers": clusters, "refused": refused}
    passed = clusters - refused <= documents <= clusters
    return Result("one_document_per_customer", _ASSET, passed, sentence, figures, "ERROR")


@station_check(_CUSTOMERS, "No customer document is refused by its collection, or too large for it.")
def no_customer_is_in_quarantine(store: Store) -> Result:
    quarantine = Quarantine(store, SOURCE)
    refused, reasons = quarantine.count(), quarantine.reasons()
    sentence = (
        f"{refused:,} customers are not as composed last: {'; '.join(reasons)}. Each run tries them again."
        if refused
        else "0 customer documents were refused."
    )
    return Result(
        "no_customer_is_in_quarantine", _ASSET, refused == 0, sentence, {"refused": refused, "reasons": reasons}
    )


@station_check(_CUSTOMERS, "Customer documents stay under 1 MiB; what is long is counted, and named in part.")
def documents_are_small(store: Store) -> Result:
    found = store.single_view["customers"].find({"large": {"$gte": LARGE_BYTES}}, {"large": 1})
    sizes = [document["large"] for document in found]
    sentence = (
        f"{len(sizes):,} customer documents are larger than {LARGE_BYTES:,} bytes, the largest {max(sizes):,}; "
        f"from {MAX_BYTES:,} on they are refused."
        if sizes
        else f"No customer document is larger than {LARGE_BYTES:,} bytes."
    )
    figures = {"large": len(sizes), "largest": max(sizes, default=0), "limit": MAX_BYTES}
    return Result("documents_are_small", _ASSET, not sizes, sentence, figures)


@station_check(
    _CUSTOMERS,
    "Every declared query is answered by an index, and examines at most three documents for each that it returns.",
)
def queries_use_indexes(store: Store) -> tuple[Result, dict[str, Any]]:
    found = list(plans(store))
    faults = [f"{plan.query.name} {plan.fault}" for plan in found if plan.fault]
    rows = [
        dg.TableRecord(
            {"query": p.query.name, "stages": " ← ".join(p.stages), "examined": p.examined, "returned": p.returned}
        )
        for p in found
    ]
    sentence = "; ".join(faults) or f"{len(found)} queries were explained; each is an equality on an index."
    result = Result("queries_use_indexes", _ASSET, not faults, sentence, {"explained": len(found)}, "ERROR")
    return result, {"plans": dg.MetadataValue.table(rows)} if rows else {}
