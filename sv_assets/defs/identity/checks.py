"""Every source row that describes a person belongs to a customer."""

import dagster as dg

from sv_assets.components.station import explained_failures
from sv_assets.resources import MongoResource


@dg.asset_check(
    asset=dg.AssetKey(["identity", "clusters"]),
    blocking=True,
    description="Every live party record has a customer_id.",
)
def every_party_record_has_a_customer(mongo: MongoResource) -> dg.AssetCheckResult:
    with explained_failures(), mongo.store() as store:
        records = store.identity["party_records"]
        without = records.count_documents({"customer_id": None, "deleted": False})
        total = records.count_documents({"deleted": False})
    return dg.AssetCheckResult(
        passed=without == 0,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{without:,} of {total:,} live party records have no customer.",
        metadata={"party_records": total, "without_customer": without},
    )


@dg.asset_check(
    asset=dg.AssetKey(["identity", "clusters"]),
    description="No customer is made of so many records that more than one person must be behind it.",
)
def no_customer_is_implausibly_large(mongo: MongoResource) -> dg.AssetCheckResult:
    limit = 200
    with explained_failures(), mongo.store() as store:
        sizes = store.identity["clusters"].aggregate(
            [{"$project": {"size": {"$size": "$records"}}}, {"$group": {"_id": None, "largest": {"$max": "$size"}}}]
        )
        largest = next((row["largest"] for row in sizes), 0)
    return dg.AssetCheckResult(
        passed=largest <= limit,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"The largest customer has {largest:,} records; more than {limit} are suspicious.",
        metadata={"largest": largest, "limit": limit},
    )
