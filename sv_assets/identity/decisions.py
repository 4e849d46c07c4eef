"""Human decisions: records are one person, or are not. They win over every rule and model, and survive every run.

`identity.decisions` is only ever added to: `{_id, kind: same | not_same | undo, sides: [[…], […]], records, customers, of, actor,
reason, at}`. A decision is about each record of one side with each of the other: `same` has one on each, `not_same` can
have many, so that what takes a customer apart is one document, there as a whole or not at all. `records` are all of
them, `customers` those that they belonged to. An `undo` takes back the decision `of`. In force is what has not been taken
back; of one pair that is never both, because a decision that contradicts others is refused.

Each is told in `identity.events` as well (`decided`, `undone`).
"""

import uuid
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from pymongo import IndexModel

from sv_assets.errors import SvError
from sv_assets.identity.customer_ids import STATION, resolve
from sv_assets.lease import lease
from sv_assets.mongo import Document, Store, bulk_write, ensure_indexes, find_many, insert_missing, now_in_milliseconds
from sv_assets.worklist import mark_pending

INDEXES = [IndexModel([("records", 1)]), IndexModel([("of", 1)], sparse=True), IndexModel([("at", 1)])]
TOLD_TOGETHER = 100
PROPOSED = "as you say now"
Kind = Literal["same", "not_same"]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Decisions:
    """What humans decided of some records: pairs that are one person, and pairs that are not."""

    same: frozenset[Pair]
    apart: frozenset[Pair]


@dataclass(frozen=True)
class Decided:
    """A decision, and the undo that took it back, if one did."""

    decision: Document
    undo: Document | None

    @property
    def in_force(self) -> bool:
        return self.undo is None


# --- what is in force ---------------------------------------------------------------------------------------------------


def decisions_about(store: Store, records: Iterable[str]) -> Decisions:
    """The decisions in force that name one of the records (of which the other may be elsewhere)."""
    in_force = pairs_in_force(store, records)
    return Decisions(
        frozenset(pair for pair, decision in in_force.items() if decision["kind"] == "same"),
        frozenset(pair for pair, decision in in_force.items() if decision["kind"] == "not_same"),
    )


def all_decisions(store: Store) -> Decisions:
    """All decisions in force."""
    in_force = dict(_in_force(store.identity["decisions"].find({})))
    return Decisions(
        frozenset(pair for pair, decision in in_force.items() if decision["kind"] == "same"),
        frozenset(pair for pair, decision in in_force.items() if decision["kind"] == "not_same"),
    )


def pairs_in_force(store: Store, records: Iterable[str]) -> dict[Pair, Document]:
    """By pair with one of the records in it, the latest decision in force."""
    wanted = set(records)
    found = _in_force(find_many(store.identity["decisions"], "records", wanted))
    return {pair: decision for pair, decision in found if not wanted.isdisjoint(pair)}


def list_decisions(store: Store, record: str | None = None) -> list[Decided]:
    """All decisions, or those about a record, the newest first."""
    found = list(store.identity["decisions"].find({"records": record} if record else {}))
    undone = {document["of"]: document for document in found if document["kind"] == "undo"}
    decisions = [Decided(d, undone.get(d["_id"])) for d in found if d["kind"] != "undo"]
    return sorted(decisions, key=lambda d: (d.decision["at"], d.decision["_id"]), reverse=True)


# --- deciding -----------------------------------------------------------------------------------------------------------


def decide(store: Store, kind: Kind, a: str, b: str, *, actor: str, reason: str) -> Document:
    """Decide that two records are one person, or are not. The next run of identity carries it out.

    Raises SvError where a record is not there, and where the decision contradicts others: with A = B and B = C in force,
    A and C cannot be decided apart.
    """
    return _decide(store, kind, [a], [b], actor, reason)


def separate(store: Store, records: Iterable[str], others: Iterable[str], *, actor: str, reason: str) -> Document:
    """Decide that none of the records is one person with any of the others: one decision, all of it or nothing."""
    return _decide(store, "not_same", sorted(set(records)), sorted(set(others)), actor, reason)


