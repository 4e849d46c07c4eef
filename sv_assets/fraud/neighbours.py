"""Reading what orders share keys with: for many orders at once, and bounded, however many share a key."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence

from sv_assets.fraud.collections import FACTS
from sv_assets.fraud.facts import Fact, fact_of
from sv_assets.fraud.keys import CUSTOMER, kind_of
from sv_assets.fraud.windows import EVER, LONGEST, before, earliest, falls_within
from sv_assets.mongo import Document, Store

MOST = 1000
"""So many orders before an order, with one key, count at most: the nearest ones. A key of more tells about nobody."""
MOST_READ = 20_000
"""So many facts are read for some orders together; where there are more, they are read for fewer orders at a time."""
_KEYS_TOGETHER = 500


def around(store: Store, facts: Sequence[Fact]) -> list[Mapping[str, Sequence[Fact]]]:
    """For each order, by key, those that share it and were placed in the year before, or older ones of which money was paid
    back in that year: the earliest first, of the nearest `MOST` with a key. Of its customer the last one before that year as
    well, which tells that they are no stranger.
    """
    found = _read_together(store, facts)
    if found is None and len(facts) > 1:
        half = len(facts) // 2
        return [*around(store, facts[:half]), *around(store, facts[half:])]
    if found is None:
        return [_read_alone(store, facts[0])]
    return [{key: _nearest(key, found.get(key, ()), fact.at) for key in fact.keys} for fact in facts]


def _read_together(store: Store, facts: Sequence[Fact]) -> dict[str, list[Fact]] | None:
    """All facts by each key of these; None where they are too many."""
    wanted = {key for fact in facts for key in fact.keys}
    collection = store.fraud[FACTS]
    documents: dict[str, Document] = {}
    keys = sorted(wanted)
    for start in range(0, len(keys), _KEYS_TOGETHER):
        query = {"keys": {"$in": keys[start : start + _KEYS_TOGETHER]}}
        read = 0
        for document in collection.find(query).limit(MOST_READ + 1).batch_size(5_000):
            documents[document["_id"]] = document
            read += 1
        if read > MOST_READ or len(documents) > MOST_READ:
            return None
    by_key: dict[str, list[Fact]] = defaultdict(list)
    for document in documents.values():
        fact = fact_of(document)
        for key in fact.keys:
            if key in wanted:
                by_key[key].append(fact)
    for found in by_key.values():
        found.sort(key=_order)
    return by_key


def _read_alone(store: Store, fact: Fact) -> dict[str, Sequence[Fact]]:
    """For one order whose keys are those of very many: the nearest of each."""
    found = {}
    for key in fact.keys:
        query = {"keys": key, "at": {"$lt": fact.at}}
        nearest = store.fraud[FACTS].find(query).sort([("at", -1), ("_id", -1)]).limit(MOST)
        found[key] = _nearest(key, sorted((fact_of(document) for document in nearest), key=_order), fact.at)
    return found


def _nearest(key: str, ordered: Sequence[Fact], at: dt.datetime) -> Sequence[Fact]:
    """Of the nearest `MOST` before a moment those that may count, see `around`."""
    start = earliest(at, LONGEST)
    near = before(ordered, at, EVER)[-MOST:]
    older = [other for other in near if other.at < start]
    is_own = kind_of(key) == CUSTOMER
    count = [
        other
        for other in older
        if (is_own and other is older[-1]) or any(falls_within(r.at, at, LONGEST) for r in other.refunds)
    ]
    return [*count, *near[len(older) :]]


def _order(fact: Fact) -> tuple[float, str]:
    return fact.at.timestamp(), fact.id
