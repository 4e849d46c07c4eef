"""Every source row that describes a person belongs to a customer."""

from pathlib import Path

import dagster as dg

from sv_assets import settings
from sv_assets.components.recording import station_check
from sv_assets.identity.evaluate.estate import TRUTH, quality_of_estate, read_truth
from sv_assets.mongo import Store
from sv_assets.quality.result import Result

_CLUSTERS = dg.AssetKey(["identity", "clusters"])
_ASSET = _CLUSTERS.to_user_string()


@station_check(_CLUSTERS, "Every live party record has a customer_id.", blocking=True)
def every_party_record_has_a_customer(store: Store) -> Result:
    records = store.identity["party_records"]
    without = records.count_documents({"customer_id": None, "deleted": False})
    total = records.count_documents({"deleted": False})
    sentence = f"{without:,} of {total:,} live party records have no customer."
    figures = {"party_records": total, "without_customer": without}
    return Result("every_party_record_has_a_customer", _ASSET, without == 0, sentence, figures, "ERROR")


@station_check(_CLUSTERS, "No customer is made of so many records that more than one person must be behind it.")
def no_customer_is_implausibly_large(store: Store) -> Result:
    limit = 200
    sizes = store.identity["clusters"].aggregate(
        [{"$project": {"size": {"$size": "$records"}}}, {"$group": {"_id": None, "largest": {"$max": "$size"}}}]
    )
    largest = next((row["largest"] for row in sizes), 0)
    sentence = f"The largest customer has {largest:,} records; more than {limit} are suspicious."
    figures = {"largest": largest, "limit": limit}
    return Result("no_customer_is_implausibly_large", _ASSET, largest <= limit, sentence, figures)


@station_check(
    _CLUSTERS, "Records without a name, contact, birth date, address or identifier are customers of their own."
)
def records_identify_somebody(store: Store) -> Result:
    limit = 0.01
    records = store.identity["party_records"]
    unidentified = records.count_documents({"identified": False, "deleted": False})
    total = records.count_documents({"deleted": False})
    sentence = f"{unidentified:,} of {total:,} live party records say nothing by which a person could be found."
    figures = {"party_records": total, "unidentified": unidentified}
    return Result("records_identify_somebody", _ASSET, unidentified <= limit * total, sentence, figures)


@station_check(
    _CLUSTERS,
    "Of what the embedded estate's generator knows, how much was found, and how much of what was found is true.",
)
def people_are_found(store: Store) -> Result:
    least_precision, least_recall, few = 0.99, 0.93, 3_000  # among few records one wrong merge makes a percent
    file = settings.variable(TRUTH)
    if file is None or not Path(file).exists():
        sentence = "The truth is known of 0 records here; embedded estates know it of all."
        return Result("people_are_found", _ASSET, True, sentence)
    quality = quality_of_estate(store, read_truth(Path(file)))
    found = quality["clusters"]
    passed = quality["records"] < few or (found["precision"] >= least_precision and found["recall"] >= least_recall)
    sentence = (
        f"Precision {found['precision']:.2%} and recall {found['recall']:.2%} of pairs within customers, over "
        f"{quality['records']:,} records; {quality['false_merges_per_10000']:.1f} of 10,000 records are with somebody else."
    )
    figures = {
        "records": quality["records"],
        "false_merges_per_10000": quality["false_merges_per_10000"],
        **{
            f"{of}_{measure}": value
            for of in ("pairs", "clusters", "b_cubed")
            for measure, value in quality[of].items()
        },
    }
    return Result("people_are_found", _ASSET, passed, sentence, figures)
