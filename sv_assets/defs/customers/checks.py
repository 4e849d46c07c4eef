"""Nothing of the single view hangs in the air."""

import dagster as dg

from sv_assets.components.station import explained_failures
from sv_assets.customers.queries import plans
from sv_assets.customers.writing import LARGE_BYTES, MAX_BYTES, SOURCE
from sv_assets.landing.quarantine import Quarantine
from sv_assets.mongo import in_batches
from sv_assets.resources import MongoResource


def _resolvable(name: str, severity: dg.AssetCheckSeverity) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=f"every_{name.removesuffix('s')}_has_a_customer",
        asset=dg.AssetKey(["single_view", name]),
        description=f"No {name.removesuffix('s')} without a resolvable customer.",
    )
    def check(mongo: MongoResource) -> dg.AssetCheckResult:
        with explained_failures(), mongo.store() as store:
            facts = store.single_view[name]
            without, total = facts.count_documents({"unresolved": True}), facts.estimated_document_count()
            closed = [c["_id"] for c in store.identity["clusters"].find({"state": "closed"}, {"_id": 1})]
            left = sum(facts.count_documents({"customer_id": {"$in": ids}}) for ids in in_batches(closed))
        return dg.AssetCheckResult(
            passed=without + left == 0,
            severity=severity if without else dg.AssetCheckSeverity.WARN,
            description=f"Of {total:,} {name}, {without:,} refer to a person who has not landed, and {left:,} to one whose "
            "rows were all deleted at their sources.",
            metadata={"total": total, "without_customer": without, "of_deleted_people": left},
        )

    return check


every_order_has_a_customer = _resolvable("orders", dg.AssetCheckSeverity.ERROR)
every_interaction_has_a_customer = _resolvable("interactions", dg.AssetCheckSeverity.WARN)
every_consent_has_a_customer = _resolvable("consents", dg.AssetCheckSeverity.WARN)


_CUSTOMERS = dg.AssetKey(["single_view", "customers"])


@dg.asset_check(
    asset=_CUSTOMERS,
    description="There is one customer document for each active cluster that the collection did not refuse, and none more.",
)
def one_document_per_customer(mongo: MongoResource) -> dg.AssetCheckResult:
    with explained_failures(), mongo.store() as store:
        documents = store.single_view["customers"].count_documents({})
        clusters = store.identity["clusters"].count_documents({"state": "active"})
        refused = Quarantine(store, SOURCE).count()
    return dg.AssetCheckResult(
        passed=clusters - refused <= documents <= clusters,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{documents:,} customer documents for {clusters:,} customers, {refused:,} of them refused.",
        metadata={"documents": documents, "customers": clusters, "refused": refused},
    )


@dg.asset_check(asset=_CUSTOMERS, description="No customer document is refused by its collection, or too large for it.")
def no_customer_is_in_quarantine(mongo: MongoResource) -> dg.AssetCheckResult:
    with explained_failures(), mongo.store() as store:
        quarantine = Quarantine(store, SOURCE)
        refused, reasons = quarantine.count(), quarantine.reasons()
    return dg.AssetCheckResult(
        passed=refused == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{refused:,} customers are not as composed last: {'; '.join(reasons)}. Each run tries them again."
        if refused
        else "0 customer documents were refused.",
        metadata={"refused": refused, "reasons": reasons},
    )


@dg.asset_check(
    asset=_CUSTOMERS, description="Customer documents stay under 1 MiB; what is long is counted, and named in part."
)
def documents_are_small(mongo: MongoResource) -> dg.AssetCheckResult:
    with explained_failures(), mongo.store() as store:
        found = store.single_view["customers"].find({"large": {"$gte": LARGE_BYTES}}, {"large": 1})
        sizes = [document["large"] for document in found]
    return dg.AssetCheckResult(
        passed=not sizes,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(sizes):,} customer documents are larger than {LARGE_BYTES:,} bytes, the largest {max(sizes):,}; "
        f"from {MAX_BYTES:,} on they are refused."
        if sizes
        else f"No customer document is larger than {LARGE_BYTES:,} bytes.",
        metadata={"large": len(sizes), "largest": max(sizes, default=0), "limit": MAX_BYTES},
    )


@dg.asset_check(
    asset=_CUSTOMERS,
    description="Every declared query is answered by an index, and examines at most three documents for each that it returns.",
)
def queries_use_indexes(mongo: MongoResource) -> dg.AssetCheckResult:
    with explained_failures(), mongo.store() as store:
        found = list(plans(store))
    faults = [f"{plan.query.name} {plan.fault}" for plan in found if plan.fault]
    rows = [
        dg.TableRecord(
            {"query": p.query.name, "stages": " ← ".join(p.stages), "examined": p.examined, "returned": p.returned}
        )
        for p in found
    ]
    return dg.AssetCheckResult(
        passed=not faults,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(faults) or f"{len(found)} queries were explained; each is an equality on an index.",
        metadata={"plans": dg.MetadataValue.table(rows)} if rows else {},
    )
