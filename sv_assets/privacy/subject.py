"""Who a request is about: everything by which the person is known in any collection.

A person is a customer with its aliases, and every other customer or record that shares an e-mail address or phone number
with them under a name that may be theirs (`Jane Smith`, `J. Smith`, `Smyth, Jane`): what identity did not dare to join is
theirs all the same. Who shares a contact under another name, title or birth date is somebody else.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rapidfuzz.distance import JaroWinkler

from sv_assets.customers import rights
from sv_assets.customers.sealed import asked_as
from sv_assets.identity import normalise
from sv_assets.identity.customer_ids import ids_of, resolve
from sv_assets.ledger import contacts_in, name_forms
from sv_assets.mongo import Document, Store, find_many
from sv_assets.privacy import search
from sv_assets.sources.keys import key_text

MOST_SHARING = 25
"""A contact that more customers share says nothing about who somebody is."""
ALIKE = 0.9
"""From here on two spellings may be one name (Jaro and Winkler)."""
_SHORTEST = 6


@dataclass
class Person:
    """Everything by which somebody is known.

    `records`: their party records, by id; `why`: by record, what makes it theirs; `corrections`: what they had put right, as a record
    says it; `orders`, `interactions`, `consents`, `flags` as in the single view; `shared`: contacts that other people
    have too, with the forms of their names; `others`: customers who are near (household, shared contacts,
    merges), whose documents may name them.
    """

    customer_id: str
    customer_ids: set[str] = field(default_factory=set)
    records: dict[str, Document] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    corrections: list[Document] = field(default_factory=list)
    orders: list[Document] = field(default_factory=list)
    interactions: list[Document] = field(default_factory=list)
    consents: list[Document] = field(default_factory=list)
    flags: list[Document] = field(default_factory=list)
    shared: dict[str, set[str]] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)

    @property
    def said(self) -> list[Document]:
        """Whatever says something of them: their records, and what they had put right."""
        return [*self.records.values(), *self.corrections]

    @property
    def contacts(self) -> set[str]:
        """E-mail addresses and phone numbers in the form in which spellings meet; placeholders are nobody's."""
        return {contact for record in self.said for contact in contacts_of(record)}

    @property
    def written(self) -> set[str]:
        """What stands where their e-mail addresses and phone numbers should, placeholders and mistakes too."""
        return {text.strip() for record in self.said for text in (*record["emails"], *record["phones"])}

    @property
    def texts(self) -> set[str]:
        """The same as they are written."""
        own = self.contacts
        return {text for text in self.written if contacts_in(text) & own}

    @property
    def name_forms(self) -> set[str]:
        return {form for record in self.said for form in _name_forms(record)}

    @property
    def names(self) -> set[str]:
        """First names, surnames and whole names as they are written."""
        return {
            v.strip()
            for r in self.said
            for p, v in r["name"].items()
            if p != "title" and isinstance(v, str) and v.strip()
        }

    @property
    def values(self) -> set[str]:
        """All that is said of them, value by value, as `same_value` compares it: names, addresses, contacts, birth dates, keys."""
        return {value for record in self.said for value in values_of(record)}

    @property
    def whole_names(self) -> dict[str, tuple[str, str]]:
        """Names of at least two words as they are written, with the first name and surname that they are compared by."""
        found: dict[str, tuple[str, str]] = {}
        for record in self.said:
            name = {part: v.strip() for part, v in record["name"].items() if isinstance(v, str)}
            compared = (str(record["compared"].get("first", "")), str(record["compared"].get("last", "")))
            if name.get("first") and name.get("last"):
                found[f"{name['first']} {name['last']}"] = found[f"{name['last']}, {name['first']}"] = compared
            if " " in name.get("full", ""):
                found[name["full"]] = compared
        return found

    @property
    def keys_by_source(self) -> dict[str, set[Any]]:
        """By source, the keys of the rows that describe them."""
        found: dict[str, set[Any]] = defaultdict(set)
        for record in self.records.values():
            found[record["source"]].add(record["key"])
        return found

    @property
    def order_ids(self) -> set[str]:
        return {order["_id"] for order in self.orders}

    @property
    def ids(self) -> set[str]:
        """The ids of ours that name them: customers and records."""
        return self.customer_ids | set(self.records)

    def searched(self) -> set[str]:
        """What a byte search looks for: contacts and ids, nothing that others have too or that is short. Orders have numbers
        that the law wants."""
        shared = self.shared.keys()
        own = {text for text in self.texts if contacts_in(text) - shared}
        own |= {contact.removeprefix("e:") for contact in self.contacts - shared if contact.startswith("e:")}
        for record in self.said:
            form = record["compared"]
            said = {value for name in ("emails", "folded", "mobiles", "lines") for value in form.get(name, ())}
            own |= {value for value in said if contacts_in(value) - shared}
        return {text for text in own | (self.ids - self.order_ids) if len(text) >= _SHORTEST}


