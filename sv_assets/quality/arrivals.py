"""How many rows happened in each hour, and when the newest did: what freshness, volume and lateness are judged by.

Hours that are over are counted once and kept in `control.arrivals`; only the last days are counted again, by the index on
the moment. The audit counts all of them again: what was added to a day that was over has come late.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from sv_assets.landing.documents import as_moment
from sv_assets.mongo import Document
from sv_assets.quality.subject import LIVE, Subject, value_at

HISTORY = dt.timedelta(weeks=26)
RECOUNTED = dt.timedelta(days=3)
_DATE = "date"
Days = dict[str, list[int]]
"""By local day (`2026-11-23`), the rows of each of its 24 hours."""


@dataclass(frozen=True)
class Arrivals:
    """The rows of the last half year by local day and hour, and the newest moment of all."""

    days: Days
    newest: dt.datetime

    def of_day(self, day: dt.date) -> int:
        return sum(self.days.get(day.isoformat(), ()))

    @property
    def first_day(self) -> dt.date | None:
        return dt.date.fromisoformat(min(self.days)) if self.days else None

    def hours(self, since: dt.datetime, until: dt.datetime) -> Iterator[tuple[dt.datetime, int]]:
        """(beginning, rows) of each whole local hour of [since, until), naive."""
        hour = since.replace(minute=0, second=0, microsecond=0)
        while hour < until:
            counts = self.days.get(hour.date().isoformat())
            yield hour, counts[hour.hour] if counts else 0
            hour += dt.timedelta(hours=1)


def newest_moment(subject: Subject, path: str | None = None) -> dt.datetime | None:
    """When the newest live row happened (or was told last), not after the subject's now; None where nothing says so."""
    path = path or subject.source.told_at
    if path is None:
        return None
    field = subject.field(path)
    for bound in (subject.now, _text(subject.now)):
        newest = subject.landed.find({field: {"$lte": bound}, **LIVE}, {field: 1}).sort(field, -1).limit(1)
        for document in newest:
            if (moment := as_moment(value_at(document, field))) is not None:
                return moment
    return None


def arrivals_of(subject: Subject, path: str, *, recount: bool = False) -> Arrivals | None:
    """The counts up to now, from what is kept and a fresh count of the last days (`recount`: of all). None without rows."""
    newest = newest_moment(subject, path)
    if newest is None:
        return None
    kept = kept_days(subject, path)
    start = subject.today - HISTORY
    since = start if recount or not kept else max(start, subject.today - RECOUNTED)
    counted = _count(subject, path, since)
    days = {day: hours for day, hours in kept.items() if start.isoformat() <= day < since.isoformat()} | counted
    _keep(subject, path, days)
    return Arrivals(days, newest)


def kept_days(subject: Subject, path: str) -> Days:
    """What was counted before, without counting again; empty where something else said the moment then."""
    kept = subject.store.control["arrivals"].find_one({"_id": subject.source.key})
    return dict(kept["days"]) if kept and kept["path"] == path else {}


def _count(subject: Subject, path: str, since: dt.date) -> Days:
    field, zone = subject.field(path), subject.zone
    start = dt.datetime.combine(since, dt.time(), zone)
    hour_of: Document
    if subject.source.is_queue:
        bounds: Document = {"$gte": since.isoformat(), "$lte": _text(subject.now)}
        text = {"$convert": {"input": f"${field}", "to": "string", "onError": "", "onNull": ""}}
        hour_of = {"$substrCP": [text, 0, 13]}
    else:
        bounds = {"$gte": start, "$lte": subject.now}
        hour_of = {"$dateToString": {"format": "%Y-%m-%dT%H", "date": f"${field}", "timezone": zone.key}}
    stages = [{"$match": {field: bounds, **LIVE}}, {"$group": {"_id": hour_of, "rows": {"$sum": 1}}}]
    days: Days = {}
    for group in subject.landed.aggregate(stages):
        day, hour = str(group["_id"])[:10], str(group["_id"])[11:13]
        if hour.isdigit() and int(hour) < 24:
            days.setdefault(day, [0] * 24)[int(hour)] += int(group["rows"])
    return days


def _keep(subject: Subject, path: str, days: Days) -> None:
    """Up to yesterday: today goes on."""
    over = {day: hours for day, hours in days.items() if day < subject.today.isoformat()}
    kept: Document = {"_id": subject.source.key, "path": path, "days": over}
    subject.store.control["arrivals"].replace_one({"_id": subject.source.key}, kept, upsert=True)


def _text(moment: dt.datetime) -> str:
    """As messages say it: text of this form is ordered as its moments are."""
    return moment.astimezone(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
