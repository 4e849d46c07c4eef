"""What is kept of other people and speaks of the person who is erased: their rows and messages, documents, history and events."""

import re
from collections.abc import Iterator
from typing import Any

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.customers.customers import refresh_customers
from sv_assets.identity.customer_ids import resolve
from sv_assets.landing.mentions import redact_landed, without
from sv_assets.ledger import ERASED
from sv_assets.mongo import Document, Store, bulk_write, find_many
from sv_assets.privacy import search
from sv_assets.privacy.erasure import Erasure, Work, replace
from sv_assets.privacy.plan import HISTORY, Plan
from sv_assets.privacy.subject import same_value, values_of
from sv_assets.worklist import mark_pending

OF_OTHERS = " of others"
"""What ends the name of a count, where documents of other people were changed."""
_MADE_OF_SEVERAL = ("keys", "date_of_birth", "dates_of_birth")


def mentions(work: Work) -> None:
    """Their contacts in the rows and messages of others: in a note, say. What lands later is seen to there."""
    pattern, contacts = search.pattern_of(work.plan.searched), set(work.plan.own)
    if pattern is None:
        return
    for database, source, ids in mentioning(work.store, work.catalogue, work.plan, pattern):
        if database == "landing":
            changed = redact_landed(
                work.store, source, ids, lambda text: search.without(without(text, contacts), pattern)
            )
        else:
            archive, changed = work.store.archive[source.key], len(ids)
            for message in list(find_many(archive, "_id", ids)):
                archive.replace_one({"_id": message["_id"]}, search.without(message, pattern))
        work.count(f"{database}.{source.key}{OF_OTHERS}", changed)


def mentioning(
    store: Store, catalogue: Catalogue, plan: Plan, pattern: re.Pattern[bytes]
) -> Iterator[tuple[str, Source, list[Any]]]:
    """By database and source, the keys of other people's rows and messages in which the person stands."""
    for source in catalogue.sources:
        own = {"landing": {*plan.rest.get(source.key, ()), *plan.kept.get(source.key, ())}}
        if source.is_queue:
            own["archive"] = set(plan.messages.get(source.key, ()))
        for database, theirs in own.items():
            found = search.in_collection(store, database, source.key, pattern)
            yield database, source, [identifier for identifier in found if identifier not in theirs]


def neighbours(work: Work) -> None:
    """Their ids in what is kept of others: in customer documents (the bookkeeping of the last change) and in history.

    A neighbour whose document still names them, because another run composed it of something older, is composed again.
    """
    still = [
        d["_id"]
        for d in find_many(work.store.single_view["customers"], "_id", work.plan.others)
        if _names(d, work.plan)
    ]
    if still:
        bulk_write(work.store.identity["clusters"], mark_pending(still, "customers"))
        refresh_customers(work.store, work.catalogue)
    pattern = search.pattern_of([*work.plan.customer_ids, *work.plan.records])
    if pattern is None:
        return
    store = work.store
    work.count(f"single_view.customers{OF_OTHERS}", _last_changes(store, work.plan.others, pattern))
    for entry in list(find_many(store.single_view[HISTORY], "customer_id", work.plan.others)):
        if search.in_document(entry, pattern):
            store.single_view[HISTORY].replace_one({"_id": entry["_id"]}, search.without(entry, pattern))
            work.count(f"single_view.{HISTORY}{OF_OTHERS}", 1)
    if _were_mentioned(work.erasure):
        told_of_others(work)  # whose rows mentioned them, is no neighbour
    _mingled(work)


def _were_mentioned(erasure: Erasure) -> bool:
    """True if other people's rows spoke of the person. Its counts say so after it was interrupted, too."""
    return any(name.startswith("landing.") and name.endswith(OF_OTHERS) for name in erasure.counts)


def _mingled(work: Work) -> None:
    """Out of what is told of customers that were one with the person once: whatever was said of the person and is not said of them.

    Keys and birth dates go as a whole: the former are made of several values, the latter may be sealed.
    """
    store, plan = work.store, work.plan
    for customer in plan.mingled:
        now = resolve(store, customer)
        own = {v for r in find_many(store.identity["party_records"], "customer_id", [now]) for v in values_of(r)}
        gone = set(plan.values) - own

        def without_them(value: Any, gone: set[str] = gone) -> Any:
            if isinstance(value, str):
                return ERASED if same_value(value) in gone else value
            if isinstance(value, dict):
                left = {name: item for name, item in value.items() if name not in _MADE_OF_SEVERAL}
                return {name: without_them(item) for name, item in left.items()}
            if not isinstance(value, list):
                return value
            told = (c for c in value if not (isinstance(c, dict) and _root(c.get("path")) in _MADE_OF_SEVERAL))
            return [without_them(item) for item in told]

        for entry in list(find_many(store.single_view[HISTORY], "customer_id", [customer])):
            told = {name: without_them(entry[name]) for name in ("changes", "document") if name in entry}
            if any(told[name] != entry[name] for name in told):
                store.single_view[HISTORY].update_one({"_id": entry["_id"]}, {"$set": told})
                work.count(f"single_view.{HISTORY}{OF_OTHERS}", 1)
        for document in find_many(store.single_view["customers"], "_id", [customer]):
            if changes := document["_sv"].get("change", {}).get("changes"):
                same = {"$eq": ["$version", document["version"]]}
                left = {"$cond": [same, {"$literal": without_them(changes)}, "$_sv.change.changes"]}
                store.single_view["customers"].update_one({"_id": customer}, [{"$set": {"_sv.change.changes": left}}])


def _root(path: Any) -> str:
    return str(path).partition(".")[0]


def _last_changes(store: Store, customers: list[str], pattern: re.Pattern[bytes]) -> int:
    """Take what a pattern finds out of what the last change of these customers was: it lies in their documents until the next one."""
    found = 0
    for document in list(find_many(store.single_view["customers"], "_id", customers)):
        if search.in_document(document, pattern):
            changed = {**document, "_sv": search.without(document["_sv"], pattern)}
            same = {"$eq": ["$version", document["version"]]}
            store.single_view["customers"].update_one(
                {"_id": document["_id"]}, [{"$replaceWith": {"$cond": [same, {"$literal": changed}, "$$ROOT"]}}]
            )
            found += 1
    return found


def _names(document: Document, plan: Plan) -> bool:
    return bool(set((document.get("household") or {}).get("members", ())) & set(plan.customer_ids))


def told_of_others(work: Work) -> None:
    """What is told of others (events, history, their last change), and names the person for a reason that is forgotten."""
    pattern, store = search.pattern_of(work.plan.searched), work.store
    if pattern is None:
        return
    for database, name in (("identity", "events"), ("single_view", HISTORY)):
        collection = getattr(store, database)[name]
        for document in list(find_many(collection, "_id", search.in_collection(store, database, name, pattern))):
            replace(collection, document, pattern)
    _last_changes(store, search.in_collection(store, "single_view", "customers", pattern), pattern)
