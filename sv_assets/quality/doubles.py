"""Rows that stand there twice under different keys.

Two rows are one if all agrees that is not their key, their version, or held unique by the database. Where the rows have a
moment with a time of day and a key of one column, that does not happen by chance. Elsewhere (lines of an order, look-up
tables) equal rows may be meant, and what counts is that there are more of them than the table had before.
"""

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sv_assets.landing.documents import field_path
from sv_assets.landing.shapes import Shape, shape_of
from sv_assets.mongo import Document
from sv_assets.quality import names
from sv_assets.quality.chance import at_least
from sv_assets.quality.result import Result
from sv_assets.quality.scan import Scanned
from sv_assets.quality.subject import LIVE, Subject

CHECK = names.DOUBLES
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I)
_VERSIONS = ("rowversion", "timestamp")
_FEWEST_VALUES = 3
_CHANCE = 1e-6


@dataclass
class DoubledRows:
    """Looks for doubled rows among those of a pass; `missing` are rows of the source that have not landed."""

    subject: Subject
    missing: Iterable[Mapping[str, Any]] = ()
    _seen: Counter[int] = field(default_factory=Counter)
    _certain: set[int] = field(default_factory=set)
    _rows: int = 0

    def __post_init__(self) -> None:
        self._content = Content(self.subject, shape_of(self.subject.store, self.subject.source))

    def add(self, row: Document) -> None:
        values = self._content.of(row)
        if len(values) < _FEWEST_VALUES:
            return
        digest = _digest(values)
        self._rows += 1
        self._seen[digest] += 1
        if self._seen[digest] == 2 and self._content.is_one_of_a_kind(values):
            self._certain.add(digest)

    def knows(self, fields: Mapping[str, Any]) -> bool:
        """Whether a row with these fields is a copy of one that was seen."""
        values = self._content.of(dict(fields))
        return len(values) >= _FEWEST_VALUES and _digest(values) in self._seen

    def result(self, scanned: Scanned) -> Result:
        subject = self.subject
        allowed = subject.source.entry.expect.doubled
        if allowed == "off":
            return subject.unseen(CHECK, "its declaration says `doubled: off`.")
        certain = sum(self._seen[digest] - 1 for digest in self._certain)
        doubled = sum(n - 1 for n in self._seen.values() if n > 1)
        unlanded = sum(self.knows(fields) for fields in self.missing)
        agreed = subject.store.control["doubles"].find_one({"_id": subject.source.key})
        too_many = self._too_many(doubled - certain, agreed, scanned)
        passed = certain + unlanded <= allowed + (agreed["certain"] if agreed else 0) and not too_many
        if agreed is None or passed:
            self._agree(0 if agreed is None else agreed["certain"], doubled - certain, scanned)
        if passed:
            sentence = (
                f"{doubled:,} of {self._rows:,} rows are equal to another but for their keys, no more than before."
            )
        else:
            sentence = (
                f"{doubled + unlanded:,} of {self._rows:,} rows are copies of others under new keys, where "
                f"{agreed['equal'] if agreed else 0:,} are usual."
            )
        return subject.result(
            CHECK, passed, sentence, f"sv checks accept {subject.source.key}", doubled=doubled + unlanded,
            not_landed=unlanded, with_a_moment=certain, usual=agreed["equal"] if agreed else 0, **scanned.figures,
        )  # fmt: skip

    def _too_many(self, equal: int, agreed: Document | None, scanned: Scanned) -> bool:
        """Of rows that may be equal: whether there are more than the share that the table had lets expect."""
        if agreed is None or agreed["rows"] == 0:
            return False
        share = (agreed["equal"] + 1) / (agreed["rows"] + 1)
        if scanned.is_sample or agreed["sampled"]:
            return at_least(equal, self._rows, share) < _CHANCE
        new, more = self._rows - agreed["rows"], equal - agreed["equal"]
        return new > 0 and more > 1 and at_least(min(more, new), new, share) < _CHANCE

    def _agree(self, certain: int, equal: int, scanned: Scanned) -> None:
        kept: Document = {
            "_id": self.subject.source.key, "certain": certain, "equal": equal, "rows": self._rows, "sampled": scanned.is_sample,
        }  # fmt: skip
        self.subject.store.control["doubles"].replace_one({"_id": kept["_id"]}, kept, upsert=True)


