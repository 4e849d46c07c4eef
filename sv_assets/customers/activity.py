"""What a customer did and what is under way: orders in sums, the latest of them, calls and complaints, open issues.

Facts are added one by one and forgotten but for the sums and the latest, so that a customer with 50,000 orders takes no
more memory than one with 20.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Context, Decimal, InvalidOperation
from typing import Any, NamedTuple

from bson import Decimal128

from sv_assets.customers.settings import CustomerSettings
from sv_assets.customers.values import NEVER, moment, origin_of, rank
from sv_assets.mongo import Document

LATEST = 20
MOST_DIGITS = 31
ORDER_FIELDS = dict.fromkeys(("customer_id", "number", "placed_at", "status", "total", "currency", "channel", "deliveries", "refunds", "system", "table", "key", "version"), 1)  # fmt: skip
"""What of an order is needed here."""


class Amount(NamedTuple):
    """An amount of money, exactly: `units` × 10^-`places`. Sums are the same in any order."""

    units: int
    places: int

    def plus(self, other: "Amount") -> "Amount":
        places = max(self.places, other.places)
        return Amount(self.units * 10 ** (places - self.places) + other.units * 10 ** (places - other.places), places)

    def stored(self) -> Decimal128:
        """As MongoDB holds it (IEEE 754-2008 decimal128, binary integer significand), rounded where 34 digits are too few."""
        if abs(self.units) >= _LIMIT:
            return Decimal128(_ROUNDED.create_decimal(Decimal(self.units).scaleb(-self.places, _EXACT)))
        bits = abs(self.units) | (_BIAS - self.places) << 113 | (self.units < 0) << 127
        return Decimal128.from_bid(bits.to_bytes(16, "little"))


_LIMIT = 10**34
_ROUNDED, _EXACT = Context(prec=34), Context(prec=100)
_BIAS = 6176
_SIGNIFICAND = (1 << 113) - 1
_NOTHING = Amount(0, 0)


class Latest:
    """The latest twenty of the facts that were added, and how many there were."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[tuple[float, str, Document]] = []

    def add(self, at: dt.datetime | None, identifier: str, document: Document) -> None:
        self.count += 1
        self._kept.append((-(at or NEVER).timestamp(), identifier, document))
        if len(self._kept) > 10 * LATEST:
            self._cut()

    def documents(self) -> list[Document]:
        """The latest first; those of one instant by their ids."""
        self._cut()
        return [document for *_, document in self._kept]

    def _cut(self) -> None:
        self._kept.sort(key=lambda kept: kept[:2])
        del self._kept[LATEST:]


@dataclass(slots=True)
class _Sums:
    orders: int = 0
    spend: Amount = _NOTHING
    refunds: Amount = _NOTHING


