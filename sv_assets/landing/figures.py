"""What has landed so far, source by source: counters in `control.landing_figures` that only grow, for metrics.

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
