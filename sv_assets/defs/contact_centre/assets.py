"""The contact centre: a card for each customer, its calls measured, and how well they are answered."""

import datetime as dt
from typing import Any

import dagster as dg

from sv_assets.components.following import follows_its_sources
from sv_assets.components.lineage import COLUMN_LINEAGE, column_lineage, consumer_metadata
from sv_assets.components.station import RETRIES, StationConfig, run_station
from sv_assets.contact_centre import lineage, pictures
from sv_assets.contact_centre.calls import refresh_calls
from sv_assets.contact_centre.cards import refresh_cards
from sv_assets.contact_centre.metrics import by_day, figures, refresh_metrics, weeks
from sv_assets.contact_centre.settings import load_settings
from sv_assets.identity.party import StationReport
from sv_assets.mongo import Document, Store
from sv_assets.pictures import as_markdown
from sv_assets.resources import MongoResource

_COMMON: dict[str, Any] = {
    "group_name": "contact_centre",
    "owners": ["team:contactcentre"],
    "kinds": {"python", "mongodb"},
    "retry_policy": RETRIES,
    "automation_condition": follows_its_sources(
        *(dg.AssetKey(["contact_centre", name]) for name in ("customer_card", "calls", "metrics"))
    ),
}
SHOWN_DAYS = 364
RECENT_DAYS = 28


@dg.asset(
    key=["contact_centre", "customer_card"],
    deps=[["single_view", "customers"]],
    description="What an agent needs on one screen, made ahead of time: who, how to reach them, what is under way, why they may call.",
    metadata=consumer_metadata(
        "contact_centre/customer_card",
        {
            "who": "Name and birth date.",
            "reach": "How to reach them.",
            "preferences": "What they agreed to, by purpose and channel.",
            "warnings": "What to be mindful of, as far as the role sees it.",
            "restricted": "That the use of their data is restricted, where it is: then nothing but the name stands here.",
            "reasons": "Why they may be calling, the likeliest first.",
            "open": "Deliveries and complaints under way.",
            "orders": "Orders in sums, and the latest.",
            "contacts": "The latest calls and complaints.",
            "customer_version": "Of which version of the customer it is made.",
        },
        lineage.of_cards(),
    ),
    **_COMMON,
)
def customer_card(
    context: dg.AssetExecutionContext, config: StationConfig, mongo: MongoResource
) -> dg.MaterializeResult:
    return run_station(
        mongo,
        "contact_centre",
        "customer_card",
        lambda store: refresh_cards(store, full=config.full),
        {COLUMN_LINEAGE: column_lineage(lineage.of_cards())},
    )


@dg.asset(
    key=["contact_centre", "calls"],
    deps=[["single_view", "interactions"], ["identity", "clusters"]],
    description="Every call of a known customer, and whether it repeats an earlier one about the same reason.",
    metadata=consumer_metadata(
        "contact_centre/calls",
        {
            "customer_id": "Who called.",
            "at": "When.",
            "day": "On which day, by the clock of the retailer.",
            "reason": "What about.",
            "seconds": "How long it took.",
            "repeats": "Whether an earlier call of seven days was about the same.",
        },
        lineage.of_calls(),
    ),
    **_COMMON,
)
def calls(context: dg.AssetExecutionContext, config: StationConfig, mongo: MongoResource) -> dg.MaterializeResult:
    return run_station(
        mongo,
        "contact_centre",
        "calls",
        lambda store: refresh_calls(store, full=config.full),
        {COLUMN_LINEAGE: column_lineage(lineage.of_calls())},
    )


@dg.asset(
    key=["contact_centre", "metrics"],
    deps=[["contact_centre", "calls"]],
    description="Day by day: repeat calls, handling time, and the share of calls whose card was found at first try.",
    metadata=consumer_metadata(
        "contact_centre/metrics",
        {
            "day": "The day.",
            "reason": "What about.",
            "calls": "How many calls.",
            "repeats": "How many of them repeat an earlier one.",
            "timed": "How many of them say how long they took.",
            "seconds": "How long those took together.",
        },
        lineage.of_metrics(),
    ),
    **_COMMON,
)
def metrics(context: dg.AssetExecutionContext, config: StationConfig, mongo: MongoResource) -> dg.MaterializeResult:
    shown: Document = {}

    def work(store: Store) -> StationReport:
        report = refresh_metrics(store, full=config.full)
        shown.update(_pictures(store))
        return report

    result = run_station(
        mongo, "contact_centre", "metrics", work, {COLUMN_LINEAGE: column_lineage(lineage.of_metrics())}
    )
    return dg.MaterializeResult(metadata={**(result.metadata or {}), **shown})


def _pictures(store: Store) -> Document:
    """The measures of the last four weeks as numbers, which Dagster plots over materialisations, and of a year as pictures."""
    today = dt.datetime.now(load_settings().zone).date()
    before = today + dt.timedelta(days=1)
    found = weeks(by_day(store, before - dt.timedelta(days=SHOWN_DAYS), before))
    recent = figures(store, before - dt.timedelta(days=RECENT_DAYS), before)
    numbers = {
        "repeat_share_28_days": recent.repeat_share,
        "handling_seconds_28_days": recent.handling_seconds,
        "found_at_first_try_28_days": recent.found_share,
    }
    drawn = {
        "repeat_calls": (pictures.repeat_calls(found), "Calls that repeat another"),
        "handling_time": (pictures.handling_time(found), "Handling time"),
        "found_at_first_try": (pictures.found_at_first_try(found), "Card found at first try"),
    }
    return {
        **{name: round(value, 4) for name, value in numbers.items() if value is not None},
        "calls_28_days": recent.calls,
        "lookups_28_days": recent.lookups,
        **{name: dg.MetadataValue.md(as_markdown(svg, title)) for name, (svg, title) in drawn.items()},
    }
