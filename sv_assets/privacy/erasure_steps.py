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
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.customers.contacts import CONSENTS, FLAGS, INTERACTIONS
from sv_assets.customers.customers import refresh_customers
from sv_assets.customers.facts import refresh_facts
from sv_assets.customers.orders import ORDERS
from sv_assets.errors import TransientError
from sv_assets.identity.customer_ids import let_go, resolve
from sv_assets.identity.party import refresh_party_records
from sv_assets.identity.resolution import refresh_identities
from sv_assets.landing.documents import MISSING
from sv_assets.landing.mentions import redact_landed, without
from sv_assets.landing.suppression import reduce_landed
from sv_assets.lease import lease
from sv_assets.ledger import ERASED, write
from sv_assets.mongo import Document, Store, bulk_write, content_hash, find_many, in_batches, insert_missing
from sv_assets.privacy import search
from sv_assets.privacy.declaration import Declaration, Held, collections_of
from sv_assets.privacy.files import declared_files
from sv_assets.privacy.plan import HISTORY, Plan, ledger_entries, legacy_actions
from sv_assets.privacy.subject import same_value, values_of
from sv_assets.sealing.keys import shred
from sv_assets.worklist import mark_pending

COLLECTION, ACTIONS = "erasures", "legacy_actions"
GONE = ERASED
_OWN = {("control", name) for name in (COLLECTION, ACTIONS, "erased", "erasure_ledger", "leases")}
_MADE_OF_SEVERAL = ("keys", "date_of_birth", "dates_of_birth")
UNAUTHORISED, NO_SUCH_NAMESPACE = 13, 26
_WORK_OF_CONSUMERS = ("audience", "contact_centre.calls", "contact_centre.cards", "fraud")
"""The leases under which they write what they made of people."""


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


def _mentions(work: Work) -> None:
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
        work.count(f"{database}.{source.key} of others", changed)


def mentioning(
    store: Store, catalogue: Catalogue, plan: Plan, pattern: re.Pattern[bytes]
) -> Iterator[tuple[Literal["landing", "archive"], Source, list[Any]]]:
    """By database and source, the keys of other people's rows and messages in which the person stands."""
    for source in catalogue.sources:
        theirs = {*plan.rest.get(source.key, ()), *plan.kept.get(source.key, ())}
        yield (
            "landing",
            source,
            [i for i in search.in_collection(store, "landing", source.key, pattern) if i not in theirs],
        )
        if source.is_queue:
            own = set(plan.messages.get(source.key, ()))
            yield (
                "archive",
                source,
                [i for i in search.in_collection(store, "archive", source.key, pattern) if i not in own],
            )


def _stations(work: Work) -> None:
    run_stations(work.store, work.catalogue)


def _landing(work: Work) -> None:
    for key, ids in work.plan.rest.items():
        work.count(f"landing.{key}", delete(work.store, "landing", key, "_id", ids))
    for key, ids in work.plan.messages.items():
        work.count(f"archive.{key}", delete(work.store, "archive", key, "_id", ids))
    work.count("control.quarantine", delete(work.store, "control", "quarantine", "_id", work.plan.quarantined))


def _identity(work: Work) -> None:
    store, plan = work.store, work.plan
    with lease(store, "identity"):
        let_go(store, plan.customer_ids)
        for name, path, values in (
            ("links", "ends", plan.records),
            ("review", "records", plan.records),
            ("clusters", "_id", plan.customer_ids),
            ("aliases", "customer_id", plan.customer_ids),
            ("aliases", "_id", plan.customer_ids),
            ("party_records", "_id", plan.records),
        ):
            work.count(f"identity.{name}", delete(store, "identity", name, path, values))
        decisions = [d["_id"] for d in find_many(store.identity["decisions"], "records", plan.records, {"_id": 1})]
        work.count(
            "identity.decisions",
            delete(store, "identity", "decisions", "of", decisions)
            + delete(store, "identity", "decisions", "_id", decisions),
        )
        about = [*plan.customer_ids, *plan.others]
        events = {event["_id"]: event for event in find_many(store.identity["events"], "customer_ids", about)}
        work.count("identity.events", _events(work, list(events.values())))
        _homes(work)
        _values(work)
        _models(work)


def _events(work: Work, events: list[Document]) -> int:
    """Events about them alone go; in those about others their ids are replaced. Returns how many that were."""
    ids = set(work.plan.customer_ids)
    collection = work.store.identity["events"]
    pattern = search.pattern_of([*work.plan.customer_ids, *work.plan.records])
    changed = 0
    for event in events:
        if set(event["customer_ids"]) <= ids:
            collection.delete_one({"_id": event["_id"]})
            changed += 1
        elif pattern is not None and search.in_document(event, pattern):
            _replace(collection, event, pattern)
            changed += 1
    return changed


