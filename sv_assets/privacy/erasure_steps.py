"""The steps of an erasure, each safe to repeat:

| step        | what it does                                                                                              |
|-------------|-----------------------------------------------------------------------------------------------------------|
| ledger      | keyed hashes of all that they are known by: from here on no way into landing lets them in                  |
| withdraw    | their landed rows are marked as deleted, their orders reduced                                              |
| mentions    | their contacts go out of the texts of other people's rows and messages                                    |
| stations    | identity, facts and customers take back what was made of those rows: also in their neighbours' documents   |
| landing … consumers | what is left goes for good, in every collection that is declared, and in those that are not        |
| keys        | the keys that their values were sealed with are shredded: copies of those in backups can be opened by nobody |
| neighbours  | their ids go out of the documents, history and events of others                                            |
| files       | Dagster's history and the logs                                                                             |
| compact     | the space of what was deleted is given back, where the server can                                          |
| verify      | a byte search for everything that they were known by                                                       |
| finish      | what the owners of legacy systems must do is listed; the plan itself is erased                             |
"""

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import OperationFailure

from sv_assets.catalogue.load import Catalogue
from sv_assets.customers.contacts import CONSENTS, FLAGS, INTERACTIONS
from sv_assets.customers.customers import refresh_customers
from sv_assets.customers.facts import refresh_facts
from sv_assets.customers.orders import ORDERS
from sv_assets.errors import TransientError
from sv_assets.identity.party import refresh_party_records
from sv_assets.identity.resolution import refresh_identities
from sv_assets.landing.documents import MISSING
from sv_assets.landing.suppression import reduce_landed
from sv_assets.lease import lease
from sv_assets.ledger import ERASED, write
from sv_assets.mongo import Document, Store, bulk_write, content_hash, insert_missing
from sv_assets.privacy import search
from sv_assets.privacy.declaration import Declaration, Held, collections_of
from sv_assets.privacy.erasure import ACTIONS, COLLECTION, Work, delete, replace
from sv_assets.privacy.erasure_identity import erase_identity
from sv_assets.privacy.erasure_neighbours import mentions, neighbours, told_of_others
from sv_assets.privacy.files import declared_files
from sv_assets.privacy.plan import HISTORY, Plan, ledger_entries, legacy_actions
from sv_assets.sealing.keys import shred

_OWN = {("control", name) for name in (COLLECTION, ACTIONS, "erased", "erasure_ledger", "leases")}
UNAUTHORISED, NO_SUCH_NAMESPACE = 13, 26
_WORK_OF_CONSUMERS = ("audience", "contact_centre.calls", "contact_centre.cards", "fraud")
"""The leases under which they write what they made of people."""


def run_stations(store: Store, catalogue: Catalogue) -> None:
    """Bring everything behind landing up to what has landed."""
    refresh_party_records(store, catalogue)
    refresh_identities(store)
    for station in (ORDERS, INTERACTIONS, CONSENTS, FLAGS):
        refresh_facts(store, catalogue, station)
    refresh_customers(store, catalogue)


def _ledger(work: Work) -> None:
    entries = ledger_entries(work.catalogue, work.declared, work.plan)
    write(work.store, work.erasure.id, work.erasure.at, entries, work.declared.policy)


def _withdraw(work: Work) -> None:
    now = work.erasure.at
    for key, ids in work.plan.rest.items():
        source = work.catalogue.source(key)
        updates = []
        for identifier in ids:
            gone: Document = {
                "_sv.deleted": True,
                "_sv.op": MISSING,
                "_sv.extracted_at": now,
                "_sv.hash": content_hash({"_id": identifier, "at": now}),
            }
            if source.stations:
                gone["_sv.pending"] = source.stations
            updates.append(UpdateOne({"_id": identifier}, {"$set": gone}))
        bulk_write(work.store.landing[key], updates)
    for key, ids in work.plan.kept.items():
        source = work.catalogue.source(key)
        work.count(
            f"landing.{key} reduced", reduce_landed(work.store, work.catalogue, source, ids, work.declared.policy)
        )


def _stations(work: Work) -> None:
    run_stations(work.store, work.catalogue)


