"""Finding a customer from what a caller says: every question is an equality on one index (`queries`).

    from sv_assets.access import Actor
    from sv_assets.customers import find
    agent = Actor("ann", role="contact_centre", purpose="service")
    find.customers(store, actor=agent, phone="07700 900123", surname="Smith", postcode="SW1A 1AA")

Several things may be said at once: who has most of them comes first. What is not known of a customer does not rule it out.
Whoever asks gets what their role sees, is written down, and may ask only by what their role sees at least masked.
"""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from sv_assets.access import Actor, Attempt, Permission, permission
from sv_assets.access.reading import AccessRefused
from sv_assets.access.roles import fields_for
from sv_assets.customers import keys
from sv_assets.customers.sealed import asked_as
from sv_assets.errors import ConfigurationError
from sv_assets.identity import normalise
from sv_assets.identity.customer_ids import current_ids, resolve
from sv_assets.identity.normalise.names import PersonName
from sv_assets.mongo import Document, Store, find_many

COLLECTION = "single_view.customers"
MOST = 50
"""So many customers are found at most."""
ASKED_ABOUT = {
    "customer": "_id",
    "email": "email.value",
    "phone": "phone.value",
    "order": "orders.latest.number",
    "delivery": "orders.latest.number",
    "account": "accounts.record",
    "postcode": "address.value.postcode",
    "house": "address.value.line_1",
    "surname": "name.value.last",
    "name": "name.value.last",
    "town": "address.value.town",
    "born": "date_of_birth.value",
}
"""By part of a question, the field that an answer tells about: who sees nothing of it may not ask by it."""
ASKED_IN_THE_CLEAR = frozenset({"born"})
"""Parts of a question for who sees the field as it is: an answer would confirm to others what is masked for them."""
_NOT_A_DIGIT = re.compile(r"\D")
_RECORD_ID = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+:.+")


@dataclass(frozen=True)
class Found:
    """What is seen of a customer, why it was found (the best reason first), and how much the reasons weigh together."""

    customer: Document
    reasons: tuple[str, ...]
    strength: int

    @property
    def reason(self) -> str:
        return ", ".join(self.reasons)


@dataclass(frozen=True)
class _Clue:
    """A look-up key to ask by, what it is called, and what it weighs: 3 hardly anybody shares it, 1 many may."""

    key: str
    reason: str
    strength: int


