"""Whether money adds up on its way: what the sources say of orders, payments and refunds, and what the view says.

Sums are exact (Decimal128), by currency and day. Where two differ, the orders of that day are compared one by one, but for
those that a station has not worked off yet.
"""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bson import Decimal128
from pymongo.collection import Collection

from sv_assets.catalogue.entry import Const
from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.customers.activity import amount, currency_of
from sv_assets.landing.documents import field_path, field_value, reference_value
from sv_assets.mongo import Document, Store
from sv_assets.quality.result import Result
from sv_assets.sources.keys import key_text

CHECK = "money_adds_up"
ORDERS, CUSTOMERS = "single_view/orders", "single_view/customers"
_NAMED = 5
Sums = dict[str, Decimal]
_PARTS = {"payment": ("payments", "amount"), "refund": ("refunds", "amount")}


@dataclass(frozen=True)
class Money:
    """What stands for one kind of money on both sides, by order."""

    kind: str
    landed: Sums
    viewed: Sums

    def differing(self, waiting: set[str]) -> list[str]:
        orders = self.landed.keys() | self.viewed.keys()
        return [
            o for o in orders if o not in waiting and self.landed.get(o, Decimal(0)) != self.viewed.get(o, Decimal(0))
        ]


def orders_add_up(store: Store, catalogue: Catalogue) -> Result:
    """Order totals, payments and refunds as they landed, against single_view.orders."""
    figures: dict[str, Any] = {}
    wrong: list[str] = []
    checked = 0
    for source in catalogue.feeding("order"):
        landed, viewed = _landed_sums(store, source), _viewed_sums(store, source)
        checked += sum(count for count, _ in landed.values())
        figures |= {f"{source.key}:{currency}": str(total) for currency, total in _by_currency(landed).items()}
        days = {group for group in landed.keys() | viewed.keys() if landed.get(group) != viewed.get(group)}
        waiting = _waiting(store, catalogue, source) if days else set()
        wrong += _days_that_differ(store, source, days, waiting)
        for feed in _PARTS:
            sources = [s for s in catalogue.feeding(feed) if _is_of(catalogue, s, feed, source)]
            total = sum((_landed_amount(store, s, feed) for s in sources), Decimal(0))
            if not sources:
                continue
            figures[f"{source.key}:{feed}s"] = str(total)
            if total != _viewed_amount(store, source, feed):
                orders = _parts(store, catalogue, source, sources, feed).differing(_waiting(store, catalogue, source))
                wrong += [f"{feed}s of {len(orders):,} orders"] if orders else []
    right = f"{checked:,} orders, with their payments and refunds, come to the same in landing and in the view"
    return _result(ORDERS, wrong, right, figures)


def customers_add_up(store: Store) -> Result:
    """What customers have spent by their documents, against the orders that carry their customer_id."""
    orders, customers = store.single_view["orders"], store.single_view["customers"]
    owned: Document = {"customer_id": {"$ne": None}}
    group = {"_id": "$currency", "rows": {"$sum": 1}, "total": {"$sum": "$total"}}
    spent_sums: dict[str, Decimal] = defaultdict(Decimal)
    for found in orders.aggregate([{"$match": owned}, {"$group": group}]):
        spent_sums[currency_of(found["_id"])] += _decimal(found["total"])
    unwound: list[Document] = [
        {"$unwind": "$orders.totals"},
        {"$group": {"_id": "$orders.totals.currency", "total": {"$sum": "$orders.totals.spend"}}},
    ]
    said_sums = {g["_id"] or "": _decimal(g["total"]) for g in customers.aggregate(unwound)}
    figures = {currency or "none": str(total) for currency, total in sorted(said_sums.items())}
    count = customers.estimated_document_count()
    right = f"What {count:,} customers have spent, in {len(said_sums)} currencies, are the sums of their orders"
    if spent_sums == said_sums:
        return _result(CUSTOMERS, [], right, figures)
    spent: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for order in orders.find(owned, {"customer_id": 1, "currency": 1, "total": 1}).batch_size(10_000):
        counted = amount(order.get("total"))
        spent[order["customer_id"], currency_of(order.get("currency"))] += (
            counted.stored().to_decimal() if counted else 0
        )
    said: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for customer in customers.find({}, {"orders.totals": 1}).batch_size(10_000):
        for total in customer["orders"]["totals"]:
            said[customer["_id"], total.get("currency") or ""] += _decimal(total.get("spend"))
    waiting = {c["_id"] for c in store.identity["clusters"].find({"_sv.pending": "customers"}, {"_id": 1})}
    pairs = {pair for pair in spent.keys() | said.keys() if pair[0] not in waiting}
    differ = [pair for pair in pairs if spent.get(pair, Decimal(0)) != said.get(pair, Decimal(0))]
    return _result(
        CUSTOMERS, [f"{len(differ):,} of {len(pairs):,} customers and currencies"] if differ else [], right, figures
    )


