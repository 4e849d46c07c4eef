"""Identity: party records, the links between them, and the customers they make."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg

from sv_assets.catalogue import load_catalogue
from sv_assets.components.following import follows_its_sources
from sv_assets.components.keys import landed_keys
from sv_assets.components.lineage import COLUMN_LINEAGE, column_lineage, station_metadata
from sv_assets.components.run_history import history_of_station
from sv_assets.components.station import RETRIES, WRITTEN, StationConfig, explained_failures, place_of, run_station
from sv_assets.customers.lineage import HOUSEHOLDS as HOUSEHOLDS_PLACE
from sv_assets.customers.lineage import PARTY_RECORDS, of_party_records
from sv_assets.dictionary import lineage_graph
from sv_assets.identity import pictures
from sv_assets.identity.party import refresh_party_records
from sv_assets.identity.resolution import IdentityReport, applied_now, refresh_identities
from sv_assets.mongo import Document, Store
from sv_assets.resources import MongoResource

_COMMON: dict[str, Any] = {
    "group_name": "identity",
    "owners": ["team:customer-view"],
    "kinds": {"python", "mongodb"},
    "automation_condition": follows_its_sources(),
}
_CATALOGUE = load_catalogue()
_GRAPH = lineage_graph(_CATALOGUE)
_PEOPLE = {key for feed in ("party", "address") for source in _CATALOGUE.feeding(feed) for key in landed_keys(source)}
LINKS, CLUSTERS, HOUSEHOLDS, REVIEW = (
    dg.AssetKey(["identity", n]) for n in ("links", "clusters", "households", "review")
)


@dg.asset(
    key=["identity", "party_records"],
    deps=sorted(_PEOPLE),
    description="One record for each source row that describes a person, its contact data normalised for comparison.",
    metadata=station_metadata(
        _GRAPH,
        PARTY_RECORDS,
        {
            "_id": "The record: `<system>.<table>:<key>`.",
            "customer_id": "Whose record it is.",
            "compared": "The normalised form that is compared.",
            "keys": "By what it is blocked with others.",
            "identified": "Whether anything in it tells who it is.",
        },
    ),
    retry_policy=RETRIES,
    **_COMMON,
)
def party_records(
    context: dg.AssetExecutionContext, config: StationConfig, mongo: MongoResource
) -> dg.MaterializeResult:
    return run_station(
        mongo,
        "identity",
        "party_records",
        lambda store: refresh_party_records(store, load_catalogue(), full=config.full),
        {COLUMN_LINEAGE: column_lineage(of_party_records(load_catalogue()))},
    )


@dg.multi_asset(
    name="identity__resolution",
    can_subset=True,
    specs=[
        dg.AssetSpec(
            LINKS,
            deps=[["identity", "party_records"]],
            description="Pairs of party records that may be one person: weight, rules, and the evidence field by field.",
            metadata=station_metadata(
                _GRAPH,
                "identity/links",
                {
                    "ends": "The two party records.",
                    "weight": "In bits: +1 doubles the odds that they are one person.",
                    "rules": "The rules that link them, `model` among them.",
                    "evidence": "What was compared, and how well it agrees.",
                    "conflict": "Why they cannot be one person, if they cannot.",
                },
            ),
            **_COMMON,
        ),
        dg.AssetSpec(
            CLUSTERS,
            deps=[LINKS],
            description="Which party records are one customer, under a customer_id that is kept for life.",
            metadata=station_metadata(
                _GRAPH,
                "identity/clusters",
                {
                    "_id": "The customer_id, for life.",
                    "anchor": "The record with which the id stays when the cluster is split.",
                    "records": "The party records of the customer.",
                    "state": "`active`, or `closed` where all its records are gone.",
                },
            ),
            **_COMMON,
        ),
        dg.AssetSpec(
            HOUSEHOLDS,
            deps=[CLUSTERS],
            description="Customers who live at one address: never one customer.",
            metadata=station_metadata(_GRAPH, HOUSEHOLDS_PLACE, {"_id": "The household."}),
            **_COMMON,
        ),
        dg.AssetSpec(
            REVIEW,
            deps=[CLUSTERS],
            description="What a guard stopped, for a human to decide: `sv identity review`, then merge or split.",
            metadata=station_metadata(_GRAPH, "identity/review", {"guard": "The guard that stopped it."}),
            **_COMMON,
        ),
    ],
    retry_policy=RETRIES,
)
def resolution(
    context: dg.AssetExecutionContext, config: StationConfig, mongo: MongoResource
) -> Iterator[dg.MaterializeResult]:
    started = time.monotonic()
    with explained_failures(), mongo.store() as store:
        report = refresh_identities(store, full=config.full)
        of_all = {"seconds": round(time.monotonic() - started, 3), "mode": report.mode}
        for key, metadata in (
            (LINKS, _of_links(store, report)),
            (CLUSTERS, {**_of_clusters(store), **report.details}),
            (HOUSEHOLDS, {}),
            (REVIEW, _of_review(store)),
        ):
            if key not in context.selected_asset_keys:
                continue
            found = {**place_of(store, "identity", key.path[-1]), **of_all, **metadata}
            shown = history_of_station(store, key.to_user_string(), found)
            yield dg.MaterializeResult(asset_key=key, metadata={**found, **shown})


def _of_links(store: Store, report: IdentityReport) -> Document:
    """What the run did, and its pictures: weights against the threshold, rules, blocks that were left out."""
    applied = applied_now(store)
    metadata: Document = {
        "model": report.model or "none yet",
        "documents_read": report.read,
        "inserted": report.inserted,
        "updated": report.updated,
        "deleted": report.deleted,
        WRITTEN: report.written,
    }
    if applied is not None and report.read:
        weights = pictures.match_weights(sorted(report.weights.items()), applied.settings.threshold)
        metadata |= {
            "weights": _picture(weights, "Weight of the compared pairs"),
            "rules": _picture(pictures.rule_contributions(report.rules), "Links by rule"),
            "capped_blocks": dg.MetadataValue.md(pictures.capped_blocks(report.capped)),
        }
    return metadata


def _of_clusters(store: Store) -> Document:
    counted = store.identity["clusters"].aggregate(
        [
            {"$match": {"state": "active"}},
            {"$project": {"size": {"$size": "$records"}}},
            {"$group": {"_id": "$size", "customers": {"$sum": 1}}},
        ]
    )
    sizes = {group["_id"]: group["customers"] for group in counted}
    return {
        "customers": sum(sizes.values()),
        "largest_customer": max(sizes, default=0),
        "sizes": _picture(pictures.cluster_sizes(sizes), "Records per customer"),
    }


def _of_review(store: Store) -> Document:
    guards = Counter(item["guard"] for item in store.identity["review"].find({}, {"guard": 1}))
    return {
        "waiting_for_a_human": sum(guards.values()),
        **{f"stopped_by_{guard}": n for guard, n in sorted(guards.items())},
    }


def _picture(svg: str, title: str) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(pictures.as_markdown(svg, title))
