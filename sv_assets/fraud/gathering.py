"""From orders to facts: the facts of changed orders, and who must be evaluated again because of them.

An order is made a fact again when it changed, when its customer's document did (another telephone, a merge), or when it is
gone. Whoever has the order in a window, as it was or as it is, goes on the work list before the fact is written: so a
crash in between costs a second look and nothing else.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sv_assets.customers.readers import GONE
from sv_assets.customers.rights import STATEMENTS, kept_out
from sv_assets.customers.values import moment
from sv_assets.fraud.cases import case_id, is_fraud
from sv_assets.fraud.collections import CASES, FACTS, SCORES, SIGNALS, STATE
from sv_assets.fraud.facts import document_of, remembering
from sv_assets.fraud.keys import CUSTOMER, kind_of
from sv_assets.fraud.neighbours import after
from sv_assets.fraud.settings import FraudSettings
from sv_assets.fraud.windows import EVER, LONGEST, latest
from sv_assets.identity.party import StationReport
from sv_assets.mongo import Document, Store, bulk_write, content_hash, find_many, in_batches, put
from sv_assets.progress import Progress
from sv_assets.worklist import clear_pending, mark_pending, pending_batches, work_off

STATION = "fraud"
"""Its name on the work lists of orders and customers."""
EVALUATE = "signals"
"""The work list on the facts."""
PURPOSE = "fraud_prevention"
"""What orders are looked at for: who restricted the use of their data, or objected to this, is left out."""
BATCH_ORDERS = 500


@dataclass(frozen=True)
class Gathered:
    """The facts of some orders as they are now, and the ids of those that have none: gone, of no known moment, or left out."""

    facts: list[Document]
    none: list[str]


def gather_facts(store: Store, settings: FraudSettings, report: StationReport, *, full: bool = False) -> None:
    """Bring the facts up to the orders and customers. Unchanged ones are not written. The caller holds the lease."""
    state = store.fraud[STATE]
    read_by = state.find_one({"_id": "facts"})
    if read_by is None or read_by["reading"] != settings.reading:
        # The first time, or facts are read otherwise now: all orders, whoever wrote them.
        _mark_all(store)
        state.replace_one({"_id": "facts"}, {"reading": settings.reading}, upsert=True)
    orders = store.single_view["orders"]
    progress = Progress("facts about orders", "orders")
    gone = store.single_view[GONE]
    heavy: set[str] = set()
    for batch in pending_batches(gone, STATION, BATCH_ORDERS):
        ids = [note["_id"] for note in batch]
        there = list(find_many(orders, "_id", ids))
        missing = sorted(set(ids) - {order["_id"] for order in there})
        write(store, Gathered([], missing), report, heavy)
        write(store, gathered(store, there, settings), report, heavy)
        bulk_write(gone, clear_pending(batch, STATION, "revision"))

    def write_orders(batch: list[Document], found: Gathered) -> None:
        write(store, found, report, heavy)
        bulk_write(orders, clear_pending(batch, STATION, "hash"))
        report.read += len(batch)
        progress.advance(len(batch))

    work_off(
        orders, STATION, BATCH_ORDERS, lambda batch: gathered(store, batch, settings), write_orders, everything=full
    )
    _follow_customers(store, settings, report, heavy)


def _follow_customers(store: Store, settings: FraudSettings, report: StationReport, heavy: set[str]) -> None:
    """The orders of customers whose document changed: another telephone, address or name, a merge or a split."""
    customers = store.single_view["customers"]
    for batch in pending_batches(customers, STATION, 200, {"_sv": 1}):
        theirs = find_many(store.single_view["orders"], "customer_id", [customer["_id"] for customer in batch])
        for some in in_batches(theirs, BATCH_ORDERS):
            write(store, gathered(store, some, settings), report, heavy)
        bulk_write(customers, clear_pending(batch, STATION, "hash"))
        report.count("customers_read", len(batch))


def gathered(store: Store, orders: Sequence[Document], settings: FraudSettings) -> Gathered:
    """The facts of these orders."""
    wanted = {order["party"] for order in orders if order.get("party")}
    fields = dict.fromkeys(("compared", "emails", "phones", "name", "opened_at", "observed_at"), 1)
    parties = {p["_id"]: p for p in find_many(store.identity["party_records"], "_id", wanted, fields)}
    merges = _merges_of(store, {order["customer_id"] for order in orders if order.get("customer_id")})
    confirmed = _confirmed(store, [order["_id"] for order in orders])
    left_out = kept_out(store, {order["customer_id"] for order in orders if order.get("customer_id")}, PURPOSE)
    facts, none = [], []
    for order in orders:
        fact = None if order.get("customer_id") in left_out else document_of(
            order, parties.get(order.get("party")), merges.get(order.get("customer_id") or "", ()), order["_id"] in confirmed, settings
        )  # fmt: skip
        if fact is None:
            none.append(order["_id"])
        else:
            facts.append(fact)
    return Gathered(facts, none)


def without_facts(store: Store) -> tuple[int, int]:
    """How many orders are not looked at: those of customers who restricted the use of their data or objected, and of all
    others those that do not say when they were placed."""
    orders = store.single_view["orders"]
    said = {statement["customer_id"] for statement in store.single_view[STATEMENTS].find({}, {"customer_id": 1})}
    said |= {alias["customer_id"] for alias in find_many(store.identity["aliases"], "_id", list(said))}
    whose = kept_out(store, said, PURPOSE)
    left_out = sum(1 for _ in find_many(orders, "customer_id", whose, {"_id": 1}))
    not_dates = orders.find({"placed_at": {"$not": {"$type": "date"}}}, {"placed_at": 1, "customer_id": 1})
    timeless = sum(moment(order["placed_at"]) is None and order["customer_id"] not in whose for order in not_dates)
    return left_out, timeless


def of_waiting_customers(store: Store) -> int:
    """How many orders the customers on the work list have."""
    waiting = store.single_view["customers"].find({"_sv.pending": STATION}, {"_id": 1})
    return sum(
        1 for _ in find_many(store.single_view["orders"], "customer_id", (c["_id"] for c in waiting), {"_id": 1})
    )


def write(store: Store, found: Gathered, report: StationReport, heavy: set[str]) -> None:
    """Write the facts that changed and take out those that are no more, their neighbours marked before."""
    facts = store.fraud[FACTS]
    wanted = [*(fact["_id"] for fact in found.facts), *found.none]
    stored = {d["_id"]: d for d in find_many(facts, "_id", wanted)}
    made = [remembering(fact, stored.get(fact["_id"])) for fact in found.facts]
    hashes = {fact["_id"]: content_hash(fact) for fact in made}
    changed = [f for f in made if stored.get(f["_id"], {}).get("_sv", {}).get("hash") != hashes[f["_id"]]]
    lost = [stored[i] for i in found.none if i in stored]
    before = [stored[f["_id"]] for f in changed if f["_id"] in stored]
    mark_neighbours(store, [*changed, *before, *lost], heavy)
    new = [
        {
            **fact,
            "_sv": {
                "hash": hashes[fact["_id"]],
                "pending": [EVALUATE],
                "revision": stored.get(fact["_id"], {}).get("_sv", {}).get("revision", 0) + 1,
            },
        }
        for fact in changed
    ]
    inserted, updated = put(facts, new, stored)
    report.count("facts_written", inserted + updated)
    _take_out(store, found.none)


def mark_neighbours(store: Store, changed: Sequence[Document], heavy: set[str] | None = None) -> None:
    """Put on the work list every fact that has one of these in a window: the later ones that share a key.

    `heavy` as for `neighbours.around`.
    """
    reach: dict[str, list[tuple[dt.datetime, dt.datetime]]] = defaultdict(list)
    for fact in changed:
        last = max([fact["at"], *(refund["at"] for refund in fact["refunds"])])
        for key in fact["keys"]:
            # Of whoever ordered once it is known for ever that they did.
            window = EVER if kind_of(key) == CUSTOMER else LONGEST
            reach[key].append((fact["at"], latest(last, window)))
    moments = {key: [start for start, _ in spans] for key, spans in reach.items()}
    found: set[str] = set()
    for other in after(store, moments, set() if heavy is None else heavy, len(changed)):
        spans = (span for key in other["keys"] for span in reach.get(key, ()))
        if other["_id"] not in found and any(start < other["at"] <= end for start, end in spans):
            found.add(other["_id"])
    bulk_write(store.fraud[FACTS], mark_pending(sorted(found), EVALUATE))


def _take_out(store: Store, ids: Sequence[str]) -> None:
    """Orders that are gone: no signals, no fact, and a note for the cases that they may have."""
    if not ids:
        return
    scores = store.fraud[SCORES]
    there = [d["_id"] for d in find_many(scores, "_id", ids, {"_id": 1})]
    for batch in in_batches(there):
        change = {"$set": {"gone": True}, "$addToSet": {"_sv.pending": "cases"}, "$inc": {"_sv.revision": 1}}
        scores.update_many({"_id": {"$in": batch}}, change)
    for name in (SIGNALS, FACTS):
        for batch in in_batches(ids):
            store.fraud[name].delete_many({"_id": {"$in": batch}})


def _merges_of(store: Store, customers: Iterable[str]) -> Mapping[str, list[dt.datetime]]:
    """By customer, when others were merged with it, or with one that it was merged with later; a moment for each of them."""
    became = {customer: customer for customer in customers}
    aliases = find_many(store.identity["aliases"], "customer_id", list(became), {"customer_id": 1})
    became.update({alias["_id"]: alias["customer_id"] for alias in aliases})
    fields = {"kind": 1, "at": 1, "customer_ids": 1}
    events = {e["_id"]: e for e in find_many(store.identity["events"], "customer_ids", became, fields)}
    found: dict[str, list[dt.datetime]] = defaultdict(list)
    for event in events.values():
        survivor = event["customer_ids"][0]
        if event["kind"] == "merged" and survivor in became:
            found[became[survivor]].append(event["at"])
    return found


def _confirmed(store: Store, orders: Iterable[str]) -> set[str]:
    """Those of the orders that a human decided to be fraud."""
    cases = find_many(
        store.fraud[CASES], "_id", [case_id(order) for order in orders], {"order": 1, "state": 1, "verdict": 1}
    )
    return {case["order"] for case in cases if is_fraud(case)}


def _mark_all(store: Store) -> None:
    orders = store.single_view["orders"]
    for batch in in_batches(orders.find({}, {"_id": 1}).batch_size(10_000)):
        bulk_write(orders, mark_pending((order["_id"] for order in batch), STATION))
