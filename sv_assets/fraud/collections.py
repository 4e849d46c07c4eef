"""The collections of the database `fraud`, their indexes, and whom a station hands its documents on to."""

from pymongo import IndexModel

from sv_assets.customers.readers import GONE
from sv_assets.mongo import Store, ensure_indexes
from sv_assets.worklist import PENDING_INDEX

FACTS, SIGNALS, SCORES, CASES, EVENTS, MODELS, METRICS, STATE = (
    "facts", "signals", "scores", "cases", "events", "models", "metrics", "state",
)  # fmt: skip
LEASE = "fraud"
"""One run at a time decides; `sv fraud decide` waits for it."""
_INDEXES = {
    FACTS: [PENDING_INDEX, IndexModel([("keys", 1), ("at", 1)]), IndexModel([("customer_id", 1)])],
    SIGNALS: [PENDING_INDEX, IndexModel([("at", 1)]), IndexModel([("customer_id", 1)])],
    SCORES: [PENDING_INDEX, IndexModel([("customer_id", 1)])],
    CASES: [IndexModel([("state", 1), ("risk", -1)]), IndexModel([("order", 1)]), IndexModel([("customer_id", 1)])],
    EVENTS: [PENDING_INDEX, IndexModel([("case", 1), ("at", 1)])],
    MODELS: [IndexModel([("trained_at", -1)])],
    METRICS: [IndexModel([("day", 1)])],
}


def prepare(store: Store) -> None:
    """Create the indexes that are missing; costs a round trip each where none is."""
    for name, indexes in _INDEXES.items():
        ensure_indexes(store.fraud[name], indexes)
    ensure_indexes(store.single_view[GONE], [PENDING_INDEX])
