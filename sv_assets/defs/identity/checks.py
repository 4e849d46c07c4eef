"""Every source row that describes a person belongs to a customer."""

from pathlib import Path

import dagster as dg

from sv_assets import settings
from sv_assets.components.station import explained_failures
from sv_assets.identity.evaluate.estate import TRUTH, quality_of_estate, read_truth
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


@dg.asset_check(
    asset=dg.AssetKey(["identity", "clusters"]),
    description="Records without a name, contact, birth date, address or identifier are customers of their own.",
)
def records_identify_somebody(mongo: MongoResource) -> dg.AssetCheckResult:
    limit = 0.01
    with explained_failures(), mongo.store() as store:
        records = store.identity["party_records"]
        unidentified = records.count_documents({"identified": False, "deleted": False})
        total = records.count_documents({"deleted": False})
    return dg.AssetCheckResult(
        passed=unidentified <= limit * total,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{unidentified:,} of {total:,} live party records say nothing by which a person could be found.",
        metadata={"party_records": total, "unidentified": unidentified},
    )


@dg.asset_check(
    asset=dg.AssetKey(["identity", "clusters"]),
    description="Of what the embedded estate's generator knows, how much was found, and how much of what was found is true.",
)
def people_are_found(mongo: MongoResource) -> dg.AssetCheckResult:
    least_precision, least_recall, few = 0.99, 0.93, 1_000  # among few records one person makes a percent
    file = settings.variable(TRUTH)
    if file is None or not Path(file).exists():
        return dg.AssetCheckResult(
            passed=True, description="The truth is known of 0 records here; embedded estates know it of all."
        )
    with explained_failures(), mongo.store() as store:
        quality = quality_of_estate(store, read_truth(Path(file)))
    found = quality["clusters"]
    return dg.AssetCheckResult(
        passed=quality["records"] < few or (found["precision"] >= least_precision and found["recall"] >= least_recall),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Precision {found['precision']:.2%} and recall {found['recall']:.2%} of pairs within customers, over "
        f"{quality['records']:,} records; {quality['false_merges_per_10000']:.1f} of 10,000 records are with somebody else.",
        metadata={
            "records": quality["records"],
            "false_merges_per_10000": quality["false_merges_per_10000"],
            **{
                f"{of}_{measure}": value
                for of in ("pairs", "clusters", "b_cubed")
                for measure, value in quality[of].items()
            },
        },
    )
