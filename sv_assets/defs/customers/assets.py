"""The single view: orders, interactions and consents with their customer, and the customer document over them."""

import dagster as dg

from sv_assets.catalogue import load_catalogue
from sv_assets.components.keys import landed_keys
from sv_assets.components.station import RETRIES, StationConfig, run_station
from sv_assets.customers.contacts import CONSENTS, INTERACTIONS
from sv_assets.customers.customers import refresh_customers
from sv_assets.customers.facts import FactStation, refresh_facts
from sv_assets.customers.orders import ORDERS
from sv_assets.resources import MongoResource

_COMMON = {
    "group_name": "single_view",
    "owners": ["team:customer-view"],
    "kinds": {"python", "mongodb"},
    "retry_policy": RETRIES,
}


def _fact_asset(station: FactStation, description: str) -> dg.AssetsDefinition:
    landed = {k for feed in station.feeds for s in load_catalogue().feeding(feed) for k in landed_keys(s)}

    @dg.asset(
        key=["single_view", station.name],
        deps=[["identity", "clusters"], *sorted(landed)],
        description=description,
        **_COMMON,
    )
    def facts(context: dg.AssetExecutionContext, config: StationConfig, mongo: MongoResource) -> dg.MaterializeResult:
        return run_station(
            mongo,
            "single_view",
            station.name,
            lambda store: refresh_facts(store, load_catalogue(), station, full=config.full),
        )

    return facts


orders = _fact_asset(ORDERS, "Every order with its lines, payments, refunds and delivery events, and whose it is.")
interactions = _fact_asset(INTERACTIONS, "Every call and complaint, and whose it is.")
consents = _fact_asset(CONSENTS, "Every consent given or refused, by purpose and channel, and whose it is.")


@dg.asset(
    key=["single_view", "customers"],
    deps=[["identity", "clusters"], *(["single_view", name] for name in ("orders", "interactions", "consents"))],
    description="One document per customer, composed from landed data, every value with where it came from.",
    **_COMMON,
)
def customers(context: dg.AssetExecutionContext, config: StationConfig, mongo: MongoResource) -> dg.MaterializeResult:
    return run_station(mongo, "single_view", "customers", lambda store: refresh_customers(store, full=config.full))
