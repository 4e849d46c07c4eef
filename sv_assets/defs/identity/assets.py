"""Identity: party records, the links between them, and the customers they make."""

import dagster as dg

from sv_assets.catalogue import load_catalogue
from sv_assets.components.keys import landed_keys
from sv_assets.components.station import RETRIES, StationConfig, run_station
from sv_assets.identity.clusters import refresh_clusters
from sv_assets.identity.match import refresh_links
from sv_assets.identity.party import refresh_party_records
from sv_assets.resources import MongoResource

_COMMON = {
    "group_name": "identity",
    "owners": ["team:customer-view"],
    "kinds": {"python", "mongodb"},
    "retry_policy": RETRIES,
}
_PEOPLE = {
    key for feed in ("party", "address") for source in load_catalogue().feeding(feed) for key in landed_keys(source)
}


@dg.asset(
    key=["identity", "party_records"],
    deps=sorted(_PEOPLE),
    description="One record for each source row that describes a person, its contact data normalised for comparison.",
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
    )


@dg.asset(
    key=["identity", "links"],
    deps=[["identity", "party_records"]],
    description="Pairs of party records that are one person, with the rules that say so.",
    **_COMMON,
)
def links(context: dg.AssetExecutionContext, mongo: MongoResource) -> dg.MaterializeResult:
    return run_station(mongo, "identity", "links", refresh_links)


@dg.asset(
    key=["identity", "clusters"],
    deps=[["identity", "links"]],
    description="Which party records are one customer, under a customer_id that is kept for life.",
    **_COMMON,
)
def clusters(context: dg.AssetExecutionContext, mongo: MongoResource) -> dg.MaterializeResult:
    return run_station(mongo, "identity", "clusters", refresh_clusters)
