"""What an erasure will do: everything that is known of the person, written down before the first of it goes.

The plan stands in `control.erasures` while the erasure runs, so that one that was killed goes on; when it is done, only
figures stay.
"""

import datetime as dt
from dataclasses import asdict, dataclass, field
from typing import Any

from sv_assets.catalogue.load import Catalogue
from sv_assets.identity.customer_ids import merged_with
from sv_assets.landing.suppression import kept_columns
from sv_assets.ledger import Erased, Trace, contact_trace, contacts_in, customer_trace, order_trace, record_trace
from sv_assets.mongo import Document, Store, find_many
from sv_assets.privacy.declaration import Declaration
from sv_assets.privacy.rows import Rows, find_rows
from sv_assets.privacy.subject import Person, find_person, names_of_nobody_else
from sv_assets.sources.keys import key_text

HISTORY = "customer_history"


@dataclass
class Plan:
    """`rest` and `kept`: rows by source; `searched`: the texts that must be nowhere afterwards; `keys`: of identity."""

    customer_id: str
    customer_ids: list[str]
    records: list[str]
    rest: dict[str, list[Any]]
    kept: dict[str, list[Any]]
    orders: dict[str, list[list[str]]]
    messages: dict[str, list[str]]
    quarantined: list[str]
    own: list[str]
    shared: list[list[str]]
    """(contact, form of a name) of contacts that others have too, under names that are none of theirs."""
    searched: list[str]
    names: list[str]
    """Whole names that nobody else has; other people's rows may speak of them."""
    keys: list[str]
    words: dict[str, list[str]]
    others: list[str]
    mingled: list[str] = field(default_factory=list)
    """Customers that were one with the person once and are not any more, with all ids that became theirs."""
    values: list[str] = field(default_factory=list)
    """All that is said of the person, value by value: it is looked for in what is told of those."""
    counts: dict[str, int] = field(default_factory=dict)
    joined: dict[str, int] = field(default_factory=dict)
    """By why records are taken for theirs, how many."""

    def as_document(self) -> Document:
        document = asdict(self)
        for name in (
            "rest",
            "kept",
            "orders",
            "messages",
        ):  # names of sources have dots, which names of fields should not
            document[name] = [[key, value] for key, value in getattr(self, name).items()]
        return document

    @classmethod
    def from_document(cls, document: Document) -> "Plan":
        changed = dict(document)
        for name in ("rest", "kept", "orders", "messages"):
            changed[name] = dict(document[name])
        return cls(**changed)


def make_plan(store: Store, catalogue: Catalogue, customer_id: str) -> Plan:
    """The plan for a customer and whoever is the same person."""
    person = find_person(store, customer_id)
    rows = find_rows(store, catalogue, person)
    return plan_for(store, person, rows)


def plan_for(store: Store, person: Person, rows: Rows) -> Plan:
    records = person.records.values()
    words = {
        name: sorted({r["compared"][name] for r in records if r["compared"].get(name)})
        for name in ("first", "last", "born")
    }
    plan = Plan(
        customer_id=person.customer_id,
        customer_ids=sorted(person.customer_ids),
        records=sorted(person.records),
        rest=_listed(rows.rest),
        kept=_listed(rows.kept),
        orders={key: sorted(map(list, pairs)) for key, pairs in rows.orders.items() if pairs},
        messages=_listed(rows.messages),
        quarantined=sorted(rows.quarantined),
        own=sorted(person.contacts - person.shared.keys()),
        shared=sorted(
            [contact, form] for contact, theirs in person.shared.items() for form in person.name_forms - theirs
        ),
        searched=sorted(person.searched()),
        names=sorted(names_of_nobody_else(store, person)),
        keys=sorted({key for r in records for key in r["keys"]}),
        words=words,
        others=sorted(person.others),
        mingled=_mingled(store, person),
        values=sorted(person.values),
    )
    plan.counts = _counts(store, person, rows)
    for why in person.why.values():
        plan.joined[why] = plan.joined.get(why, 0) + 1
    return plan


def _mingled(store: Store, person: Person) -> list[str]:
    events = find_many(store.identity["events"], "customer_ids", sorted(person.customer_ids), {"customer_ids": 1})
    near = {customer for event in events for customer in event["customer_ids"]} - person.customer_ids
    return sorted(merged_with(store, near) - person.customer_ids)


