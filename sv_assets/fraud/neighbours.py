"""Reading what orders share keys with: for many orders at once, and bounded, however many share a key.

Of most keys all orders are read, of many keys together. A key of very many (the tablet in a shop, the one device of a call
centre) is found out by what was read of it, and from then on read by itself: only what may count before the orders in hand.
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sv_assets.fraud.collections import FACTS
from sv_assets.fraud.facts import Fact, fact_of
from sv_assets.fraud.keys import CUSTOMER, kind_of
from sv_assets.fraud.windows import EVER, LONGEST, before, earliest, falls_within
from sv_assets.mongo import Document, Store, in_batches

MOST = 1000
"""So many orders before an order, with one key, count at most: the nearest ones. A key of more tells about nobody."""
MOST_READ = 20_000
"""So many facts are read for some orders together; where there are more, they are read for fewer orders at a time."""
_KEYS_TOGETHER = 500
_PLACED = {"at": 1, "keys": 1}


def around(store: Store, facts: Sequence[Fact], heavy: set[str] | None = None) -> list[Mapping[str, Sequence[Fact]]]:
    """For each order, by key, those that share it and were placed in the year before, or older ones of which money was paid
    back in that year: the earliest first, of the nearest `MOST` with a key. Of its customer the last one before that year as
    well, which tells that they are no stranger.

    `heavy` are keys known to be of very many orders; those that are found out are added. What comes out is the same.
    """
    heavy = set() if heavy is None else heavy
    by_key = _of_light(store, {key for fact in facts for key in fact.keys}, heavy)
    if by_key is None and len(facts) > 1:
        half = len(facts) // 2
        return [*around(store, facts[:half], heavy), *around(store, facts[half:], heavy)]
    if by_key is None:
        by_key, heavy = {}, set(facts[0].keys)
    moments: dict[str, list[dt.datetime]] = defaultdict(list)
    for fact in facts:
        for key in heavy.intersection(fact.keys):
            moments[key].append(fact.at)
    for key, some in moments.items():
        by_key[key] = _of_heavy(store, key, some)
    return [{key: _nearest(key, by_key.get(key, ()), fact.at) for key in fact.keys} for fact in facts]


def after(
    store: Store, moments: Mapping[str, Sequence[dt.datetime]], heavy: set[str], changes: int
) -> Iterator[Document]:
    """`{_id, at, keys}` at least of the facts after these moments, by key, for which an order at one of them may count; some
    come twice. `changes` is how many facts are about to be changed; `heavy` as for `around`.
    """
    yield from _after_light(store, moments.keys() - heavy, heavy)
    for key in moments.keys() & heavy:
        first, last = min(moments[key]), max(moments[key])
        between = {"keys": key, "at": {"$gt": first, "$lte": last}}
        read = list(store.fraud[FACTS].find(between, _PLACED).limit(MOST_READ + 1)) if first < last else []
        yield from read
        for start in [last] if len(read) <= MOST_READ else sorted(set(moments[key])):
            # Whichever of the changed ones go, it counts for no more than these.
            later = store.fraud[FACTS].find({"keys": key, "at": {"$gt": start}}, _PLACED)
            yield from later.sort([("at", 1), ("_id", 1)]).limit(MOST + changes)


def _after_light(store: Store, keys: set[str], heavy: set[str]) -> Iterator[Document]:
    """All facts with these keys, but for those of keys that are found out to be heavy meanwhile."""
    for some in in_batches(sorted(keys), _KEYS_TOGETHER):
        counted: Counter[str] = Counter()
        wanted = set(some)
        for number, document in enumerate(
            store.fraud[FACTS].find({"keys": {"$in": some}}, _PLACED).batch_size(5_000), 1
        ):
            yield document
            counted.update(wanted.intersection(document["keys"]))
            of_many = {key for key in wanted if counted[key] > MOST} if number % MOST_READ == 0 else set()
            if of_many:
                heavy |= of_many
                yield from _after_light(store, wanted - of_many, heavy)
                break


def _of_light(store: Store, keys: set[str], heavy: set[str]) -> dict[str, list[Fact]] | None:
    """All facts by each of the keys that are not heavy; None where they are too many."""
    documents: dict[str, Document] = {}
    light = keys - heavy
    for some in in_batches(sorted(light), _KEYS_TOGETHER):
        found = list(store.fraud[FACTS].find({"keys": {"$in": some}}).limit(MOST_READ + 1).batch_size(5_000))
        documents.update((document["_id"], document) for document in found)
        if max(len(found), len(documents)) > MOST_READ:
            counted = Counter(key for document in documents.values() for key in light.intersection(document["keys"]))
            of_many = {key for key, number in counted.items() if number > MOST}
            heavy |= of_many
            return _of_light(store, keys, heavy) if of_many else None
    return _by_key(documents.values(), light)


def _of_heavy(store: Store, key: str, moments: Sequence[dt.datetime]) -> list[Fact]:
    """Of the facts with a key at least the nearest `MOST` before each of the moments."""
    first, last = min(moments), max(moments)
    between = {"keys": key, "at": {"$gte": first, "$lt": last}}
    read = list(store.fraud[FACTS].find(between).limit(MOST_READ + 1).batch_size(5_000)) if first < last else []
    ends = [first] if len(read) <= MOST_READ else sorted(set(moments))
    documents = {document["_id"]: document for document in read} if len(ends) == 1 else {}
    for end in ends:
        documents.update((document["_id"], document) for document in _latest(store, key, end))
    return _by_key(documents.values(), {key}).get(key, [])


def _latest(store: Store, key: str, end: dt.datetime) -> Iterator[Document]:
    query = {"keys": key, "at": {"$lt": end}}
    yield from store.fraud[FACTS].find(query).sort([("at", -1), ("_id", -1)]).limit(MOST)


def _by_key(documents: Iterable[Document], wanted: set[str]) -> dict[str, list[Fact]]:
    """Facts by each wanted key, the earliest first."""
    found: dict[str, list[Fact]] = defaultdict(list)
    for fact in map(fact_of, documents):
        for key in wanted.intersection(fact.keys):
            found[key].append(fact)
    for facts in found.values():
        facts.sort(key=_order)
    return dict(found)


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
