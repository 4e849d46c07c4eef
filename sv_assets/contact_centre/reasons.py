"""Why a customer may call: rules over recent events, each with its sentence and the time in which it holds.

A reason is no statement about now: it says from when until when it holds (from its first moment to before its last one), so
that it can be made ahead of time. `holding` picks those of a moment.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from sv_assets.contact_centre.settings import ReasonRule
from sv_assets.mongo import Document

MOST = 50
"""So many reasons are kept, the highest scores first."""
_LAST = dt.datetime(9999, 12, 31, 23, 59, 59, 999_000, dt.timezone.utc)


def reasons_of(customer: Document, rules: Iterable[ReasonRule], zone: ZoneInfo) -> list[Document]:
    """All reasons that may hold at any time: `{name, score, says, since, from, until}`, the likeliest first."""
    found = [reason for rule in rules for reason in _by_rule(customer, rule, zone)]
    found.sort(key=lambda r: (-r["score"], -r["since"].timestamp(), r["name"], r["says"]))
    return found[:MOST]


def holding(reasons: Iterable[Document], at: dt.datetime) -> list[Document]:
    """Those that hold at a moment, in their order."""
    return [reason for reason in reasons if reason["from"] <= at < reason["until"]]


def _by_rule(customer: Document, rule: ReasonRule, zone: ZoneInfo) -> Iterator[Document]:
    events = _repeats(customer, rule) if rule.about == "repeat" else _EVENTS[rule.about](customer)
    for event in events:
        since = event["since"]
        if since is None or not _meets(event, rule):
            continue
        words = {name: _in_words(value, zone) for name, value in event.items()}
        yield {
            "name": rule.name,
            "score": rule.score,
            "says": rule.says.format(**words),
            "since": since,
            "from": _later(since, rule.after or dt.timedelta()),
            "until": _later(since, rule.lasts),
        }


def _deliveries(customer: Document) -> Iterator[Document]:
    for issue in customer["open_issues"]["latest"]:
        if issue["kind"] == "delivery":
            yield {name: issue.get(name) for name in ("order_number", "parcel", "status", "since")}


def _issues(customer: Document) -> Iterator[Document]:
    for issue in customer["open_issues"]["latest"]:
        if issue["kind"] != "delivery":
            yield {name: issue.get(name) for name in ("kind", "order_number", "status", "since")}


def _orders(customer: Document) -> Iterator[Document]:
    for order in customer["orders"]["latest"]:
        yield {
            "order_number": order.get("number"),
            "status": order.get("status"),
            "delivery": order.get("delivery"),
            "since": order.get("placed_at"),
            "refunded": Decimal(str(order.get("refunded") or 0)) != 0,
        }


_EVENTS = {"delivery": _deliveries, "issue": _issues, "order": _orders}


def _repeats(customer: Document, rule: ReasonRule) -> Iterator[Document]:
    """The last interactions about the same reason, as many as follow each other closely enough."""
    assert rule.within is not None
    by_reason: dict[str, list[tuple[dt.datetime, str]]] = defaultdict(list)
    kinds = {_word(kind) for kind in rule.kind}
    for contact in customer["interactions"]["latest"]:
        at, reason = contact.get("at"), contact.get("reason")
        if at is not None and reason is not None and (not kinds or _word(contact.get("kind")) in kinds):
            by_reason[reason_word(reason)].append((at, str(reason).strip()))
    for _, contacts in sorted(by_reason.items()):
        contacts.sort(reverse=True)
        count = 1
        for (later, _), (earlier, _) in pairwise(contacts):
            if later - earlier >= rule.within:
                break
            count += 1
        if count >= rule.at_least:
            since, reason = contacts[0]
            yield {"kind": " or ".join(rule.kind), "reason": reason, "count": count, "since": since}


def reason_word(reason: Any) -> str:
    """What tells reasons apart: neither case nor the blanks that a column of fixed width adds."""
    return _word(reason)


def _meets(event: Document, rule: ReasonRule) -> bool:
    if rule.about != "repeat" and rule.kind and _word(event.get("kind")) not in {_word(w) for w in rule.kind}:
        return False
    status = _word(event.get("status"))
    if rule.status and status not in {_word(w) for w in rule.status}:
        return False
    if status in {_word(w) for w in rule.unless_status}:
        return False
    if rule.delivery and _word(event.get("delivery")) not in {_word(w) for w in rule.delivery}:
        return False
    if rule.parcels is not None and (event.get("delivery") is not None) != rule.parcels:
        return False
    return rule.refunded is None or bool(event.get("refunded")) == rule.refunded


def _word(value: Any) -> str:
    return "" if value is None else str(value).strip().casefold()


def _later(moment: dt.datetime, span: dt.timedelta) -> dt.datetime:
    """So long after a moment; at most the last one that there is, which systems write for "never"."""
    try:
        return moment + span
    except OverflowError:
        return _LAST


def _in_words(value: Any, zone: ZoneInfo) -> str:
    if isinstance(value, dt.datetime):
        try:
            local = value.astimezone(zone)
        except OverflowError:  # in the first or last hours that there are
            local = value
        return f"{local.day} {local:%B %Y}"
    return "not known" if value is None else str(value).replace("_", " ")