def _result(asset: str, wrong: list[str], right: str, figures: dict[str, Any]) -> Result:
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    sentence = f"Money does not add up for {', '.join(wrong[:_NAMED])}{more}." if wrong else f"{right}."
    return Result(
        CHECK, asset, not wrong, sentence, {"differences": len(wrong), **figures}, "ERROR", "sv run full_rebuild"
    )


Group = tuple[str, str]
"""Currency and day."""
Sum = tuple[int, Decimal]
"""How many orders, and what they come to."""


def _landed_sums(store: Store, source: Source) -> dict[Group, Sum]:
    feed = source.entry.feeds.order
    assert feed is not None
    currency: Any = f"${field_path(source, feed.currency)}" if isinstance(feed.currency, str) else {"$literal": None}
    if isinstance(feed.currency, Const):
        currency = {"$literal": feed.currency.const}
    total = f"${field_path(source, feed.total)}" if feed.total else 0
    return _sums(
        store.landing[source.key],
        {"_sv.deleted": {"$ne": True}},
        currency,
        f"${field_path(source, feed.placed_at)}",
        total,
    )


def _viewed_sums(store: Store, source: Source) -> dict[Group, Sum]:
    mine = {"system": source.system, "table": source.name}
    return _sums(store.single_view["orders"], mine, "$currency", "$placed_at", "$total")


def _sums(orders: Collection[Document], match: Document, currency: Any, at: str, total: Any) -> dict[Group, Sum]:
    text = {"$convert": {"input": at, "to": "string", "onError": "", "onNull": ""}}  # a message may say anything
    day = {"$substrCP": [text, 0, 10]}
    groups = orders.aggregate(
        [
            {"$match": match},
            {"$group": {"_id": {"currency": currency, "day": day}, "rows": {"$sum": 1}, "total": {"$sum": total}}},
        ]
    )
    return {
        (str(g["_id"].get("currency") or ""), str(g["_id"].get("day") or "")): (int(g["rows"]), _decimal(g["total"]))
        for g in groups
    }


def _days_that_differ(store: Store, source: Source, days: set[Group], waiting: set[str]) -> list[str]:
    """Of these days, those on which an order differs that waits for nothing."""
    if not days:
        return []
    feed = source.entry.feeds.order
    assert feed is not None
    landed = {
        source.record_id(key_text(row["_id"])): (
            str(field_value(source, row, feed.currency) or ""),
            _day(field_value(source, row, feed.placed_at)),
            _decimal(field_value(source, row, feed.total)),
        )
        for row in store.landing[source.key].find({"_sv.deleted": {"$ne": True}}).batch_size(10_000)
    }
    mine = {"system": source.system, "table": source.name}
    viewed = {
        order["_id"]: (str(order.get("currency") or ""), _day(order.get("placed_at")), _decimal(order.get("total")))
        for order in store.single_view["orders"].find(mine, {"currency": 1, "placed_at": 1, "total": 1})
    }
    differ = {o for o in landed.keys() | viewed.keys() if o not in waiting and landed.get(o) != viewed.get(o)}
    found = {side[o][:2] for o in differ for side in (landed, viewed) if o in side}
    return [f"{day} {currency}" for currency, day in sorted(found)]


