"""Who was erased does not come back: what every way into landing asks of the ledger before anything touches the disk.

| what is read                                                     | what becomes of it                                      |
|------------------------------------------------------------------|---------------------------------------------------------|
| a row or message whose source key was erased                     | dropped, for ever                                       |
| … where that key is an e-mail address or phone number            | dropped, unless it says that it is of after the erasure |
| a row that points to an erased row, or is a part of its orders   | dropped, for ever                                       |
| … of those what the law wants kept (orders, their lines, money)  | lands reduced to the declared fields, without a person  |
| a row that holds a contact of who was erased (and their name,    | dropped, unless it says that it is of after the erasure |
| where others share the contact), or says that it is the same as  |                                                         |
| an erased row                                                    |                                                         |
| a row of somebody else that mentions such a contact in a text    | lands, and `[erased]` stands in its place (`mentions`)  |

"Of after the erasure": a moment in the row that its feeds name (`observed_at`, `placed_at` …), or the time at which its
message was sent. So who comes back as a new customer, under a new key, is a new person.
"""

import datetime as dt
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from pymongo import UpdateOne

from sv_assets.catalogue.entry import Const
from sv_assets.catalogue.feeds import OrderReference
from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.landing.documents import field_path, field_value, reference_value
from sv_assets.landing.mentions import (
    OwnPlaces,
    contacts_beside,
    own_places,
    redact_landed,
    redacted,
    redacted_message,
    without,
)
from sv_assets.landing.told import (
    REFERENCES,
    Told,
    order_references,
    references,
    told_by,
    told_by_message,
    told_by_raw,
)
from sv_assets.ledger import (
    Entry,
    Ledger,
    Policy,
    Trace,
    contact_trace,
    contacts_in,
    email_contact,
    open_ledger,
    phone_contact,
    record_trace,
    revision,
)
from sv_assets.mongo import Document, Store, bulk_write, content_hash, find_many, in_batches
from sv_assets.sources.keys import key_text
from sv_assets.sources.messages import Opened
from sv_assets.sources.records import Batch, Deletion, Record, Rejected

_CLOCKS_DIFFER = dt.timedelta(days=2)
"""So far ahead of us a row may be: clocks and time zones of legacy systems differ."""
_BOOKKEEPING = ("system", "table", "op", "extracted_at", "run_id", "deleted", "version", "key", "sent_at")


