"""The signals of an order: numbers that say how far it looks like fraud, each over a declared window before the order.

Pure functions of the order and of what it shares keys with. `SIGNALS` names them all: what each one counts, and how a
value of it is said in words. None of them knows anything that was not so before the order was placed, but for one thing: that
an earlier order was found to be fraud since.
"""

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from sv_assets.fraud import keys
from sv_assets.fraud.windows import DAY, EVER, HOUR, LONGEST, before, earliest, falls_within

if TYPE_CHECKING:
    from sv_assets.fraud.facts import Fact

FORM = 2
"""Goes up with each change of what is made of the same orders; all are then evaluated again."""
Around = Mapping[str, Sequence["Fact"]]
"""By key of the order, the other orders with that key of the year before it, and older ones that count (money was paid back
in that year; the customer was known by then): the earliest first."""
_FULL = 0.9
_YOUNG = 30 * DAY
_MOST_RATIO = 50.0


class Signal(NamedTuple):
    """What a signal counts, and how a value that stands out is said ({} is the value)."""

    says: str
    words: str
    window: dt.timedelta | None = None


SIGNALS: dict[str, Signal] = {
    "card_orders_1h": Signal("orders with one of its cards, in the hour before", "{} orders with the same card in the hour before", HOUR),
    "card_orders_24h": Signal("orders with one of its cards, in the day before", "{} orders with the same card in the day before", DAY),
    "device_orders_1h": Signal("orders from its device, in the hour before", "{} orders from the same device in the hour before", HOUR),
    "device_orders_24h": Signal("orders from its device, in the day before", "{} orders from the same device in the day before", DAY),
    "phone_orders_24h": Signal("orders with one of its telephones, in the day before", "{} orders with the same telephone in the day before", DAY),
    "address_orders_24h": Signal("orders to its address, in the day before", "{} orders to the same address in the day before", DAY),
    "customer_orders_7d": Signal("orders of the customer, in the week before", "{} orders of the customer in the week before", 7 * DAY),
    "cards_on_device_24h": Signal("other cards used on its device, in the day before", "{} other cards on the same device in the day before", DAY),
    "declined_24h": Signal("declined payments of this order, and with its cards or device in the day before", "{} declined payments with the same card or device within a day", DAY),
    "names_on_phone_90d": Signal("names of other customers with one of its telephones, in 90 days", "{} other names with the same telephone in 90 days", 90 * DAY),
    "names_on_card_90d": Signal("surnames of other customers with one of its cards, in 90 days", "{} other surnames with the same card in 90 days", 90 * DAY),
    "names_on_device_30d": Signal("surnames of other customers from its device, in 30 days", "{} other surnames from the same device in 30 days", 30 * DAY),
    "strangers_at_address_60d": Signal("surnames of other customers, new to us and billed elsewhere, with parcels to its address, in 60 days", "{} other new customers, billed elsewhere, with parcels to the same address in 60 days", 60 * DAY),
    "known_days": Signal("days since the account was opened, or the customer ordered first; a year at most", "known for {} days", LONGEST),
    "new_account_old_address": Signal("the account is younger than a month, and others had parcels sent to its address longer ago", "a new account, with an address that others used before", LONGEST),
    "merged_7d": Signal("merges of the customer with another, in the week before", "merged with another customer {} times in the week before", 7 * DAY),
    "delivered_elsewhere": Signal("it does not go to where it is billed", "delivered elsewhere than billed"),
    "new_address": Signal("a customer with a history has nothing sent to this address before", "an address that is new to this customer", LONGEST),
    "new_device": Signal("a customer with a history never used this device", "a device that is new to this customer", LONGEST),
    "new_card": Signal("a customer with a history never used this card", "a card that is new to this customer", LONGEST),
    "contact_changed_7d": Signal("an account older than a month was changed in the week before", "the account was changed in the week before", 7 * DAY),
    "value": Signal("what it costs", "a value of {}"),
    "value_ratio": Signal("what it costs, in medians of the customer's orders", "{} times the value of the customer's usual order", LONGEST),
    "spend_7d": Signal("what the customer spent in the week before, with this order", "{} spent within a week", 7 * DAY),
    "spend_7d_ratio": Signal("the same, in proportion to all that was spent before that week", "{} times as much within a week as in all the year before", LONGEST),
    "full_refunds_180d": Signal("orders of the customer that we paid back whole, not cancelled, in 180 days", "{} orders of the customer paid back whole in 180 days", 180 * DAY),
    "refund_share_180d": Signal("share of what the customer spent in the currency of the order that was paid back, in 180 days", "a share of {} of what the customer spent paid back in 180 days", 180 * DAY),
    "chargebacks_365d": Signal("chargebacks on orders of the customer, in a year", "{} chargebacks on the customer's orders in a year", LONGEST),
    "shared_chargebacks_365d": Signal("chargebacks on orders of others with its card, device, telephone, e-mail or address, in a year", "{} chargebacks on orders of others that share a card, device, telephone, e-mail or address", LONGEST),
    "shared_fraud_365d": Signal("orders decided to be fraud that share a customer, card, device, telephone, e-mail or address, in a year", "{} orders that were fraud share a customer, card, device, telephone, e-mail or address", LONGEST),
    "placeholders": Signal("name, e-mail or telephone that are placeholders", "{} of name, e-mail and telephone are placeholders"),
    "unreachable": Signal("neither an e-mail nor a telephone that could be somebody's", "no e-mail or telephone that could be somebody's"),
}  # fmt: skip
NAMES = tuple(SIGNALS)
_AT_NOTHING = {
    "new_account_old_address": "no new account with an address that others used before",
    "delivered_elsewhere": "not delivered elsewhere than billed",
    "new_address": "no address that is new to a customer with a history",
    "new_device": "no device that is new to a customer with a history",
    "new_card": "no card that is new to a customer with a history",
    "contact_changed_7d": "no old account that was changed in the week before",
    "spend_7d_ratio": "too little spent before that week to compare with",
    "unreachable": "not known to be without an e-mail or telephone",
}
"""How 0 is said where the words of the signal would say more than is so."""


