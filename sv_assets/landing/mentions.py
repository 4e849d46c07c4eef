"""Who was erased does not stand in other people's rows either: their e-mail address or number in somebody's note becomes `[erased]`.

The places of a row's own contacts are left alone: what stands there decides whose the row is (`suppression`).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pymongo import UpdateOne

from sv_assets.catalogue.source import Source
from sv_assets.landing.documents import field_path
from sv_assets.landing.told import describes_its_contacts
from sv_assets.ledger import EMAIL, ERASED, PHONE, contacts_in
from sv_assets.mongo import Document, Store, bulk_write, content_hash, find_many, in_batches
from sv_assets.sources.messages import Opened
from sv_assets.sources.records import Record

OwnPlaces = Callable[[Mapping[str, Any]], frozenset[str]]
_SHORTEST = 6
_MAY_BE = re.compile(r"@|\d[\d\s().-]{8}")
"""What every contact holds: most texts are passed over by it."""


def own_places(source: Source) -> OwnPlaces:
    """Where a row of this source holds its key and the contacts of whom it is about, as in the landing document: by the row,
    because one that describes nobody itself (`when_empty`) has no contacts of its own."""
    party = source.entry.feeds.party
    contacts = [name for name, kind in source.entry.pii.items() if kind == "contact"]
    specs = [*party.email, *party.phone] if party is not None else contacts
    keys = frozenset(field_path(source, spec) for spec in ([source.queue.key] if source.is_queue else source.table.key))
    all_of_them = keys | {field_path(source, spec) for spec in specs}
    return lambda row: all_of_them if describes_its_contacts(source, row) else keys


def contacts_beside(fields: Mapping[str, Any], own: frozenset[str]) -> set[str]:
    """The contacts in all texts of a row but its own places."""
    found: set[str] = set()
    for name, value in fields.items():
        texts = (value,) if type(value) is str else _texts(value, name, own) if isinstance(value, (dict, list)) else ()
        for text in texts if name not in own else ():
            if len(text) >= _SHORTEST and _MAY_BE.search(text):
                found |= contacts_in(text)
    return found


def without(text: str, contacts: set[str]) -> str:
    """A text without these contacts, however they are written."""
    for pattern in (EMAIL, PHONE):
        text = pattern.sub(lambda m: m.group() if contacts.isdisjoint(contacts_in(m.group())) else ERASED, text)
    return text


def redacted(record: Record, own: frozenset[str], contacts: set[str]) -> Record:
    """A record, and the message that it came in, without these contacts but in its own places."""
    written = {m for text in _texts(record.fields, "", own) for m in _written(text, contacts)}
    fields = _changed(record.fields, "", own, lambda text: without(text, contacts))
    message = (
        _changed(record.message, "", frozenset(), lambda text: _cut_out(text, written)) if record.message else None
    )
    return replace(record, fields=fields, message=message)


def redacted_message(opened: Opened, own: OwnPlaces, contacts: set[str]) -> Opened:
    """A message that carries a record, without these contacts but in the record's own places."""
    assert isinstance(opened.content, Record)
    record = redacted(opened.content, own(opened.content.fields), contacts)
    raw, message = record.message or {}, opened.message
    body = raw.get("body", message.body)
    text = body if isinstance(body, str) else body.decode(errors="surrogatepass")
    attributes = raw.get("attributes", message.attributes)
    message = replace(message, body=text, payload=raw.get("payload"), attributes=attributes)
    return replace(opened, content=record, message=message)


def redact_landed(store: Store, source: Source, keys: Iterable[Any], change: Callable[[str], str]) -> int:
    """Change the texts of landed rows but in their own places, and put those rows on their work lists; returns how many differ.

    One that lands anew meanwhile is left to whoever lands it.
    """
    landed, own = store.landing[source.key], own_places(source)
    differ = 0
    for batch in in_batches(keys, 500):
        updates = []
        for row in find_many(landed, "_id", batch):
            fields = {name: value for name, value in row.items() if name not in ("_id", "_sv")}
            made = _changed(fields, "", own(fields), change)
            if made == fields:
                continue
            document: Document = {"_id": row["_id"], **made, "_sv": {**row["_sv"], "hash": content_hash(made)}}
            if source.stations:
                document["_sv"]["pending"] = list(source.stations)
            same = {"$eq": ["$_sv.hash", {"$literal": row["_sv"]["hash"]}]}
            updates.append(
                UpdateOne({"_id": row["_id"]}, [{"$replaceWith": {"$cond": [same, {"$literal": document}, "$$ROOT"]}}])
            )
        differ += bulk_write(landed, updates)[1] if updates else 0
    return differ


def _texts(value: Any, path: str, own: frozenset[str]) -> Iterator[str]:
    if type(value) is str:
        if path not in own:
            yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, f"{path}.{name}" if path else name, own)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, path, own)


def _changed(value: Any, path: str, own: frozenset[str], change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return value if path in own else change(value)
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        made = text if path in own else change(text)
        return value if made == text else made.encode("latin-1")
    if isinstance(value, dict):
        return {n: _changed(item, f"{path}.{n}" if path else n, own, change) for n, item in value.items()}
    if isinstance(value, list):
        return [_changed(item, path, own, change) for item in value]
    return value


def _written(text: str, contacts: set[str]) -> Iterator[str]:
    for pattern in (EMAIL, PHONE):
        for match in pattern.finditer(text):
            if not contacts.isdisjoint(contacts_in(match.group())):
                yield match.group()


def _cut_out(text: str, written: Iterable[str]) -> str:
    """A message's text, in which values stand as JSON writes them."""
    for one in sorted(written, key=len, reverse=True):
        for form in (one, json.dumps(one)[1:-1]):
            text = text.replace(form, ERASED)
    return text