class Suppression:
    """Asks the ledger about the records of one source. Costs one look-up a batch where nobody was ever erased."""

    def __init__(self, store: Store, catalogue: Catalogue, source: Source) -> None:
        self._store, self._catalogue, self._source = store, catalogue, source
        self._ledger: Ledger | None = None
        self._revision = 0

    @property
    def revision(self) -> int:
        """The state of the ledger that was asked last."""
        return self._revision

    def changed_since(self, asked: int) -> bool:
        """True if somebody was erased since the ledger was asked in that state."""
        return revision(self._store) != asked

    def clean(self, batch: Batch) -> Batch:
        """The batch without what was erased; what must be kept of it is reduced."""
        ledger = self._opened()
        if ledger is None:
            return batch
        hit = self._hit(ledger, batch.records)
        records = batch.records
        if hit:
            records = [r for number, r in enumerate(records) if number not in hit]
            records += self._what_is_kept(ledger, list(hit.values()))
        if mentioned := self._mentioned(ledger, records):
            records = [
                redacted(r, self._own(r.fields), mentioned[n]) if n in mentioned else r for n, r in enumerate(records)
            ]
        deletions = batch.deletions
        if deletions:
            asked = {record_trace(self._source.key, gone.key_text): gone for gone in deletions}
            gone_already = ledger.entries(asked)
            deletions = [gone for trace, gone in asked.items() if trace not in gone_already]
        rejected = self._rejected(ledger, batch.rejected)
        return replace(batch, records=records, rejected=rejected, deletions=deletions)

    def open_messages(self, opened: Iterable[Opened]) -> list[Opened]:
        """The messages that may be archived; what was erased is neither kept nor landed, and leaves its queue."""
        opened = list(opened)
        ledger = self._opened()
        if ledger is None:
            return opened
        told = [told_by_message(self._catalogue, self._source, one) for one in opened]
        keys = [one.content.key if isinstance(one.content, Record) else None for one in opened]
        found = self._judged(ledger, told, keys)
        kept = [one for one, entry in zip(opened, found, strict=True) if entry is None]
        places = [n for n, one in enumerate(kept) if isinstance(one.content, Record)]
        mentioned = self._mentioned(ledger, [one.content for one in kept if isinstance(one.content, Record)])
        for n, contacts in mentioned.items():
            kept[places[n]] = redacted_message(kept[places[n]], self._own, contacts)
        return kept

    def erased_of(self, records: list[Record]) -> set[Any]:
        """The keys of those records that were erased: they are not expected in landing, or not as they stand in the source."""
        ledger = self._opened()
        if ledger is None:
            return set()
        hit = {record.key for record, *_ in self._hit(ledger, records).values()}
        return hit | {records[n].key for n in self._mentioned(ledger, records)}

    def take_back(
        self, records: Iterable[Record], deletions: Iterable[Deletion], rejected: list[Rejected]
    ) -> list[str]:
        """Take out of landing again what was erased while its batch was written; returns the keys of what was rejected of it."""
        records = list(records)
        ledger = self._opened()
        if ledger is None:
            return []
        told = [told_by(self._catalogue, self._source, r.key_text, r.fields, r.sent_at) for r in records]
        found = [entry if doubt is None else None for entry, doubt in _decided(ledger, told)]
        hit = [(r, t, entry) for r, t, entry in zip(records, told, found, strict=True) if entry is not None]
        columns = kept_columns(self._catalogue, self._source, ledger.policy)
        kept = {r.key for r, t, entry in hit if columns and _is_of_an_order(self._source, t, entry)}
        self._delete(r.key for r, _, _ in hit if r.key not in kept)
        reduce_landed(self._store, self._catalogue, self._source, kept, ledger.policy)
        for n, contacts in self._mentioned(ledger, records).items():
            redact_landed(self._store, self._source, [records[n].key], partial(without, contacts=contacts))
        gone = {record_trace(self._source.key, one.key_text): one.key for one in deletions}
        self._delete(gone[trace] for trace, entry in ledger.entries(gone).items() if entry.action == "drop")
        clean = {item.key_text for item in self._rejected(ledger, rejected)}
        return [item.key_text for item in rejected if item.key_text not in clean]

    def _hit(self, ledger: Ledger, records: list[Record]) -> dict[int, tuple[Record, Told, Entry]]:
        """The records that were erased, by their place, with what they say and what the ledger says of it."""
        suspects = self._suspects(ledger, records)
        told = [told_by(self._catalogue, self._source, r.key_text, r.fields, r.sent_at) for r in suspects.values()]
        found = self._judged(ledger, told, [r.key for r in suspects.values()])
        return {
            number: (record, said, entry)
            for (number, record), said, entry in zip(suspects.items(), told, found, strict=True)
            if entry is not None
        }

    def _mentioned(self, ledger: Ledger, records: list[Record]) -> dict[int, set[str]]:
        """By the place of a record, the contacts of erased people that stand in it although it is about somebody else."""
        said = {
            n: found
            for n, record in enumerate(records)
            if (found := contacts_beside(record.fields, self._own(record.fields)))
        }
        traces = {contact_trace(contact): contact for contact in sorted(set().union(*said.values()))}
        entries = {traces[trace]: entry for trace, entry in ledger.entries(traces).items()}
        mentioned: dict[int, set[str]] = {}
        for n, found in said.items() if entries else ():
            record = records[n]
            told = told_by(self._catalogue, self._source, record.key_text, record.fields, record.sent_at)
            if gone := {c for c in found & entries.keys() if not _is_of_after(told, entries[c])}:
                mentioned[n] = gone
        return mentioned

    @cached_property
    def _own(self) -> OwnPlaces:
        return own_places(self._source)

    def _suspects(self, ledger: Ledger, records: list[Record]) -> dict[int, Record]:
        """The records that need a closer look, by their place: one hash for each thing that they say, and nothing else."""
        messages: list[bytes] = []
        owners: list[int] = []
        for number, record in enumerate(records):
            said = self._said(record)
            messages += said
            owners += [number] * len(said)
        places = sorted({owners[n] for n in ledger.may_hold(messages).nonzero()[0]})
        return {number: records[number] for number in places}

    @cached_property
    def _said(self) -> Callable[[Record], list[bytes]]:
        """What a record says, as the messages of the traces in `told_by`, without names: made once for a source."""
        source, catalogue = self._source, self._catalogue
        own = f"record\x1f{source.key}\x1f"
        party = source.entry.feeds.party
        emails = party.email if party else []
        phones = party.phone if party else []
        others = [] if party else [name for name, kind in source.entry.pii.items() if kind == "contact"]
        named = [*references(source), *(party.same_as if party else ())]
        pointing = [(r.key, f"record\x1f{catalogue.referred(source, r).key}\x1f") for r in named]
        for _, order in order_references(source):
            orders = catalogue.order_source(order.system or source.system)
            by = "id" if order.id else "number"
            pointing.append((order.id or order.number or "", f"order\x1f{orders.key}\x1f{by}\x1f"))
        readers = [
            *((spec, email_contact) for spec in emails),
            *((spec, phone_contact) for spec in phones),
            *((spec, contacts_in) for spec in others),
        ]

        is_queue = source.is_queue

        def said(record: Record) -> list[bytes]:
            fields = record.fields
            found = [own + record.key_text]
            for spec, beginning in pointing:
                value = reference_value(source, fields, spec)
                if value is not None:
                    found.append(beginning + key_text(value))
            for spec, read in readers:
                value = field_value(source, fields, spec) if is_queue else fields.get(spec)
                if type(value) is str:
                    found += [f"contact\x1f{contact}\x1f*" for contact in read(value)]
            return [text.encode(errors="surrogatepass") for text in found]

        return said

    def _opened(self) -> Ledger | None:
        self._ledger = open_ledger(self._store)
        self._revision = self._ledger.revision if self._ledger else 0
        return self._ledger

    def _delete(self, identifiers: Iterable[Any]) -> int:
        """What a run left that was killed between writing a batch and asking again."""
        landed = self._store.landing[self._source.key]
        return sum(landed.delete_many({"_id": {"$in": ids}}).deleted_count for ids in in_batches(identifiers, 500))

    def _what_is_kept(self, ledger: Ledger, hit: list[tuple[Record, Told, Entry]]) -> list[Record]:
        """Of the erased rows those that the law wants, reduced, unless they stand there so already."""
        columns = kept_columns(self._catalogue, self._source, ledger.policy)
        keeps = [(r, t, entry) for r, t, entry in hit if columns and _is_of_an_order(self._source, t, entry)]
        kept_ids = {r.key for r, _, _ in keeps}
        self._delete(r.key for r, _, _ in hit if r.key not in kept_ids)
        fields = {"_sv.erased": 1}
        there = {
            d["_id"]
            for d in find_many(self._store.landing[self._source.key], "_id", kept_ids, fields)
            if "erased" in d["_sv"]
        }
        now = dt.datetime.now(dt.timezone.utc)
        made = []
        for record, told, _ in keeps:
            until = retained_until(told.moments, ledger.policy, now)
            if record.key not in there and until > now:
                made.append(reduced(self._source, record, columns, until))
        return made

    def _rejected(self, ledger: Ledger, rejected: list[Rejected]) -> list[Rejected]:
        """Without rows of erased keys, and what holds a contact of who was erased."""
        if not rejected:
            return rejected
        told = [told_by_raw(self._catalogue, self._source, item.key_text, item.raw) for item in rejected]
        found = _decided(ledger, told)
        return [item for item, (entry, _) in zip(rejected, found, strict=True) if entry is None]

    def _judged(self, ledger: Ledger, told: list[Told], keys: list[Any]) -> list[Entry | None]:
        """As `_decided`; but what stands in landing was somebody else's when the person was erased, and is so still."""
        found = _decided(ledger, told)
        doubted = [key for key, (_, doubt) in zip(keys, found, strict=True) if doubt is not None and key is not None]
        there = {d["_id"] for d in find_many(self._store.landing[self._source.key], "_id", doubted, {"_id": 1})}
        return [
            None if doubt is not None and key is not None and key in there else entry
            for key, (entry, doubt) in zip(keys, found, strict=True)
        ]


