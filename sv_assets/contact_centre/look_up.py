"""Looking up cards, as an agent does while somebody is on the line; which attempts found somebody is kept for measuring.

from sv_assets.contact_centre import look_up
look_up.by_id(store, "C46ZB8F1YYS5B74GC", actor=agent, call="9000000017")
look_up.cards(store, Question(phone="07700 900123"), actor=agent, call="9000000017")
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sv_assets.access import Actor, Attempt, permission
from sv_assets.access.reading import Permission
from sv_assets.contact_centre.card import card_of
from sv_assets.contact_centre.cards import COLLECTION
from sv_assets.contact_centre.reasons import holding
from sv_assets.contact_centre.settings import load_settings
from sv_assets.customers import find
from sv_assets.customers.keys import asked
from sv_assets.mongo import Document, Store, find_many
from sv_assets.sealing import is_sealed, opened

CARD = f"contact_centre.{COLLECTION}"
UNDECIDED = "open"
"""The state of a fraud case that nobody has decided."""


def by_id(
    store: Store, customer_id: str, *, actor: Actor, call: str | None = None, at: dt.datetime | None = None
) -> Document | None:
    """The card of a customer, by its id or an alias, as the actor may see it `at` a moment (now). Raises as `cards`."""
    asked("customer", customer_id)
    attempt = Attempt(("customer",), call)
    allowed = permission(store, actor, CARD, attempt)
    card = store.contact_centre[COLLECTION].find_one({"_id": customer_id})
    if card is None:
        customer = find.stored(store, customer_id)  # an alias, or one whose card is not made yet
        card = _read(store, [customer])[0] if customer else None
    allowed.log(store, [card["_id"]] if card else [], attempt)
    return _shown(store, card, allowed, at, allowed.opened([("", card)])) if card else None


def cards(
    store: Store,
    question: find.Question,
    *,
    actor: Actor,
    call: str | None = None,
    at: dt.datetime | None = None,
) -> list[Document]:
    """The cards of who it may be, the likeliest first. What holds is that of a moment (now).

    Raises ConfigurationError for a question that is none, AccessRefused where the actor may not ask this, TransientError
    where it cannot be written down that it was asked.
    """
    attempt = Attempt(question.kinds, call)
    allowed = permission(store, actor, CARD, attempt)
    find.may_ask(store, allowed, question, attempt)
    found = _read(store, [item.customer for item in find.search(store, question)])
    allowed.log(store, [card["_id"] for card in found], attempt)
    in_the_clear = allowed.opened(("", card) for card in found)
    return [_shown(store, card, allowed, at, in_the_clear) for card in found]


def _read(store: Store, customers: list[Document]) -> list[Document]:
    """The cards of these customers; one that is not made yet, or of an older version of its customer, is made here."""
    versions = {customer["_id"]: customer["version"] for customer in customers}
    stored = find_many(store.contact_centre[COLLECTION], "_id", versions)
    there = {card["_id"]: card for card in stored if card["customer_version"] >= versions[card["_id"]]}
    missing = opened(store, [customer for customer in customers if customer["_id"] not in there])
    there |= {customer["_id"]: card_of(customer, load_settings()) for customer in missing}
    return [there[customer["_id"]] for customer in customers]


def _shown(
    store: Store, card: Document, allowed: Permission, at: dt.datetime | None, in_the_clear: Mapping[bytes, Any]
) -> Document:
    """`in_the_clear`: what this actor may have opened of the card."""
    moment = at or dt.datetime.now(dt.timezone.utc)
    said = card["warnings"]
    said = in_the_clear.get(said, {}) if is_sealed(said) else said
    said = said if isinstance(said, dict) else {}  # not for this actor, or shredded
    warnings = {n: w for n, w in said.items() if w["until"] is None or moment < w["until"]}
    if allowed.fields.treatment("warnings.fraud_review.says") == "clear" and (
        review := _fraud_review(store, card["_id"])
    ):
        warnings["fraud_review"] = review
    shown = {**card, "warnings": warnings, "reasons": holding(card["reasons"], moment)}
    return allowed.fields.of(shown, in_the_clear)


def _fraud_review(store: Store, customer_id: str) -> Document | None:
    """An open fraud case, where the fraud team keeps cases. Read each time: a case is opened and decided within minutes."""
    fields = {"state": 1, "opened_at": 1}
    cases = store.fraud["cases"].find({"customer_id": customer_id}, fields)
    found = [case.get("opened_at") for case in cases if case.get("state") == UNDECIDED]
    if not found:
        return None
    says = "Under fraud review: promise no delivery or refund before it is decided."
    return {"says": says, "since": min(filter(None, found), default=None), "until": None, "system": "fraud"}