@dataclass(frozen=True)
class Question:
    """What a caller says. `phone`, `postcode` with `house` or `surname`, and `name` with `town` may be partial. `born`
    is an ISO date, and needs the name."""

    customer: str | None = None
    email: str | None = None
    phone: str | None = None
    order: str | None = None
    delivery: str | None = None
    account: str | None = None
    postcode: str | None = None
    house: str | None = None
    surname: str | None = None
    name: str | None = None
    town: str | None = None
    born: str | None = None

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what is no text."""
        for part in self.kinds:
            keys.asked(part, getattr(self, part))

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is asked by, without the values."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name))

    @property
    def person(self) -> PersonName | None:
        """The name that is said; the surname, where it is said by itself."""
        said = normalise.person_name(full=self.name) if self.name else None
        if self.surname:
            said = (said or PersonName())._replace(last=normalise.person_name(last=self.surname).last)
        return said

    @property
    def is_by_name(self) -> bool:
        """True if the name is part of what is looked for by a key."""
        return bool(self.town or self.born or self.postcode)

    def clues(self) -> Iterator[_Clue]:
        """The keys of customers to ask by. Raises ConfigurationError for what is not what it should be."""
        if self.email:
            value = normalise.email(self.email)
            if value is None:
                raise ConfigurationError("That is not an e-mail address. Give it as name@example.com.")
            yield _Clue(f"email:{value.match}", "e-mail address", 3)
        if self.phone:
            yield _phone(self.phone)
        if self.account and not _RECORD_ID.fullmatch(self.account):
            yield _Clue(keys.account(_number("account", self.account)), "account number", 3)
        person = self.person
        surname = person and person.last
        if self.postcode:
            yield from _postcode(self.postcode, surname, self.house)
        if self.town:
            town = normalise.word(self.town)
            if not (person and person.first and person.last and town):
                raise ConfigurationError("With a town, give the first name and the surname too: --name 'Jane Smith'.")
            yield _Clue(keys.name_town(person.first, person.last, town), "name and town", 1)
        if self.born:
            yield _born(self.born, person)
        elif not set(self.kinds) - {"name", "surname"} and self.kinds:
            raise ConfigurationError(
                "A name alone finds too many. Give the town, the postcode or the date of birth with it."
            )
        if self.house and not self.postcode:
            raise ConfigurationError("A house number needs its postcode.")


def customers(
    store: Store, question: Question | None = None, *, actor: Actor, call: str | None = None, **said: str | None
) -> list[Found]:
    """Who it may be, the likeliest first, as the actor may see them; at most `MOST`. Takes a `Question`, or its fields by name.

    `call` is the reference of the call in which it is asked. Raises ConfigurationError for a question that is none,
    AccessRefused where the actor may not ask this, TransientError where it cannot be written down that it was asked.
    """
    question = question or Question(**said)
    attempt = Attempt(question.kinds, call)
    allowed = permission(store, actor, COLLECTION, attempt)
    may_ask(store, allowed, question, attempt)
    found = search(store, question)
    allowed.log(store, [item.customer["_id"] for item in found], attempt)
    seen = allowed.seen_each(item.customer for item in found)
    return [replace(item, customer=customer) for item, customer in zip(found, seen, strict=True)]


def by_id(store: Store, customer_id: str, *, actor: Actor) -> Document | None:
    """What the actor may see of the customer with this id, or with the id that it is an alias of. Raises as `customers`."""
    attempt = Attempt(("customer",))
    allowed = permission(store, actor, COLLECTION, attempt)
    document = stored(store, customer_id)
    allowed.log(store, [document["_id"]] if document else [], attempt)
    return allowed.seen(document) if document else None


def stored(store: Store, customer_id: str) -> Document | None:
    """The whole document, for stations: nobody is to be shown it. Raises ConfigurationError for what is no id."""
    customers = store.single_view["customers"]
    keys.asked("customer", customer_id)
    return customers.find_one({"_id": customer_id}) or customers.find_one({"_id": resolve(store, customer_id)})


def may_ask(store: Store, allowed: Permission, question: Question, attempt: Attempt) -> None:
    """An answer tells that somebody has this phone number. Raises AccessRefused for who may not know."""
    seen = fields_for(allowed.actor.role, COLLECTION)
    treated = {kind: seen.treatment(ASKED_ABOUT[kind]) if seen else None for kind in question.kinds}
    unseen = [k for k, t in treated.items() if t in (None, "hidden") or (t != "clear" and k in ASKED_IN_THE_CLEAR)]
    if unseen:
        allowed.log_refusal(store, attempt)
        raise AccessRefused(
            f"The role {allowed.actor.role} does not see, or sees only masked, what it asks by ({', '.join(unseen)}). "
            "It is written down that it was tried. `sv roles show` says who may."
        )


def search(store: Store, question: Question) -> list[Found]:
    """As `customers`, whole, for who has seen to the actor: nobody is to be shown this."""
    reasons: dict[str, dict[str, int]] = defaultdict(dict)
    found: dict[str, Document] = {}
    clues = list(question.clues())
    if clues:
        by_key = {key: clue for clue in clues for key in asked_as(store, clue.key)}
        for key in by_key:  # each by itself, so that what many share does not crowd out what is one's own
            for document in store.single_view["customers"].find({"keys": key}).limit(MOST):
                found[document["_id"]] = document
        for document in found.values():
            for key in by_key.keys() & set(document["keys"]):
                reasons[document["_id"]][by_key[key].reason] = by_key[key].strength
    by_reference = list(_by_reference(store, question))
    found.update({identifier: document for identifier, _, document in by_reference if document})
    found.update(_customers(store, {identifier for identifier, _, _ in by_reference} - found.keys()))
    gone = {identifier: resolve(store, identifier) for identifier, _, _ in by_reference if identifier not in found}
    found.update(_customers(store, set(gone.values()) - found.keys()))  # merged, and its orders do not say so yet
    for identifier, reason, _ in by_reference:
        reasons[gone.get(identifier, identifier)][reason] = 3
    if (person := question.person) and not question.is_by_name:
        for identifier, document in found.items():
            if _goes_by(document, person):
                reasons[identifier]["name"] = 1
    if not clues and not any((question.customer, question.order, question.delivery, question.account)):
        raise ConfigurationError("Say something to find somebody by: `sv find --help` lists what there is.")
    return sorted((_found(document, reasons[i]) for i, document in found.items()), key=_best_first)[:MOST]


def _customers(store: Store, ids: Iterable[str]) -> dict[str, Document]:
    return {document["_id"]: document for document in find_many(store.single_view["customers"], "_id", ids)}


def _goes_by(customer: Document, person: PersonName) -> bool:
    """True if one of the customer's names is the one said, as far as it is said."""
    names = (normalise.person_name(**known["value"]) for known in customer["names"])
    return any(person.last == n.last and person.first in (None, n.first) for n in names if n.last)