Decided = tuple[Entry | None, Trace | None]
"""The entry for which a row may not land as it is, and where only a doubtful trace says so, that trace."""


def _decided(ledger: Ledger, told: list[Told]) -> list[Decided]:
    asked = {trace for one in told for trace in (one.own, *one.decisive, *one.doubtful)}
    entries = ledger.entries(asked)
    return [_decide(one, entries) for one in told] if entries else [(None, None)] * len(told)


def _decide(told: Told, entries: Mapping[Trace, Entry]) -> Decided:
    own = entries.get(told.own)
    if own is not None and not (own.natural and _is_of_after(told, own)):
        return own, None
    for trace in told.decisive:
        if entry := entries.get(trace):
            return entry, None
    for trace in told.doubtful:
        if (entry := entries.get(trace)) and not _is_of_after(told, entry):
            return entry, trace
    return None, None


def _is_of_after(told: Told, entry: Entry) -> bool:
    """True if the row says a moment after the erasure. One that lies ahead of us (9999-12-31) is rubbish, and says nothing."""
    ahead = dt.datetime.now(dt.timezone.utc) + _CLOCKS_DIFFER
    return any(entry.at < at <= ahead for at in told.moments)


def _is_of_an_order(source: Source, told: Told, entry: Entry) -> bool:
    """True for an order, and for what is a part of one, of who was erased: the law may want it."""
    return any(source.feeds_into(feed) for feed in REFERENCES) and (
        entry.action == "reduce" or bool(told.decisive) or source.feeds_into("order")
    )


