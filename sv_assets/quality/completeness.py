"""Whether what has landed is what the source has, both seen from the same low-water mark.

Rows of the source are read in key order, a declared number of them in one audit and on from there in the next, and held one
by one against their landed copies: by key, version and content. A row beyond the mark up to which landing has read is on its
way, whatever it says: writers may go on while this looks. A row of the same version and other content was edited without
its version: no capture by a column can see that, and this does.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from bson import Decimal128

from sv_assets.catalogue.capture import ModifiedAtCapture
from sv_assets.catalogue.source import needs_reconciliation
from sv_assets.landing.bookmarks import Bookmark
from sv_assets.landing.documents import Origin, encoded_fields, landing_document
from sv_assets.landing.figures import read_to_the_end_at
from sv_assets.landing.quarantine import Quarantine
from sv_assets.landing.reconcile import live_count
from sv_assets.landing.suppression import Suppression
from sv_assets.ledger import dropped, kept_of_erased
from sv_assets.mongo import Document, in_batches
from sv_assets.quality import names
from sv_assets.quality.result import Result
from sv_assets.quality.subject import Subject
from sv_assets.sources.capture import open_reader
from sv_assets.sources.capture.reader import parsed
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.records import Position, Record, Version
from sv_assets.sources.table import TableShape, count_rows
from sv_assets.sources.types import local_text

COUNT = names.COUNT
CONTENT = names.CONTENT
_STATE = {"_sv.version": 1, "_sv.hash": 1, "_sv.deleted": 1}
_KEPT = 1000
"""How many missing rows are kept to be looked at closely, and how many days are named."""
_DAYS_NAMED = 10


@dataclass
class Comparison:
    """What one audit found of the rows that it read."""

    source_rows: int = 0
    live_rows: int = 0
    waiting: int = 0
    """Rows in quarantine."""
    compared: int = 0
    whole: bool = False
    on_the_way: int = 0
    missing: list[Record] = field(default_factory=list)
    """The first of those that should have landed and did not."""
    missing_count: int = 0
    edited: int = 0
    not_landed: int = 0
    """Rows whose last change should have landed and did not."""
    columns: Counter[str] = field(default_factory=Counter)
    days: Counter[str] = field(default_factory=Counter)
    missing_days: Counter[str] = field(default_factory=Counter)
    ahead: int = 0
    """Rows beyond the mark, counted where the whole table was not read."""
    erased: int = 0
    """Rows of people who were erased, which the source may still have."""
    kept_of_erased: int = 0
    """Rows that the law wants kept of people who were erased, which the source may have no more."""


def compare(subject: Subject, database: LegacyDatabase, shape: TableShape, drifted: frozenset[str]) -> Comparison:
    """Read and compare; columns that `drifted` are left out. Moves on where the next audit goes on."""
    source, store = subject.source, subject.store
    found = Comparison()
    bookmark = Bookmark(store, source.key, source.table.capture.mode, source.table.key)
    position = bookmark.read()
    mark = _mark(subject, position)
    quarantine = Quarantine(store, source.key)
    found.waiting = quarantine.count()
    if mark is not None:
        for records in _pages(subject, database, shape, found):
            _compare_page(subject, records, mark, drifted, found)
        if found.waiting and found.missing:
            held = quarantine.holds([record.key_text for record in found.missing])
            found.missing = [record for record in found.missing if record.key_text not in held]
            found.missing_count -= len(held)
    # In this order, so that what is written meanwhile is among the rows ahead.
    found.live_rows = live_count(subject.landed)
    found.erased, found.kept_of_erased = dropped(store, source.key), kept_of_erased(store, source.key)
    found.source_rows = count_rows(database, shape)
    if mark is not None and not found.whole:
        found.ahead = count_rows(database, shape, [_beyond(database, shape, mark)])
    return found


def row_count_matches_source(subject: Subject, found: Comparison, copies: int) -> Result:
    """As many live rows as the source has, but for those on their way. `copies`: missing rows that others stand for.

    Rows that were deleted or inserted since landing looked are no fault yet: only what is still so after it looked again.
    """
    gone = max(found.live_rows - found.kept_of_erased - found.source_rows, 0)
    on_the_way = found.on_the_way if found.whole else max(found.on_the_way, found.ahead)
    lacking = max(found.source_rows - found.live_rows - found.waiting - found.erased - on_the_way - copies, 0)
    missing = max(found.missing_count - copies, 0)
    if _has_mark(subject) and not found.whole:
        missing = max(missing, lacking)
    stays = _stays(subject, gone, 0 if _has_mark(subject) else lacking)
    passed = not missing and not stays
    figures: dict[str, Any] = {
        "source_rows": found.source_rows, "live_rows": found.live_rows, "quarantined": found.waiting,
        "on_the_way": on_the_way, "missing": missing, "gone": gone, "copies_not_landed": copies,
    }  # fmt: skip
    if found.erased:
        figures["erased"] = found.erased
    if found.missing_days:
        figures["missing_by_day"] = _named(found.missing_days)
    sentence = (
        f"The source has {found.source_rows:,} rows; {found.live_rows:,} are live in landing, {found.waiting:,} in quarantine "
        f"and {on_the_way:,} on their way"
    )
    path = subject.asset
    if passed:
        return subject.result(COUNT, True, f"{sentence}: all are accounted for.", **figures)
    if missing or not gone:
        lost = missing or lacking
        if found.missing_days and subject.source.table.partitions:
            told = f"{sentence}: {lost:,} are missing ({_named(found.missing_days)}). Materialise these days of {path}."
            days = f"{min(found.missing_days)}..{max(found.missing_days)}"
            return subject.result(COUNT, False, told, f"sv run --select {path} --partitions {days}", **figures)
        told = f"{sentence}: {lost:,} are missing. Run {path}; if they stay missing, run it with `full: true`."
        return subject.result(COUNT, False, told, f"sv run --select {path}", **figures)
    asset = f"{path}/deletes" if needs_reconciliation(subject.source) else "the asset again"
    told = (
        f"{sentence}: {gone:,} rows are gone from the source and were not deleted. If more than "
        f"{subject.source.table.max_delete_share:.0%} are gone, run {asset} with `allow_deletes: true`."
    )
    return subject.result(COUNT, False, told, **figures)


def content_matches_source(subject: Subject, found: Comparison) -> Result:
    """The same content under the same version."""
    if not _has_mark(subject):
        mode = subject.source.table.capture.mode
        return subject.unseen(CONTENT, f"{mode} tells every edited row by itself, 0 rows are compared.")
    wrong = found.edited + found.not_landed
    figures = {
        "rows_compared": found.compared, "whole_table": found.whole, "edited": found.edited, "change_not_landed": found.not_landed,
        "on_the_way": found.on_the_way, "columns": ", ".join(sorted(found.columns)), "by_day": _named(found.days),
    }  # fmt: skip
    column = getattr(subject.source.table.capture, "column", "")
    if not wrong:
        sentence = (
            f"{found.compared:,} rows of the source are the same in landing; {found.on_the_way:,} are on their way."
        )
        return subject.result(CONTENT, True, sentence, **figures)
    sentence = f"Of {found.compared:,} rows {found.edited:,} were edited without a new {column} ({', '.join(sorted(found.columns)) or 'no column'})"
    sentence += f", and the last change of {found.not_landed:,} did not land" if found.not_landed else ""
    sentence += ". Run the asset with `full: true` to land them, and ask the owners what writes so."
    return subject.result(CONTENT, False, sentence, **figures)


def _has_mark(subject: Subject) -> bool:
    return subject.source.table.capture.mode in ("modified_at", "rowversion")


def _mark(subject: Subject, position: Position | None) -> Version | None:
    """Below which version everything has landed; None where nothing says so."""
    if position is None or "scan_after" in position or not _has_mark(subject):
        return None
    capture = subject.source.table.capture
    if isinstance(capture, ModifiedAtCapture):
        through = parsed(position["modified_at"])
        return local_text(through - min(capture.lag, through - dt.datetime.min))
    return bytes(position["rowversion"])


def _beyond(database: LegacyDatabase, shape: TableShape, mark: Version) -> sa.ColumnElement[bool]:
    name = getattr(shape.source.table.capture, "column", "")
    column = next(column for column in shape.columns if column.name == name)
    bound: Any = mark
    if isinstance(mark, str):
        bound = parsed(mark)
        if column.type_name == "datetimeoffset":
            bound = bound.replace(tzinfo=dt.timezone.utc)
    clause: sa.ColumnClause[Any] = sa.column(name)
    beyond: sa.ColumnElement[bool] = clause >= database.bound(column, bound)
    return beyond


def _pages(subject: Subject, database: LegacyDatabase, shape: TableShape, found: Comparison) -> Iterator[list[Record]]:
    """The rows from where the last audit ended, at most as many as are declared; over the end, from the first."""
    kept = subject.store.control["audits"]
    after = (kept.find_one({"_id": subject.source.key}) or {}).get("scan_after")
    begun_at_first = after is None
    limit = subject.source.table.expect.audit_rows
    suppression = Suppression(subject.store, subject.catalogue, subject.source)
    for _ in ("from there", "from the first"):
        position: Position | None = None if after is None else {"scan_after": after, "then": {}}
        for batch in open_reader(database, shape).read(position):
            if "scan_after" not in batch.position:
                after = None
                break
            found.compared += batch.read
            erased = suppression.erased_of(batch.records)
            yield [record for record in batch.records if record.key not in erased]
            after = batch.position["scan_after"]
            if found.compared >= limit:
                break
        if after is not None or begun_at_first or found.compared >= limit:
            break
        begun_at_first = True
    found.whole = begun_at_first and after is None and found.compared < limit
    kept.replace_one({"_id": subject.source.key}, {"_id": subject.source.key, "scan_after": after}, upsert=True)


def _compare_page(
    subject: Subject, records: list[Record], mark: Version, drifted: frozenset[str], found: Comparison
) -> None:
    landed = {
        document["_id"]: document
        for keys in in_batches(record.key for record in records)
        for document in subject.landed.find({"_id": {"$in": keys}}, _STATE)
    }
    origin = Origin(subject.source, "", dt.datetime.now(dt.timezone.utc))
    suspicious: list[Record] = []
    for record, fields in zip(records, encoded_fields(records), strict=True):
        there = landed.get(record.key)
        if record.version in ("", b""):  # without a version only full runs see it, which its capture check says
            continue
        beyond = record.version >= mark  # type: ignore[operator]
        if there is None or there["_sv"].get("deleted"):
            found.on_the_way += beyond
            if not beyond:
                found.missing_count += 1
                found.missing_days[record.partition or "no day"] += bool(record.partition)
                if len(found.missing) < _KEPT:
                    found.missing.append(record)
            continue
        version = there["_sv"]["version"]
        if version is None:
            continue
        if record.version > version:
            found.on_the_way += beyond
            if not beyond:
                found.not_landed += 1
                found.days[record.partition or "no day"] += bool(record.partition)
        elif record.version == version and there["_sv"]["hash"] != landing_document(origin, record, (), fields).hash:
            suspicious.append(record)
    for batch in in_batches(suspicious):
        whole = {d["_id"]: d for d in subject.landed.find({"_id": {"$in": [record.key for record in batch]}})}
        for record in batch:
            document = whole.get(record.key)
            if document is None or document["_sv"]["version"] != record.version:
                continue  # it landed anew since
            columns = _columns_that_differ(record, document, drifted)
            if columns:
                found.edited += 1
                found.columns.update(columns)
                found.days[record.partition or "no day"] += bool(record.partition)


def _columns_that_differ(record: Record, document: Document, drifted: frozenset[str]) -> list[str]:
    marks = (record.marks or {}).get("exact", {}), document["_sv"].get("exact", {})
    return [
        name
        for name, value in record.fields.items()
        if name not in drifted
        and name in document
        and (not _is_same(value, document[name]) or marks[0].get(name) != marks[1].get(name))
    ]


def _is_same(one: Any, other: Any) -> bool:
    """As BSON stores them: to the millisecond, and decimals digit by digit."""
    if isinstance(one, dt.datetime) and isinstance(other, dt.datetime):
        one = one if one.tzinfo else one.replace(tzinfo=dt.timezone.utc)
        return bool(abs(one - other) < dt.timedelta(milliseconds=1))
    if isinstance(one, Decimal128) or isinstance(other, Decimal128):
        return str(one) == str(other)
    if isinstance(one, float) and isinstance(other, float):
        return bool(one == other or (one != one and other != other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _stays(subject: Subject, gone: int, lacking: int) -> int:
    """How many rows are gone, or lacking, since before landing looked last; remembers how many are now."""
    kept = subject.store.control["audits"]
    before = kept.find_one({"_id": f"{subject.source.key}:count"}) or {"gone": 0, "lacking": 0}
    looked = read_to_the_end_at(subject.store, subject.source.key)
    stays = 0
    if before.get("looked_at") is not None and looked != before["looked_at"]:
        stays = min(gone, before["gone"]) + min(lacking, before["lacking"])
    if before.get("failed") and looked == before.get("looked_at"):
        stays = gone + lacking
    state: Document = {
        "_id": f"{subject.source.key}:count", "gone": gone, "lacking": lacking, "looked_at": looked, "failed": bool(stays),
    }  # fmt: skip
    kept.replace_one({"_id": state["_id"]}, state, upsert=True)
    return stays


def _named(days: Counter[str]) -> str:
    days = Counter({day: n for day, n in days.items() if n})
    named = ", ".join(f"{day}: {n:,}" for day, n in sorted(days.items())[:_DAYS_NAMED])
    return f"{named} and {len(days) - _DAYS_NAMED} more days" if len(days) > _DAYS_NAMED else named