def signals_of(fact: "Fact", around: Around) -> dict[str, float]:
    """All signals of an order, in the order of `SIGNALS`."""
    found = {**_velocity(fact, around), **_identity(fact, around), **_mismatch(fact, around)}
    found |= {**_value(fact, around), **_history(fact, around)}
    found |= {"placeholders": float(fact.placeholders), "unreachable": float(fact.unreachable)}
    return {name: round(float(found[name]), 4) for name in NAMES}


def explained(signals: Mapping[str, float]) -> list[dict[str, float | str]]:
    """What stands out of the signals, each in words; they name counts and amounts, never whose."""
    quiet = ("known_days", "value", "spend_7d")
    told = [
        (name, value) for name, value in signals.items() if name not in quiet and value and not _is_usual(name, value)
    ]
    return [{"signal": name, "value": value, "says": in_words(name, value)} for name, value in told]


def in_words(name: str, value: float) -> str:
    """A value of a signal as a sentence, also one that is there because of what is not so."""
    if not value and name in _AT_NOTHING:
        return _AT_NOTHING[name]
    if value >= 20 or value == int(value):
        return SIGNALS[name].words.format(f"{value:,.0f}")
    return SIGNALS[name].words.format(f"{value:.1f}" if value >= 1 else f"{value:.2g}")


def _is_usual(name: str, value: float) -> bool:
    return name in ("value_ratio", "spend_7d_ratio") and value < 1.5


def _velocity(fact: "Fact", around: Around) -> dict[str, float]:
    def most(kind: str, window: dt.timedelta) -> int:
        return max((len(before(around.get(k, ()), fact.at, window)) for k in fact.of(kind)), default=0)

    on_device = _together(fact, around, (keys.DEVICE,), DAY)
    other_cards = {card for other in on_device for card in other.of(keys.CARD)} - set(fact.of(keys.CARD))
    declined = sum(other.declined for other in _together(fact, around, (keys.CARD, keys.DEVICE), DAY))
    return {
        "card_orders_1h": most(keys.CARD, HOUR),
        "card_orders_24h": most(keys.CARD, DAY),
        "device_orders_1h": most(keys.DEVICE, HOUR),
        "device_orders_24h": most(keys.DEVICE, DAY),
        "phone_orders_24h": most(keys.PHONE, DAY),
        "address_orders_24h": most(keys.ADDRESS, DAY),
        "customer_orders_7d": most(keys.CUSTOMER, 7 * DAY),
        "cards_on_device_24h": len(other_cards),
        "declined_24h": declined + fact.declined,
    }


def _identity(fact: "Fact", around: Around) -> dict[str, float]:
    def others(kind: str, window: dt.timedelta, name: Callable[["Fact"], str | None]) -> int:
        found = {name(other) for other in _together(fact, around, (kind,), window) if _is_of_another(other, fact)}
        return len(found - {None, name(fact)})

    at_address = _together(fact, around, (keys.ADDRESS,), 60 * DAY)
    strangers = {
        o.surname
        for o in at_address
        if o.elsewhere and _is_young(o) and o.surname != fact.surname and _is_of_another(o, fact)
    } - {None}
    years = _together(fact, around, (keys.ADDRESS,), LONGEST)
    longer_ago = any(
        _is_of_another(o, fact) and o.surname != fact.surname and o.at < earliest(fact.at, _YOUNG) for o in years
    )
    return {
        "names_on_phone_90d": others(keys.PHONE, 90 * DAY, lambda o: o.name),
        "names_on_card_90d": others(keys.CARD, 90 * DAY, lambda o: o.surname),
        "names_on_device_30d": others(keys.DEVICE, 30 * DAY, lambda o: o.surname),
        "strangers_at_address_60d": len(strangers) if fact.elsewhere and _is_young(fact) else 0,
        "known_days": math.floor(_known_for(fact, around) / DAY),
        "new_account_old_address": fact.opened_at is not None and _is_young(fact) and longer_ago,
        "merged_7d": sum(falls_within(at, fact.at, 7 * DAY) for at in fact.merged_at),
    }


