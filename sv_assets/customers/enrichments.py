"""Enrichments: what other assets add to a customer, under `enrichments.<name>`. Each is owned by one asset.

They are kept when the rest of the document is composed anew, and are no part of its version or history: their owner computes
them again whenever it likes. A customer that was merged into another takes none with it.
"""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import bson
from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from sv_assets.errors import ConfigurationError
from sv_assets.mongo import CODEC, Document, Store, bulk_write, in_batches

MAX_BYTES = 64 * 1024
"""So large is a value at most: customer documents stay under 1 MiB."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")
OWNERS = "enrichments"
"""In `control`: `{_id: <name>, owner}`."""


def enrich(store: Store, name: str, owner: str, values: Mapping[str, Any]) -> int:
    """Set `enrichments.<name>` to `{value, computed_at}` for these customers; `owner` is the asset that adds it.

    Unchanged values are not written, unknown customers are passed over. Returns how many documents changed. Raises
    ConfigurationError where another asset owns the name, and before anything is written where a value is too large.
    """
    _claim(store, name, owner)
    large = sum(len(bson.encode({"": value}, codec_options=CODEC)) > MAX_BYTES for value in values.values())
    if large:
        raise ConfigurationError(
            f"{large:,} values of the enrichment {name} are larger than {MAX_BYTES:,} bytes. Keep them in a collection of "
            "their own, by customer_id, and add what customers are chosen by."
        )
    now = dt.datetime.now(dt.timezone.utc)
    path = f"enrichments.{name}"
    changed = 0
    for batch in in_batches(values.items()):
        updates = []
        for customer_id, value in batch:
            wanted: Document = {"value": {"$literal": value}, "computed_at": now}
            same = {"$eq": [f"${path}.value", {"$literal": value}]}
            updates.append(UpdateOne({"_id": customer_id}, [{"$set": {path: {"$cond": [same, f"${path}", wanted]}}}]))
        changed += bulk_write(store.single_view["customers"], updates)[1]
    return changed


def _claim(store: Store, name: str, owner: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name} is no name of an enrichment: lower-case letters, digits and underscores.")
    owners = store.control[OWNERS]
    held = owners.find_one({"_id": name})
    if held is None:
        try:
            owners.insert_one({"_id": name, "owner": owner})
            return
        except DuplicateKeyError:
            held = owners.find_one({"_id": name}) or {}
    if held.get("owner") != owner:
        raise ConfigurationError(
            f"The enrichment {name} belongs to {held.get('owner')}; {owner} needs a name of its own."
        )
