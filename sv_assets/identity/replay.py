"""Decisions as lines of JSON: taken out of one identity, and carried out in another one that has the same records.

With its records and its decisions, who is who can be decided again from nothing, and comes out the same. So a file of
decisions is the only thing of identity that cannot be made anew.
"""

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sv_assets.errors import ConfigurationError, SvError
from sv_assets.identity.customer_ids import STATION
from sv_assets.identity.decisions import INDEXES, contradiction, event_of
from sv_assets.lease import lease
from sv_assets.ledger import open_ledger, record_trace
from sv_assets.mongo import Document, Store, bulk_write, ensure_indexes, find_many, insert_missing
from sv_assets.worklist import mark_pending

_FIELDS: dict[str, type] = {
    "_id": str,
    "kind": str,
    "sides": list,
    "records": list,
    "customers": list,
    "actor": str,
    "reason": str,
    "at": str,
}


@dataclass(frozen=True)
class Imported:
    """What came of an import: decisions added, those that were there already, records named that have not landed, and how
    many decisions name somebody who was erased since: those are left out."""

    added: int
    there: int
    absent: list[str]
    erased: int = 0


def export_decisions(store: Store) -> Iterator[str]:
    """All decisions and undos, one a line, in the order in which they were made."""
    for decision in store.identity["decisions"].find({}).sort([("at", 1), ("_id", 1)]):
        yield json.dumps({**decision, "at": decision["at"].isoformat()}, ensure_ascii=False)


def import_decisions(store: Store, lines: Iterable[str]) -> Imported:
    """Take over decisions, all or none; the next run carries them out. What is there already stays as it is.

    Records that have not landed are no mistake: the decision counts from the run that brings them. Raises
    ConfigurationError for a line that is no decision, and SvError where the decisions contradict each other or those that
    are there.
    """
    read = [_decision(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    decisions = _of_nobody_erased(store, read)
    ensure_indexes(store.identity["decisions"], INDEXES)
    with lease(store, "identity"):
        stored = {decision["_id"]: decision for decision in store.identity["decisions"].find({})}
        new = {decision["_id"]: decision for decision in decisions if decision["_id"] not in stored}
        everything = {**stored, **new}
        for decision in new.values():
            if decision["kind"] == "undo" and decision["of"] not in everything:
                raise SvError(
                    f"{decision['_id']} takes back {decision['of']}, which is not there. Import that one as well."
                )
        if contrary := contradiction(everything.values()):
            raise SvError(f"Nothing was imported. {contrary}")
        named = sorted({record for decision in new.values() for record in decision["records"]})
        there = {record["_id"] for record in find_many(store.identity["party_records"], "_id", named, {"_id": 1})}
        bulk_write(store.identity["party_records"], mark_pending(sorted(there), STATION))
        # The undos first: of an import that breaks off, nothing must count that was taken back.
        order = sorted(new.values(), key=lambda decision: decision["kind"] != "undo")
        added = insert_missing(store.identity["decisions"], order)
        insert_missing(store.identity["events"], [event_of(decision) for decision in decisions])
    absent = [record for record in named if record not in there]
    return Imported(added, len(decisions) - added, absent, len(read) - len(decisions))


def _of_nobody_erased(store: Store, decisions: list[Document]) -> list[Document]:
    ledger = open_ledger(store)
    if ledger is None:
        return decisions
    traces = {
        record: record_trace(source, key)
        for decision in decisions
        for record in decision["records"]
        for source, _, key in [record.partition(":")]
    }
    entries = ledger.entries(traces.values())

    def is_gone(record: str, at: dt.datetime) -> bool:
        entry = entries.get(traces[record])
        return entry is not None and not (entry.natural and at > entry.at)  # who came back under a key of their own

    return [d for d in decisions if not any(is_gone(record, d["at"]) for record in d["records"])]


def _decision(number: int, line: str) -> Document:
    try:
        read: Any = json.loads(line)
    except ValueError:
        raise ConfigurationError(
            f"Line {number} is no JSON. A file of `sv identity decisions --export` has one decision a line."
        ) from None
    wrong = _wrong(read)
    if wrong:
        raise ConfigurationError(f"Line {number} is no decision: {wrong}.")
    try:
        at = dt.datetime.fromisoformat(read["at"])
    except ValueError:
        raise ConfigurationError(f"Line {number} is no decision: at is no date-time.") from None
    if at.tzinfo is None:
        raise ConfigurationError(f"Line {number} is no decision: at needs a time zone.")
    names = (*_FIELDS, "of") if read["kind"] == "undo" else tuple(_FIELDS)
    return {name: at if name == "at" else value for name, value in read.items() if name in names}


def _wrong(read: Any) -> str | None:
    if not isinstance(read, dict):
        return "it is no object"
    for name, kind in _FIELDS.items():
        if not isinstance(read.get(name), kind):
            return f"{name} is missing, or not what it should be"
    if read["kind"] not in ("same", "not_same", "undo"):
        return "kind is none of same, not_same, undo"
    if read["kind"] == "undo" and not isinstance(read.get("of"), str):
        return "of is missing"
    sides = read["sides"]
    if len(sides) != 2 or not all(
        isinstance(side, list) and side and all(isinstance(r, str) for r in side) for side in sides
    ):
        return "sides are not two lists of records"
    if set(sides[0]) & set(sides[1]) or sorted({*sides[0], *sides[1]}) != read["records"]:
        return "sides and records do not fit each other"
    return None