def merge(store: Store, a: str, b: str, *, actor: str, reason: str) -> Document:
    """Decide that two records are one person; of a customer it is the anchor.

    Raises SvError as `decide`, and where any of one customer's records was decided not to be one person with any of the
    other's: they would not all come together.
    """
    if is_record(a) and is_record(b):
        return decide(store, "same", a, b, actor=actor, reason=reason)
    one, other = (records_of(store, a), records_of(store, b))
    if set(one) & set(other):
        raise SvError(f"{a} and {b} are one customer already. Name two records if that must stay so, whatever changes.")
    for (x, y), decision in pairs_in_force(store, one).items():
        if decision["kind"] == "not_same" and ({x, y} & set(other)):
            raise SvError(
                f"{x} and {y} have been decided not to be one person ({_told(decision)}), which keeps {a} and {b} apart. Undo "
                f"that first: sv identity undo {decision['_id']}."
            )
    return decide(store, "same", one[0], other[0], actor=actor, reason=reason)


def split(store: Store, customer: str, records: Iterable[str], *, actor: str, reason: str) -> Document:
    """Decide that these records of a customer are not one person with any other record of it."""
    all_of_it, named = records_of(store, customer), set(records)
    if strange := sorted(named.difference(all_of_it)):
        raise SvError(
            f"{strange[0]} is no record of {customer}. `sv identity explain {customer}` shows those that it has."
        )
    others = [record for record in all_of_it if record not in named]
    if not named or not others:
        raise SvError(
            f"Name some of the {len(all_of_it)} records of {customer}, and not all: those go, the others stay."
        )
    return separate(store, named, others, actor=actor, reason=reason)


def undo(store: Store, decision_id: str, *, actor: str, reason: str) -> Document:
    """Take back a decision. The next run of identity decides the pairs by their evidence again."""
    _prepare(store, actor, reason)
    decisions = store.identity["decisions"]
    with lease(store, "identity"):
        found = decisions.find_one({"_id": decision_id})
        if found is None or found["kind"] == "undo":
            raise SvError(f"There is no decision {decision_id}. `sv identity decisions` lists them.")
        if before := decisions.find_one({"of": decision_id}):
            raise SvError(f"The decision {decision_id} has been taken back already, by {before['actor']}.")
        return _record(store, {"kind": "undo", "of": decision_id, "sides": found["sides"]}, actor, reason)


def is_record(identifier: str) -> bool:
    """True for the id of a party record (`crm.customer:100001`), false for that of a customer."""
    return ":" in identifier


def records_of(store: Store, identifier: str) -> list[str]:
    """A record itself; of a customer (or an alias of it) the live records, the anchor first. Raises SvError if it is not there."""
    if is_record(identifier):
        return [identifier]
    cluster = store.identity["clusters"].find_one({"_id": resolve(store, identifier)})
    if cluster is None:
        raise SvError(f"There is no customer {identifier}. `sv find` finds customers, `sv identity explain` shows one.")
    records = [
        r["_id"] for r in find_many(store.identity["party_records"], "_id", cluster["records"]) if not r["deleted"]
    ]
    if not records:
        raise SvError(f"The customer {cluster['_id']} has no records any more.")
    return sorted(records, key=lambda record: (record != cluster["anchor"], record))


def _decide(store: Store, kind: Kind, one: Sequence[str], other: Sequence[str], actor: str, reason: str) -> Document:
    _prepare(store, actor, reason)
    if set(one) & set(other):
        raise SvError("A record is always one person with itself. Name two different records.")
    with lease(store, "identity"):
        named = [*one, *other]
        fields = {"deleted": 1}
        there = {record["_id"]: record for record in find_many(store.identity["party_records"], "_id", named, fields)}
        for record in named:
            if record not in there:
                raise SvError(
                    f"There is no party record {record}. `sv identity explain` with a customer shows its records."
                )
            if there[record]["deleted"]:
                raise SvError(
                    f"The party record {record} was deleted at its source; there is nothing to decide about it."
                )
        _check(store, kind, one, other)
        return _record(store, {"kind": kind, "sides": [list(one), list(other)]}, actor, reason)


def _prepare(store: Store, actor: str, reason: str) -> None:
    if not actor.strip() or not reason.strip():
        raise SvError(
            "A decision needs an actor and a reason: whoever asks later must find out who decided it, and why."
        )
    ensure_indexes(store.identity["decisions"], INDEXES)


def _record(store: Store, what: Document, actor: str, reason: str) -> Document:
    tell(store)
    records = sorted({record for side in what["sides"] for record in side})
    found = find_many(store.identity["party_records"], "_id", records, {"customer_id": 1})
    decision = {
        "_id": f"d-{uuid.uuid4().hex[:16]}",
        **what,
        "records": records,
        "customers": sorted({record["customer_id"] for record in found if record.get("customer_id")}),
        "actor": actor,
        "reason": reason,
        "at": now_in_milliseconds(),
    }
    # First the work list: a crash in between costs a look at some records, not the decision.
    bulk_write(store.identity["party_records"], mark_pending(records, STATION))
    store.identity["decisions"].insert_one(decision)
    tell(store)
    return decision


