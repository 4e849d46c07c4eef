"""A small estate of party records with tiny limits, where every mechanism of identity turns all the time.

Histories change records, decide, run (in any portions, with crashes at any write) and check; what comes out must always be
what one full run over the final data makes of it in a store of its own.
"""

import math
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from hypothesis import strategies as st
from pymongo.collection import Collection

from sv_assets.errors import SvError
from sv_assets.identity import blocking, full, households, incremental, linking, party, resolution, scoring, workbench
from sv_assets.identity.compared import Description, PostalAddress, compared_form, identifies
from sv_assets.identity.comparisons import DUCKDB
from sv_assets.identity.customer_ids import ensure_id_indexes, resolve
from sv_assets.identity.decisions import decide, undo
from sv_assets.identity.model import Model, built_in
from sv_assets.identity.party import StationReport, record_keys
from sv_assets.identity.settings import Engine, Guards, IdentitySettings, load_settings
from sv_assets.identity.workbench import Workbench
from sv_assets.mongo import Document, Store, ensure_indexes

IDENTIFIERS = ("loyalty_card", "passport")
RECORDS = [f"r{n}" for n in range(1, 10)]
HOMES = [
    PostalAddress("1 High Street", town="York", postcode="YO1 7HH"),
    PostalAddress("2 High Street", town="York", postcode="YO1 7HH"),
    PostalAddress("7 Mill Lane", town="Leeds", postcode="LS1 4AP"),
]
some = lambda values, most=2: st.lists(st.sampled_from(values), max_size=most, unique=True).map(tuple)  # noqa: E731
descriptions = st.builds(
    Description,
    title=st.sampled_from([None, None, "Mr", "Mrs"]),
    first=st.sampled_from([(), ("John",), ("Jon",), ("J",), ("Mary",), ("Smith",), ("John", "Mary")]),
    last=st.sampled_from([(), ("Smith",), ("Smith",), ("Smyth",), ("Jones",), ("Smith-Jones",), ("John",)]),
    emails=some(["a@x.com", "b@x.com", "j.s@gmail.com", "js@gmail.com", "noemail@x.com"]),
    phones=some(["07700 900123", "07700 900124", "01632 960123"]),
    born=st.sampled_from([None, None, "1980-03-07", "1980-07-03", "2008-09-21"]),
    addresses=some(HOMES),
    ids=st.fixed_dictionaries({}, optional={name: some(["A1234567", "B7654321"]) for name in IDENTIFIERS}).map(
        lambda ids: {name: values for name, values in ids.items() if values}
    ),
)
a_few = st.sampled_from(
    [
        Description(first=("John",), last=("Smith",), emails=("a@x.com",)),
        Description(first=("John",), last=("Smith",), phones=("07700 900123",)),
        Description(first=("Mary",), last=("Smith",), phones=("01632 960123",), addresses=(HOMES[0],)),
        Description(first=("John",), last=("Smith",), addresses=(HOMES[0],)),
        Description(first=("John",), last=("Smith",)),
        Description(emails=("a@x.com",)),
        Description(),
    ]
)


@dataclass(frozen=True)
class Written:
    """A record as its source has it now; None for `described`: deleted."""

    record: str
    described: Description | None
    same_as: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decided:
    kind: str
    a: str
    b: str


@dataclass(frozen=True)
class Undone:
    which: int


@dataclass(frozen=True)
class Run:
    """A run in portions of `together`; or a full one; that ends, half way through it, at the n-th write of `crashes`."""

    together: int
    full_from: int = 1000
    crashes: tuple[int, ...] = ()
    full: bool = False


records = st.sampled_from(RECORDS)
writes = st.builds(
    Written,
    records,
    st.one_of(descriptions, a_few, a_few, st.none()),
    st.one_of(st.just(()), st.just(()), some([*RECORDS, "nobody"])),
    st.one_of(st.just(()), st.just(()), some([*RECORDS, "nobody"])),
)
decisions = st.builds(Decided, st.sampled_from(["same", "not_same"]), records, records)
undone = st.builds(Undone, st.integers(0, 5))
changes = st.lists(st.one_of(writes, writes, writes, writes, decisions, undone), min_size=1, max_size=8)
runs = st.builds(
    Run,
    st.sampled_from([1, 2, 3, 50]),
    st.sampled_from([0] + [1000] * 7),
    st.one_of(st.just(()), st.lists(st.integers(1, 25), max_size=3).map(tuple)),
    st.sampled_from([False] * 7 + [True]),
)
steps = st.tuples(changes, runs)
histories = st.lists(steps, min_size=1, max_size=6)


