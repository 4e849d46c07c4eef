"""Rectification, restriction, objection and consent: what a person says about their own data, with evidence and for good.

Nothing is changed in place: each statement is a document that says who recorded it, why and on which evidence, and stays when
it is undone. It counts from the next run of the customers on, and follows its customer through merges and splits. What keeps
data from being used (restriction, objection, consent withdrawn) holds for every customer that is the same person, also where
identity did not dare to join them (`subject`): of those it is said in statements that are undone together (`said_for`).
"""

import uuid
from typing import Any, Literal

from sv_assets import sealing
from sv_assets.access import Actor, load_roles, permission
from sv_assets.customers.rights import CORRECTIONS, EVERY, INDEXES, STATEMENTS, may_be_used_for, word
from sv_assets.customers.values import ADDRESS_PARTS, NAME_PARTS
from sv_assets.errors import ConfigurationError, SvError
from sv_assets.identity.compared import Description, PostalAddress, compared_form
from sv_assets.identity.customer_ids import ids_of, resolve
from sv_assets.identity.settings import load_settings
from sv_assets.mongo import Document, Store, bulk_write, ensure_indexes, find_many, now_in_milliseconds
from sv_assets.privacy.declaration import load_declaration
from sv_assets.privacy.rows import MANY
from sv_assets.privacy.subject import find_person
from sv_assets.worklist import mark_pending

__all__ = ["FIELDS", "consents", "may_be_used_for", "objects", "rectify", "restrict", "said_by", "undo"]
Field = Literal["name", "email", "phone", "date_of_birth", "address"]
FIELDS: tuple[Field, ...] = ("name", "email", "phone", "date_of_birth", "address")
STATION = "customers"


def rectify(store: Store, customer_id: str, field: Field, value: Any, *, actor: str, evidence: str) -> Document:
    """Put a value right. `value` is text; of a name `{first, last, …}`, of an address `{line_1, town, postcode, …}`.

    Raises ConfigurationError for what is no value of that field, SvError where there is no such customer.
    """
    says = _says(field, value)
    return _record(store, CORRECTIONS, customer_id, {"field": field, "says": says}, actor, evidence)


def restrict(store: Store, customer_id: str, *, actor: str, evidence: str) -> Document:
    """From now on the data are stored, and used for nothing but claims and the rights of others (UK GDPR, Art. 18)."""
    return _say(store, customer_id, {"kind": "restriction"}, actor, evidence)


def objects(store: Store, customer_id: str, purpose: str, *, actor: str, evidence: str) -> Document:
    """The person objects to a purpose (`*`: to every one that asks no consent; Art. 21). Raises ConfigurationError where data
    are used for no such purpose, because then the objection would keep them from nothing."""
    said = {"kind": "objection", "purpose": _known("purpose", purpose, _purposes(store))}
    return _say(store, customer_id, said, actor, evidence)


def consents(
    store: Store, customer_id: str, purpose: str, channel: str, granted: bool, *, actor: str, evidence: str
) -> Document:
    """The person gives or withdraws consent to a purpose over a channel (`*`: over every one). Raises ConfigurationError where
    nobody ever asked for consent to such a purpose, or over such a channel."""
    if granted and EVERY in (purpose, channel):
        raise ConfigurationError(
            "Consent is specific: name the purpose and the channel that it is given for. Only withdrawing takes `*`."
        )
    audience = load_declaration().audience
    said: Document = {
        "kind": "consent",
        "purpose": _known("purpose", purpose, {audience.purpose, *_asked_for(store, "purpose")}),
        "channel": _known("channel", channel, {*audience.channels, *_asked_for(store, "channel")}),
        "granted": granted,
    }
    return _say(store, customer_id, said, actor, evidence)


def undo(store: Store, identifier: str, *, actor: str, reason: str) -> Document:
    """Take back a correction or statement; it stays, and counts no more. Raises SvError where there is none in force."""
    _asked(actor, reason)
    for name in (CORRECTIONS, STATEMENTS):
        found = store.single_view[name].find_one({"_id": identifier})
        if found is None:
            continue
        if found.get("undone"):
            raise SvError(f"{identifier} has been taken back already.")
        undone = {"at": now_in_milliseconds(), "actor": actor, "reason": reason}
        together = {"said_for": found["said_for"]} if "said_for" in found else {"_id": identifier}
        those = list(store.single_view[name].find(together))
        for customer in {statement["customer_id"] for statement in those}:
            _tell(store, customer)
        store.single_view[name].update_many({"_id": {"$in": [s["_id"] for s in those]}}, {"$set": {"undone": undone}})
        for customer in {statement["customer_id"] for statement in those}:
            _tell(store, customer)
        return {**found, "undone": undone}
    raise SvError(f"There is no correction or statement {identifier}. `sv privacy requests` lists them.")


def said_by(store: Store, customer_id: str, *, actor: Actor) -> list[Document]:
    """Everything that a customer had put right or said, the latest first, also what was taken back, as the actor may see it.

    Raises as `access.permission` does.
    """
    allowed = permission(store, actor, f"single_view.{STATEMENTS}")
    ids = list(ids_of(store, [customer_id]))
    found = [
        {**document, "kind": document.get("kind", "correction")}
        for name in (CORRECTIONS, STATEMENTS)
        for document in store.single_view[name].find({"customer_id": {"$in": ids}})
    ]
    allowed.log(store, [customer_id] if found else [])
    return allowed.seen_each(sorted(found, key=lambda d: (d["at"], d["_id"]), reverse=True))


