"""What is known of a customer: its records and what holds them together, what became of its id, and what stands for review.

And of two customers: what links them, or why nothing does.
"""

import datetime as dt
from dataclasses import dataclass, replace
from itertools import islice, product

from sv_assets.access import Actor, permission
from sv_assets.errors import SvError
from sv_assets.identity import households
from sv_assets.identity.customer_ids import STATION, resolve
from sv_assets.identity.decisions import is_record, pairs_in_force, records_of
from sv_assets.identity.explain import (
    BY_RECORD,
    EXPLAINED,
    PairExplained,
    decision_shown,
    explain_known,
    guards_about,
    party_records,
    weigh,
    what_is_applied,
)
from sv_assets.mongo import Document, Store, find_many

EXPLAINED_CUSTOMER = "explained.customer"
MOST_PAIRS = 2_500
"""So many pairs of two customers without a link are weighed, to find the nearest."""


@dataclass(frozen=True)
class CustomerExplained:
    """A customer. `asked` is the id that was asked for: its own, or an alias of it.

    `records` are `{id, deleted, pending}`; `links` those between them; `households` the addresses that it shares.
    """

    customer_id: str
    asked: str
    state: str
    anchor: str | None
    born: dt.datetime | None
    identified: bool
    records: list[Document]
    links: list[Document]
    decisions: list[Document]
    aliases: list[str]
    events: list[Document]
    households: list[Document]
    review: list[Document]


@dataclass(frozen=True)
class Between:
    """Two customers (or a customer and a record): the stored links between them, the strongest first, and one pair in full.

    `pair` is the one with the strongest link, or where there is none, the one that weighs most.
    """

    asked: tuple[str, str]
    customers: tuple[str | None, str | None]
    verdict: str
    links: list[Document]
    guards: list[Document]
    pair: PairExplained | None


def explain_customer(store: Store, asked: str, *, actor: Actor) -> CustomerExplained:
    """Explain a customer, by its id, an alias of it, or a record of it, as the actor may see it.

    Raises SvError if it is not there, and as `explain_pair` does.
    """
    allowed = permission(store, actor, EXPLAINED_CUSTOMER, BY_RECORD)
    about = _explained(store, asked)
    allowed.log(store, [about.customer_id], BY_RECORD)
    return allowed.seen_of(about)


def _explained(store: Store, asked: str) -> CustomerExplained:
    customer = _customer_of_record(store, asked) if is_record(asked) else asked
    identity = store.identity
    cluster = identity["clusters"].find_one({"_id": resolve(store, customer)})
    if cluster is None:
        raise SvError(f"There is no customer {asked}. `sv find` finds customers.")
    customer_id = cluster["_id"]
    found = identity["party_records"].find({"customer_id": customer_id}, {"deleted": 1, "_sv": 1}).sort("_id", 1)
    records = [
        {"id": r["_id"], "deleted": r["deleted"], "pending": STATION in r["_sv"].get("pending", ())} for r in found
    ]
    ids = [record["id"] for record in records]
    aliases = sorted(alias["_id"] for alias in identity["aliases"].find({"customer_id": customer_id}, {"_id": 1}))
    events = {event["_id"]: event for event in find_many(identity["events"], "customer_ids", [customer_id, *aliases])}
    decisions = {d["_id"]: d for d in pairs_in_force(store, ids).values()}
    review = {item["_id"]: item for item in find_many(identity["review"], "records", ids)}
    homes = sorted(households.of_customers(store, [customer_id]), key=lambda home: str(home["_id"]))
    return CustomerExplained(
        customer_id=customer_id,
        asked=asked,
        state=cluster["state"],
        anchor=cluster.get("anchor"),
        born=cluster.get("born"),
        identified=cluster.get("identified", True),
        records=records,
        links=_links(store, ids, ids),
        decisions=[{**decision_shown(d), "records": d["records"]} for d in decisions.values()],
        aliases=aliases,
        events=[
            {name: event.get(name) for name in ("at", "kind", "customer_ids", "records", "evidence", "actor", "reason")}
            for event in sorted(events.values(), key=lambda event: (event["at"], str(event["_id"])))
        ],
        households=[{"home": h["_id"], "customers": h["customers"], "records": h["records"]} for h in homes],
        review=[
            {name: item[name] for name in ("guard", "records", "customer_ids", "weight", "reason", "detail", "since")}
            for item in sorted(review.values(), key=lambda item: -item["weight"])
        ],
    )