def agree(subject: Subject) -> bool:
    """Take the doubled rows that were found last for meant: the next audit starts from what there is then."""
    state = subject.store.control["check_states"].find_one({"_id": f"{subject.asset}|{CHECK}"})
    last = state["latest"] if state else None
    if last is None or last["passed"]:
        return False
    certain, doubled = last["figures"]["with_a_moment"], last["figures"]["doubled"]
    kept: Document = {
        "_id": subject.source.key, "certain": certain, "equal": doubled - certain,
        "rows": last["figures"]["rows_looked_at"], "sampled": last["figures"]["sampled"],
    }  # fmt: skip
    subject.store.control["doubles"].replace_one({"_id": kept["_id"]}, kept, upsert=True)
    return True


def doubled_on(subject: Subject, path: str, day: dt.date) -> int:
    """How many of the rows of a local day are copies of others."""
    start = dt.datetime.combine(day, dt.time(), subject.zone)
    bounds: Document = {"$gte": start, "$lt": start + dt.timedelta(days=1)}
    if subject.source.is_queue:
        bounds = {"$gte": day.isoformat(), "$lt": (day + dt.timedelta(days=1)).isoformat()}
    content = Content(subject, shape_of(subject.store, subject.source))
    rows = subject.landed.find({subject.field(path): bounds, **LIVE}).limit(subject.source.entry.expect.audit_rows)
    seen = Counter(_digest(values) for row in rows if len(values := content.of(row)) >= _FEWEST_VALUES)
    return sum(n - 1 for n in seen.values() if n > 1)


class Content:
    """What makes a row what it is: its values but for keys, versions, and what the database holds unique."""

    def __init__(self, subject: Subject, shape: Shape | None) -> None:
        source = subject.source
        self._is_queue = source.is_queue
        self._moment = field_path(source, source.happened_at) if source.happened_at else None
        if source.is_queue:
            left_out = {source.queue.key, source.queue.version} - {source.happened_at}
            self._left_out = {field_path(source, path) for path in left_out if path}
            self._has_plain_key = True
            return
        table = source.table
        pointing = {reference.key for reference in source.party_references()}
        pointing |= {order.id or order.number or "" for order in source.order_references()}
        unique = {name for key in (shape.unique_keys if shape else ()) if len(key) == 1 for name in key}
        versions = {name for name, kind in (shape.latest if shape else {}).items() if kind in _VERSIONS}
        self._left_out = (set(table.key) - (pointing if len(table.key) > 1 else set())) | unique | versions
        self._left_out |= {getattr(table.capture, "column", None) or ""}
        self._has_plain_key = len(table.key) == 1

    def of(self, row: Document) -> dict[str, Any]:
        """Its values that are neither empty nor left out, by their dotted names."""
        values = row.get("body", {}) if self._is_queue else row
        prefix = "body." if self._is_queue else ""
        return {
            name: value
            for name, value in _flat(values, prefix)
            if name not in self._left_out and not isinstance(value, UUID) and not _is_uuid(value)
        }

    def is_one_of_a_kind(self, values: dict[str, Any]) -> bool:
        """Whether another row with these values cannot be meant: it happened at one moment, to the second."""
        if not self._has_plain_key:
            return False
        moments = [values.get(self._moment)] if self._moment else list(values.values())
        return any(_has_time_of_day(value) for value in moments)


def _flat(values: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if name in ("_id", "_sv") and not prefix:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None and value != "":
            yield f"{prefix}{name}", value


def _digest(values: Mapping[str, Any]) -> int:
    """The same for the same values within this process, by 64 bits."""
    try:
        return hash(frozenset(values.items()))
    except TypeError:  # a list in a message
        return hash(frozenset((name, repr(value)) for name, value in values.items()))


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 36 and _UUID.fullmatch(value) is not None


def _has_time_of_day(value: Any) -> bool:
    if isinstance(value, str) and len(value) >= 19 and value[:4].isdigit() and value[4] == "-":
        return value[11:19] != "00:00:00"
    return isinstance(value, dt.datetime) and bool(value.minute or value.second or value.microsecond)