def _landing(work: Work) -> None:
    for key, ids in work.plan.rest.items():
        work.count(f"landing.{key}", delete(work.store, "landing", key, "_id", ids))
    for key, ids in work.plan.messages.items():
        work.count(f"archive.{key}", delete(work.store, "archive", key, "_id", ids))
    work.count("control.quarantine", delete(work.store, "control", "quarantine", "_id", work.plan.quarantined))


def _view(work: Work) -> None:
    store, ids = work.store, work.plan.customer_ids
    work.count("single_view.customers", delete(store, "single_view", "customers", "_id", ids))
    work.count(f"single_view.{HISTORY}", delete(store, "single_view", HISTORY, "customer_id", ids))
    for name in ("orders", "interactions", "consents", "flags"):
        for path, values in (("customer_id", ids), ("party", work.plan.records)):
            work.count(f"single_view.{name}", delete(store, "single_view", name, path, values))


def _keys(work: Work) -> None:
    """After the documents, so that nothing that is still shown cannot be opened; before files and compacting, which take long."""
    owners = [*work.plan.customer_ids, *work.plan.records]
    shredded = shred(work.store, owners, work.erasure.id, work.erasure.at)
    work.count("control.customer_keys shredded", shredded)


def _consumers(work: Work) -> None:
    """Every other collection, as declared; what nobody declared is looked through, and reported.

    Consumers that are at work are waited for: they may have read the person before the stations took them back, and would
    write them again.
    """
    with ExitStack() as held:
        for name in _WORK_OF_CONSUMERS:
            held.enter_context(lease(work.store, name))
        _clear_consumers(work)


def _clear_consumers(work: Work) -> None:
    pattern = search.pattern_of([*work.plan.searched, *work.plan.names])
    for database, name, held, ids in at_consumers(work.store, work.catalogue, work.declared, work.plan):
        if held is None:
            work.note(
                f"{database}.{name} is not declared in retention.yaml; it was looked through, and the person taken out."
            )
        collection = work.store.client[work.store.prefix + database].get_collection(
            name, codec_options=work.store.control.codec_options
        )
        done = held.erase if held else "pseudonymise"
        for identifier in ids:
            if done == "delete":
                collection.delete_one({"_id": identifier})
            elif done != "keep" and pattern and (document := collection.find_one({"_id": identifier})) is not None:
                replace(collection, document, pattern)
        work.count(f"{database}.{name}", len(ids))


def at_consumers(
    store: Store, catalogue: Catalogue, declared: Declaration, plan: Plan
) -> Iterator[tuple[str, str, Held | None, list[Any]]]:
    """By collection that no station of ours sees to, the ids of the documents in which the person stands; `Held` is None where
    nobody declared it."""
    pattern = search.pattern_of([*plan.searched, *plan.names])
    sources = {source.key for source in catalogue.sources}
    orders = [f"{key}:{value}" for key, pairs in plan.orders.items() for by, value in pairs if by == "id"]
    known = {"customer": plan.customer_ids, "record": plan.records, "order": orders}
    for database, name in collections_of(store, declared):
        held = declared.of(database, name)
        if (database, name) in _OWN:
            continue
        if database in ("landing", "archive") and name not in sources and held is not None:  # it is declared no more
            held = held.model_copy(update={"find": "anywhere", "erase": "delete"})
        if held is not None and held.find in ("station", "nobody"):
            continue
        if held is not None and isinstance(held.find, dict):
            collection = store.client[store.prefix + database][name]
            query: Document = {"$or": [{path: {"$in": known[kind]}} for path, kind in held.find.items()]}
            yield database, name, held, [d["_id"] for d in collection.find(query, {"_id": 1})]
        else:
            yield database, name, held, search.in_collection(store, database, name, pattern) if pattern else []