def _say(store: Store, customer_id: str, said: Document, actor: str, evidence: str) -> Document:
    """Record a statement; one that keeps data from being used of whoever is the same person as well."""
    _asked(actor, evidence)
    if said.get("granted"):
        return _record(store, STATEMENTS, customer_id, said, actor, evidence)
    few = store.identity["party_records"].estimated_document_count() <= MANY
    person = find_person(store, customer_id, thorough=few)
    found = find_many(store.identity["clusters"], "_id", sorted(person.customer_ids), {"state": 1})
    others = {cluster["_id"] for cluster in found if cluster["state"] == "active"} - {person.customer_id}
    said_for = {"said_for": f"r-{uuid.uuid4().hex[:16]}"} if others else {}
    for other in sorted(others):
        _record(store, STATEMENTS, other, {**said, **said_for}, actor, evidence)
    return _record(store, STATEMENTS, customer_id, {**said, **said_for}, actor, evidence)


def _record(store: Store, name: str, customer_id: str, what: Document, actor: str, evidence: str) -> Document:
    _asked(actor, evidence)
    identifier = resolve(store, customer_id)
    cluster = store.identity["clusters"].find_one({"_id": identifier}, {"state": 1})
    if cluster is None or cluster["state"] != "active":
        raise SvError(f"There is no customer {customer_id}. `sv find` finds customers by what they say.")
    ensure_indexes(store.single_view[name], INDEXES)
    document: Document = {
        "_id": f"r-{uuid.uuid4().hex[:16]}",
        "customer_id": identifier,
        **what,
        "actor": actor,
        "evidence": evidence,
        "at": now_in_milliseconds(),
    }
    _tell(store, identifier)  # before as well: a crash in between costs a look, not the statement
    store.single_view[name].insert_one(sealing.seal(store, f"single_view.{name}", [document], [identifier])[0])
    _tell(store, identifier)
    return document


def _purposes(store: Store) -> set[str]:
    """What data are used for, as far as that is declared or was asked for."""
    return {load_declaration().audience.purpose, *load_roles().purposes, *_asked_for(store, "purpose")}


def _asked_for(store: Store, field: Literal["purpose", "channel"]) -> set[str]:
    return {word(value) for value in store.single_view["consents"].distinct(field)}


def _known(what: str, given: str, known: set[str]) -> str:
    """A purpose or channel as it is compared. Raises ConfigurationError for one that nothing goes by."""
    if word(given) not in {EVERY, *map(word, known)}:
        raise ConfigurationError(
            f"{given} is no {what}: nothing would come of it. Allowed: {', '.join(sorted(known))}, or * for every one."
        )
    return word(given)


def _asked(actor: str, evidence: str) -> None:
    if not actor.strip() or not evidence.strip():
        raise SvError(
            "Say who records this, and on which evidence or for which reason: whoever asks later must find out."
        )


def _tell(store: Store, customer_id: str) -> None:
    bulk_write(store.identity["clusters"], mark_pending([resolve(store, customer_id)], STATION))


def _says(field: Field, value: Any) -> Document:
    """The value as a party record says it."""
    says: Document = {
        "name": {},
        "emails": [],
        "phones": [],
        "addresses": [],
        "date_of_birth": None,
        "source": "privacy.corrections",
    }
    if field not in FIELDS:
        raise ConfigurationError(f"{field} cannot be put right here. Allowed: {', '.join(FIELDS)}.")
    parts = NAME_PARTS if field == "name" else ADDRESS_PARTS
    if field in ("name", "address"):
        if (
            not isinstance(value, dict)
            or not value
            or set(value) - set(parts)
            or not all(isinstance(v, str) and v.strip() for v in value.values())
        ):
            raise ConfigurationError(f"A corrected {field} is given in parts: {', '.join(parts)}.")
    elif not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"A corrected {field} is a text.")
    if field == "name":
        says["name"] = dict(value)
    elif field == "email":
        says["emails"] = [value]
    elif field == "phone":
        says["phones"] = [value]
    elif field == "date_of_birth":
        says["date_of_birth"] = value
    else:
        says["addresses"] = [
            {**value, "record": "", "system": "privacy", "table": CORRECTIONS, "key": "", "version": 1}
        ]
    form = compared_form(_described(says), load_settings().values_of_nobody)
    wanted = {
        "name": ("first", "last"),
        "email": ("emails",),
        "phone": ("mobiles", "lines"),
        "date_of_birth": ("born",),
        "address": ("text", "postcode", "homes", "postcodes", "towns"),
    }
    if not any(form.get(name) for name in wanted[field]):
        raise ConfigurationError(f"That is no {field.replace('_', ' ')} as it can be used; look at it again.")
    return {**says, "compared": form}


def _described(says: Document) -> Description:
    name = says["name"]
    address = [
        PostalAddress(**{p: a.get(p) for p in ("line_1", "line_2", "town", "county", "postcode", "country")})
        for a in says["addresses"]
    ]
    texts = {part: (name[part],) if part in name else () for part in ("first", "middle", "last")}
    return Description(
        title=name.get("title"), full=name.get("full"), emails=tuple(says["emails"]), phones=tuple(says["phones"]),
        born=says["date_of_birth"], addresses=tuple(address), ids={}, **texts,
    )  # fmt: skip
