"""How good the picture of a customer is: what is known, how fresh it is, and whether sources contradict each other."""

import datetime as dt
from collections.abc import Mapping

from sv_assets.customers.values import OPEN_END, Field
from sv_assets.mongo import Document

FRESH = dt.timedelta(days=730)
_EXCLUSIVE = ("name", "date_of_birth")
"""Fields that a person has one value of. Many e-mail addresses are no contradiction."""


def quality(fields: Mapping[str, Field], consents: list[Document], last_event: dt.datetime | None) -> Document:
    """As described by `model.Quality`.

    Fresh is what was seen within two years of the latest that is known of the customer, not of today: so the score does not
    change by itself.
    """
    known = {name: found.values[0] for name, found in fields.items() if found.golden}
    moments = (last_event, *(v["last_seen"] for v in known.values()))
    latest = max((at for at in moments if at and at < OPEN_END), default=None)
    fresh = [name for name, value in known.items() if latest is None or _is_fresh(value["last_seen"], latest)]
    conflicts = [name for name in _EXCLUSIVE if name in known and _contradict(name, fields[name])]
    conflicts += [
        f"consent to {consent['purpose']} by {consent['channel']}"
        for consent in consents
        if len({answer["granted"] for answer in consent["answers"]}) > 1
    ]
    judged = len(known) + len(consents)
    measures = {
        "completeness": len(known) / len(fields),
        "freshness": len(fresh) / len(known) if known else 0.0,
        "agreement": 1 - len(conflicts) / judged if judged else 1.0,
    }
    return {
        "score": round(100 * sum(measures.values()) / len(measures)),
        **{name: round(value, 3) for name, value in measures.items()},
        "conflicts": conflicts,
    }


def _is_fresh(seen: dt.datetime | None, latest: dt.datetime) -> bool:
    return seen is not None and latest - seen <= FRESH


def _contradict(name: str, found: Field) -> bool:
    """True if usable values differ in more than their fullness: J Smith does not contradict Jane Smith."""
    usable = [c.value for c in found.candidates if c.usable]
    if name != "name":
        return len(usable) > 1
    surnames = {value["last"].casefold() for value in usable if value.get("last")}
    initials = {value["first"][0].casefold() for value in usable if value.get("first")}
    return len(surnames) > 1 or len(initials) > 1
