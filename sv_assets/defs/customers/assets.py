"""The single view: orders, interactions and consents with their customer, and the customer document over them."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from sv_assets.catalogue import Catalogue, load_catalogue
from sv_assets.components.following import follows_its_sources
from sv_assets.components.keys import landed_keys
from sv_assets.components.lineage import (
    COLUMN_LINEAGE,
    column_lineage,
    customer_metadata,
    located,
    station_metadata,
)
from sv_assets.components.station import RETRIES, StationConfig, run_station
from sv_assets.customers import lineage
from sv_assets.customers.contacts import CONSENTS, FLAGS, INTERACTIONS
from sv_assets.customers.customers import rebuild_customers, refresh_customers
from sv_assets.customers.facts import FactStation, refresh_facts
from sv_assets.customers.lineage import Lineage
from sv_assets.customers.orders import ORDERS
from sv_assets.dictionary import lineage_graph
from sv_assets.identity.customer_ids import BUCKETS
from sv_assets.resources import MongoResource

_COMMON: dict[str, Any] = {
    "group_name": "single_view",
    "owners": ["team:customer-view"],
    "kinds": {"python", "mongodb"},
    "retry_policy": RETRIES,
}
_CATALOGUE = load_catalogue()
_GRAPH = lineage_graph(_CATALOGUE)
CUSTOMERS = dg.AssetKey(["single_view", "customers"])
REBUILD = dg.AssetKey([*CUSTOMERS.path, "rebuild"])


def _fact_asset(
    station: FactStation, description: str, made_from: Callable[[Catalogue], Lineage]
) -> dg.AssetsDefinition:
    landed = {k for feed in station.feeds for s in _CATALOGUE.feeding(feed) for k in landed_keys(s)}

    @dg.asset(
        key=["single_view", station.name],
        deps=[["identity", "clusters"], *sorted(landed)],
        description=description,
        metadata=station_metadata(
            _GRAPH,
            f"single_view/{station.name}",
            {"_id": f"The {station.name.removesuffix('s')}.", "customer_id": "Whose it is."},
        ),
        automation_condition=follows_its_sources(),
        **_COMMON,
    )
    def facts(context: dg.AssetExecutionContext, config: StationConfig, mongo: MongoResource) -> dg.MaterializeResult:
        return run_station(
            mongo,
            "single_view",
            station.name,
            lambda store: refresh_facts(store, load_catalogue(), station, full=config.full),
            {COLUMN_LINEAGE: column_lineage(made_from(load_catalogue()))},
        )

    return facts


orders = _fact_asset(
    ORDERS, "Every order with its lines, payments, refunds and delivery events, and whose it is.", lineage.of_orders
)
interactions = _fact_asset(INTERACTIONS, "Every call and complaint, and whose it is.", lineage.of_interactions)
consents = _fact_asset(
    CONSENTS, "Every consent given or refused, by purpose and channel, and whose it is.", lineage.of_consents
)
flags = _fact_asset(
    FLAGS, "What to be mindful of with a person (vulnerable, bereaved), and whose it is.", lineage.of_flags
)


@dg.asset(
    key=CUSTOMERS,
    deps=[
        ["identity", "clusters"],
        ["identity", "households"],
        *(["single_view", name] for name in ("orders", "interactions", "consents", "flags")),
    ],
    description=(
        "One document per customer, composed from landed data, every value with where it came from. `made_from`, below, leads "
        "from each field back to its legacy columns."
    ),
    metadata={**customer_metadata(_GRAPH), "reference": dg.MetadataValue.path("docs/customer.md")},
    automation_condition=follows_its_sources(),
    **_COMMON,
)
def customers(context: dg.AssetExecutionContext, config: StationConfig, mongo: MongoResource) -> dg.MaterializeResult:
    return run_station(
        mongo,
        "single_view",
        "customers",
        lambda store: refresh_customers(store, load_catalogue(), full=config.full),
        {COLUMN_LINEAGE: column_lineage(lineage.of_customers())},
    )


@dg.asset(
    key=REBUILD,
    deps=[CUSTOMERS],
    description=(
        "Composes customers anew, whatever the work list says, in 64 parts of about one size: materialise all for a rebuild in "
        "parallel runs, beside the incremental ones. What comes out the same is not written."
    ),
    partitions_def=dg.StaticPartitionsDefinition([f"{bucket:02}" for bucket in range(BUCKETS)]),
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=8),
    metadata=located("single_view/customers"),
    **_COMMON,
)
def rebuild(context: dg.AssetExecutionContext, mongo: MongoResource) -> dg.MaterializeResult:
    buckets = [int(key) for key in context.partition_keys]
    return run_station(
        mongo, "single_view", "customers", lambda store: rebuild_customers(store, load_catalogue(), buckets)
    )