def _mismatch(fact: "Fact", around: Around) -> dict[str, float]:
    own = _own(fact, around, LONGEST)

    def is_new(kind: str) -> bool:
        mine = set(fact.of(kind))
        known = [set(other.of(kind)) for other in own if other.of(kind)]
        return bool(mine) and len(known) >= 2 and not any(mine & one for one in known)

    old = fact.opened_at is not None and not _is_young(fact)
    return {
        "delivered_elsewhere": fact.elsewhere,
        "new_address": is_new(keys.ADDRESS),
        "new_device": is_new(keys.DEVICE),
        "new_card": is_new(keys.CARD),
        "contact_changed_7d": old and falls_within(fact.changed_at, fact.at, 7 * DAY),
    }


def _value(fact: "Fact", around: Around) -> dict[str, float]:
    total = max(fact.total or 0.0, 0.0)
    paid = [o for o in _own(fact, around, LONGEST) if o.total and o.total > 0 and o.currency == fact.currency]
    usual = median(o.total or 0.0 for o in paid) if len(paid) >= 2 else total
    week = before(paid, fact.at, 7 * DAY)
    in_week = total + sum(o.total or 0.0 for o in week)
    earlier = sum(o.total or 0.0 for o in paid[: len(paid) - len(week)])
    has_history = len(paid) - len(week) >= 2
    return {
        "value": total,
        "value_ratio": min(total / usual, _MOST_RATIO) if usual else 1.0,
        "spend_7d": in_week,
        "spend_7d_ratio": min(in_week / earlier, _MOST_RATIO) if has_history and earlier else 0.0,
    }


def _history(fact: "Fact", around: Around) -> dict[str, float]:
    own = _own(fact, around, EVER)
    lately = [o for o in before(own, fact.at, 180 * DAY) if not o.cancelled]
    kept = [o for o in own if not o.cancelled]
    back = [(o, r) for o in kept for r in o.refunds if not r.chargeback and falls_within(r.at, fact.at, 180 * DAY)]
    whole: dict[str, float] = {}
    for o, refund in back:
        whole[o.id] = whole.get(o.id, 0.0) + refund.share
    spent = sum(max(o.total or 0.0, 0.0) for o in lately if o.currency == fact.currency)
    returned = sum(max(o.total or 0.0, 0.0) * r.share for o, r in back if o.currency == fact.currency)
    shared = _together(fact, around, keys.SHARED, EVER)
    others = [o for o in shared if _is_of_another(o, fact)]
    confirmed = {o.id for o in (*shared, *own) if o.fraud and falls_within(o.at, fact.at, LONGEST)}
    return {
        "full_refunds_180d": sum(share >= _FULL for share in whole.values()),
        "refund_share_180d": min(returned / spent, 1.0) if spent else 0.0,
        "chargebacks_365d": _chargebacks(own, fact.at),
        "shared_chargebacks_365d": _chargebacks(others, fact.at),
        "shared_fraud_365d": len(confirmed),
    }


def _chargebacks(orders: Sequence["Fact"], at: dt.datetime) -> int:
    return sum(r.chargeback and falls_within(r.at, at, LONGEST) for o in orders for r in o.refunds)


def _together(fact: "Fact", around: Around, kinds: Sequence[str], window: dt.timedelta) -> list["Fact"]:
    """The other orders that share a key of these kinds, each once."""
    found = {o.id: o for kind in kinds for k in fact.of(kind) for o in before(around.get(k, ()), fact.at, window)}
    return list(found.values())


def _own(fact: "Fact", around: Around, window: dt.timedelta) -> Sequence["Fact"]:
    """The earlier orders of the customer, the earliest first."""
    return next((before(around.get(k, ()), fact.at, window) for k in fact.of(keys.CUSTOMER)), ())


def _is_of_another(other: "Fact", fact: "Fact") -> bool:
    """True unless both are known to be of one customer: who writes a name in two ways, or marries, is no stranger."""
    return other.customer_id is None or other.customer_id != fact.customer_id


def _is_young(fact: "Fact") -> bool:
    """True for guests, and for accounts younger than a month when they ordered. Of others nobody says how old they are."""
    return fact.guest if fact.opened_at is None else fact.at - fact.opened_at < _YOUNG


def _known_for(fact: "Fact", around: Around) -> dt.timedelta:
    own = _own(fact, around, EVER)
    since = min((m for m in (fact.opened_at, own[0].at if own else None) if m is not None), default=fact.at)
    return min(max(fact.at - since, dt.timedelta(0)), LONGEST)
