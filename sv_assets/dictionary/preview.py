"""A few rows of a collection, fit to be shown to anybody: what could be about a person is masked.

Nothing is open by default. Shown are the figures, moments and short words that a feed declares to be of trade (a status,
a total, a channel), unless the declaration says that they are personal; keys and free text never are. Everything else is
`***` where there is a value, and empty where there is none.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from bson import Decimal128
from pymongo.collection import Collection

from sv_assets.catalogue.entry import Entry
from sv_assets.catalogue.feeds import (
    AddressFields,
    ConsentFeed,
    DeliveryFeed,
    InteractionFeed,
    OrderFeed,
    OrderLineFeed,
    PaymentFeed,
    RefundFeed,
    paths_of,
)
from sv_assets.catalogue.source import Source
from sv_assets.customers.masking import masked
from sv_assets.dictionary.lineage import known_columns
from sv_assets.landing.documents import field_value
from sv_assets.mongo import Document, Store

Row = dict[str, str]
ROWS, COLUMNS, CHARACTERS = 5, 20, 40
HIDDEN = "***"
_OF_TRADE: dict[type[Entry], frozenset[str]] = {
    OrderFeed: frozenset({"placed_at", "status", "total", "currency", "channel"}),
    OrderLineFeed: frozenset({"line", "quantity", "unit_price", "total"}),
    PaymentFeed: frozenset({"amount", "method", "status", "paid_at"}),
    RefundFeed: frozenset({"amount", "refunded_at"}),
    DeliveryFeed: frozenset({"status", "at", "sequence", "carrier"}),
    InteractionFeed: frozenset({"kind", "at", "status", "closed_at", "duration_seconds"}),
    ConsentFeed: frozenset({"purpose", "channel", "granted", "observed_at"}),
    AddressFields: frozenset({"kind", "country"}),
}
_OF_STATIONS = {
    "identity/party_records": ("system", "table", "observed_at", "identified", "name", "emails", "phones", "addresses"),
    "single_view/orders": (
        *("system", "table", "number", "placed_at", "status", "total", "currency", "channel", "postcode"),
        *("lines", "payments", "refunds", "deliveries", "customer_id"),
    ),
    "single_view/interactions": ("system", "table", "kind", "at", "closed_at", "reason", "status", "customer_id"),
    "single_view/consents": ("system", "table", "purpose", "channel", "granted", "observed_at", "customer_id"),
}
_OPEN_OF_STATIONS = frozenset().union(*_OF_TRADE.values()) | {"identified"}
_DECLARED = ("system", "table")
"""What a document says of its source, and not of a person."""
_WORD = re.compile(r"[A-Za-z][A-Za-z _/-]{0,23}")


def landed_rows(store: Store, source: Source) -> list[Row]:
    """The rows of a source that landed last, as far as that is cheap to know, each column masked as its declaration says."""
    shown = open_columns(source)
    names = sorted(known_columns(source), key=lambda name: name not in shown)[:COLUMNS]
    rows = []
    for document in _newest(store.landing[source.key], source.stations):
        values = {name: field_value(source, document, name) for name in names}
        row = {name: _shown(value) if name in shown else _hidden(value) for name, value in values.items()}
        sv = document.get("_sv", {})
        rows.append({"landed at": _shown(sv.get("extracted_at")), "deleted": _shown(sv.get("deleted")), **row})
    return rows


def open_columns(source: Source) -> set[str]:
    """The columns (or paths) of a source whose values may be shown where they look like what they are said to be."""
    open_ones: set[str] = set()
    personal = {name.casefold() for name in source.entry.pii}
    keys = {name.casefold() for name in ([source.queue.key] if source.is_queue else source.table.key)}
    for feed in _entries(source.entry.feeds):
        of_trade = next((fields for kind, fields in _OF_TRADE.items() if isinstance(feed, kind)), frozenset())
        for name in type(feed).model_fields:
            value = getattr(feed, name)
            if isinstance(value, str) and name in of_trade:
                open_ones.add(value)
            elif name != "observed_at":  # beside its own meaning it only dates the row
                keys.update(path.casefold() for path in _named(feed, name))
    return {name for name in open_ones if not _is_one_of(name.casefold(), personal | keys)}


def station_rows(store: Store, place: str) -> list[Row]:
    """Rows of a station (`single_view/orders`): names, contacts, keys and free text masked. None for an unknown one."""
    database, _, collection = place.partition("/")
    if place == "single_view/customers":
        return [_customer(document) for document in _newest(store.single_view[collection], [])]
    fields = _OF_STATIONS.get(place)
    if fields is None:
        return []
    target: Collection[Document] = getattr(store, database)[collection]
    return [{name: _of_station(name, document.get(name)) for name in fields} for document in _newest(target, [])]


def _of_station(name: str, value: Any) -> str:
    if name in _DECLARED:
        return _cut(str(value or ""))
    return _shown(value) if name in _OPEN_OF_STATIONS else _counted(value)


def _customer(document: Document) -> Row:
    """A customer in a few words: masked as `sv customer show` masks, and cut."""
    shown = masked(document)
    row = {"customer_id": f"{str(document['_id'])[:3]}{HIDDEN}"}
    for name in ("name", "email", "phone", "address"):
        golden = shown.get(name)
        value = golden.get("value") if isinstance(golden, dict) else None
        words = value.values() if isinstance(value, dict) else [value]
        row[name] = _cut(" ".join(str(word) for word in words if isinstance(word, str)))
    for name in ("orders", "interactions", "open_issues"):
        row[name] = _shown(document.get(name, {}).get("count"))
    row["quality"] = _shown(document.get("quality", {}).get("score"))
    row["version"] = _shown(document.get("version"))
    row["composed_at"] = _shown(document.get("composed_at"))
    return row


def _newest(collection: Collection[Document], stations: Iterable[str]) -> list[Document]:
    """What is on a work list has just been written; else what stands last in the collection."""
    for station in stations:
        if found := list(collection.find({"_sv.pending": station}).limit(ROWS)):
            return found
    return list(collection.find({}).sort([("$natural", -1)]).limit(ROWS))


def _entries(entry: Entry) -> Iterator[Entry]:
    """A declaration and those inside of it."""
    yield entry
    for name in type(entry).model_fields:
        value = getattr(entry, name)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Entry):
                yield from _entries(item)


def _named(feed: Entry, name: str) -> Iterator[str]:
    """The columns that a field of a feed names itself."""
    value = getattr(feed, name)
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else [value]
    yield from (item for item in values if isinstance(item, str) and item in set(paths_of(feed)))


def _is_one_of(name: str, closed: set[str]) -> bool:
    """True for a closed column, and for a path inside of a closed one."""
    return any(name == other or name.startswith(f"{other}.") for other in closed)


def _shown(value: Any) -> str:
    """A figure, a moment or a word as it is; anything else is hidden."""
    if value is None or isinstance(value, bool):
        return "" if value is None else ("yes" if value else "no")
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, (int, float, Decimal, Decimal128)):
        return _cut(str(value))
    if isinstance(value, str) and _is_a_moment(value):
        return _cut(value)
    return value if isinstance(value, str) and _WORD.fullmatch(value) else _hidden(value)


def _is_a_moment(text: str) -> bool:
    try:
        return len(text) >= 16 and bool(dt.datetime.fromisoformat(text))
    except ValueError:
        return False


def _counted(value: Any) -> str:
    """Of a list, how many there are; the rest is hidden."""
    return f"{len(value)} {HIDDEN}" if isinstance(value, list) and value else _hidden(value)


def _hidden(value: Any) -> str:
    return "" if value is None or value in ("", [], {}) else HIDDEN


def _cut(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1]}…"
