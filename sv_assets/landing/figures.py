"""What has landed so far, source by source: counters in `control.landing_figures` that only grow, and when all there was had
been read last (`complete_at`).

Added to at the end of each landing, whether it succeeded or failed; a process that is killed takes the counts of its last
landing with it, never the rows.
"""

import datetime as dt

from sv_assets.landing.writer import Outcome
from sv_assets.mongo import Store

FIGURES = "landing_figures"
COUNTED = ("read", "inserted", "updated", "unchanged", "stale", "deleted", "quarantined")


def add_figures(store: Store, source_key: str, outcome: Outcome, seconds: float, *, to_the_end: bool) -> None:
    """Add what one landing did. `seconds`: how long it took; `to_the_end`: whether it read all that there was."""
    now = dt.datetime.now(dt.timezone.utc)
    counts = {name: value for name in COUNTED if (value := getattr(outcome, name))}
    store.control[FIGURES].update_one(
        {"_id": source_key},
        {
            "$inc": {**counts, "landings": 1, "seconds": seconds},
            "$set": {"last_at": now, **({"complete_at": now} if to_the_end else {})},
        },
        upsert=True,
    )


def read_to_the_end_at(store: Store, source_key: str) -> dt.datetime | None:
    """When a run last read all that a source had, whether or not there was anything new; None if none ever did."""
    found = store.control[FIGURES].find_one({"_id": source_key}, {"complete_at": 1}) or {}
    return found.get("complete_at")


def forget_the_end(store: Store, source_key: str) -> None:
    """The source starts over: nothing of it has been read to its end."""
    store.control[FIGURES].update_one({"_id": source_key}, {"$unset": {"complete_at": ""}})