def _landed_amount(store: Store, source: Source, feed: str) -> Decimal:
    mapping = getattr(source.entry.feeds, feed)
    group = {"_id": None, "total": {"$sum": f"${field_path(source, mapping.amount)}"}}
    found = store.landing[source.key].aggregate([{"$match": {"_sv.deleted": {"$ne": True}}}, {"$group": group}])
    return sum((_decimal(g["total"]) for g in found), Decimal(0))


def _viewed_amount(store: Store, orders: Source, feed: str) -> Decimal:
    items, amount = _PARTS[feed]
    stages: list[Document] = [
        {"$match": {"system": orders.system, "table": orders.name}},
        {"$unwind": f"${items}"},
        {"$group": {"_id": None, "total": {"$sum": f"${items}.{amount}"}}},
    ]
    return sum((_decimal(g["total"]) for g in store.single_view["orders"].aggregate(stages)), Decimal(0))


def _parts(store: Store, catalogue: Catalogue, orders: Source, sources: list[Source], feed: str) -> Money:
    """Payments or refunds order by order, of orders that are in the view."""
    items, amount = _PARTS[feed]
    mine = {"system": orders.system, "table": orders.name}
    known = {o["_id"]: o for o in store.single_view["orders"].find(mine, {f"{items}.{amount}": 1, "number": 1})}
    by_number = {str(o.get("number")): identifier for identifier, o in known.items()}
    landed: Sums = defaultdict(Decimal)
    for source in sources:
        mapping = getattr(source.entry.feeds, feed)
        path = mapping.order.id or mapping.order.number
        for row in store.landing[source.key].find({"_sv.deleted": {"$ne": True}}).batch_size(10_000):
            value = reference_value(source, row, path)
            if value is None:
                continue
            order = orders.record_id(key_text(value)) if mapping.order.id else by_number.get(str(value), "")
            if order in known:
                landed[order] += _decimal(field_value(source, row, mapping.amount))
    viewed = {
        identifier: sum((_decimal(item.get(amount)) for item in order.get(items, [])), Decimal(0))
        for identifier, order in known.items()
    }
    return Money(feed, landed, viewed)


def _is_of(catalogue: Catalogue, source: Source, feed: str, orders: Source) -> bool:
    return catalogue.order_source(getattr(source.entry.feeds, feed).order.system or source.system) == orders


def _waiting(store: Store, catalogue: Catalogue, orders: Source) -> set[str]:
    """The orders that a landed row is about which the view has not worked off."""
    waiting: set[str] = set()
    numbers: set[str] = set()
    for source in catalogue.sources:
        for row in store.landing[source.key].find({"_sv.pending": "orders"}):
            if source == orders:
                waiting.add(source.record_id(key_text(row["_id"])))
            for reference in source.order_references():
                value = reference_value(source, row, reference.id or reference.number or "")
                if value is not None and reference.id:
                    waiting.add(orders.record_id(key_text(value)))
                elif value is not None:
                    numbers.add(str(value))
    if numbers:
        found = store.single_view["orders"].find({"number": {"$in": sorted(numbers)}}, {"_id": 1})
        waiting |= {order["_id"] for order in found}
    return waiting


def _day(moment: Any) -> str:
    return str(moment)[:10] if moment is not None else ""


def _by_currency(sums: dict[Group, Sum]) -> dict[str, Decimal]:
    by_currency: dict[str, Decimal] = defaultdict(Decimal)
    for (currency, _), (_, total) in sorted(sums.items()):
        by_currency[currency] += total
    return by_currency


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    try:
        number = Decimal(str(value)) if value is not None and not isinstance(value, bool) else Decimal(0)
    except ArithmeticError:
        return Decimal(0)
    return number if number.is_finite() else Decimal(0)
