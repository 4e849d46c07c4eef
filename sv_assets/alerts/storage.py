"""Alerts in MongoDB: `control.alerts`, one document a condition.

Every write is a compare-and-set on the revision that was read: of two looks at once one wins, and the other leaves the
alert as it is until its next look.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from typing import Any

from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from sv_assets.alerts.alert import Alert, Delivery, Timings, advance, owe
from sv_assets.alerts.condition import Condition, Observed, fit_to_send
from sv_assets.alerts.routing import Target, targets
from sv_assets.alerts.settings import AlertSettings
from sv_assets.errors import SvError, TransientError
from sv_assets.mongo import Document, Store, ensure_indexes, find_many

ALERTS = "alerts"
INDEXES = [IndexModel([("active", 1)]), IndexModel([("expire_at", 1)], expireAfterSeconds=0)]
ATTEMPTS = 10


def compare_and_set(collection: Collection[Document], before: Document | None, after: Document) -> bool:
    """Write `after` where the document is still at the `revision` of `before` (or is not there, with None). False if not."""
    if before is None:
        try:
            collection.insert_one({**after, "revision": 1})
        except DuplicateKeyError:
            return False
        return True
    wanted = {**after, "revision": before["revision"] + 1}
    same = {"$eq": ["$revision", before["revision"]]}
    update = [{"$replaceWith": {"$cond": [same, {"$literal": wanted}, "$$ROOT"]}}]
    return collection.update_one({"_id": after["_id"]}, update).modified_count == 1


def as_document(alert: Alert, keep: dt.timedelta) -> Document:
    """An alert as it is stored. What is over and told is forgotten after `keep`."""
    document: Document = {"_id": alert.condition.id, **asdict(alert), "active": alert.is_active}
    document["condition"]["owners"] = list(alert.condition.owners)
    document["condition"]["figures"] = dict(alert.condition.figures)
    if not alert.is_active:
        document["expire_at"] = (alert.recovered_at or alert.last_seen) + keep
    return document


def as_alert(document: Document) -> Alert:
    """The alert that a document stands for."""
    fields = {name: value for name, value in document.items() if name not in ("_id", "active", "expire_at")}
    condition = Condition(**{**fields.pop("condition"), "owners": tuple(document["condition"]["owners"])})
    deliveries = {channel: Delivery(**delivery) for channel, delivery in fields.pop("deliveries").items()}
    return Alert(condition=condition, deliveries=deliveries, **fields)


def sync(
    store: Store, observed: Observed, settings: AlertSettings, live: Iterable[str], now: dt.datetime
) -> list[Alert]:
    """Bring the stored alerts in line with what was observed; returns those that are not over.

    `live` are the channels that can be sent to. Repeating it with the same observation changes only when it was last seen.
    """
    collection = store.control[ALERTS]
    ensure_indexes(collection, INDEXES)
    channels = frozenset(live)
    found = {condition.id: fit_to_send(condition) for condition in observed.conditions}
    stored = {document["_id"]: document for document in collection.find({"active": True})}
    stored |= {document["_id"]: document for document in find_many(collection, "_id", found.keys() - stored.keys())}
    after: list[Alert] = []
    for identifier in sorted(stored.keys() | found.keys()):
        document = stored.get(identifier)
        before = None if document is None else as_alert(document)
        condition = found.get(identifier)
        moved = _moved(before, condition, observed, settings, channels, now)
        if moved is None:
            continue
        wanted = as_document(moved, settings.timing.keep)
        if document is None or wanted != document:
            compare_and_set(collection, document, wanted)  # who loses the race looks again in half a minute
        if moved.state != "recovered":
            after.append(moved)
    return after


def _moved(
    before: Alert | None,
    condition: Condition | None,
    observed: Observed,
    settings: AlertSettings,
    channels: frozenset[str],
    now: dt.datetime,
) -> Alert | None:
    about = condition or (before.condition if before else None)
    assert about is not None
    if before is not None:
        before = replace(before, deliveries={c: d for c, d in before.deliveries.items() if c in channels})
    told = told_of(about, settings, channels, now)
    timings = timings_of(settings, about)
    if condition is None and before is not None and about.kind not in observed.looked_at:
        return owe(before, now, timings, told)
    return advance(before, condition, now, timings, told)


def told_of(condition: Condition, settings: AlertSettings, live: frozenset[str], now: dt.datetime) -> list[Target]:
    """The channels for a condition that can be sent to."""
    return [target for target in targets(condition, settings, now) if target.channel in live]


def timings_of(settings: AlertSettings, condition: Condition) -> Timings:
    timing = settings.timing
    return Timings(timing.open_after.get(condition.kind, dt.timedelta(0)), timing.recover_after, timing.remind_after)


def change(
    store: Store, identifier: str, make: Callable[[Alert], Alert | None], settings: AlertSettings
) -> Alert | None:
    """Replace an alert by what `make` makes of it, again where another writer was faster; None where `make` declines.

    Raises SvError where there is no such alert, TransientError where others are always faster.
    """
    collection = store.control[ALERTS]
    for _ in range(ATTEMPTS):
        document = collection.find_one({"_id": identifier})
        if document is None:
            raise SvError(f"There is no alert {identifier}. `sv alerts list --all` names them.")
        wanted = make(as_alert(document))
        if wanted is None:
            return None
        if compare_and_set(collection, document, as_document(wanted, settings.timing.keep)):
            return wanted
    raise TransientError(f"The alert {identifier} is being changed by others all the time. Try again.")


def mute(store: Store, identifier: str, until: dt.datetime, reason: str, settings: AlertSettings) -> Alert:
    """Send nothing of an alert until then; what was told as open is still told as recovered."""
    muted = change(store, identifier, lambda alert: replace(alert, muted_until=until, mute_reason=reason), settings)
    assert muted is not None
    return muted


def unmute(store: Store, identifier: str, settings: AlertSettings) -> Alert:
    """Let an alert be heard again."""
    heard = change(store, identifier, lambda alert: replace(alert, muted_until=None, mute_reason=""), settings)
    assert heard is not None
    return heard


def read_alerts(store: Store, *, also_over: bool = False) -> list[Alert]:
    """The alerts that are not over (or all that are kept): errors first, then by when they began."""
    query: dict[str, Any] = {} if also_over else {"active": True}
    alerts = [as_alert(document) for document in store.control[ALERTS].find(query)]
    shown = [alert for alert in alerts if also_over or alert.state != "recovered"]
    return sorted(
        shown, key=lambda a: (a.state == "recovered", a.condition.severity != "error", a.since, a.condition.id)
    )


def read_alert(store: Store, identifier: str) -> Alert:
    """One alert; raises SvError where there is none."""
    document = store.control[ALERTS].find_one({"_id": identifier})
    if document is None:
        raise SvError(f"There is no alert {identifier}. `sv alerts list --all` names them.")
    return as_alert(document)
