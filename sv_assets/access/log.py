"""`control.access_log`: who read whom, in which role, for what purpose, when and with what. It holds no personal data.

Customers stand there by their ids, what was asked by in kinds (`phone`, never the number), and what was seen as the first
names of fields. An entry is written before anything is returned; a read whose entry cannot be written is refused.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pymongo import IndexModel
from pymongo.errors import PyMongoError

from sv_assets.access.actor import Actor
from sv_assets.access.fields import Fields
from sv_assets.access.roles import load_roles
from sv_assets.errors import TransientError
from sv_assets.mongo import Document, Store, ensure_indexes

COLLECTION = "access_log"
INDEXES = [
    IndexModel([("customers", 1), ("at", -1)]),
    IndexModel([("at", -1)]),
    IndexModel([("call", 1), ("at", 1)], sparse=True),
    IndexModel([("expires_at", 1)], expireAfterSeconds=0),
]
MOST_CUSTOMERS = 1000
"""So many customers are named in one entry; of more there are several entries."""
Outcome = Literal["shown", "nobody", "refused"]
_prepared: set[tuple[str | int, str]] = set()
"""Servers (by URL) and prefixes on which the indexes are known to be there."""


@dataclass(frozen=True)
class Attempt:
    """What somebody asked: by which kinds of things, and during which call (its reference in the contact centre)."""

    asked_by: Sequence[str] = ()
    call: str | None = None


def write_entry(
    store: Store,
    actor: Actor,
    collection: str,
    outcome: Outcome,
    customers: Iterable[str],
    fields: Fields | None,
    attempt: Attempt,
) -> None:
    """Write who read what. Raises TransientError where it cannot be written: the caller must return nothing then."""
    now = dt.datetime.now(dt.timezone.utc)
    whom = list(dict.fromkeys(customers))
    entry: Document = {
        "at": now,
        "actor": actor.name,
        "role": actor.role,
        "purpose": actor.purpose,
        "reason": actor.reason,
        "command": actor.command,
        "collection": collection,
        "fields": fields.classes if fields else None,
        "asked_by": list(attempt.asked_by),
        "outcome": outcome,
        "expires_at": now + load_roles().access_log.keep,
    }
    if attempt.call is not None:
        entry["call"] = attempt.call
    portions = [whom[start : start + MOST_CUSTOMERS] for start in range(0, len(whom), MOST_CUSTOMERS)] or [[]]
    entries = [{"_id": uuid.uuid4().hex, **entry, "customers": portion} for portion in portions]
    try:
        log = store.control[COLLECTION]
        place = (store.url or id(store.client), store.prefix)
        if place not in _prepared:
            ensure_indexes(log, INDEXES)
            _prepared.add(place)
        if len(entries) == 1:
            log.insert_one(entries[0])
        else:
            log.insert_many(entries)
    except PyMongoError as error:
        raise TransientError(
            f"Nothing is shown: the read could not be written to control.{COLLECTION} ({type(error).__name__}). "
            "Check that the server runs and lets us write there: `sv doctor` tries it."
        ) from None
