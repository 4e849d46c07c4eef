"""Which rows and messages of a person there are, in landing, the archives and quarantine."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sv_assets.catalogue.feeds import Reference
from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.customers.writing import SOURCE as CUSTOMERS
from sv_assets.landing.documents import field_path, field_value, reference_value
from sv_assets.landing.told import ORDER_PARTS, references, told_by_raw
from sv_assets.ledger import Trace, contacts_in, record_trace
from sv_assets.mongo import Document, Store, find_many
from sv_assets.privacy.subject import Person
from sv_assets.sources.keys import key_text


@dataclass
class Rows:
    """By source, the keys of a person's rows. `kept`: of their orders, which the law may want; `rest`: all others.

    `orders`: by source of orders, the keys and numbers of theirs; `messages`: by queue, the ids of archived messages;
    `quarantined`: ids of entries.
    """

    rest: dict[str, set[Any]] = field(default_factory=lambda: defaultdict(set))
    kept: dict[str, set[Any]] = field(default_factory=lambda: defaultdict(set))
    orders: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    messages: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    quarantined: set[str] = field(default_factory=set)

    def of(self, source_key: str) -> set[Any]:
        return self.rest.get(source_key, set()) | self.kept.get(source_key, set())

    @property
    def sources(self) -> list[str]:
        return sorted({key for found in (self.rest, self.kept) for key, ids in found.items() if ids})

    def counts(self) -> dict[str, int]:
        """By collection, how many documents."""
        counts = {f"landing.{key}": len(self.of(key)) for key in self.sources}
        counts |= {f"archive.{key}": len(ids) for key, ids in sorted(self.messages.items()) if ids}
        return counts | ({"control.quarantine": len(self.quarantined)} if self.quarantined else {})


MANY = 500_000
"""In a collection of more documents than that, only erasure looks through all of it; what stations know is found by indexes."""


def find_rows(store: Store, catalogue: Catalogue, person: Person, *, thorough: bool = True) -> Rows:
    """Every row and message of a person, also those that no station has taken up yet.

    Not `thorough`: in very large collections without rows that no station makes anything of (a consent that says neither yes
    nor no), for an answer within a minute.
    """
    rows = Rows()
    for source, keys in person.keys_by_source.items():
        rows.rest[source] |= keys
    for record in person.records.values():
        for address in record["addresses"]:
            rows.rest[address["record"].partition(":")[0]].add(address["key"])
    for fact in (*person.interactions, *person.consents, *person.flags):
        rows.rest[fact["record"].partition(":")[0]].add(fact["key"])
    for order in person.orders:
        rows.kept[order["record"].partition(":")[0]].add(order["key"])
    _by_reference(store, catalogue, person, rows, thorough)
    _by_declared_contact(store, catalogue, person, rows)
    _parts_of_orders(store, catalogue, rows)
    for key in list(rows.rest):
        rows.rest[key] -= rows.kept.get(key, set())
    _archived(store, catalogue, person, rows)
    _quarantined(store, catalogue, person, rows)
    return rows


def _by_reference(store: Store, catalogue: Catalogue, person: Person, rows: Rows, thorough: bool) -> None:
    """Rows that point to one of the person's, in whatever state they are."""
    of_source = person.keys_by_source
    for source in catalogue.sources:
        pointing: dict[str, set[Any]] = {}
        for reference in references(source):
            assert isinstance(reference, Reference)
            wanted = _spellings(of_source.get(catalogue.referred(source, reference).key, ()))
            pointing[reference.key] = pointing.get(reference.key, set()) | wanted
        pointing = {key: wanted for key, wanted in pointing.items() if wanted}
        if not pointing:
            continue
        found = (rows.kept if source.feeds_into("order") else rows.rest)[source.key]
        landed = store.landing[source.key]
        if thorough or source.feeds_into("address") or landed.estimated_document_count() <= MANY:
            for key, wanted in pointing.items():
                found |= {d["_id"] for d in find_many(landed, field_path(source, key), wanted, {"_id": 1})}
            continue
        # By one index alone: a second condition would have some servers look at every row.
        fields = dict.fromkeys((field_path(source, key) for key in pointing), 1)
        for narrowed in ({"_sv.deleted": True}, *({"_sv.pending": station} for station in source.stations)):
            for row in landed.find(narrowed, fields).batch_size(10_000):
                if any(reference_value(source, row, key) in wanted for key, wanted in pointing.items()):
                    found.add(row["_id"])


