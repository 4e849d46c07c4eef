"""Subject access: everything held on a person, from every collection and log, with why it is held and until when."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sv_assets import sealing
from sv_assets.access import Actor, permission
from sv_assets.catalogue.load import Catalogue
from sv_assets.ledger import contacts_in
from sv_assets.mongo import Document, Store, find_many
from sv_assets.privacy import search
from sv_assets.privacy.declaration import Declaration, Held, collections_of, load_declaration
from sv_assets.privacy.files import declared_files
from sv_assets.privacy.plan import HISTORY
from sv_assets.privacy.redact import Redaction, numbers_in, words_of
from sv_assets.privacy.rows import MANY, Rows, documents, find_rows
from sv_assets.privacy.subject import Person, find_person
from sv_assets.sources.keys import key_text

SEEN_AS = "privacy.subject_access"
"""What a role is granted that may ask who somebody is by their evidence, and hand over everything held on them."""
MOST_LINES = 200
MANY_ANYWHERE = 200_000
_NAMED_BY = ("customer_id", "customers", "record")
"""What collections of ours call whom they are about."""
_BOOKKEEPING = ("_sv", "keys", "compared", "identified")
_NOT_THEIRS = {
    ("control", "erasures"),
    ("control", "erased"),
    ("control", "erasure_ledger"),
    ("control", "leases"),
    ("control", "legacy_actions"),
}


@dataclass(frozen=True)
class Section:
    """What one collection (or the logs) holds, redacted; why, on which basis and for how long."""

    name: str
    purpose: str
    basis: str
    kept: str
    documents: list[Document]
    source: str = ""
    owners: tuple[str, ...] = ()


@dataclass
class Gathered:
    """Everything held on a person. `undeclared`: collections of which nobody says what they are for."""

    customer_id: str
    customer_ids: list[str]
    sections: list[Section] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)
    redacted: int = 0
    """How many documents something of others was taken out of."""

    @property
    def documents(self) -> int:
        return sum(len(section.documents) for section in self.sections)


def gather(store: Store, catalogue: Catalogue, customer_id: str, *, actor: Actor) -> Gathered:
    """Everything held on a customer, and on whoever is the same person, for an actor who may hand it over.

    Raises AccessRefused for others, TransientError where it cannot be written down whom it is about.
    """
    allowed = permission(store, actor, SEEN_AS)
    declared = load_declaration()
    few = store.identity["party_records"].estimated_document_count() <= MANY
    person = find_person(store, customer_id, thorough=few)
    allowed.log(store, sorted(person.customer_ids))
    rows = find_rows(store, catalogue, person, thorough=False)
    result = Gathered(person.customer_id, sorted(person.customer_ids))
    redaction = redaction_for(store, catalogue, person, rows, declared)

    def add(name: str, found: Iterable[Document], source: str = "", owners: Iterable[str] = ()) -> None:
        database, _, collection = name.partition(".")
        held = declared.of(database, collection)
        if held is None:
            result.undeclared.append(name)
            held = Held(name=name, personal=True, purpose="not declared", kept="not declared")
        kept = sealing.opened(store, [_shown(document) for document in found])
        clean = [redaction.document(document) for document in kept]
        result.redacted += sum(before != after for before, after in zip(kept, clean, strict=True))
        if clean:
            result.sections.append(Section(name, held.purpose, held.basis, held.kept, clean, source, tuple(owners)))

    _add_rows(store, catalogue, rows, add)
    ids, records = sorted(person.customer_ids), sorted(person.records)
    add("identity.party_records", person.records.values())
    for name, path, values in (
        ("links", "ends", records), ("clusters", "_id", ids), ("aliases", "customer_id", ids), ("review", "records", records),
        ("decisions", "records", records), ("events", "customer_ids", ids), ("households", "customers", ids),
    ):  # fmt: skip
        add(f"identity.{name}", _distinct(find_many(store.identity[name], path, values)))
    add("single_view.customers", find_many(store.single_view["customers"], "_id", ids))
    add(f"single_view.{HISTORY}", find_many(store.single_view[HISTORY], "customer_id", ids))
    add("single_view.orders", person.orders)
    add("single_view.interactions", person.interactions)
    add("single_view.consents", person.consents)
    add("single_view.flags", person.flags)
    _add_consumers(store, catalogue, declared, person, add)
    lines = [redaction.document(line) for line in _lines_of_logs(declared, person)]
    if lines:
        kept = "; ".join(dict.fromkeys(held.kept for held in declared.files if held.handled == "redact"))
        result.sections.append(Section("logs", "Running the platform", "legitimate interest", kept, lines))
    return result


def redaction_for(store: Store, catalogue: Catalogue, person: Person, rows: Rows, declared: Declaration) -> Redaction:
    """What is the person's own in all that follows."""
    columns = {
        name.rpartition(".")[2]
        for source in catalogue.sources
        for name, kind in source.entry.pii.items()
        if kind == "name"
    }
    others: set[str] = set()
    facts = (*person.orders, *person.interactions, *person.consents, *person.flags)
    rows_of = frozenset(fact["record"] for fact in facts)
    own = {name.casefold() for name in person.whole_names}
    for customer in sealing.opened(
        store, list(find_many(store.single_view["customers"], "_id", sorted(person.others), {"names": 1}))
    ):
        for known in customer["names"]:
            name = known["value"]
            whole = name.get("full") or " ".join(name[p] for p in ("first", "last") if name.get(p))
            if " " in whole and whole.casefold() not in own:
                others.add(whole)
    return Redaction(
        contacts=frozenset(person.contacts).union(*map(contacts_in, person.written)),
        ids=frozenset(person.customer_ids),
        words=words_of(person.names),
        names_of_others=tuple(sorted(others, key=len, reverse=True)),
        columns_of_others=tuple(declared.others),
        records=frozenset(person.records) | frozenset(person.order_ids) | rows_of,
        party_sources=tuple(source.key for source in catalogue.feeding("party")),
        name_columns=frozenset(columns),
        numbers=numbers_in(_numbered(person, rows)),
    )


