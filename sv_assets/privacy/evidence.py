"""Evidence: what a requester gave, and who is proven by it."""

import datetime as dt
from dataclasses import dataclass

from sv_assets.customers import keys
from sv_assets.customers.find import Question
from sv_assets.errors import ConfigurationError
from sv_assets.identity import normalise
from sv_assets.identity.customer_ids import resolve
from sv_assets.ledger import contacts_in
from sv_assets.mongo import Store, find_many
from sv_assets.privacy import search
from sv_assets.privacy.rows import MANY
from sv_assets.privacy.subject import MOST_SHARING, contacts_of, corrections_of, may_be_one_name, of_deleted, with_key
from sv_assets.sources.keys import key_text

MOST_CANDIDATES = 20
PROOFS_NEEDED = 2


@dataclass(frozen=True)
class Evidence:
    """What the requester gave. A name alone proves nothing; it can only speak against."""

    email: str | None = None
    phone: str | None = None
    date_of_birth: dt.date | None = None
    postcode: str | None = None
    house: str | None = None
    surname: str | None = None
    name: str | None = None
    account: str | None = None
    order: str | None = None
    delivery: str | None = None
    customer: str | None = None

    def given(self) -> list[str]:
        return [name for name in self.__dataclass_fields__ if getattr(self, name) is not None]


@dataclass(frozen=True)
class Candidate:
    """Who it may be: what of the evidence fits, and what speaks against. Says nothing personal."""

    customer_id: str
    proofs: tuple[str, ...]
    against: tuple[str, ...]

    @property
    def is_proven(self) -> bool:
        return len(self.proofs) >= PROOFS_NEEDED and not self.against


def candidates(store: Store, evidence: Evidence) -> list[Candidate]:
    """Who it may be, the best proven first. Raises ConfigurationError where nothing was given to look by."""
    found: set[str] = set()
    if evidence.customer:
        found.add(resolve(store, evidence.customer))
    found |= _by_keys(store, evidence)
    if not evidence.customer and not any(
        (evidence.email, evidence.phone, evidence.account, evidence.order, evidence.delivery, evidence.postcode)
    ):
        raise ConfigurationError(
            "Say who it is about: --email, --phone, --account, --order, --delivery, or --postcode with --house or --surname."
        )
    told = [_weighed(store, identifier, evidence) for identifier in sorted(found)[: 5 * MOST_CANDIDATES]]
    known = [candidate for candidate in told if candidate is not None]
    return sorted(known, key=lambda c: (len(c.against), -len(c.proofs), c.customer_id))[:MOST_CANDIDATES]


def _by_keys(store: Store, evidence: Evidence) -> set[str]:
    asked: list[str] = []
    for email in _spellings(evidence.email):
        asked += [clue.key for clue in Question(email=email).clues()]
    if evidence.phone:
        asked += [clue.key for clue in Question(phone=evidence.phone).clues()]
    if evidence.account:
        asked.append(keys.account(evidence.account))
    if evidence.postcode and (evidence.surname or evidence.house):
        asked += [
            clue.key
            for clue in Question(postcode=evidence.postcode, surname=evidence.surname, house=evidence.house).clues()
        ]
    found: set[str] = set()
    for key in asked:
        found |= with_key(store, key)
    for key in ([keys.order(evidence.order)] if evidence.order else []) + (
        [keys.delivery(evidence.delivery)] if evidence.delivery else []
    ):
        found |= {
            d["customer_id"]
            for d in store.single_view["orders"].find({"keys": key}, {"customer_id": 1}).limit(MOST_SHARING)
        }
    numbers = _e164(evidence.phone)
    said = {"emails": _spellings(evidence.email), "mobiles": numbers, "lines": numbers}
    found |= set().union(*of_deleted(store, said).values())
    records = store.identity["party_records"]
    if not found and evidence.email and records.estimated_document_count() <= MANY:  # under another tag, perhaps
        pattern = search.pattern_of(_spellings(evidence.email))
        spelt = search.in_collection(store, "identity", "party_records", pattern) if pattern else []
        found |= {record["customer_id"] for record in find_many(records, "_id", spelt) if record.get("customer_id")}
    if evidence.account and ":" in evidence.account:
        record = store.identity["party_records"].find_one({"_id": evidence.account}, {"customer_id": 1})
        found |= {record["customer_id"]} if record and record.get("customer_id") else set()
    return found - {None, ""}


def _spellings(email: str | None) -> set[str]:
    if not email:
        return set()
    read = normalise.email(email)
    if read is None:
        raise ConfigurationError("That is not an e-mail address. Give it as name@example.com.")
    local, _, domain = read.match.partition("@")
    return {read.match, read.folded, f"{local.partition('+')[0] or local}@{domain}"}


def _e164(phone: str | None) -> list[str]:
    return [number] if phone and (number := normalise.phone(phone)) else []


def _weighed(store: Store, customer_id: str, evidence: Evidence) -> Candidate | None:
    records = list(store.identity["party_records"].find({"customer_id": customer_id}))
    if not records:
        return None
    said = [*records, *corrections_of(store, customer_id)]
    forms = [one["compared"] for one in said]

    def all_of(name: str) -> set[str]:
        return {
            value
            for form in forms
            for value in (
                form.get(name, ()) if isinstance(form.get(name), list) else [form[name]] if name in form else []
            )
        }

    contacts = {contact for one in said for contact in contacts_of(one)}
    fits: dict[str, bool] = {}
    for contact in ("email", "phone"):
        if given := getattr(evidence, contact):
            fits[contact] = bool(contacts_in(given) & contacts)
    if evidence.date_of_birth:
        born = all_of("born")
        fits["date of birth"] = evidence.date_of_birth.isoformat() in born
    if evidence.postcode:
        code = normalise.postcode(evidence.postcode)
        fits_place = code is not None and code.unit in all_of("postcodes")
        if evidence.house and code is not None:
            number = keys.house_number(evidence.house)
            fits_place = fits_place and any(
                home.startswith(f"{number} ") and home.endswith(code.unit) for home in all_of("homes")
            )
        fits["address"] = fits_place
    if evidence.account:
        fits["account"] = any(
            evidence.account in (r["_id"], key_text(r["key"]))
            or keys.account(evidence.account) == keys.account(key_text(r["key"]))
            for r in records
        )
    orders = [keys.order(evidence.order)] if evidence.order else []
    orders += [keys.delivery(evidence.delivery)] if evidence.delivery else []
    if orders:
        fits["order"] = any(
            d["customer_id"] == customer_id
            for key in orders
            for d in store.single_view["orders"].find({"keys": key}, {"customer_id": 1})
        )
    name = evidence.name or evidence.surname
    against = [what for what, fit in fits.items() if not fit]
    if name:
        asked = (
            normalise.person_name(full=evidence.name) if evidence.name else normalise.person_name(last=evidence.surname)
        )
        given_name = {"first": asked.first, "last": asked.last, "surnames": [asked.last] if asked.last else []}
        if not any(may_be_one_name(given_name, form) for form in forms if form.get("first") or form.get("last")):
            against.append("name")
    return Candidate(customer_id, tuple(what for what, fit in fits.items() if fit), tuple(against))