def retained_until(moments: Iterable[dt.datetime], policy: Policy, now: dt.datetime) -> dt.datetime:
    """Until when what the law wants is kept: counted from the last moment that it names, at most from now."""
    latest = max((at for at in moments if at <= now), default=now)
    until = latest + dt.timedelta(days=policy.keep_days)
    return until.replace(microsecond=0)


def kept_columns(catalogue: Catalogue, source: Source, policy: Policy) -> list[str]:
    """The columns (or paths) of a source that are kept of an erased person's rows; none where such rows go as a whole."""
    columns: set[str] = set()
    for feed, names in policy.keep.items():
        mapping = getattr(source.entry.feeds, feed, None)
        if not mapping or isinstance(mapping, list):
            continue
        columns.update(
            spec
            for name in names
            if isinstance(spec := getattr(mapping, name, None), str) and not isinstance(spec, Const)
        )
        order = getattr(mapping, "order", None)
        if isinstance(order, OrderReference):
            columns.add(order.id or order.number or "")
    if not columns:
        return []
    personal = {name for name, kind in source.entry.pii.items()}
    key = [source.queue.key] if source.is_queue else source.table.key
    return sorted((columns - personal) | set(key))


def reduced_fields(source: Source, fields: Document, columns: Iterable[str]) -> Document:
    """Of the fields of a row (or of the body of a message) only these columns."""
    made: Document = {}
    for column in columns:
        value: Any = fields
        parts = field_path(source, column).split(".") if source.is_queue else [column]
        for part in parts:
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            continue
        place = made
        for part in parts[:-1]:
            place = place.setdefault(part, {})
        place[parts[-1]] = value
    return made


def reduce_landed(store: Store, catalogue: Catalogue, source: Source, keys: Iterable[Any], policy: Policy) -> int:
    """Reduce landed rows to what the law wants, and put them on their work lists; what is reduced already stays as it is.

    Rows that are deleted at their source, and those whose time is over, go as a whole. Returns how many were reduced.
    """
    columns = kept_columns(catalogue, source, policy)
    landed = store.landing[source.key]
    now = dt.datetime.now(dt.timezone.utc)
    changed = 0
    for batch in in_batches(keys, 500):
        updates, gone = [], []
        for row in landed.find({"_id": {"$in": batch}}):
            if "erased" in row["_sv"]:
                continue
            until = retained_until(told_by(catalogue, source, key_text(row["_id"]), row).moments, policy, now)
            if row["_sv"]["deleted"] or not columns or until <= now:
                gone.append(row["_id"])
                continue
            fields = reduced_fields(source, row, columns)
            kept = {name: row["_sv"][name] for name in _BOOKKEEPING if name in row["_sv"]}
            made: Document = {"_id": row["_id"], **fields, "_sv": {**kept, "erased": mark_of(until)}}
            made["_sv"]["hash"] = content_hash(made)
            if source.stations:
                made["_sv"]["pending"] = list(source.stations)
            updates.append(UpdateOne({"_id": row["_id"]}, [{"$replaceWith": {"$literal": made}}]))
        changed += bulk_write(landed, updates)[1]
        if gone:
            landed.delete_many({"_id": {"$in": gone}})
    return changed


def mark_of(until: dt.datetime) -> Document:
    """What stands under `_sv.erased` of a row that is kept for the law: a name that leads nowhere, and until when."""
    return {"pseudonym": f"E{secrets.token_hex(10)}", "until": until}


def reduced(source: Source, record: Record, columns: list[str], until: dt.datetime) -> Record:
    """A record as far as the law wants it."""
    wanted = set(columns)
    marks = {
        kind: kept
        for kind, by_column in (record.marks or {}).items()
        if (kept := {column: value for column, value in by_column.items() if column in wanted})
    }
    return replace(
        record,
        fields=reduced_fields(source, record.fields, columns),
        marks={**marks, "erased": mark_of(until)},
        message=None,
    )


def without_erased(store: Store, source: Source, keys: Iterable[Any]) -> list[Any]:
    """Of these keys of rows those that nobody was erased with."""
    keys = list(keys)
    ledger = open_ledger(store)
    if ledger is None:
        return keys
    traces = {record_trace(source.key, key_text(key)): key for key in keys}
    found = ledger.entries(traces)
    return [key for trace, key in traces.items() if trace not in found]