@dataclass(frozen=True)
class Limits:
    """The settings and constants that an example runs with."""

    settings: IdentitySettings
    model: Model
    same_form: int
    most_identical: int
    household: int


def make_limits(
    *,
    at_most: int = 5,
    fan_out: int = 2,
    cluster_size: int = 4,
    threshold: float = 0.5,
    caution: float = 3.0,
    name_alone: float = 4.0,
    strong: float = 8.0,
    margin: float = 3.0,
    density: float = 0.1,
    conflicts: Sequence[str] = ("first_name", "title", "birth_date"),
    matches: float = 1e-3,
    with_households: bool = True,
    same_form: int = 20,
    most_identical: int = 20_000,
    household: int = 12,
) -> Limits:
    declared = load_settings()
    settings = declared.model_copy(
        update={
            "engine": Engine(threads=1),
            "threshold": threshold,
            "household_caution": caution,
            "name_alone": name_alone,
            "strong": strong,
            "margin": margin,
            "blocking": [rule.model_copy(update={"at_most": at_most}) for rule in declared.blocking],
            "guards": Guards(
                fan_out=fan_out, cluster_size=cluster_size, bridge=2, density=density, conflicts=list(conflicts)
            ),
        }
    )
    shares = {"first": {"john": 0.3, "": 0.01}, "last": {"smith": 0.4, "": 0.01}, "born": {"1980-03-07": 0.2}}
    believed = built_in(IDENTIFIERS)
    model = replace(believed, matches=matches, households=matches if with_households else None, frequencies=shares)
    return Limits(settings, model, same_form, most_identical, household)


limits = st.builds(
    make_limits,
    at_most=st.sampled_from([2, 3, 5]),
    fan_out=st.sampled_from([1, 2]),
    cluster_size=st.sampled_from([2, 4]),
    threshold=st.sampled_from([0.5, -4.0, 4.0]),
    caution=st.sampled_from([3.0, 0.0, 8.0]),
    name_alone=st.sampled_from([4.0, -2.0]),
    strong=st.sampled_from([8.0, 30.0]),
    margin=st.sampled_from([3.0, 0.0, 10.0]),
    density=st.sampled_from([0.1, 0.9]),
    conflicts=st.sampled_from([["first_name", "title", "birth_date"], ["birth_date"], []]),
    matches=st.sampled_from([1e-5, 1e-3, 0.1]),
    with_households=st.booleans(),
    same_form=st.sampled_from([20, 1, 2]),
    most_identical=st.sampled_from([20_000, 3]),
    household=st.sampled_from([12, 2]),
)


def plain_predict(bench: Workbench, model: Model, pairs: str, *, wide: bool = False, least: float | None = None) -> str:
    """What `scoring.predict` says, in one plain statement: Splink takes a second to make up its own, whatever the pairs."""
    scoring._put_frequencies(bench, model)
    gammas, weights, rare = [], [repr(math.log2(model.matches / (1 - model.matches)))], []
    for comparison in model.comparisons:
        known = len(comparison.observed)
        cases = "".join(
            f" when {DUCKDB.render(level.condition)} then {known - 1 - at}"
            for at, level in enumerate(comparison.observed)
            if level.condition
        )
        null = DUCKDB.render(comparison.levels[0].condition)
        gammas.append(f"case when {null} then -1{cases} else 0 end as gamma_{comparison.name}")
        says = "".join(
            f" when {known - 1 - at} then {level.against_strangers!r}"
            for at, level in enumerate(model.levels[comparison.name])
        )
        weights.append(f"(case gamma_{comparison.name}{says} else 0 end)")
        if of := comparison.frequency:
            usual = model.levels[comparison.name][0].chance
            share = f"greatest(tf_{of}_l, tf_{of}_r)"
            rare.append(
                f"case when gamma_{comparison.name} = {known - 1} then coalesce(log2({usual!r} / {share}), 0) else 0 end"
                f" as mw_tf_adj_{comparison.name}"
            )
            weights.append(f"mw_tf_adj_{comparison.name}")
    columns = ["n", *(row[0] for row in bench.execute("describe weighed").fetchall() if row[0] != "n")]
    sides = ", ".join(f"{x}.{column} as {column}_{x}" for x in "lr" for column in columns)
    bench.execute(
        f"""
        create or replace table predicted as
        with side as (select {sides} from {pairs} p join weighed l on l.n = p.l join weighed r on r.n = p.r),
             compared as (select *, {", ".join(gammas)} from side),
             rare as (select *, {", ".join(rare)} from compared)
        select *, {" + ".join(weights)} as match_weight from rare
        """
    )
    if least is not None:
        bench.execute(f"delete from predicted where match_weight < {least}")
    return "predicted"


