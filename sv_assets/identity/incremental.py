"""An incremental run: the records on the work list, and what they touch.

What a record touches is found by its keys, those that it has and those that it had when it was last matched. A key or a
value may become evidence, or cease to be, through the records in work (*turn*); then all who share it are looked at again.
Where so much is pending that it takes more than one portion, and it cannot be told whether a key turned, it is taken to
have: looking at a record twice changes nothing.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from pymongo import UpdateOne
from pymongo.collection import Collection

from sv_assets.identity import households
from sv_assets.identity.blocking import SAME_FORM, rule_of
from sv_assets.identity.customer_ids import STATION, Cluster, Neighbourhood, merged_with, settle
from sv_assets.identity.decisions import decisions_about
from sv_assets.identity.division import profile_of
from sv_assets.identity.full import capped_blocks, divided
from sv_assets.identity.linking import as_link, found_links
from sv_assets.identity.party import HOME_KEY, NAME_KEY
from sv_assets.identity.resolution import Applied, IdentityReport, identifiers
from sv_assets.identity.scoring import score
from sv_assets.identity.settings import IdentitySettings
from sv_assets.identity.workbench import Prepared, form_hash, initials_of, open_workbench, value_of
from sv_assets.mongo import Document, Store, bulk_write, find_many, in_batches, put
from sv_assets.progress import Progress
from sv_assets.worklist import mark_pending
from sv_assets.write_behind import tuned_interpreter

TOGETHER = 5_000
READERS = 3
"""So many threads wait for the server."""
LOOKED_UP_TOGETHER = 100
"""So many keys go into one look-up: larger ones are slower on a multikey index."""
_RECORD = {
    "compared": 1,
    "keys": 1,
    "deleted": 1,
    "same_as": 1,
    "quotes": 1,
    "identified": 1,
    "customer_id": 1,
    "_sv": 1,
}


def run_incremental(store: Store, report: IdentityReport, applied: Applied) -> None:
    """Work off the work list in portions; each is complete in itself."""
    report.mode, report.model = "incremental", applied.model.version
    records = store.identity["party_records"]
    progress = Progress("identity", "party records")
    seen: set[tuple[str, int]] = set()
    touches = _Touches(records) if records.count_documents({"_sv.pending": STATION}) > TOGETHER else None
    while batch := list(records.find({"_sv.pending": STATION}, _RECORD).limit(TOGETHER)):
        versions = {(record["_id"], record["_sv"]["revision"]) for record in batch}
        if versions <= seen:
            return  # only what others write again and again: the next run takes it up
        seen |= versions
        with tuned_interpreter():  # the neighbours are many thousand small objects
            _Portion(store, applied, report, {record["_id"]: record for record in batch}, touches).work()
        report.read += len(batch)
        progress.advance(len(batch))


class _Touches:
    """How many pending records have each key, or had it, where they are worked off in more than one portion."""

    def __init__(self, records: Collection[Document]) -> None:
        fields = {"keys": 1, "_sv.before.keys": 1}
        pending = records.find({"_sv.pending": STATION}, fields).batch_size(5_000)
        hashes = array("q", (hash(key) for record in pending for key in _touched_by(record)))
        self.hashes, self.counts = np.unique(np.frombuffer(hashes, np.int64), return_counts=True)

    def of(self, key: str) -> int:
        at = int(np.searchsorted(self.hashes, hash(key)))
        return int(self.counts[at]) if at < len(self.hashes) and self.hashes[at] == hash(key) else 0


def _touched_by(record: Document) -> Iterable[str]:
    return {*record["keys"], *record["_sv"].get("before", {}).get("keys", ())}


@dataclass(frozen=True)
class _State:
    """What others depend on of a record: what it says as a whole, its initials, its keys."""

    form: int
    initials: str | None
    keys: frozenset[str]


def _state(record: Document) -> _State:
    form = record["compared"]
    return _State(form_hash(form), initials_of(form), frozenset(record["keys"]))


def _state_before(record: Document) -> _State | None:
    """The state of a pending record when it was last matched; None if it never was."""
    if record["_sv"].get("new"):
        return None
    before = record["_sv"].get("before")
    return _State(before["form"], before["initials"], frozenset(before["keys"])) if before else _state(record)


@dataclass
class _Portion:
    """Some pending records, and what is known of what they touch.

    `known` are all records that were read, by id; `members` by key, the ids of those that share it; `dead` the keys that are
    no evidence, with how many share them; `work_on` the records whose links are decided anew; `done` those that then wait
    for nothing more; `dying` the keys that were no evidence, and may be now.
    """

    store: Store
    applied: Applied
    report: IdentityReport
    pending: dict[str, Document]
    touches: _Touches | None
    known: dict[str, Document] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    dead: dict[str, int] = field(default_factory=dict)
    work_on: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    states: dict[str, _State] = field(default_factory=dict)
    dying: set[str] = field(default_factory=set)
    pairs: int = 0

    @property
    def settings(self) -> IdentitySettings:
        return self.applied.settings

    def work(self) -> None:
        self.known.update(self.pending)
        self.work_on = set(self.pending)
        touching: dict[str, set[str]] = defaultdict(set)
        for identifier, record in self.pending.items():
            for key in _touched_by(record):
                touching[key].add(identifier)
        self._read(touching, touching)
        dead_values = self._stored_dead_values()
        if turned := self._judge(touching, dead_values):
            self.work_on |= turned
            self._read((key for record in turned for key in self.known[record]["keys"]), {})
            self._judge({}, dead_values)
        links = self._links(dead_values)
        stored = {link["_id"]: link for link in find_many(self.store.identity["links"], "ends", self.work_on)}
        changed = [link for identifier, link in links.items() if stored.get(identifier, {}).get("hash") != link["hash"]]
        gone = [link for identifier, link in stored.items() if identifier not in links]
        self._mark([*changed, *gone])
        collection = self.store.identity["links"]
        for batch in in_batches([link["_id"] for link in gone]):
            collection.delete_many({"_id": {"$in": batch}})
        inserted, updated = put(collection, changed, stored)
        self.report.inserted += inserted
        self.report.updated += updated
        self.report.deleted += len(gone)
        self.report.count("pairs_compared", self.pairs)
        for link in links.values():
            self.report.add_link(link)
        self._settle({end for link in (*changed, *gone) for end in link["ends"]})

    # --- what the records touch -------------------------------------------------------------------------------------

    def _read(self, keys: Iterable[str], touching: Mapping[str, set[str]]) -> None:
        """Read all records that share one of the keys; not of those that stay dead whatever the pending records do."""
        # In the order of the records that have them: who shares one key with a record often shares others, and comes once.
        wanted = [
            key
            for key in dict.fromkeys(keys)
            if key not in self.members and key not in self.dead and not key.startswith(HOME_KEY)
        ]
        collection, dead_keys = self.store.identity["party_records"], self.store.identity["dead_keys"]
        spent: list[UpdateOne] = []
        for found in find_many(dead_keys, "_id", wanted):
            key, touched = found["_id"], len(touching.get(found["_id"], ()))
            if touched and self.touches:
                touched = max(touched, self.touches.of(key))
            if touched > found["spare"]:
                self.dying.add(key)
                continue
            self.dead[key] = found["spare"] + rule_of(key, self.settings).at_most
            if touched:
                spent.append(UpdateOne({"_id": key}, {"$inc": {"spare": -touched}}))
        bulk_write(dead_keys, spent)

        def sharing(keys: list[str]) -> list[Document]:
            return list(collection.find({"keys": {"$in": keys}}, _RECORD).batch_size(5_000))

        batches = list(in_batches([key for key in wanted if key not in self.dead], LOOKED_UP_TOGETHER))
        with ThreadPoolExecutor(READERS) as readers:
            for batch, records in zip(batches, readers.map(sharing, batches), strict=True):
                asked = set(batch)
                for key in batch:
                    self.members[key] = set()
                for found_record in records:
                    identifier = found_record["_id"]
                    record = self.known.setdefault(identifier, found_record)
                    for key in asked.intersection(record["keys"]):
                        self.members[key].add(identifier)

    def _stored_dead_values(self) -> set[str]:
        return {document["_id"] for document in self.store.identity["dead_values"].find({}, {"_id": 1})}

    def _judge(self, touching: dict[str, set[str]], dead_values: set[str]) -> set[str]:
        """Which of the keys that were read are dead, and the records not in work that share a key or value which turned."""
        turned: set[str] = set()
        before = {record: _state_before(document) for record, document in self.pending.items()} if touching else {}
        for key, members in self.members.items():
            touched = touching.get(key, set())
            outside = members - self.pending.keys()
            if not key[0].isdigit():
                turned |= outside if touched and self._binds_anew(key, before) else set()
                continue
            if self._is_far_from_dead(key, len(members), len(touched), dead_values):
                continue
            now = [self._state_of(member) for member in members]
            if self._is_dead(key, now):
                self.dead[key] = len(members)
            if not touched:
                continue
            self._keep_key(key, now)
            value = value_of(key, self.settings)
            if value is not None:
                self._keep_value(value, self._is_dead_value(key, now), dead_values)
            were = [state for record in touched if (state := before[record]) and key in state.keys]
            if self._turned(key, now, outside, were, len(touched), value is not None):
                turned |= outside
        return turned

    def _is_far_from_dead(self, key: str, members: int, touched: int, dead_values: set[str]) -> bool:
        """True if it does not matter what those say who have the key, or had it: they are too few for it to be dead."""
        if self.touches is not None:
            touched = max(touched, self.touches.of(key))
        value = value_of(key, self.settings)
        few = rule_of(key, self.settings).at_most
        if value is not None:
            few = min(few, self.settings.guards.fan_out)
        return members + touched <= few and key not in self.dying and value not in dead_values

    def _binds_anew(self, key: str, before: dict[str, _State | None]) -> bool:
        """True if those who share a form, or name a record, may be linked with each other otherwise than before.

        Who names a record that is there, and was, is linked with that record alone.
        """
        if not key.startswith(NAME_KEY):
            return True
        named = key.removeprefix(NAME_KEY)
        record = self.known.get(named)
        was = named not in before or bool((state := before[named]) and state.keys)
        return record is None or record["deleted"] or not was

    def _turned(
        self, key: str, now: list[_State], outside: set[str], were: list[_State], touched: int, is_value: bool
    ) -> bool:
        """True if a key, or the value that it is all about, has become evidence or ceased to be, or may have."""
        rest = [self._state_of(member) for member in outside]
        if self.touches is None:
            then = [*rest, *were]
            return self._is_dead(key, then) != self._is_dead(key, now) or (
                is_value and self._is_dead_value(key, then) != self._is_dead_value(key, now)
            )
        most = rule_of(key, self.settings).at_most
        touched = max(touched, self.touches.of(key))
        settled = [self._state_of(member) for member in self._settled(outside)]
        surely_alive = len(rest) + touched <= SAME_FORM * most and _different(rest) + touched <= most
        if not self._is_dead(key, settled) and not surely_alive:
            return True
        return is_value and _people(settled) <= self.settings.guards.fan_out < _people(rest) + touched

    def _keep_key(self, key: str, now: list[_State]) -> None:
        """Keep true in the database which keys are no evidence."""
        dead_keys = self.store.identity["dead_keys"]
        if key in self.dead:
            most = rule_of(key, self.settings).at_most
            spare = max(_different(now) - most, len(now) - SAME_FORM * most) - 1
            dead_keys.replace_one({"_id": key}, {"spare": spare}, upsert=True)
        elif key in self.dying:
            dead_keys.delete_one({"_id": key})

    def _keep_value(self, value: str, dead: bool, dead_values: set[str]) -> None:
        """Keep true, here and in the database, which values are no evidence."""
        stored = self.store.identity["dead_values"]
        if dead and value not in dead_values:
            stored.replace_one({"_id": value}, {}, upsert=True)
            dead_values.add(value)
        elif not dead and value in dead_values:
            stored.delete_one({"_id": value})
            dead_values.discard(value)

    def _state_of(self, record: str) -> _State:
        state = self.states.get(record)
        if state is None:
            state = self.states[record] = _state(self.known[record])
        return state

    def _settled(self, members: Iterable[str]) -> set[str]:
        """Those whose content has been taken up: the others may have come to a key, or changed, only now."""
        return {member for member in members if STATION not in self.known[member]["_sv"].get("pending", ())}

    def _is_dead(self, key: str, states: list[_State]) -> bool:
        most = rule_of(key, self.settings).at_most
        return len(states) > SAME_FORM * most or _different(states) > most

    def _is_dead_value(self, key: str, states: list[_State]) -> bool:
        return _people(states) > self.settings.guards.fan_out or self._is_dead(key, states)

    # --- links ------------------------------------------------------------------------------------------------------

    def _links(self, dead_values: set[str]) -> dict[str, Document]:
        """All links of the records in work."""
        live = [record for record in self.known.values() if not record["deleted"]]
        with open_workbench(self.settings, identifiers(self.store)) as bench:
            numbers: dict[str, int] = {}
            prepared = []
            for record in live:
                numbers[record["_id"]] = len(numbers)
                keys = [
                    key for key in record["keys"] if key[0].isdigit() and key in self.members and key not in self.dead
                ]
                prepared.append(Prepared(record["_id"], record["compared"], keys))
            bench.add(prepared)
            bench.name((record["_id"], target) for record in live for target in record["same_as"])
            bench.quote((record["_id"], q["record"]) for record in live for q in record["quotes"] if q["record"])
            bench.bury(sorted(dead_values))
            self.pairs = bench.make_pairs({numbers[record] for record in self.work_on if record in numbers})
            score(bench, self.applied.model)
            self.report.add_weights(bench.execute("select bits, pairs from weight_count").fetchall())
            self.report.capped = capped_blocks(bench) or self.report.capped
            return {
                link["_id"]: link
                for link in found_links(bench, self.applied.model)
                if not self.work_on.isdisjoint(link["ends"])
            }

    def _mark(self, links: list[Document]) -> None:
        """Put the other ends on the work list before their links change, so that a crash in between loses no customer."""
        ends = {end for link in links for end in link["ends"]} - self.pending.keys()
        collection = self.store.identity["party_records"]
        waiting = {
            r["_id"]
            for r in find_many(collection, "_id", ends, {"_sv.pending": 1})
            if STATION in r["_sv"].get("pending", ())
        }
        self.done = self.pending.keys() | (ends - waiting)
        bulk_write(collection, mark_pending(sorted(ends), STATION))

    # --- customers --------------------------------------------------------------------------------------------------

    def _settle(self, ends: set[str]) -> None:
        start = self.pending.keys() | ends
        records, links = self._closure(start)
        decisions = decisions_about(self.store, records)
        live = {identifier: record for identifier, record in records.items() if not record["deleted"]}
        profiles = {identifier: profile_of(record["compared"]) for identifier, record in live.items()}
        division = divided(self.applied, profiles, map(as_link, links), decisions)

        def note_homes(decided: list[Cluster]) -> None:
            homes = self._homes(self.pending.values())
            for cluster in decided:
                homes |= self._homes(
                    records[r] for r in cluster.records if records[r].get("customer_id") != cluster.customer_id
                )
            households.note_due(self.store, homes)

        around = Neighbourhood(records, links, division, set(self.pending), self.done)
        settle(self.store, around, self.report, before_records=note_homes)
        households.refresh_due(self.store, self.report)

    def _homes(self, records: Iterable[Document]) -> set[str]:
        keys = (key for record in records for key in _touched_by(record))
        return {key.removeprefix(HOME_KEY) for key in keys if key.startswith(HOME_KEY)}

    def _closure(self, start: Iterable[str]) -> tuple[dict[str, Document], list[Document]]:
        """The whole components of these records, and of all that share a customer with one of them."""
        party, links = self.store.identity["party_records"], self.store.identity["links"]
        records: dict[str, Document] = {}
        found_links: dict[str, Document] = {}
        customers: set[str] = set()
        frontier = set(start)
        while frontier:
            found = {r["_id"]: r for r in find_many(party, "_id", frontier, _RECORD)}
            records.update(found)
            new = list(find_many(links, "ends", found.keys(), size=LOOKED_UP_TOGETHER))
            found_links.update({link["_id"]: link for link in new})
            ids = {r["customer_id"] for r in found.values() if r.get("customer_id")} - customers
            ids = merged_with(self.store, ids) - customers
            customers |= ids
            mates = {m["_id"] for m in find_many(party, "customer_id", ids, {"_id": 1})}
            decided = decisions_about(self.store, found)
            told = {record for pair in (*decided.same, *decided.apart) for record in pair}
            frontier = ({end for link in new for end in link["ends"]} | mates | told) - records.keys()
        return records, list(found_links.values())


def _different(states: Iterable[_State]) -> int:
    return len({state.form for state in states})


def _people(states: Iterable[_State]) -> int:
    return len({state.initials for state in states if state.initials})
