"""What of an order fraud looks at, in one small document: when, how much, with what, whose, and what was paid back.

It holds no contact data: names, addresses, cards and the rest are hashes, which only tell whether two are the same.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sv_assets.customers.activity import Amount, amount
from sv_assets.customers.values import moment
from sv_assets.fraud import keys
from sv_assets.fraud.settings import FraudSettings
from sv_assets.mongo import Document

MOST_REFUNDS = 50


@dataclass(frozen=True, slots=True)
class Refund:
    """Money paid back at a moment: what `share` of the order, and whether a bank took it back."""

    at: dt.datetime
    share: float
    chargeback: bool


@dataclass(frozen=True, slots=True)
class Fact:
    """An order as fraud sees it. `keys` are what it shares with others; `address` is where it goes."""

    id: str
    at: dt.datetime
    customer_id: str | None = None
    keys: tuple[str, ...] = ()
    name: str | None = None
    surname: str | None = None
    total: float | None = None
    currency: str | None = None
    address: str | None = None
    elsewhere: bool = False
    guest: bool = False
    account: str | None = None
    opened_at: dt.datetime | None = None
    changed_at: dt.datetime | None = None
    merged_at: tuple[dt.datetime, ...] = ()
    declined: int = 0
    cancelled: bool = False
    placeholders: int = 0
    unreachable: bool = False
    refunds: tuple[Refund, ...] = ()
    fraud: bool = False
    """A human decided that it is."""
    by_kind: dict[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: dict[str, tuple[str, ...]] = {}
        for key in self.keys:
            kind = keys.kind_of(key)
            found[kind] = (*found.get(kind, ()), key)
        object.__setattr__(self, "by_kind", found)

    def of(self, kind: str) -> tuple[str, ...]:
        """Its keys of a kind."""
        return self.by_kind.get(kind, ())

    @property
    def charged_back(self) -> bool:
        return any(refund.chargeback for refund in self.refunds)


def document_of(
    order: Document, party: Document | None, merges: Iterable[dt.datetime], fraud: bool, settings: FraudSettings
) -> Document | None:
    """The fact document of an order; None where the order does not say when it was placed.

    `party` is the party record that it points to, `merges` when its customer was merged.
    """
    at = moment(order.get("placed_at"))
    if at is None:
        return None
    compared: Mapping[str, Any] = (party or {}).get("compared", {})
    total = _money(order.get("total"))
    to, billed = keys.place(order.get("delivery_address")), keys.place(order.get("billing_address"))
    first, last = compared.get("first"), compared.get("last")
    opened = moment(party.get("opened_at")) if party else None
    return {
        "_id": order["_id"],
        "at": at,
        "customer_id": order.get("customer_id"),
        "keys": _keys(order, compared, to, settings),
        "name": keys.digest(f"name {first} {last}") if first or last else None,
        "surname": keys.digest(f"surname {last}") if last else None,
        "total": total,
        "currency": None if order.get("currency") is None else str(order["currency"]),
        "address": keys.key(keys.ADDRESS, to.text) if to else None,
        "elsewhere": to is not None and billed is not None and to.differs(billed),
        "guest": order.get("party") == order.get("record"),
        "account": keys.digest(f"account {party['_id']}") if party and opened else None,
        "opened_at": opened,
        "changed_at": moment(party.get("observed_at")) if party and opened else None,
        "merged_at": sorted(merges),
        "declined": sum(_word(p.get("status")) in settings.words_of_declined for p in order.get("payments", ())),
        "cancelled": _word(order.get("status")) in settings.words_of_cancelled,
        "placeholders": _placeholders(party),
        "unreachable": party is not None and not any(compared.get(n) for n in ("emails", "mobiles", "lines")),
        "refunds": _refunds(order, total, settings),
        "fraud": fraud,
    }


def remembering(document: Document, before: Document | None) -> Document:
    """The fact document, with the last change of its account before the order that is known of.

    A record only says when it was changed last: a change after the order must not make one before it forgotten.
    """
    if before is None or document["account"] is None or before.get("account") != document["account"]:
        return document
    known = (document["changed_at"], before["changed_at"])
    earlier = [at for at in known if at is not None and at < document["at"]]
    return {**document, "changed_at": max(earlier)} if earlier else document


_NOT_PLAIN = frozenset({"id", "keys", "refunds", "merged_at", "by_kind"})


def fact_of(document: Document) -> Fact:
    """The fact that a document holds."""
    fields: dict[str, Any] = {name: document.get(name) for name in Fact.__slots__ if name not in _NOT_PLAIN}
    refunds = tuple(Refund(r["at"], r["share"], r["chargeback"]) for r in document["refunds"])
    return Fact(
        id=document["_id"], keys=tuple(document["keys"]), refunds=refunds, merged_at=tuple(document["merged_at"]), **fields
    )  # fmt: skip


def _keys(order: Document, compared: Mapping[str, Any], to: keys.Place | None, settings: FraudSettings) -> list[str]:
    unknown = settings.words_of_unknown
    found = set(keys.contacts(compared))
    if order.get("customer_id") is not None:
        found.add(keys.key(keys.CUSTOMER, order["customer_id"]))
    if device := keys.token(order.get("device"), unknown):
        found.add(keys.key(keys.DEVICE, device))
    for payment in order.get("payments", ()):
        if card := keys.token(payment.get("card"), unknown):
            found.add(keys.key(keys.CARD, card))
    if to:
        found.add(keys.key(keys.ADDRESS, to.text))
    return sorted(found)


def _refunds(order: Document, total: float | None, settings: FraudSettings) -> list[Document]:
    found = []
    for refund in order.get("refunds", ()):
        at, paid = moment(refund.get("refunded_at")), _money(refund.get("amount"))
        if at is not None:
            share = min(max(paid or 0.0, 0.0) / total, 1.0) if total and total > 0 else 0.0
            back = _word(refund.get("kind")) in settings.words_of_chargebacks
            found.append({"at": at, "share": round(share, 4), "chargeback": back})
    return sorted(found, key=lambda r: (r["at"], r["share"], r["chargeback"]))[:MOST_REFUNDS]


def _placeholders(party: Document | None) -> int:
    """How many of name, e-mail and telephone were given as something that is nobody's."""
    if party is None:
        return 0
    compared = party["compared"]
    given = {
        ("emails",): any(text.strip() for text in party.get("emails", ())),
        ("mobiles", "lines"): any(text.strip() for text in party.get("phones", ())),
        ("first", "last"): any(
            isinstance(said, str) and said.strip() for part, said in party.get("name", {}).items() if part != "title"
        ),
    }
    return sum(is_given and not any(compared.get(name) for name in names) for names, is_given in given.items())


def _money(value: Any) -> float | None:
    found: Amount | None = None if value is None or isinstance(value, bool) else amount(value)
    return None if found is None else float(found.units) / 10.0**found.places


def _word(value: Any) -> str:
    return "" if value is None else str(value).strip().casefold()
