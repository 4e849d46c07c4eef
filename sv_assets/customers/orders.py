"""Orders: header, lines, payments, refunds and delivery events of one order in one document, whatever came first."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pymongo import IndexModel

from sv_assets.catalogue.entry import Entry, FieldSpec
from sv_assets.catalogue.feeds import OrderReference, PlaceFields
from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.customers import keys
from sv_assets.customers.facts import BATCH_ROWS, Built, FactStation, origin
from sv_assets.customers.queries import INDEXES
from sv_assets.customers.values import rank
from sv_assets.identity.party import party_of, row_version
from sv_assets.landing.documents import field_path, field_value, reference_value
from sv_assets.mongo import Document, Store, find_many
from sv_assets.sources.keys import key_text

PARTS = {"order_line": "lines", "payment": "payments", "refund": "refunds", "delivery": "deliveries"}
"""By feed, the list of the order document that its rows stand in."""
_LONGEST = 19
"""So many digits are no number of 64 bits any more."""
_SORTED_BY = {
    "lines": ("line",),
    "payments": ("paid_at",),
    "refunds": ("refunded_at",),
    "deliveries": ("parcel", "at", "sequence"),
}


def build_orders(store: Store, catalogue: Catalogue, source: Source, rows: list[Document]) -> Built:
    """The orders that `rows` belong to, whatever part of an order they are."""
    built: list[Document] = []
    gone: list[str] = []
    used: dict[str, list[Document]] = defaultdict(list)
    used[source.key] += rows
    movable = {s.key for s in catalogue.sources for _, reference in _part_feeds(s) if _may_move(s, reference)}
    for header_source, headers in _headers_of(store, catalogue, source, rows):
        parts = _parts_of(store, catalogue, header_source, headers, used)
        if header_source != source:
            used[header_source.key] += headers
        for header in headers:
            identifier = header_source.record_id(key_text(header["_id"]))
            if header["_sv"]["deleted"]:
                gone.append(identifier)
            else:
                built.append(
                    _order(
                        catalogue, header_source, header, identifier, parts.get(key_text(header["_id"]), {}), movable
                    )
                )
    return Built(built, gone, used)


def _headers_of(
    store: Store, catalogue: Catalogue, source: Source, rows: list[Document]
) -> Iterable[tuple[Source, list[Document]]]:
    """The order rows that `rows` are, or point to now, or pointed to before they changed."""
    headers: dict[str, dict[Any, Document]] = defaultdict(dict)
    if source.entry.feeds.order:
        headers[source.key].update({row["_id"]: row for row in rows})
    for _, reference in _part_feeds(source):
        order_source = catalogue.order_source(reference.system or source.system)
        path = reference.id or reference.number or ""
        values = {v for row in rows if (v := reference_value(source, row, path)) is not None}
        field = "_id" if reference.id else _number_field(order_source)
        found = {
            d["_id"]: d
            for d in find_many(store.landing[order_source.key], field, _as_kept(values, source, order_source))
        }
        if _may_move(source, reference):
            records = [source.record_id(key_text(row["_id"])) for row in rows]
            before = {d["key"] for d in find_many(store.single_view["orders"], "records", records, {"key": 1})}
            found.update(
                {d["_id"]: d for d in find_many(store.landing[order_source.key], "_id", before - found.keys())}
            )
        headers[order_source.key].update(found)
    for key, by_id in headers.items():
        yield catalogue.source(key), list(by_id.values())


def _parts_of(
    store: Store, catalogue: Catalogue, order_source: Source, headers: list[Document], used: dict[str, list[Document]]
) -> dict[str, dict[str, list[Document]]]:
    """By the key of the order row (as text, so that numbers of different types meet), its parts by the list they stand in.

    The rows read are added to `used`.
    """
    assert order_source.entry.feeds.order is not None
    by_key = {key_text(header["_id"]): header["_id"] for header in headers}
    by_number: dict[str, list[str]] = defaultdict(list)
    numbers: set[Any] = set()
    for header in headers:
        number = reference_value(order_source, header, order_source.entry.feeds.order.number)
        if number is not None:
            numbers.add(number)
            by_number[key_text(number)].append(key_text(header["_id"]))
    parts: dict[str, dict[str, list[Document]]] = defaultdict(lambda: defaultdict(list))
    for source in catalogue.sources:
        for feed, reference in _part_feeds(source):
            if catalogue.order_source(reference.system or source.system) != order_source:
                continue
            path = reference.id or reference.number or ""
            found = find_many(
                store.landing[source.key],
                field_path(source, path),
                _as_kept(by_key.values() if reference.id else numbers, source, order_source),
                _columns(source, feed, path),
                size=BATCH_ROWS,
            )
            for row in found:
                used[source.key].append(row)
                if row["_sv"]["deleted"]:
                    continue
                value = key_text(reference_value(source, row, path))
                part = _part(source, feed, row)
                for identifier in [value] if reference.id else by_number.get(value, ()):
                    parts[identifier][PARTS[feed]].append(part)
    return parts


def _as_kept(values: Iterable[Any], source: Source, order_source: Source) -> set[Any]:
    """What keys or numbers may stand as: of another system whole numbers also as text, and the other way round."""
    found = set(values)
    if source.system == order_source.system:
        return found
    for value in list(found):
        if isinstance(value, int):
            found.add(str(value))
        elif isinstance(value, str) and len(value) < _LONGEST and value.isdecimal() and str(int(value)) == value:
            found.add(int(value))
    return found


def _fields(source: Source, feed: str) -> dict[str, FieldSpec]:
    """The declared fields of a part, without its reference to the order."""
    mapping: Entry = getattr(source.entry.feeds, feed)
    return {
        name: spec
        for name in type(mapping).model_fields
        if name != "order" and (spec := getattr(mapping, name)) is not None
    }


def _columns(source: Source, feed: str, path: str) -> dict[str, int]:
    """What of a landed part is read."""
    paths = [path, *(spec for spec in _fields(source, feed).values() if isinstance(spec, str))]
    return dict.fromkeys(
        [*{field_path(source, p) for p in paths}, "_sv.version", "_sv.hash", "_sv.deleted", "_sv.pending"], 1
    )


def _part(source: Source, feed: str, row: Document) -> Document:
    values = {name: field_value(source, row, spec) for name, spec in _fields(source, feed).items()}
    return {**values, "record": source.record_id(key_text(row["_id"])), "version": row_version(source, row)}


def _order(
    catalogue: Catalogue,
    source: Source,
    header: Document,
    identifier: str,
    parts: dict[str, list[Document]],
    movable: set[str],
) -> Document:
    feed = source.entry.feeds.order
    assert feed is not None
    number = field_value(source, header, feed.number)
    erased = header["_sv"].get("erased")  # whose it was is known no more; the amounts are kept for the law
    lists = {name: sorted(parts.get(name, []), key=_in_order_of(name)) for name in PARTS.values()}
    return {
        "_id": identifier,
        **origin(source, header),
        "number": number,
        "placed_at": field_value(source, header, feed.placed_at),
        "status": field_value(source, header, feed.status),
        "total": field_value(source, header, feed.total),
        "currency": field_value(source, header, feed.currency),
        "channel": field_value(source, header, feed.channel),
        "postcode": field_value(source, header, feed.postcode),
        "device": None if erased else field_value(source, header, feed.device),
        "delivery_address": None if erased else _place(source, header, feed.delivery_address),
        "billing_address": None if erased else _place(source, header, feed.billing_address),
        "party": None if erased else party_of(catalogue, source, feed.party, header),
        **({"pseudonym": erased["pseudonym"], "retained_until": erased["until"]} if erased else {}),
        **lists,
        "keys": keys.of_order(number, lists["deliveries"]),
        "records": sorted(
            p["record"] for items in lists.values() for p in items if p["record"].split(":", 1)[0] in movable
        ),
    }


def _place(source: Source, header: Document, fields: PlaceFields | None) -> Document | None:
    """The parts of an address that are given; None where none is."""
    declared = {name: getattr(fields, name) for name in PlaceFields.model_fields} if fields else {}
    place = {name: field_value(source, header, spec) for name, spec in declared.items() if spec is not None}
    given = {name: value for name, value in place.items() if value is not None}
    return given or None


def _in_order_of(name: str) -> Any:
    fields = _SORTED_BY[name]
    return lambda part: ([rank(part.get(field)) for field in fields], part["record"])


def _part_feeds(source: Source) -> list[tuple[str, OrderReference]]:
    feeds = source.entry.feeds
    return [(name, feed.order) for name in PARTS if (feed := getattr(feeds, name)) is not None]


def _may_move(source: Source, reference: OrderReference) -> bool:
    """True unless the reference is part of the row's key, and so can never point to another order."""
    return source.is_queue or (reference.id or reference.number) not in source.table.key


def _number_field(order_source: Source) -> str:
    assert order_source.entry.feeds.order is not None
    return field_path(order_source, order_source.entry.feeds.order.number)


ORDERS = FactStation(
    "orders",
    ("order", "order_line", "payment", "refund", "delivery"),
    build_orders,
    (IndexModel([("records", 1)]), *INDEXES["orders"]),
)
