"""What privacy work shows: who may be contacted, the requests of people, erasures, and what is left for the owners of systems."""

import time
from collections import Counter
from typing import Any

import dagster as dg

from sv_assets.components.following import follows_its_sources
from sv_assets.components.lineage import consumer_metadata
from sv_assets.components.station import explained_failures, place_of, run_station
from sv_assets.privacy.audience import COLLECTION as AUDIENCE_COLLECTION
from sv_assets.privacy.audience import refresh_audience
from sv_assets.privacy.erasure import ACTIONS
from sv_assets.privacy.requests import COLLECTION as REQUESTS_COLLECTION
from sv_assets.privacy.requests import list_requests, overdue
from sv_assets.resources import MongoResource

AUDIENCE = dg.AssetKey(["marketing", "audience"])
REQUESTS = dg.AssetKey(["privacy", "requests"])
ERASURES = dg.AssetKey(["privacy", "erasures"])
CUSTOMERS = dg.AssetKey(["single_view", "customers"])
_COMMON: dict[str, Any] = {"owners": ["team:privacy"], "kinds": {"python", "mongodb"}}


@dg.asset(
    key=AUDIENCE,
    deps=[CUSTOMERS, ["single_view", "consents"]],
    group_name="marketing",
    description="Who may be contacted today, over which channels, and on whose word. Whoever may not is not in it.",
    metadata=consumer_metadata(
        "marketing/audience",
        {
            "_id": "The customer.",
            "name": "How to address them.",
            "channels": "By channel, where to reach them, and on whose word.",
            "purpose": "What for: the purpose that they consented to.",
            "since": "Since when they have been in it.",
        },
    ),
    automation_condition=follows_its_sources(AUDIENCE),
    **_COMMON,
)
def audience(mongo: MongoResource) -> dg.MaterializeResult:
    return run_station(mongo, "marketing", AUDIENCE_COLLECTION, refresh_audience)


@dg.asset(
    key=REQUESTS,
    group_name="privacy",
    description="Requests of people about their data (access, erasure …), in numbers: how many wait, and until when.",
    metadata=consumer_metadata(
        "control/requests",
        {"_id": "The request.", "kind": "What is asked for.", "state": "Whether it waits.", "due_at": "Until when."},
    ),
    **_COMMON,
)
def requests(mongo: MongoResource) -> dg.MaterializeResult:
    started = time.monotonic()
    with explained_failures(), mongo.store() as store:
        found = list_requests(store)
        waiting = [request for request in found if request["state"] != "done"]
        return dg.MaterializeResult(
            metadata={
                **place_of(store, "control", REQUESTS_COLLECTION),
                "waiting": len(waiting),
                "overdue": overdue(store),
                "next_due": f"{waiting[0]['due_at']:%Y-%m-%d}" if waiting else "none",
                "by_kind": dict(Counter(request["kind"] for request in found)),
                "seconds": round(time.monotonic() - started, 3),
            }
        )


@dg.asset(
    key=ERASURES,
    deps=[REQUESTS],
    group_name="privacy",
    description="Erasures: done and under way, and what the owners of legacy systems have still to do. `sv privacy actions` names the rows.",
    metadata=consumer_metadata(
        "control/erasures",
        {"_id": "The erasure.", "state": "Whether it is done.", "counts": "How much of what went."},
    ),
    **_COMMON,
)
def erasures(mongo: MongoResource) -> dg.MaterializeResult:
    started = time.monotonic()
    with explained_failures(), mongo.store() as store:
        states = Counter(d["state"] for d in store.control["erasures"].find({}, {"state": 1}))
        left = Counter(
            (a["system"], a["table"], ", ".join(a["owners"]), a["what"])
            for a in store.control[ACTIONS].find({}, {"key": 0})
        )
        rows = [
            dg.TableRecord({"system": system, "table": table, "owners": owners, "what": what, "rows": number})
            for (system, table, owners, what), number in sorted(left.items())
        ]
        return dg.MaterializeResult(
            metadata={
                **place_of(store, "control", "erasures"),
                "done": states["done"],
                "under_way": states["running"],
                "legacy_actions": sum(left.values()),
                "seconds": round(time.monotonic() - started, 3),
                **({"for_the_owners": dg.MetadataValue.table(rows)} if rows else {}),
            }
        )