@dataclass
class Activity:
    """The orders and interactions of one customer. `closing_sources` as in `compose.Rules`."""

    settings: CustomerSettings
    closing_sources: frozenset[str] = frozenset()
    first_at: dt.datetime | None = None
    last_at: dt.datetime | None = None
    last_interaction_at: dt.datetime | None = None
    orders_latest: Latest = field(default_factory=Latest)
    interactions_latest: Latest = field(default_factory=Latest)
    open_latest: Latest = field(default_factory=Latest)
    sums: dict[str, _Sums] = field(default_factory=lambda: defaultdict(_Sums))

    @property
    def last_event(self) -> dt.datetime | None:
        """When the customer last ordered or was in contact."""
        return max((at for at in (self.last_at, self.last_interaction_at) if at), default=None)

    def add_order(self, order: Document) -> None:
        at, identifier = moment(order["placed_at"]), str(order["_id"])
        if at:
            self.first_at = at if self.first_at is None else min(self.first_at, at)
            self.last_at = at if self.last_at is None else max(self.last_at, at)
        total = amount(order["total"])
        sums = self.sums[currency_of(order["currency"])]
        sums.orders += 1
        sums.spend = sums.spend.plus(total or _NOTHING)
        sums.refunds = sums.refunds.plus(_refunded(order))
        parcels = _latest_by_parcel(order["deliveries"]) if order["deliveries"] else {}
        summary = {
            "order": identifier,
            **{name: order[name] for name in ("number", "status", "currency", "channel")},
            "placed_at": at,
            "total": total and total.stored(),
            "refunded": _refunded(order).stored() if order["refunds"] else None,
            "delivery": _newest_status(parcels.values()),
            **origin_of(order),
        }
        self.orders_latest.add(at, identifier, summary)
        if _word(order["status"]) not in self.settings.delivered:
            for parcel, event in parcels.items():
                if _word(event["status"]) not in self.settings.delivered:
                    self._add_delivery(order, identifier, parcel, event)

    def _add_delivery(self, order: Document, identifier: str, parcel: str, event: Document) -> None:
        since = moment(event["at"])
        issue = {
            "kind": "delivery",
            "since": since,
            "status": event["status"],
            "order_number": order["number"],
            "parcel": event.get("parcel"),
            **origin_of(order),
        }
        self.open_latest.add(since, f"{identifier}/{parcel}", issue)

    def add_interaction(self, interaction: Document) -> None:
        at, identifier = moment(interaction["at"]), str(interaction["_id"])
        closed_at = moment(interaction["closed_at"])
        if at:
            self.last_interaction_at = max(self.last_interaction_at or at, at)
        summary = {
            "interaction": identifier,
            "at": at,
            "closed_at": closed_at,
            **{name: interaction[name] for name in ("kind", "reason", "status", "order_number")},
            **origin_of(interaction),
        }
        self.interactions_latest.add(at, identifier, summary)
        if self._is_open(interaction):
            issue = {
                "kind": str(interaction["kind"]),
                "since": at,
                "status": interaction["status"],
                "order_number": interaction["order_number"],
                **origin_of(interaction),
            }
            self.open_latest.add(at, identifier, issue)

    def _is_open(self, interaction: Document) -> bool:
        """By its status; without one, where its source says when such are closed: a call without either is over."""
        status = _word(interaction["status"])
        if interaction["closed_at"] is not None or status in self.settings.closed:
            return False
        return bool(status) or str(interaction["_id"]).partition(":")[0] in self.closing_sources

    def orders(self) -> Document:
        totals = [
            {
                "currency": currency,
                "orders": sums.orders,
                "spend": sums.spend.stored(),
                "refunds": sums.refunds.stored(),
            }
            for currency, sums in sorted(self.sums.items())
        ]
        return {
            "count": self.orders_latest.count,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "totals": totals,
            "latest": self.orders_latest.documents(),
        }

    def interactions(self) -> Document:
        latest = self.interactions_latest
        return {"count": latest.count, "last_at": self.last_interaction_at, "latest": latest.documents()}

    def open_issues(self) -> Document:
        return {"count": self.open_latest.count, "latest": self.open_latest.documents()}


def _refunded(order: Document) -> Amount:
    given_back = _NOTHING
    for refund in order["refunds"]:
        given_back = given_back.plus(amount(refund["amount"]) or _NOTHING)
    return given_back


def _latest_by_parcel(events: Iterable[Document]) -> dict[str, Document]:
    """By parcel (a message may number it with anything), its latest event."""
    return {str(event.get("parcel")): event for event in sorted(events, key=_when)}


def _newest_status(events: Iterable[Document]) -> str | None:
    newest = max(events, key=_when, default=None)
    return None if newest is None or newest["status"] is None else str(newest["status"])


def _when(event: Document) -> tuple[dt.datetime, tuple[int, Any], str]:
    """Of events of one moment the later is that of the higher number in its sequence, where there is one."""
    return moment(event["at"]) or NEVER, rank(event.get("sequence")), str(event["record"])


def currency_of(value: Any) -> str:
    """A currency as sums are made by it: sources write one in several ways. Empty where an order says none."""
    return "" if value is None else str(value).strip().upper()


def _word(value: Any) -> str:
    return "" if value is None else str(value).strip().casefold()


def amount(value: Any) -> Amount | None:
    """An amount of money; None for what is none (text in a legacy column), which adds nothing.

    No amount has more than twenty digits before the point or after it: what floats add to 59.97 still counts.
    """
    if isinstance(value, Decimal128):
        bits = int.from_bytes(value.bid, "little")
        if bits >> 125 & 3 == 3:  # infinite, or not a number
            return None
        units, exponent = bits & _SIGNIFICAND, (bits >> 113 & 0x3FFF) - _BIAS
        units = -units if bits >> 127 else units
    else:
        try:
            read = Decimal(str(value)).as_tuple()
        except InvalidOperation:
            return None
        if not isinstance(read.exponent, int):  # infinite, or not a number
            return None
        exponent = read.exponent
        if len(read.digits) > MOST_DIGITS:  # Python refuses to read a number of thousands of them
            return None
        units = int("".join(map(str, read.digits))) * (-1 if read.sign else 1)
    if not -20 <= exponent <= 20:
        return None
    found = Amount(units * 10 ** max(exponent, 0), max(-exponent, 0))
    return found if abs(found.units) < 10 ** (20 + found.places) else None
