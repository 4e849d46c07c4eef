"""What the tables of a system may feed: candidates by names, types and keys, that point to each other as a catalogue must.

A reference needs a table that is declared to describe people; an order is referred to only where one table of the
system has orders. What would break that is a comment for a person to decide, whatever its confidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sv_assets.catalogue.feeds import Feeds
from sv_assets.catalogue.model import TableEntry
from sv_assets.sources.introspect import contacts, people, trade
from sv_assets.sources.introspect.candidates import ACTIVE_FROM, Candidate
from sv_assets.sources.introspect.found import TableFound
from sv_assets.sources.introspect.references import Keys, Referring, references
from sv_assets.sources.introspect.words import describes_people, is_of_customers, table_words, word_set, words

_PRODUCTS = word_set("product item article stockitem track title sku book film variant")


@dataclass(frozen=True)
class Estate:
    """The tables of one system: with their keys, and the entries of those that are declared already."""

    tables: Sequence[TableFound]
    keys: Keys
    declared: Mapping[str, TableEntry]

    def has(self, feed: str) -> list[str]:
        """The declared tables with this feed."""
        return [name for name, entry in self.declared.items() if getattr(entry.feeds, feed)]


def candidates(estate: Estate) -> dict[str, list[Candidate]]:
    """The candidates of each table that is not declared yet, by its full name."""
    refer = references(estate.tables, estate.keys)
    new = [table for table in estate.tables if table.full_name not in estate.declared]
    parties = _parties(new, refer, set(estate.has("party")))
    active = {name for name, candidate in parties.items() if candidate.active} | set(estate.has("party"))
    persons = {table.full_name: _person(table, refer[table.full_name], active, estate) for table in new}
    found: dict[str, list[Candidate | None]] = {name: [candidate] for name, candidate in parties.items()}
    for table in new:
        found.setdefault(table.full_name, []).append(people.address(table, persons[table.full_name]))
    orders = _orders(estate, new, parties, persons)
    for name, candidate in orders.items():
        of_table = [c for c in found[name] if c is not None and c.feed != "address"]  # it is where the order goes to
        found[name] = [*of_table, candidate]
    of_orders = [name for name, candidate in orders.items() if candidate.active] + estate.has("order")
    for table in new:
        name = table.full_name
        order = next((r for r in refer[name] if of_orders == [r.table]), None)
        is_party = name in parties and parties[name].active
        products = [
            r for r in refer[name] if _PRODUCTS & set(words(r.table)) | _PRODUCTS & set(_target_words(estate, r))
        ]
        found[name] += [
            trade.order_line(table, estate.keys[name], order, products),
            trade.payment(table, order),
            trade.refund(table, order),
            contacts.interaction(table, persons[name], is_party, order),
            contacts.consent(table, persons[name]),
        ]
    return {name: _declarable([c for c in of_table if c is not None]) for name, of_table in found.items()}


def _parties(
    tables: Sequence[TableFound], refer: Mapping[str, list[Referring]], declared: set[str]
) -> dict[str, Candidate]:
    found = {t.full_name: c for t in tables if (c := people.party(t, refer[t.full_name])) is not None}
    by_name = {table.full_name: table for table in tables}
    for table in tables:
        target = next((r for r in refer[table.full_name] if r.table in found or r.table in declared), None)
        if target is None:
            continue
        candidate = found.get(table.full_name)
        if candidate is not None and "when_empty" not in candidate.fields and not is_of_customers(table):
            found[table.full_name] = _demoted(candidate, f"the person stands in {target.table}")
        elif candidate is None and is_of_customers(table):
            _link(found, by_name, table, target)
    return found


def _link(found: dict[str, Candidate], by_name: Mapping[str, TableFound], table: TableFound, target: Referring) -> None:
    """A table of customers without names of its own makes the table of people that it refers to one of customers."""
    person = found.get(target.table)
    if person is not None and describes_people(by_name[target.table]):
        confidence = min(0.95, round(person.confidence + 0.25, 2))
        person = replace(person, confidence=confidence, because=(*person.because, f"{table.full_name} refers to it"))
        found[target.table] = person
    if person is None or person.active:
        found[table.full_name] = people.linked_party(table, target)


def _person(table: TableFound, refer: Sequence[Referring], active: set[str], estate: Estate) -> Referring | None:
    """The reference that says whose a row is: a foreign key before a name, a column named for a customer before another."""
    fitting = [r for r in refer if r.table in active and r.table != table.full_name]
    by_name = {t.full_name: t for t in estate.tables}

    def rank(referring: Referring) -> tuple[bool, bool]:
        named = bool(set(words(referring.column)) & set(table_words(by_name[referring.table])))
        return (not referring.declared, not named)

    return min(fitting, key=rank, default=None)


def _orders(
    estate: Estate,
    tables: Sequence[TableFound],
    parties: Mapping[str, Candidate],
    persons: Mapping[str, Referring | None],
) -> dict[str, Candidate]:
    """The best candidate may be declared; where one is already, or another is better, they are comments."""
    found: dict[str, Candidate] = {}
    for table in tables:
        name = table.full_name
        guests = name in parties and parties[name].active
        candidate = trade.order(table, estate.keys[name], persons[name], guests)
        if candidate is not None:
            found[name] = candidate
    declared = estate.has("order")
    best = max((n for n in found if found[n].active), key=lambda n: found[n].confidence, default=None)
    if declared:
        best = None
    for name, candidate in found.items():
        if candidate.active and name != best:
            found[name] = _demoted(candidate, f"the orders of this system stand in {(*declared, best)[0]}")
    return found


def _target_words(estate: Estate, referring: Referring) -> list[str]:
    target = next((table for table in estate.tables if table.full_name == referring.table), None)
    return table_words(target) if target else []


def _declarable(found: list[Candidate]) -> list[Candidate]:
    """Checked by the catalogue's own model: whatever it would refuse is a comment."""
    kept = []
    for candidate in found:
        if candidate.active:
            try:
                Feeds.model_validate({candidate.feed: dict(candidate.fields)})
            except ValueError:
                candidate = _demoted(candidate, "it is not complete")
        kept.append(candidate)
    return kept


def _demoted(candidate: Candidate, reason: str) -> Candidate:
    confidence = min(candidate.confidence, round(ACTIVE_FROM - 0.05, 2))
    return replace(candidate, confidence=confidence, because=(*candidate.because, f"but {reason}"))
