"""Work lists: which documents a station has still to work off, kept on the documents themselves.

`_sv.pending` names the stations that have not seen the present state of a document. Who writes a document puts it on
their lists in the same write; each station takes itself off when its own writes are safe, unless the document changed
in between. So no crash can separate a change from the work it causes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pymongo import IndexModel, UpdateMany
from pymongo.collection import Collection

from sv_assets.mongo import Document, in_batches
from sv_assets.write_behind import write_behind

T = TypeVar("T")
WRITTEN_TOGETHER = 200
PENDING_INDEX = IndexModel([("_sv.pending", 1)], sparse=True)


def mark_pending(ids: Iterable[Any], station: str) -> list[UpdateMany]:
    """Updates that put documents on the work list of `station`. Each gets a new `_sv.revision`."""
    change = {"$addToSet": {"_sv.pending": station}, "$inc": {"_sv.revision": 1}}
    return [UpdateMany({"_id": {"$in": batch}}, change) for batch in in_batches(ids, WRITTEN_TOGETHER)]


def clear_pending(
    documents: Iterable[Document], station: str, token: str, *, forget: Sequence[str] = ()
) -> list[UpdateMany]:
    """Updates that take documents off the work list of `station`, unless they changed since they were read.

    `token` is the field under `_sv` that changes with every write: the compare-and-set that no second predicate is
    needed for. A `hash` is one document's own, so many are compared in one update; a `revision` is shared by many
    documents, so one update compares those that were read with the same one. `forget` names fields under `_sv` that the
    station needs no more.
    """
    rest: Any = {"$setDifference": [{"$ifNull": ["$_sv.pending", []]}, [station]]}
    cleared = {"$cond": [{"$eq": [rest, []]}, "$$REMOVE", rest]}
    kept = {"$ifNull": ["$_sv.pending", "$$REMOVE"]}
    together: dict[Any, list[Document]] = defaultdict(list)
    for document in documents:
        together[None if token == "hash" else document["_sv"].get(token)].append(document)
    updates = []
    for group in together.values():
        for batch in in_batches(group, WRITTEN_TOGETHER):
            read = list({document["_sv"].get(token) for document in batch})
            unchanged = {"$in": [f"$_sv.{token}", {"$literal": read}]}
            fields: Document = {"_sv.pending": {"$cond": [unchanged, cleared, kept]}}
            for name in forget:
                fields[f"_sv.{name}"] = {"$cond": [unchanged, "$$REMOVE", {"$ifNull": [f"$_sv.{name}", "$$REMOVE"]}]}
            change = [{"$set": fields}]
            updates.append(UpdateMany({"_id": {"$in": [document["_id"] for document in batch]}}, change))
    return updates


def pending_batches(
    collection: Collection[Document], station: str, size: int, projection: Mapping[str, Any] | None = None
) -> Iterator[list[Document]]:
    """The work list of `station`, batch by batch. The caller clears each batch before it asks for the next.

    Ends when a batch comes back that holds nothing new, so that a document written again and again by others cannot
    keep a run from ending: the next run takes it up.
    """
    seen: set[Any] = set()
    while batch := list(collection.find({"_sv.pending": station}, projection).limit(size)):
        tokens = {(repr(d["_id"]), d["_sv"].get("hash"), d["_sv"].get("revision")) for d in batch}
        if tokens <= seen:
            return
        seen = tokens
        yield batch


def work_off(
    collection: Collection[Document],
    station: str,
    size: int,
    build: Callable[[list[Document]], T],
    write: Callable[[list[Document], T], None],
    *,
    everything: bool = False,
) -> None:
    """Go through the work list of `station` (or all documents): build the next batch while the last one is written.

    All writes happen in one thread, in order. What comes onto the list meanwhile is done in a second pass, or by the
    next run.
    """
    passes: list[Document] = [{}] if everything else []
    for selection in [*passes, {"_sv.pending": station}, {"_sv.pending": station}]:
        cursor = collection.find(selection).batch_size(size)
        write_behind(((batch, build(batch)) for batch in in_batches(cursor, size)), lambda pair: write(*pair))