def _files(work: Work) -> None:
    pattern = search.pattern_of([*work.plan.searched, *work.plan.names])
    if pattern is None:
        return
    named: set[Path] = set()
    for path, handled in declared_files(work.declared):
        try:
            if handled == "delete" and search.in_file(path, pattern):
                named.add(path)
            elif handled == "rows" and search.is_sqlite(path):
                work.count("rows of Dagster's history", search.redact_sqlite(path, pattern))
            elif handled == "redact":
                work.count("places in logs", search.redact_file(path, pattern))
        except FileNotFoundError:
            continue
        except sqlite3.OperationalError:
            raise TransientError(
                f"{path.name} of Dagster's history is locked by another process. Run the same command again to go on."
            ) from None
    # A bundle goes as a whole, for what is packed (a PDF) holds nothing that a search finds; and last of it what does.
    folders = {path.parent for path in named}
    bundles = [p for p, handled in declared_files(work.declared) if handled == "delete" and p.parent in folders]
    for path in sorted(bundles, key=lambda path: path in named):
        path.unlink(missing_ok=True)
        work.count("files deleted", 1)


def _compact(work: Work) -> None:
    """Give back the space of what was deleted. A server that cannot says so; what that means stands in docs/privacy.md."""
    for database, name in collections_of(work.store, work.declared):
        try:
            work.store.client[work.store.prefix + database].command("compact", name, force=True)
        except OperationFailure as error:
            if error.code == NO_SUCH_NAMESPACE:
                continue  # it went meanwhile
            work.note(
                "Our user on MongoDB may not compact: give it dbAdminAnyDatabase, or let an administrator run `compact`. Until then the space "
                "of deleted documents is overwritten as it is used again."
                if error.code == UNAUTHORISED
                else "This server does not compact; the space of deleted documents is overwritten as it is used again."
            )
            return


def _verify(work: Work) -> None:
    """Search; what another run wrote meanwhile, of what it had read before, is taken out once more."""
    _search(work)
    if work.erasure.found:
        for step in (_landing, mentions, _stations, erase_identity, _view, _keys, neighbours, _consumers, _files):
            step(work)
        told_of_others(work)
        _search(work)


def _search(work: Work) -> None:
    """What is found of contacts and ids is a fault. That other people's rows speak of somebody by name is told, and stays."""
    work.erasure.found.clear()
    pattern, names = search.pattern_of(work.plan.searched), search.pattern_of(work.plan.names)
    spoken_of: list[str] = []
    for database, name in collections_of(work.store, work.declared):
        if (database, name) in _OWN:
            continue
        if pattern and (found := search.in_collection(work.store, database, name, pattern)):
            work.erasure.found[f"{database}.{name}"] = len(found)
        if names and (named := search.in_collection(work.store, database, name, names)):
            spoken_of.append(f"{len(named)} of {database}.{name}")
    for path, handled in declared_files(work.declared):
        if pattern and handled != "nothing" and path.exists() and search.in_file(path, pattern):
            work.erasure.found["files"] = work.erasure.found.get("files", 0) + 1
    if spoken_of:
        work.note(f"Other people's documents speak of the person by name: {', '.join(spoken_of)}.")


def _finish(work: Work) -> None:
    """The list for the owners of legacy systems; requests of the person are answered; and the plan itself goes."""
    store, erasure = work.store, work.erasure
    actions = legacy_actions(work.catalogue, work.plan, erasure.id, erasure.at)
    insert_missing(store.control[ACTIONS], actions)
    now = dt.datetime.now(dt.timezone.utc)
    pattern = search.pattern_of([*work.plan.searched, *work.plan.names])
    state = {
        "state": "done",
        "done_at": now,
        "reason": search.without(erasure.reason, pattern) if pattern else erasure.reason,
        "counts": erasure.counts,
        "found": erasure.found,
        "notes": erasure.notes,
        "legacy_actions": len(actions),
    }
    # Nobody is left to answer: the request for this erasure, and others of the person that wait, name nobody any more.
    answered = {"state": "done", "done_at": now, "erasure": erasure.id, "customer_id": None}
    store.control["requests"].update_many({"customer_id": ERASED, "state": "filed"}, {"$set": answered})
    store.control[COLLECTION].update_one({"_id": erasure.id}, {"$set": state, "$unset": {"plan": ""}})


STEPS: dict[str, Callable[[Work], None]] = {
    "ledger": _ledger,
    "withdraw": _withdraw,
    "mentions": mentions,
    "stations": _stations,
    "landing": _landing,
    "identity": erase_identity,
    "view": _view,
    "keys": _keys,
    "neighbours": neighbours,
    "consumers": _consumers,
    "files": _files,
    "compact": _compact,
    "verify": _verify,
    "finish": _finish,
}