def _by_reference(store: Store, question: Question) -> Iterable[tuple[str, str, Document | None]]:
    """Ids of customers that are known from elsewhere, with the reason, and the customer where it came with that."""
    if question.customer:
        yield resolve(store, question.customer), "customer id", None
    if question.account and _RECORD_ID.fullmatch(question.account):
        for identifier in current_ids(store, [question.account]).values():
            yield identifier, "record", None
    asked = [(keys.order(_number("order", question.order)), "order number")] if question.order else []
    if question.delivery:
        asked.append((keys.delivery(_number("delivery", question.delivery)), "delivery reference"))
    for key, reason in asked:
        for order in store.single_view["orders"].aggregate(_with_customers(key)):
            if order["customer_id"]:
                yield order["customer_id"], reason, next(iter(order["customer"]), None)


def _with_customers(key: str) -> list[Document]:
    """The orders of a key, each with its customer: one statement, where somebody waits on the line."""
    joined = {"from": "customers", "localField": "customer_id", "foreignField": "_id", "as": "customer"}
    return [
        {"$match": {"keys": key}},
        {"$limit": MOST},
        {"$project": {"customer_id": 1}},
        {"$lookup": joined},
    ]


def _number(part: str, said: str) -> str:
    if not keys.says_something(said):
        raise ConfigurationError(
            f"What is asked by as {part} has neither letters nor digits. Give the number as it is read out."
        )
    return said


def _phone(said: str) -> _Clue:
    whole = normalise.phone(said)
    if whole:
        return _Clue(f"phone:{whole}", "phone number", 3)
    digits = _NOT_A_DIGIT.sub("", said)
    if len(digits) < keys.PHONE_END:
        raise ConfigurationError(
            f"Give a phone number whole, as 07700 900123, or at least its last {keys.PHONE_END} digits."
        )
    return _Clue(keys.phone_end(digits), "last digits of the phone number", 1)


def _postcode(said: str, surname: str | None, house: str | None) -> Iterator[_Clue]:
    value = normalise.postcode(said)
    if value is None:
        raise ConfigurationError("That is not a postcode. Give it as SW1A 1AA.")
    if surname:
        yield _Clue(keys.postcode_surname(value.unit, surname), "postcode and surname", 2)
    if house:
        number = keys.house_number(house)
        if number is None:
            raise ConfigurationError(
                "That is neither the number nor the name of a house. Give it as 12a, or Rose Cottage."
            )
        yield _Clue(keys.postcode_house(value.unit, number), "postcode and house number", 2)
    if not surname and not house:
        yield _Clue(f"postcode:{value.unit}", "postcode", 1)


def _born(said: str, person: PersonName | None) -> _Clue:
    try:
        born = dt.date.fromisoformat(said.strip())
    except ValueError:
        raise ConfigurationError("That is no date of birth. Give it as 1980-03-07.") from None
    if not (person and person.first and person.last):
        raise ConfigurationError("With a date of birth, give the first name and the surname: --name 'Jane Smith'.")
    return _Clue(keys.name_born(person.first, person.last, born.isoformat()), "name and date of birth", 3)


def _found(document: Document, reasons: dict[str, int]) -> Found:
    ordered = sorted(reasons, key=lambda reason: (-reasons[reason], reason))
    return Found(document, tuple(ordered), sum(reasons.values()))


def _best_first(found: Found) -> tuple[Any, ...]:
    """Who fits best; of equals who was last in touch, then who ordered most."""
    customer = found.customer
    last = [at for at in (customer["orders"]["last_at"], customer["interactions"]["last_at"]) if at]
    return -found.strength, -max(last).timestamp() if last else 0.0, -customer["orders"]["count"], customer["_id"]