class Crash(BaseException):
    """The process ends here."""


class _Crashing:
    """Counts writes to the collections of identity; at the n-th one writes half of a batch, or nothing, and crashes."""

    NAMES = (
        "insert_one",
        "insert_many",
        "bulk_write",
        "update_one",
        "update_many",
        "replace_one",
        "delete_one",
        "delete_many",
    )

    def __init__(self) -> None:
        self.left: int | None = None
        self.originals = {name: getattr(Collection, name) for name in self.NAMES}

    def wrapped(self, name: str) -> Callable[..., Any]:
        original = self.originals[name]

        def write(collection: Collection[Document], *args: Any, **options: Any) -> Any:
            if self.left is not None and collection.name != "leases":
                self.left -= 1
                if self.left == 0:
                    self.left = None
                    if name in ("insert_many", "bulk_write") and len(args[0]) > 1:
                        with suppress(Exception):
                            original(collection, args[0][: len(args[0]) // 2], *args[1:], **options)
                    raise Crash
            return original(collection, *args, **options)

        return write


CRASHING = _Crashing()


@contextmanager
def patched(limits: Limits) -> Iterator[None]:
    with (
        mock.patch.multiple(Collection, **{name: CRASHING.wrapped(name) for name in CRASHING.NAMES}),
        mock.patch.object(scoring, "predict", plain_predict),
        mock.patch.object(blocking, "SAME_FORM", limits.same_form),
        mock.patch.object(workbench, "SAME_FORM", limits.same_form),
        mock.patch.object(incremental, "SAME_FORM", limits.same_form),
        mock.patch.object(full, "SETTLED_TOGETHER", 2),
        mock.patch.object(full, "READ", 3),
        mock.patch.object(linking, "MOST_IDENTICAL", limits.most_identical),
        mock.patch.object(households, "MOST", limits.household),
    ):
        yield


class Estate:
    """A store with party records written as their station writes them, and what is known of it from outside."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self.store, self.limits = store, limits
        ensure_indexes(store.identity["party_records"], party.INDEXES)
        ensure_id_indexes(store)
        store.identity["state"].replace_one(
            {"_id": "normalisation"},
            {"hash": limits.settings.normalisation, "identifiers": list(IDENTIFIERS)},
            upsert=True,
        )
        resolution.apply(store, limits.settings, limits.model, to_new_only=True)
        self.final: dict[str, Written] = {}
        self.changed: set[str] = set()
        self.ever: set[str] = set()
        self.events: dict[str, Document] = {}
        self.before: dict[str, str] = {}
        self.anchors: dict[str, str] = {}

    def write(self, written: Iterable[Written]) -> None:
        documents = {w.record: self._document(w) for w in written}
        party._write(self.store, list(documents.values()), StationReport())

    def _document(self, written: Written) -> Document:
        settings = self.limits.settings
        described = written.described or Description()
        form = compared_form(described, settings.values_of_nobody)
        deleted = written.described is None
        return {
            "_id": written.record,
            "source": "crm.customer",
            "key": written.record,
            "same_as": list(written.same_as),
            "quotes": [{"number": record, "record": record} for record in written.quotes],
            "compared": form,
            "identified": identifies(form),
            "addresses": [],
            "keys": [] if deleted else record_keys(written.record, [*written.same_as, *written.quotes], form, settings),
            "deleted": deleted,
        }

    def change(self, change: Written | Decided | Undone) -> None:
        if isinstance(change, Written):
            if change.described is None and change.record not in self.final:
                return
            self.final[change.record] = change
            before = self.store.identity["party_records"].find_one({"_id": change.record})
            self.write([change])
            if before != self.store.identity["party_records"].find_one({"_id": change.record}):
                self.changed.add(change.record)
            return
        with suppress(SvError):
            if isinstance(change, Decided):
                decide(self.store, change.kind, change.a, change.b, actor="me", reason="so")  # type: ignore[arg-type]
            else:
                made = sorted(self.store.identity["decisions"].find({"kind": {"$ne": "undo"}}), key=lambda d: d["at"])
                if made:
                    undo(self.store, made[change.which % len(made)]["_id"], actor="me", reason="no")

    def run(self, run: Run) -> None:
        for crash in run.crashes:
            with suppress(Crash):
                self.run_once(run, crash)
        self.run_once(run if not run.crashes else replace(run, full=False))

    def run_once(self, run: Run, crash: int | None = None) -> None:
        """One run, which crashes at the write with this number; raises Crash then."""
        CRASHING.left = crash
        try:
            with (
                mock.patch.object(incremental, "TOGETHER", run.together),
                mock.patch.object(resolution, "FULL_FROM", run.full_from),
            ):
                resolution.refresh_identities(self.store, self.limits.settings, full=run.full)
        finally:
            CRASHING.left = None

    # --- what must hold after every run ---------------------------------------------------------------------------------

    def check(self) -> None:
        identity = self.store.identity
        waiting = [r["_id"] for r in identity["party_records"].find({"_sv.pending": "match"})]
        assert waiting == [], "left on the work list"
        assert list(identity["party_records"].find({"_sv.before": {"$exists": True}})) == []
        self.check_ids()
        self.check_customers_hear_of_changes()
        self.before = self.customer_ids()

    def customer_ids(self) -> dict[str, str]:
        return {
            r["_id"]: r.get("customer_id") for r in self.store.identity["party_records"].find({}) if not r["deleted"]
        }

    def check_ids(self) -> None:
        identity = self.store.identity
        after = self.customer_ids()
        live = {w.record for w in self.final.values() if w.described is not None}
        assert after.keys() == live
        assert None not in after.values(), "every live record has a customer"
        events = {e["_id"]: e for e in identity["events"].find({})}
        for name, event in self.events.items():
            assert events.get(name) == event, "an event that was written stays as it is"
        self.check_changes_have_events(after, [events[name] for name in events.keys() - self.events.keys()])
        self.events = events
        clusters = {c["_id"]: c for c in identity["clusters"].find({})}
        active = {name: c["records"] for name, c in clusters.items() if c["state"] == "active"}
        groups: dict[str, list[str]] = defaultdict(list)
        for record, customer in sorted(after.items()):
            groups[customer].append(record)
        assert active == groups, "clusters say what records say"
        assert self.ever <= clusters.keys(), "no id is ever forgotten"
        identified = {r["_id"] for r in identity["party_records"].find({"identified": True})}
        aliases = {a["_id"]: a["customer_id"] for a in identity["aliases"].find({})}
        for name, cluster in clusters.items():
            end = clusters[resolve(self.store, name)]
            assert end["state"] in ("active", "closed"), "every id that was given resolves to one that is no alias"
            assert (cluster["state"] == "merged") == (name in aliases)
            if cluster["state"] == "active":
                assert cluster["anchor"] in cluster["records"]
                assert cluster["identified"] == (not identified.isdisjoint(cluster["records"]))
            if cluster["state"] == "merged":
                assert (end["born"], end["_id"]) < (cluster["born"], name), "the older survives"
        assert aliases.keys() <= clusters.keys()
        for name, anchor in self.anchors.items():
            if anchor in after and clusters[name]["state"] == "active":
                assert after[anchor] == name, "the part with the anchor keeps the id"
        self.anchors = {name: c["anchor"] for name, c in clusters.items() if c["state"] == "active"}
        self.ever |= clusters.keys()

    def check_changes_have_events(self, after: dict[str, str], events: list[Document]) -> None:
        """Each record that has another customer than before has a chain of new events that leads there."""
        led: dict[str, set[str]] = defaultdict(set)
        for event in events:
            if event["kind"] in ("decided", "undone"):
                continue
            for one in event["customer_ids"]:
                led[one] |= set(event["customer_ids"])
        for record in self.before.keys() & after.keys():
            reached, frontier = {self.before[record]}, {self.before[record]}
            while frontier:
                frontier = set().union(*(led[one] for one in frontier)) - reached
                reached |= frontier
            assert after[record] in reached, (
                f"{record} changed from {self.before[record]} to {after[record]} without an event"
            )
        created = {
            i
            for e in self.store.identity["events"].find({"kind": {"$in": ["created", "split"]}})
            for i in e["customer_ids"]
        }
        assert set(after.values()) <= created, "every id begins with an event"

    def check_customers_hear_of_changes(self) -> None:
        clusters = {c["_id"]: c for c in self.store.identity["clusters"].find({})}
        after = self.customer_ids()
        heard = {name for name, c in clusters.items() if "customers" in c["_sv"].get("pending", [])}
        for record in self.changed:
            if record in after:
                assert after[record] in heard, f"{record} changed, and its customer is on no work list"
            if record in self.before:
                assert self.before[record] in heard or resolve(self.store, self.before[record]) in heard
        for record in self.before.keys() | after.keys():
            if self.before.get(record) != after.get(record):
                for customer in {self.before.get(record), after.get(record)} - {None}:
                    assert customer in heard, f"{record} changed its customer, and {customer} is on no work list"
        self.changed = set()
        self.store.identity["clusters"].update_many({}, {"$unset": {"_sv.pending": 1}})

    def outcome(self) -> dict[str, Any]:
        """Everything that identity decided, ids aside."""
        identity = self.store.identity
        people: dict[str, list[str]] = defaultdict(list)
        for record, customer in sorted(self.customer_ids().items()):
            people[customer].append(record)
        who = {customer: tuple(records) for customer, records in people.items()}
        return {
            "people": sorted(who.values()),
            "links": {link["_id"]: {**link} for link in identity["links"].find({})},
            "review": {
                item["_id"]: {
                    **{k: v for k, v in item.items() if k != "since"},
                    "customer_ids": sorted(who[c] for c in item["customer_ids"]),
                }
                for item in identity["review"].find({})
            },
            "households": {
                home["_id"]: (sorted(who[c] for c in home["customers"]), home["records"])
                for home in identity["households"].find({})
            },
            "dead_values": sorted(d["_id"] for d in identity["dead_values"].find({})),
        }


@contextmanager
def estate(store: Store, limits: Limits) -> Iterator[Estate]:
    """In a store of its own on the same server."""
    opened = Store(store.client, f"{store.prefix}{uuid.uuid4().hex[:6]}_")
    try:
        yield Estate(opened, limits)
    finally:
        for database in opened.databases():
            store.client.drop_database(database.name)


def at_once(store: Store, of: Estate) -> dict[str, Any]:
    """What one full run over the final data makes of it, with the same decisions."""
    with estate(store, of.limits) as fresh:
        fresh.write(of.final[r] for r in sorted(of.final))
        if made := list(of.store.identity["decisions"].find({})):
            fresh.store.identity["decisions"].insert_many(made)
        resolution.refresh_identities(fresh.store, of.limits.settings, full=True)
        return fresh.outcome()


def live_through(store: Store, limits: Limits, history: list[Any]) -> None:
    """A history; ids are checked after every run, and what was decided at the end."""
    with patched(limits), estate(store, limits) as lived:
        for changes, run in history:
            for change in changes:
                lived.change(change)
            lived.run(run)
            lived.check()
        expected, found = at_once(store, lived), lived.outcome()
        for what in expected:
            assert found[what] == expected[what], what