def names_of_nobody_else(store: Store, person: Person) -> set[str]:
    """The whole names of a person that no other record has: those may be looked for in texts, and taken out of them."""
    found: dict[tuple[str, str], bool] = {}
    for first, last in set(person.whole_names.values()):
        query = {"compared.last": last, "compared.first": first}
        those = store.identity["party_records"].find(query, {"_id": 1}).limit(len(person.records) + 1)
        found[first, last] = bool(first and last) and all(record["_id"] in person.records for record in those)
    return {name for name, compared in person.whole_names.items() if found[compared] and len(name) >= _SHORTEST}


_PARTS = ("line_1", "line_2", "town", "county", "postcode")


def values_of(record: Document) -> set[str]:
    """What a record says of a person, value by value, as `same_value` compares it."""
    name = (value for part, value in record["name"].items() if part != "title")
    address = (address.get(part) for address in record["addresses"] for part in _PARTS)
    said = [*name, *address, *record["emails"], *record["phones"], record["compared"].get("born")]
    said += [key_text(record["key"])] if "key" in record else []
    return {same for value in said if isinstance(value, str) and (same := same_value(value))}


def same_value(text: str) -> str:
    """A value in the form in which its spellings meet."""
    return " ".join(text.casefold().split())


def may_be_one_name(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """True if two compared forms may name one person; also where one of them names nobody."""
    surnames, theirs = _surnames(one), _surnames(other)
    if surnames and theirs and not _alike(surnames, theirs):
        return False
    first, second = _first_names(one), _first_names(other)
    if not first or not second:
        return bool(surnames and theirs) or not (first or surnames) or not (second or theirs)
    initials = {name[0] for name in first} & {name[0] for name in second}
    short = any(len(name) == 1 for name in (*first, *second))
    return bool(first & second) or (short and bool(initials)) or _alike(first, second)


def _surnames(form: Mapping[str, Any]) -> set[str]:
    return {*form.get("surnames", ()), *([form["last"]] if form.get("last") else [])}


def _first_names(form: Mapping[str, Any]) -> set[str]:
    return {*form.get("given", ()), *form.get("nicknames", ()), *([form["first"]] if form.get("first") else [])}


def _alike(some: Iterable[str], others: Iterable[str]) -> bool:
    others = list(others)
    return any(
        a == b or (min(len(a), len(b)) > 2 and JaroWinkler.similarity(a, b) >= ALIKE) for a in some for b in others
    )


def _contradict(one: Document, other: Document) -> bool:
    """True if two records are two people although a name may be one."""
    a, b = one["compared"], other["compared"]
    if a.get("born") and b.get("born"):
        days = [dt.date.fromisoformat(form["born"]) for form in (a, b)]
        if not normalise.same_birth_date(*days):
            return True
    return any(a.get(part) and b.get(part) and a[part] != b[part] for part in ("gender", "suffix"))


def find_person(store: Store, customer_id: str, *, thorough: bool = True) -> Person:
    """The person behind a customer, with all that is theirs in identity and the single view.

    Not `thorough`: without looking through all records for other spellings of their e-mail addresses (`jane+shop@…`).
    """
    person = Person(resolve(store, customer_id))
    _add_customer(store, person, person.customer_id, "the customer")
    done: set[str] = set()
    while asked := person.contacts - done:
        done |= asked
        for contact, customer, records in _who_has(store, asked, person.customer_ids, thorough):
            ours = [r for r in person.records.values() if contact in contacts_of(r)]
            if any(contact in contacts_of(correction) for correction in person.corrections):
                ours = list(person.records.values())  # under whichever of their names
            theirs = [r for r in records if contact in contacts_of(r)]
            # All of a customer or nothing: some record under the contact may be ours, and none of it is surely another's.
            same = theirs and all(any(may_be_one_name(o["compared"], t["compared"]) for o in ours) for t in theirs)
            everybody = list(person.records.values())
            if same and not any(_contradict(a, b) for a in everybody for b in records):
                _add_customer(store, person, customer, "shares a contact under a name that may be theirs")
            else:
                person.shared.setdefault(contact, set()).update(
                    form for record in theirs for form in _name_forms(record)
                )
                person.others.add(customer)
    # An id that was theirs, was merged by mistake and stayed the other one's when they were parted.
    once = find_many(store.identity["clusters"], "anchor", sorted(person.records), {"state": 1})
    person.customer_ids |= {cluster["_id"] for cluster in once if cluster["state"] == "merged"}
    _add_facts(store, person)
    _add_neighbours(store, person)
    person.others -= person.customer_ids
    return person


def _name_forms(record: Document) -> set[str]:
    return name_forms(*(_text_of(record["name"].get(part)) for part in ("first", "last", "full")))


def _text_of(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def contacts_of(record: Document) -> set[str]:
    form = record["compared"]  # without placeholders
    return {
        contact
        for name in ("emails", "mobiles", "lines")
        for value in form.get(name, ())
        for contact in contacts_in(value)
    }


def corrections_of(store: Store, customer_id: str) -> list[Document]:
    """What a customer had put right, each as a party record says it."""
    corrections, _ = rights.of_customers(store, [customer_id]).get(customer_id, ([], []))
    return [correction["says"] for correction in corrections]


def with_key(store: Store, key: str) -> set[str]:
    """Customers with a look-up key."""
    kept_as = asked_as(store, key)
    query = {"keys": kept_as[0] if len(kept_as) == 1 else {"$in": kept_as}}
    return {d["_id"] for d in store.single_view["customers"].find(query, {"_id": 1}).limit(MOST_SHARING)}


def of_deleted(store: Store, said: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """By value, the customers of records that were deleted at their sources and say it, which no key finds any more.

    `said` are values by where they stand in `compared`. All deleted records are looked at, by their index alone: a second
    condition, or one query a value, would have some servers look at every record.
    """
    found: dict[str, set[str]] = defaultdict(set)
    if not any(said.values()):
        return found
    fields = dict.fromkeys(("customer_id", *(f"compared.{name}" for name in said)), 1)
    for record in store.identity["party_records"].find({"deleted": True}, fields).batch_size(5_000):
        for name, values in said.items() if record.get("customer_id") else ():
            for value in set(record["compared"].get(name, ())) & set(values):
                found[value].add(record["customer_id"])
    return found


def _add_customer(store: Store, person: Person, customer_id: str, why: str) -> None:
    ids = ids_of(store, [customer_id])
    person.customer_ids |= ids.keys()
    for record in find_many(store.identity["party_records"], "customer_id", sorted(ids)):
        person.records[record["_id"]] = record
        person.why.setdefault(record["_id"], why)
    person.corrections += corrections_of(store, customer_id)


def _who_has(
    store: Store, contacts: set[str], known: set[str], thorough: bool
) -> Iterator[tuple[str, str, list[Document]]]:
    """(contact, customer, its records) of other customers that have one of the contacts."""
    records = store.identity["party_records"]
    spelt = defaultdict(set)
    pattern = search.pattern_of(c.removeprefix("e:") for c in contacts if c.startswith("e:")) if thorough else None
    found = search.in_collection(store, "identity", "party_records", pattern) if pattern else []
    for record in find_many(records, "_id", found, {"customer_id": 1, "compared": 1}):
        for contact in contacts_of(record) & contacts if record.get("customer_id") else ():
            spelt[contact].add(record["customer_id"])
    values = {contact: _as_compared(contact) for contact in contacts}
    emails, numbers = ([v for c, v in values.items() if c.startswith("e:") == is_email] for is_email in (True, False))
    deleted = of_deleted(store, {"folded": emails, "mobiles": numbers})
    for contact in sorted(contacts):
        kind, _, value = contact.partition(":")
        asked = [f"email:{value}"] if kind == "e" else [f"phone:+44{value}", *_phone_keys(store, contact, known)]
        ids = {customer for key in asked for customer in with_key(store, key)}
        ids |= deleted.get(values[contact], set())
        for customer in sorted((ids | spelt[contact]) - known):
            yield contact, customer, list(records.find({"customer_id": customer}))


def _as_compared(contact: str) -> str:
    """A contact as records are compared by it."""
    kind, _, value = contact.partition(":")
    return value if kind == "e" else f"+44{value}"


def _phone_keys(store: Store, contact: str, known: set[str]) -> list[str]:
    """The keys of the very numbers that the person has, which may be of another country."""
    found = find_many(
        store.identity["party_records"], "customer_id", sorted(known), {"compared.mobiles": 1, "compared.lines": 1}
    )
    numbers = {n for r in found for n in (*r["compared"].get("mobiles", ()), *r["compared"].get("lines", ()))}
    return [f"phone:{n}" for n in sorted(numbers) if contact in contacts_in(n)]


def _add_facts(store: Store, person: Person) -> None:
    for name in ("orders", "interactions", "consents", "flags"):
        collection = store.single_view[name]
        found = {d["_id"]: d for d in find_many(collection, "customer_id", sorted(person.customer_ids))}
        found.update({d["_id"]: d for d in find_many(collection, "party", sorted(person.records))})
        setattr(person, name, [found[identifier] for identifier in sorted(found)])


def _add_neighbours(store: Store, person: Person) -> None:
    """Customers whose documents, history or events may name the person: who lives with them, and who was merged or split."""
    ids = sorted(person.customer_ids)
    for home in find_many(store.identity["households"], "customers", ids):
        person.others |= set(home["customers"])
    linked = {
        end for link in find_many(store.identity["links"], "ends", sorted(person.records)) for end in link["ends"]
    }
    linked |= {
        r for item in find_many(store.identity["review"], "records", sorted(person.records)) for r in item["records"]
    }
    strangers = linked - person.records.keys()
    others = find_many(store.identity["party_records"], "_id", strangers, {"customer_id": 1})
    person.others |= {record["customer_id"] for record in others if record.get("customer_id")}
    for event in find_many(store.identity["events"], "customer_ids", ids, {"customer_ids": 1}):
        person.others |= set(event["customer_ids"])
    for entry in find_many(store.single_view["customer_history"], "customer_id", ids):
        document = entry.get("document") or {}
        person.others |= set((document.get("household") or {}).get("members", ()))
        for change in entry.get("changes", ()):
            if change["path"].startswith("household"):
                person.others |= set(_customers_in(change))
    for document in find_many(store.single_view["customers"], "_id", ids, {"household": 1}):
        person.others |= set((document.get("household") or {}).get("members", ()))


def _customers_in(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("C") and value.isalnum():
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _customers_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _customers_in(item)