def _replace(collection: Collection[Document], document: Document, pattern: re.Pattern[bytes]) -> None:
    """The same document without what the pattern finds; under another id, where that is found in it."""
    made = search.without(document, pattern)
    for name in ("customer_ids", "records"):
        if isinstance(made.get(name), list):
            made[name] = [item for item in made[name] if item != GONE]
    if made["_id"] == document["_id"]:
        collection.replace_one({"_id": made["_id"]}, made)
        return
    made["_id"] = f"{GONE}:{secrets.token_hex(8)}"
    collection.insert_one(made)
    collection.delete_one({"_id": document["_id"]})


def _homes(work: Work) -> None:
    households = work.store.identity["households"]
    ids = work.plan.customer_ids
    for home in list(find_many(households, "customers", ids)):
        left = [customer for customer in home["customers"] if customer not in ids]
        if len(left) < 2:
            households.delete_one({"_id": home["_id"]})
        else:
            households.update_one({"_id": home["_id"]}, {"$set": {"customers": left}})


def _values(work: Work) -> None:
    """Keys and values that were too frequent to be evidence, where nobody has them any more."""
    identity = work.store.identity
    dead = [d["_id"] for d in find_many(identity["dead_keys"], "_id", work.plan.keys, {"_id": 1})]
    alone = [key for key in dead if identity["party_records"].find_one({"keys": key}, {"_id": 1}) is None]
    work.count("identity.dead_keys", delete(work.store, "identity", "dead_keys", "_id", alone))
    pattern = search.pattern_of(work.plan.searched)
    if pattern is not None:
        values = [d["_id"] for d in identity["dead_values"].find({}, {"_id": 1}) if search.in_document(d, pattern)]
        work.count("identity.dead_values", delete(work.store, "identity", "dead_values", "_id", values))


def _models(work: Work) -> None:
    """Names and birth dates that nobody has any more go out of what models know of how rare they are."""
    identity = work.store.identity
    for model in identity["models"].find({}, {"frequencies": 1}):
        kept = {}
        for column, shares in model["frequencies"].items():
            asked = {value for value, _ in shares} & set(work.plan.words.get(column, ()))
            gone = {
                v for v in asked if identity["party_records"].find_one({f"compared.{column}": v}, {"_id": 1}) is None
            }
            if gone:
                kept[f"frequencies.{column}"] = [[value, share] for value, share in shares if value not in gone]
        if kept:
            identity["models"].update_one({"_id": model["_id"]}, {"$set": kept})
            work.count("identity.models", 1)


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


def _neighbours(work: Work) -> None:
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
    work.count("single_view.customers of others", _last_changes(store, work.plan.others, pattern))
    for entry in list(find_many(store.single_view[HISTORY], "customer_id", work.plan.others)):
        if search.in_document(entry, pattern):
            store.single_view[HISTORY].replace_one({"_id": entry["_id"]}, search.without(entry, pattern))
            work.count(f"single_view.{HISTORY} of others", 1)
    if any(name.startswith("landing.") and name.endswith(" of others") for name in work.erasure.counts):
        _told_of_others(work)  # whose rows mentioned them, is no neighbour
    _mingled(work)


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
                return GONE if same_value(value) in gone else value
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
                work.count(f"single_view.{HISTORY} of others", 1)
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
                _replace(collection, document, pattern)
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
        for step in (_landing, _mentions, _stations, _identity, _view, _keys, _neighbours, _consumers, _files):
            step(work)
        _told_of_others(work)
        _search(work)


def _told_of_others(work: Work) -> None:
    """What is told of others (events, history, their last change), and names the person for a reason that is forgotten."""
    pattern, store = search.pattern_of(work.plan.searched), work.store
    if pattern is None:
        return
    for database, name in (("identity", "events"), ("single_view", HISTORY)):
        collection = getattr(store, database)[name]
        for document in list(find_many(collection, "_id", search.in_collection(store, database, name, pattern))):
            _replace(collection, document, pattern)
    _last_changes(store, search.in_collection(store, "single_view", "customers", pattern), pattern)


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
    store.control["requests"].update_many({"customer_id": GONE, "state": "filed"}, {"$set": answered})
    store.control[COLLECTION].update_one({"_id": erasure.id}, {"$set": state, "$unset": {"plan": ""}})


STEPS: dict[str, Callable[[Work], None]] = {
    "ledger": _ledger,
    "withdraw": _withdraw,
    "mentions": _mentions,
    "stations": _stations,
    "landing": _landing,
    "identity": _identity,
    "view": _view,
    "keys": _keys,
    "neighbours": _neighbours,
    "consumers": _consumers,
    "files": _files,
    "compact": _compact,
    "verify": _verify,
    "finish": _finish,
}


def delete(store: Store, database: str, name: str, path: str, values: list[Any]) -> int:
    """Delete the documents whose `path` is one of these values; returns how many there were."""
    if not values or name not in getattr(store, database).list_collection_names():
        return 0  # the embedded server refuses to delete from what is not there
    collection = getattr(store, database)[name]
    return sum(collection.delete_many({path: {"$in": batch}}).deleted_count for batch in in_batches(values, 500))
