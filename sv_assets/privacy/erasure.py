"""An erasure: who is erased, how far it is, what was removed."""

import datetime as dt
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from pymongo.collection import Collection

from sv_assets.catalogue.load import Catalogue
from sv_assets.ledger import ERASED
from sv_assets.mongo import Document, Store, in_batches
from sv_assets.privacy import search
from sv_assets.privacy.declaration import Declaration
from sv_assets.privacy.plan import Plan

COLLECTION, ACTIONS = "erasures", "legacy_actions"


@dataclass
class Erasure:
    """An erasure under way, or done. `counts`: by step, what was removed; `found`: what the byte search still found, by place."""

    id: str
    plan: Plan | None
    """None when it is done."""
    at: dt.datetime
    actor: str
    reason: str
    done: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return "finish" in self.done


@dataclass(frozen=True)
class Work:
    """An erasure, and what it works on."""

    store: Store
    catalogue: Catalogue
    declared: Declaration
    erasure: Erasure

    @property
    def plan(self) -> Plan:
        assert self.erasure.plan is not None, "an erasure under way has its plan"
        return self.erasure.plan

    def count(self, name: str, number: int) -> None:
        if number:
            self.erasure.counts[name] = self.erasure.counts.get(name, 0) + number

    def note(self, sentence: str) -> None:
        """What who ordered it must know; said once, however often a step is repeated."""
        if sentence not in self.erasure.notes:
            self.erasure.notes.append(sentence)


def replace(collection: Collection[Document], document: Document, pattern: re.Pattern[bytes]) -> None:
    """The same document without what the pattern finds; under another id, where that is found in it."""
    made = search.without(document, pattern)
    for name in ("customer_ids", "records"):
        if isinstance(made.get(name), list):
            made[name] = [item for item in made[name] if item != ERASED]
    if made["_id"] == document["_id"]:
        collection.replace_one({"_id": made["_id"]}, made)
        return
    made["_id"] = f"{ERASED}:{secrets.token_hex(8)}"
    collection.insert_one(made)
    collection.delete_one({"_id": document["_id"]})


def delete(store: Store, database: str, name: str, path: str, values: list[Any]) -> int:
    """Delete the documents whose `path` is one of these values; returns how many there were."""
    if not values or name not in getattr(store, database).list_collection_names():
        return 0  # the embedded server refuses to delete from what is not there
    collection = getattr(store, database)[name]
    return sum(collection.delete_many({path: {"$in": batch}}).deleted_count for batch in in_batches(values, 500))