def _spellings(keys: Iterable[Any]) -> set[Any]:
    """Keys as they are, and as text or number: where a system keeps the keys of another one, it may do so in another type."""
    found = set(keys)
    texts = {key_text(key) for key in found}
    return found | texts | {int(text) for text in texts if text.isdecimal() and len(text) < 19}


def _by_declared_contact(store: Store, catalogue: Catalogue, person: Person, rows: Rows) -> None:
    """Rows of tables that describe nobody to identity, but have columns declared as contacts: by what stands in them."""
    own = person.contacts - person.shared.keys()
    for source in catalogue.sources:
        columns = [name for name, kind in source.entry.pii.items() if kind == "contact"]
        if source.entry.feeds.party is not None or not columns or not own:
            continue
        fields = dict.fromkeys((field_path(source, column) for column in columns), 1)
        for row in store.landing[source.key].find({}, fields).batch_size(10_000):
            said = (field_value(source, row, column) for column in columns)
            if any(isinstance(text, str) and contacts_in(text) & own for text in said):
                rows.rest[source.key].add(row["_id"])


def _parts_of_orders(store: Store, catalogue: Catalogue, rows: Rows) -> None:
    """The lines, payments, refunds and deliveries of their orders; of deliveries the law wants nothing."""
    for orders in catalogue.feeding("order"):
        feed = orders.entry.feeds.order
        assert feed is not None
        found = list(find_many(store.landing[orders.key], "_id", rows.kept.get(orders.key, ())))
        numbers = [number for row in found if (number := field_value(orders, row, feed.number)) is not None]
        ids = [row["_id"] for row in found]
        rows.orders[orders.key] |= {("id", key_text(i)) for i in ids} | {("number", key_text(n)) for n in numbers}
        for source in catalogue.sources:
            for name in ORDER_PARTS:
                part = getattr(source.entry.feeds, name)
                if part is None or catalogue.order_source(part.order.system or source.system) != orders:
                    continue
                path = field_path(source, part.order.id or part.order.number)
                wanted = ids if part.order.id else numbers
                into = rows.rest if name == "delivery" else rows.kept
                into[source.key] |= {d["_id"] for d in find_many(store.landing[source.key], path, wanted, {"_id": 1})}


def _archived(store: Store, catalogue: Catalogue, person: Person, rows: Rows) -> None:
    own = person.contacts - person.shared.keys()
    for source in catalogue.sources:
        if not source.is_queue:
            continue
        archive = store.archive[source.key]
        keys = {key_text(key) for key in rows.of(source.key)}
        rows.messages[source.key] |= {d["_id"] for d in find_many(archive, "key", sorted(keys), {"_id": 1})}
        for message in archive.find({"key": None}).batch_size(1000):  # those that could not be opened
            if _tells_of(catalogue, source, message["_id"], message, own, set()):
                rows.messages[source.key].add(message["_id"])


def _quarantined(store: Store, catalogue: Catalogue, person: Person, rows: Rows) -> None:
    """By key, and by the contacts of the person anywhere in what is kept."""
    own = person.contacts - person.shared.keys()
    texts = {key: {key_text(i) for i in rows.of(key)} for key in rows.sources}
    messages = {f"message {i}" for ids in rows.messages.values() for i in ids}
    people = {record_trace(key, key_text(i)) for key, ids in person.keys_by_source.items() for i in ids}
    by_key = {source.key: source for source in catalogue.sources}
    for entry in store.control["quarantine"].find({}).batch_size(1000):
        source = by_key.get(entry["source"])
        of_row = entry["key"] in texts.get(entry["source"], ()) or entry["key"] in messages
        of_customer = entry["source"] == CUSTOMERS and entry["key"] in person.customer_ids
        raw = entry.get("raw") or {}
        if (
            of_row
            or of_customer
            or (source is not None and _tells_of(catalogue, source, entry["key"], raw, own, people))
        ):
            rows.quarantined.add(entry["_id"])


def _tells_of(catalogue: Catalogue, source: Source, key: str, raw: Document, own: set[str], people: set[Trace]) -> bool:
    """True for what could not be converted and holds a contact of the person, or points to one of their rows."""
    told = told_by_raw(catalogue, source, key, raw)
    return not people.isdisjoint(told.decisive) or any(trace.parts[0] in own for trace in told.doubtful)


def documents(store: Store, source_key: str, keys: Iterable[Any]) -> Iterator[Document]:
    """Landed rows, by key."""
    return find_many(store.landing[source_key], "_id", sorted(keys, key=repr))