def _listed(found: dict[str, set[Any]]) -> dict[str, list[Any]]:
    return {key: sorted(ids, key=repr) for key, ids in sorted(found.items()) if ids}


def _counts(store: Store, person: Person, rows: Rows) -> dict[str, int]:
    """By collection, how many documents there are of the person."""
    ids, records = sorted(person.customer_ids), sorted(person.records)
    counts = rows.counts()
    asked = {
        ("identity", "party_records"): {"_id": {"$in": records}},
        ("identity", "links"): {"ends": {"$in": records}},
        ("identity", "clusters"): {"_id": {"$in": ids}},
        ("identity", "aliases"): {"customer_id": {"$in": ids}},
        ("identity", "review"): {"records": {"$in": records}},
        ("identity", "decisions"): {"records": {"$in": records}},
        ("identity", "events"): {"customer_ids": {"$in": ids}},
        ("identity", "households"): {"customers": {"$in": ids}},
        ("single_view", "customers"): {"_id": {"$in": ids}},
        ("single_view", HISTORY): {"customer_id": {"$in": ids}},
        ("control", "customer_keys"): {"keyAltNames": {"$in": ids}},
    }
    for (database, name), query in asked.items():
        counts[f"{database}.{name}"] = getattr(store, database)[name].count_documents(query)
    for name in ("orders", "interactions", "consents", "flags"):
        counts[f"single_view.{name}"] = len(getattr(person, name))
    return {name: number for name, number in sorted(counts.items()) if number}


def ledger_entries(catalogue: Catalogue, declared: Declaration, plan: Plan) -> list[Erased]:
    """Everything by which a way into landing must know that a row is of this person."""
    found: dict[Trace, Erased] = {}

    def add(one: Erased) -> None:
        found.setdefault(one.trace, one)

    contacts = {*plan.own, *(contact for contact, _ in plan.shared)}
    for source_key in {*plan.rest, *plan.kept}:
        source = catalogue.source(source_key)
        keeps = bool(kept_columns(catalogue, source, declared.policy))
        for key in (*plan.rest.get(source_key, ()), *plan.kept.get(source_key, ())):
            text = key_text(key)
            kept = keeps and key in plan.kept.get(source_key, ())
            natural = not kept and bool(contacts_in(text) & contacts)
            add(Erased(record_trace(source_key, text), source_key, "reduce" if kept else "drop", natural))
    for record in plan.records:
        source_key, _, text = record.partition(":")
        add(Erased(record_trace(source_key, text), None, "drop", bool(contacts_in(text) & contacts)))
    for source_key, pairs in plan.orders.items():
        for by, value in pairs:
            add(Erased(order_trace(source_key, by, value), action="reduce"))
    for contact in plan.own:
        add(Erased(contact_trace(contact)))
    for contact, form in plan.shared:
        found.setdefault(contact_trace(contact), Erased(contact_trace(contact), shared=True))
        add(Erased(contact_trace(contact, form)))
    for customer in plan.customer_ids:
        add(Erased(customer_trace(customer)))
    for queue, ids in plan.messages.items():
        for message in ids:
            add(Erased(record_trace(queue, f"message {message}")))
    return list(found.values())


def legacy_actions(catalogue: Catalogue, plan: Plan, erasure: str, at: dt.datetime) -> list[Document]:
    """What the owners of the legacy systems must do: one entry a row, `{system, table, key, what, owners}`."""
    actions = []
    for source_key in sorted({*plan.rest, *plan.kept}):
        source = catalogue.source(source_key)
        for n, key in enumerate([*plan.rest.get(source_key, ()), *plan.kept.get(source_key, ())]):
            kept = key in plan.kept.get(source_key, ())
            personal = ", ".join(sorted(source.entry.pii))
            if source.is_queue:
                what = "erase the person in the system that sends these messages; delete waiting messages and dead letters about this key"
            elif kept and not personal:
                continue  # a line or a payment names nobody
            elif kept:
                what = f"take the person out of the row ({personal}); the order itself is kept for the law"
            else:
                what = "delete the row, and its copies in backups and reports"
            actions.append(
                {"_id": f"{erasure}:{source_key}:{n}", "erasure": erasure, "source": source_key, "system": source.system, "table": source.name,
                 "key": key_text(key), "key_columns": [source.queue.key] if source.is_queue else source.table.key,
                 "owners": source.declared_in.owners, "what": what, "asked_at": at}
            )  # fmt: skip
    return actions