def tell(store: Store) -> None:
    """Write the events of decisions that have none yet: of the last one, or of what a run that was killed had just written."""
    decisions = store.identity["decisions"]
    skipped = 0
    while batch := list(decisions.find({}).sort([("at", -1), ("_id", -1)]).skip(skipped).limit(TOLD_TOGETHER)):
        if not insert_missing(store.identity["events"], [event_of(decision) for decision in batch]):
            return
        skipped += len(batch)


def event_of(decision: Document) -> Document:
    kind = "undone" if decision["kind"] == "undo" else "decided"
    return {
        "_id": f"{kind}:{decision['_id']}",
        "kind": kind,
        "decision": decision.get("of", decision["_id"]),
        "decided": decision["kind"],
        "records": decision["records"],
        "customer_ids": decision["customers"],
        "actor": decision["actor"],
        "reason": decision["reason"],
        "evidence": [],
        "at": decision["at"],
    }


# --- contradictions -----------------------------------------------------------------------------------------------------


def contradiction(decisions: Iterable[Document]) -> str | None:
    """What of these decisions (with their undos) cannot be true at once, in one sentence; None if all can."""
    in_force = list(_in_force(decisions))
    same: dict[str, list[tuple[str, Document]]] = defaultdict(list)
    for (a, b), decision in in_force:
        if decision["kind"] == "same":
            same[a].append((b, decision))
            same[b].append((a, decision))
    for (a, b), decision in in_force:
        if decision["kind"] == "not_same" and (chain := _chain(same, a, b)):
            way = a + "".join(f" = {record} ({_told(why)})" for record, why in chain)
            theirs = [why["_id"] for _, why in chain if why["_id"] != PROPOSED] or [decision["_id"]]
            return (
                f"{a} and {b} cannot be two people ({_told(decision)}) and one: {way}. Undo one of these decisions first, as in "
                f"sv identity undo {theirs[0] if decision['_id'] == PROPOSED else decision['_id']}."
            )
    return None


def _check(store: Store, kind: Kind, one: Sequence[str], other: Sequence[str]) -> None:
    """Raises SvError if the decisions in force say so already, or say the contrary, in one step or in several."""
    in_force = pairs_in_force(store, one)
    before = [in_force.get(_pair(a, b)) for a, b in product(one, other)]
    told = [decision for decision in before if decision is not None and decision["kind"] == kind]
    if len(told) == len(before):
        raise SvError(f"That has been decided already ({_told(told[0])}).")
    proposed = {"_id": PROPOSED, "kind": kind, "sides": [list(one), list(other)], "at": now_in_milliseconds()}
    if contrary := contradiction([*store.identity["decisions"].find({}), proposed]):
        raise SvError(contrary)


def _chain(same: Mapping[str, list[tuple[str, Document]]], a: str, b: str) -> list[tuple[str, Document]]:
    """The shortest way from one record to another over decisions that two are the same; empty where there is none."""
    ways: dict[str, list[tuple[str, Document]]] = {a: []}
    waiting = deque([a])
    while waiting and b not in ways:
        near = waiting.popleft()
        for far, decision in same.get(near, ()):
            if far not in ways:
                ways[far] = [*ways[near], (far, decision)]
                waiting.append(far)
    return ways.get(b, [])


def _told(decision: Document) -> str:
    return PROPOSED if decision["_id"] == PROPOSED else f"{decision['_id']}, by {decision['actor']}"


def _in_force(decisions: Iterable[Document]) -> Iterator[tuple[Pair, Document]]:
    """What of these decisions has not been taken back, the pairs of each, the latest last."""
    found = {decision["_id"]: decision for decision in decisions}
    taken_back = {decision["of"] for decision in found.values() if decision["kind"] == "undo"}
    for decision in sorted(found.values(), key=lambda d: (d["at"], d["_id"])):
        if decision["kind"] != "undo" and decision["_id"] not in taken_back:
            yield from ((pair, decision) for pair in _pairs(decision))


def _pairs(decision: Document) -> Iterator[Pair]:
    one, other = decision["sides"]
    return (_pair(a, b) for a, b in product(one, other))


def _pair(a: str, b: str) -> Pair:
    return (a, b) if a <= b else (b, a)
