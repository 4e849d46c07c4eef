"""What a landed row, or a message, says of the people in it: the traces by which the ledger of erased people is asked."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sv_assets.catalogue.entry import Entry as Mapped
from sv_assets.catalogue.feeds import OrderReference, Reference
from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.landing.documents import as_moment, field_value, reference_value
from sv_assets.ledger import (
    Trace,
    contact_trace,
    contacts_in,
    name_forms,
    order_trace,
    record_trace,
)
from sv_assets.mongo import Document
from sv_assets.sources.keys import key_text
from sv_assets.sources.messages import Message, Opened
from sv_assets.sources.records import Record

ORDER_PARTS = ("order_line", "payment", "refund", "delivery")
REFERENCES = ("order", "order_line", "payment", "refund", "delivery")


@dataclass(frozen=True)
class Told:
    """What a row says of who it is about: traces that decide by themselves, those that decide only of what is older than
    the erasure, and the moments that it names."""

    own: Trace
    decisive: tuple[Trace, ...]
    doubtful: tuple[Trace, ...]
    moments: tuple[dt.datetime, ...]


def told_by(
    catalogue: Catalogue, source: Source, key: str, fields: Document, sent_at: dt.datetime | None = None
) -> Told:
    """What a landed row, or one that is to land, says of who it is about."""
    feeds = source.entry.feeds
    decisive: list[Trace] = []
    doubtful: list[Trace] = []
    moments: list[dt.datetime] = [sent_at] if sent_at else []
    for reference in references(source):
        value = reference_value(source, fields, reference.key)
        if value is not None:
            decisive.append(record_trace(catalogue.referred(source, reference).key, key_text(value)))
    for reference in feeds.party.same_as if feeds.party else ():  # it says that it is them
        value = reference_value(source, fields, reference.key)
        if value is not None:
            doubtful.append(record_trace(catalogue.referred(source, reference).key, key_text(value)))
    contacts = _contacts(source, fields)
    for feed, order in order_references(source):
        if feed not in ORDER_PARTS and contacts:
            continue  # who calls about an order may be another than who placed it
        value = reference_value(source, fields, order.id or order.number)
        if value is None:
            continue
        orders = catalogue.order_source(order.system or source.system)
        trace = order_trace(orders.key, "id" if order.id else "number", key_text(value))
        (decisive if feed in ORDER_PARTS else doubtful).append(trace)
    said: Iterable[Mapped | None] = (
        feeds.party,
        feeds.order,
        feeds.interaction,
        feeds.delivery,
        feeds.payment,
        feeds.refund,
    )
    for mapping in (*said, *feeds.consent):
        for name in ("observed_at", "placed_at", "at", "paid_at", "refunded_at"):
            if mapping is not None and (at := as_moment(field_value(source, fields, getattr(mapping, name, None)))):
                moments.append(at)
    doubtful += contacts
    return Told(record_trace(source.key, key), tuple(decisive), tuple(doubtful), tuple(moments))


def told_by_raw(catalogue: Catalogue, source: Source, key: str, raw: Mapping[str, Any]) -> Told:
    """The same of what could not be converted: its key, of a row of a table whom it points to, and the contacts anywhere in it."""
    text = "\n".join(_texts(raw))
    pointing = (
        () if source.is_queue else ((catalogue.referred(source, r).key, raw.get(r.key)) for r in references(source))
    )
    decisive = tuple(record_trace(of, str(value)) for of, value in pointing if value not in (None, ""))
    sent_at = raw.get("sent_at")
    contacts = tuple(contact_trace(contact) for contact in sorted(contacts_in(text)))
    return Told(
        record_trace(source.key, key), decisive, contacts, (sent_at,) if isinstance(sent_at, dt.datetime) else ()
    )


def told_by_message(catalogue: Catalogue, source: Source, opened: Opened) -> Told:
    """The same of a message, opened or not."""
    content, message = opened.content, opened.message
    if isinstance(content, Record):
        return told_by(catalogue, source, content.key_text, content.fields, message.sent_at)
    return told_by_raw(catalogue, source, content.key_text, raw_text(message))


def raw_text(message: Message) -> dict[str, Any]:
    return {"body": message.body, "payload": message.payload, "sent_at": message.sent_at}


def references(source: Source) -> Iterable[Reference]:
    """The references by which a row belongs to a person (not those by which it says that two are one)."""
    feeds = source.entry.feeds
    if feeds.address:
        yield feeds.address.party
    for feed in (feeds.order, feeds.interaction, *feeds.consent, feeds.flag):
        if feed is not None and isinstance(feed.party, Reference):
            yield feed.party


def order_references(source: Source) -> Iterable[tuple[str, OrderReference]]:
    feeds = source.entry.feeds
    for name in (*ORDER_PARTS, "interaction"):
        feed = getattr(feeds, name)
        if feed is not None and feed.order is not None:
            yield name, feed.order
    if feeds.party is not None:
        for quoted in feeds.party.quotes:
            yield "party", quoted


def describes_its_contacts(source: Source, fields: Mapping[str, Any]) -> bool:
    """False for a row that describes nobody itself, but says whose it is: a contact in it may be anybody's."""
    party = source.entry.feeds.party
    return party is None or party.when_empty is None or field_value(source, dict(fields), party.when_empty) is None


def _contacts(source: Source, fields: Document) -> list[Trace]:
    """The contacts of the person that a row describes: by its feed, or where it has none, by the columns declared as contacts."""
    party = source.entry.feeds.party
    if not describes_its_contacts(source, fields):
        return []
    if party is not None:
        specs = [*party.email, *party.phone]
        first, last, full = (
            field_value(source, fields, getattr(party.name, part)) for part in ("first", "last", "full")
        )
    else:
        specs = [name for name, kind in source.entry.pii.items() if kind == "contact"]
        first = last = full = None
    values = [value for spec in specs if isinstance(value := field_value(source, fields, spec), str)]
    contacts = sorted({contact for value in values for contact in contacts_in(value)})
    names = sorted(name_forms(_text(first), _text(last), _text(full)))
    return [contact_trace(contact, name) for contact in contacts for name in (None, *names)]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode(errors="replace")
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