def explain_between(store: Store, a: str, b: str, *, actor: Actor) -> Between:
    """Explain what links two customers, or a customer and a record, as the actor may see it. Raises as `explain_pair`."""
    allowed = permission(store, actor, EXPLAINED, BY_RECORD)
    between = _between(store, a, b)
    allowed.log(store, [customer for customer in between.customers if customer], BY_RECORD)
    pair = None if between.pair is None else allowed.seen_of(between.pair)
    return replace(allowed.seen_of(replace(between, pair=None)), pair=pair)


def _between(store: Store, a: str, b: str) -> Between:
    applied = what_is_applied(store)
    customers = (_customer_of(store, a), _customer_of(store, b))
    if customers[0] is not None and customers[0] == customers[1] and not (is_record(a) or is_record(b)):
        return Between((a, b), customers, _one_customer(a, b, customers[0]), [], [], None)
    one = records_of(store, a)
    other = [record for record in records_of(store, b) if record not in one]
    if is_record(a) or is_record(b):
        one = [record for record in one if is_record(a) or record != b]
    if not one or not other:
        raise SvError(f"{a} and {b} are one and the same record. `sv identity explain {a}` shows its customer.")
    links = _links(store, one, other)
    guards = guards_about(store, one, other)
    pairs = [tuple(links[0]["records"])] if links else list(islice(product(one, other), MOST_PAIRS))
    records = party_records(store, sorted({record for pair in pairs for record in pair}))
    weighed = weigh(store, applied, records.values(), [(x, y) for x, y in pairs])
    (x, y), found = max(zip(pairs, weighed, strict=True), key=lambda item: item[1].weight)
    pair = explain_known(store, applied, records[x], records[y], found)
    return Between((a, b), customers, _verdict(links, pair), links, guards, pair)


def _links(store: Store, one: list[str], other: list[str]) -> list[Document]:
    """The stored links from some records to others, the strongest first."""
    left, right = set(one), set(other)
    found = {link["_id"]: link for link in find_many(store.identity["links"], "ends", one)}
    return [
        {"records": link["ends"], "weight": link["weight"], "rules": link["rules"], "model": link["model"]}
        for link in sorted(found.values(), key=lambda link: (-link["weight"], link["_id"]))
        if (link["ends"][0] in left and link["ends"][1] in right)
        or (link["ends"][1] in left and link["ends"][0] in right)
    ]


def _customer_of(store: Store, identifier: str) -> str | None:
    if not is_record(identifier):
        records_of(store, identifier)
        return resolve(store, identifier)
    (record,) = party_records(store, [identifier]).values()
    return record.get("customer_id")


def _customer_of_record(store: Store, record: str) -> str:
    customer = _customer_of(store, record)
    if customer is None:
        raise SvError(f"{record} belongs to no customer yet; the next run decides.")
    return customer


def _one_customer(a: str, b: str, customer: str) -> str:
    if a == b:
        return f"{a} is one customer. `sv identity explain {a}` shows it."
    aliases = [identifier for identifier in (a, b) if identifier != customer]
    return (
        f"One customer: {' and '.join(aliases)} became {customer}. `sv identity explain {customer}` shows when and why."
    )


def _verdict(links: list[Document], pair: PairExplained) -> str:
    if links:
        return f"{len(links)} link{'s' * (len(links) > 1)} between them; of the strongest: {pair.verdict}"
    return f"No link between them. The nearest records are {pair.records[0]} and {pair.records[1]}: {pair.verdict}"
