"""Nothing of the single view hangs in the air."""

import dagster as dg

from sv_assets.components.station import explained_failures
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


@dg.asset_check(
    asset=dg.AssetKey(["single_view", "customers"]),
    description="There is one customer document for each active cluster, and none more.",
)
def one_document_per_customer(mongo: MongoResource) -> dg.AssetCheckResult:
    with explained_failures(), mongo.store() as store:
        documents = store.single_view["customers"].count_documents({})
        clusters = store.identity["clusters"].count_documents({"state": "active"})
    return dg.AssetCheckResult(
        passed=documents == clusters,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{documents:,} customer documents for {clusters:,} customers.",
        metadata={"documents": documents, "customers": clusters},
    )