def _numbered(person: Person, rows: Rows) -> Iterator[str]:
    """What their rows, orders and parcels are called by."""
    for key in rows.sources:
        yield from map(key_text, rows.of(key))
    for pairs in rows.orders.values():
        yield from (value for _, value in pairs)
    for order in person.orders:
        yield from (str(event["reference"]) for event in order.get("deliveries", ()) if event.get("reference"))
    for record in person.records.values():
        yield from (value for values in record["compared"].get("ids", {}).values() for value in values)


def _add_rows(store: Store, catalogue: Catalogue, rows: Rows, add: Any) -> None:
    for key in rows.sources:
        source = catalogue.source(key)
        add(
            f"landing.{key}",
            documents(store, key, rows.of(key)),
            f"{source.system}: {source.name}",
            source.declared_in.owners,
        )
    for key, messages in sorted(rows.messages.items()):
        source = catalogue.source(key)
        add(
            f"archive.{key}",
            find_many(store.archive[key], "_id", sorted(messages)),
            f"{source.system}: {source.name}",
            source.declared_in.owners,
        )
    add("control.quarantine", find_many(store.control["quarantine"], "_id", sorted(rows.quarantined)))


def _add_consumers(store: Store, catalogue: Catalogue, declared: Declaration, person: Person, add: Any) -> None:
    """What consumers hold, as declared, and what nobody has declared."""
    pattern = search.pattern_of(person.searched())
    kinds: dict[str, list[str]] = {
        "customer": sorted(person.customer_ids),
        "record": sorted(person.records),
        "order": sorted(person.order_ids),
    }
    sources = {source.key for source in catalogue.sources}
    for database, name in collections_of(store, declared):
        held = declared.of(database, name)
        if database in ("landing", "archive") and name not in sources:
            held = held and held.model_copy(update={"find": "anywhere"})  # of a source that is declared no more
        if (database, name) in _NOT_THEIRS or (held is not None and held.find in ("station", "nobody")):
            continue
        collection = (
            getattr(store, database)[name]
            if hasattr(store, database)
            else store.control.client[store.prefix + database].get_collection(
                name, codec_options=store.control.codec_options
            )
        )
        if held is not None and isinstance(held.find, dict):
            found = [d for path, kind in held.find.items() for d in find_many(collection, path, kinds[kind])]
        else:
            found = _found_anywhere(store, database, name, collection, person, pattern)
        add(f"{database}.{name}", _distinct(found))


def _found_anywhere(
    store: Store, database: str, name: str, collection: Any, person: Person, pattern: Any
) -> list[Document]:
    """What names the person in a collection of any shape; where it is very large, by its ids, which a minute is enough for."""
    if pattern is None:
        return []
    if collection.estimated_document_count() <= MANY_ANYWHERE:
        return list(find_many(collection, "_id", search.in_collection(store, database, name, pattern)))
    ids = sorted(person.ids)
    led = {index["key"][0][0] for index in collection.index_information().values()}
    indexed = [path for path in _NAMED_BY if path in led] or list(_NAMED_BY)
    return [d for path in ("_id", *indexed) for d in collection.find({path: {"$in": ids}})]


def _lines_of_logs(declared: Declaration, person: Person) -> list[Document]:
    """Lines of logs that name the person."""
    lines: list[Document] = []
    pattern = search.pattern_of(person.searched())
    if pattern is None:
        return lines
    for path, handled in declared_files(declared):
        if handled == "redact" and search.in_file(path, pattern):
            for line in path.read_bytes().splitlines():
                if pattern.search(line) and len(lines) < MOST_LINES:
                    lines.append({"file": path.name, "line": line.decode(errors="replace")[:500]})
    return lines


def _shown(document: Document) -> Document:
    """Without the bookkeeping of ours that says nothing of the person."""
    return {name: value for name, value in document.items() if name not in _BOOKKEEPING}


def _distinct(found: Iterable[Document]) -> list[Document]:
    by_id = {repr(document["_id"]): document for document in found}
    return [by_id[key] for key in sorted(by_id)]
