"""The history of customers: what changed in each version, from what, to what, and why; and the document as it was once.

`single_view.customer_history` holds an entry for each version but the first:

| kind    | what it says                                                                                     |
|---------|--------------------------------------------------------------------------------------------------|
| changed | `changes`: `{path, from, to}`, and in lists `{path, at, from: [...], to: [...]}`; `why`           |
| ended   | the customer was merged (`into`) or closed; `document` is what it was last                        |
| revived | the customer came back, after a merge was undone                                                  |

An entry lies in the document first (`_sv.change`), in the write that makes the change, and is copied from there; so no
crash can part a version from its entry. Undoing the entries from the newest on gives the document of any time. Who asks
sees of changed values, and of a document of another time, what the role sees of the customer now.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from difflib import SequenceMatcher
from typing import Any

import bson
from pymongo import IndexModel

from sv_assets.access import Actor, Attempt, permission
from sv_assets.access.fields import Fields
from sv_assets.customers.keys import asked
from sv_assets.identity.customer_ids import resolve
from sv_assets.mongo import CODEC, Document, Store, find_many
from sv_assets.worklist import PENDING_INDEX

COLLECTION = "customer_history"
_BY_ID = Attempt(("customer",))
INDEXES = [IndexModel([("customer_id", 1), ("version", -1)]), PENDING_INDEX]
NOT_COMPOSED = frozenset({"_id", "version", "composed_at", "enrichments", "large", "_sv"})
"""Fields that composition does not make."""


def composed_part(document: Document) -> Document:
    """A customer document without what composition does not make."""
    return {name: value for name, value in document.items() if name not in NOT_COMPOSED}


def changes_between(before: Document, after: Document) -> list[Document]:
    """What to do to `before` to get `after`, each with what was there. Empty where they are the same to the byte."""
    return list(_changes(composed_part(before), composed_part(after), ""))


def _changes(before: Document, after: Document, at: str) -> Iterator[Document]:
    for name in [*before, *(name for name in after if name not in before)]:
        path = f"{at}.{name}" if at else name
        if name not in after:
            yield {"path": path, "from": before[name]}
        elif name not in before:
            yield {"path": path, "to": after[name]}
        elif isinstance(before[name], dict) and isinstance(after[name], dict):
            yield from _changes(before[name], after[name], path)
        elif isinstance(before[name], list) and isinstance(after[name], list):
            yield from _list_changes(before[name], after[name], path)
        elif _bytes(before[name]) != _bytes(after[name]):
            yield {"path": path, "from": before[name], "to": after[name]}


def _list_changes(before: list[Any], after: list[Any], path: str) -> Iterator[Document]:
    """`at`: where in the list, as it is after the change."""
    matcher = SequenceMatcher(None, [_bytes(item) for item in before], [_bytes(item) for item in after], autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            yield {"path": path, "at": j1, "from": before[i1:i2], "to": after[j1:j2]}


def _bytes(value: Any) -> bytes:
    return bson.encode({"": value}, codec_options=CODEC)


def undo(document: Document, changes: Iterable[Document]) -> Document:
    """The document as it was before `changes`; the fields of each part in no particular order."""
    result = deepcopy(document)
    for change in reversed(list(changes)):
        *parents, name = change["path"].split(".")
        place = result
        for parent in parents:
            place = place[parent]
        if "at" in change:
            at = change["at"]
            place[name][at : at + len(change["to"])] = deepcopy(change["from"])
        elif "from" in change:
            place[name] = deepcopy(change["from"])
        else:
            del place[name]
    return result


def entry_of(document: Document) -> Document | None:
    """The history entry that lies in a customer document; None for its first version."""
    change = document["_sv"].get("change")
    if change is None:
        return None
    identifier, version = document["_id"], document["version"]
    return {
        "_id": f"{identifier}:{version}",
        "customer_id": identifier,
        "version": version,
        "at": document["composed_at"],
        **change,
    }


def ended_entry(document: Document, into: str | None, now: dt.datetime, waiting: Document) -> Document:
    """The entry for a customer that is no more: `into` is the one it was merged into; None if all its records are gone.

    `waiting` is bookkeeping that puts it on the work lists of the stations that made something of the customer.
    """
    version = document.get("version", 0) + 1
    return {
        "_id": f"{document['_id']}:{version}",
        "customer_id": document["_id"],
        "version": version,
        "at": now,
        "kind": "ended",
        "into": into,
        "document": document,
        "_sv": waiting,
    }


def latest_versions(store: Store, customer_ids: Iterable[str]) -> dict[str, int]:
    """By customer, its highest version in the history."""
    found: dict[str, int] = {}
    for entry in find_many(
        store.single_view[COLLECTION], "customer_id", customer_ids, {"customer_id": 1, "version": 1}
    ):
        found[entry["customer_id"]] = max(found.get(entry["customer_id"], 0), entry["version"])
    return found


def entries_of(store: Store, customer_id: str, *, actor: Actor) -> list[Document]:
    """The history of a customer as the actor may see it, the newest first: all entries, whether copied yet or not.

    Of changes that the actor sees nothing of nothing stands there, not even that they were. Raises as `find.customers`.
    """
    asked("customer", customer_id)
    own = permission(store, actor, f"single_view.{COLLECTION}", _BY_ID)
    customer = permission(store, actor, "single_view.customers", _BY_ID)
    found, _ = _story_of(store, customer_id)
    own.log(store, [customer_id] if found else [], _BY_ID)
    opened = customer.opened(part for entry in found for part in _parts(entry))
    return [_seen(entry, own.fields, customer.fields, opened) for entry in found]


def as_of(store: Store, customer_id: str, moment: dt.datetime, *, actor: Actor) -> Document | None:
    """What was known of a customer then, as the actor may see it; None if nothing was, or if its history goes not so far back.

    It is found under the id that was asked for, or the one that this had become then. Raises as `find.customers`.
    """
    asked("customer", customer_id)
    allowed = permission(store, actor, "single_view.customers", _BY_ID)
    found = _as_of(store, customer_id, moment)
    allowed.log(store, [found["_id"]] if found else [], _BY_ID)
    return allowed.seen(found) if found else None


def _parts(entry: Document) -> Iterator[tuple[str, Any]]:
    """What an entry tells of the customer, with its path in the customer document."""
    yield "", entry.get("document", {})
    for change in entry.get("changes", ()):
        yield from ((change["path"], change[side]) for side in ("from", "to") if side in change)


def _seen(entry: Document, own: Fields, customer: Fields, opened: Mapping[bytes, Any]) -> Document:
    seen = own.of({name: value for name, value in entry.items() if name not in ("changes", "document")})
    if "document" in entry:
        seen["document"] = customer.of(entry["document"], opened)
    if "changes" in entry:
        changes = ((change, _seen_sides(change, customer, opened)) for change in entry["changes"])
        seen["changes"] = [{**_place(change), **sides} for change, sides in changes if sides]
    return seen


def _place(change: Document) -> Document:
    return {name: change[name] for name in ("path", "at") if name in change}


def _seen_sides(change: Document, customer: Fields, opened: Mapping[bytes, Any]) -> Document:
    unseen = object()
    sides = {
        side: customer.below(change["path"], change[side], unseen, opened) for side in ("from", "to") if side in change
    }
    return {side: value for side, value in sides.items() if value is not unseen}


def _story_of(store: Store, customer_id: str) -> tuple[list[Document], Document | None]:
    """The entries, the newest first, and the document as it is now. It is read last: its own entry lies in it."""
    entries = {e["_id"]: e for e in store.single_view[COLLECTION].find({"customer_id": customer_id})}
    document = store.single_view["customers"].find_one({"_id": customer_id})
    if document and (lying := entry_of(document)):
        entries[lying["_id"]] = lying
    return sorted(entries.values(), key=lambda entry: -entry["version"]), document


def _as_of(store: Store, customer_id: str, moment: dt.datetime) -> Document | None:
    followed: set[str] = set()
    identifier: str | None = customer_id
    while identifier is not None and identifier not in followed:
        followed.add(identifier)
        document, identifier = _state_of(store, identifier, moment)
        if document is not None:
            return document
    return None


def _state_of(store: Store, customer_id: str, moment: dt.datetime) -> tuple[Document | None, str | None]:
    """The document of then; where there was none, the id that the customer had become then."""
    entries, document = _story_of(store, customer_id)
    if document is None and not entries:
        survivor = resolve(store, customer_id)
        return None, survivor if survivor != customer_id else None
    version = document["version"] if document else 0
    since = None
    for entry in entries:
        if entry["at"] <= moment:
            since = entry["at"]
            if entry["kind"] == "ended":
                return None, entry["into"]
            break
        if entry["kind"] == "ended":
            document = entry["document"]
        elif document is not None:
            document = None if entry["kind"] == "revived" else undo(document, entry["changes"])
        version = entry["version"] - 1
    if document is None or (since is None and version > 1):  # older entries are kept no longer
        return None, None
    since = since or document["_sv"]["created_at"]
    if since > moment:
        return None, None
    added = document.get("enrichments", {})
    then = {name: one for name, one in added.items() if (one.get("computed_at") or moment) <= moment}
    return {**document, "enrichments": then, "version": version, "composed_at": since}, None
