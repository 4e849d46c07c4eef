"""A full run: all party records at once, on a workbench. For the first run, large changes, and new models or settings.

`preview` does the same and writes nothing: what a model or settings would change, in numbers and examples.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from sv_assets.errors import ConfigurationError
from sv_assets.identity import households
from sv_assets.identity.customer_ids import STATION, Neighbourhood, ensure_id_indexes, merged_ids, settle
from sv_assets.identity.decisions import Decisions, all_decisions
from sv_assets.identity.division import CERTAIN, DECIDED, Division, Link, Profile, divide
from sv_assets.identity.linking import as_link, found_links
from sv_assets.identity.model import Model, built_in
from sv_assets.identity.resolution import (
    LINK_INDEXES,
    Applied,
    IdentityReport,
    apply,
    identifiers,
    store_model,
    stored_model,
)
from sv_assets.identity.scoring import score, train
from sv_assets.identity.settings import IdentitySettings
from sv_assets.identity.workbench import Prepared, Workbench, open_workbench, prepare
from sv_assets.lease import lease
from sv_assets.mongo import CODEC, Document, Store, bulk_write, ensure_indexes, find_many, in_batches, put
from sv_assets.progress import Progress
from sv_assets.worklist import mark_pending
from sv_assets.write_behind import write_behind

READ = 10_000
SETTLED_TOGETHER = 2_000
"""About how many records are given their ids at a time."""
EXAMPLES = 10


@dataclass
class Preview:
    """What a full run would change. Examples are lists of record ids."""

    model: str
    records: int = 0
    customers_before: int = 0
    customers_after: int = 0
    links_added: int = 0
    links_removed: int = 0
    customers_merged: int = 0
    customers_split: int = 0
    records_moved: int = 0
    merges: list[list[str]] = field(default_factory=list)
    splits: list[list[str]] = field(default_factory=list)


def run_full(
    store: Store, report: IdentityReport, applied: Applied | None, settings: IdentitySettings, *, train: bool
) -> None:
    """Decide about everybody with what is applied; with `train`, or nothing applied yet, with the model that settings choose."""
    version = settings.model.version
    if applied is not None:
        settings = applied.settings
    with _loaded(store, settings) as bench:
        model = applied.model if applied is not None and not train else choose_model(store, bench, settings, version)
        applied = apply(store, settings, model)
        _decide(store, bench, applied, report)


def rerun(store: Store, settings: IdentitySettings, version: str, report: IdentityReport) -> None:
    """Apply settings and the model with this version (`train`: a new one), and decide about everybody with them."""
    ensure_indexes(store.identity["links"], LINK_INDEXES)
    ensure_id_indexes(store)
    with lease(store, "identity"), _loaded(store, settings) as bench:
        model = choose_model(store, bench, settings, version)
        _decide(store, bench, apply(store, settings, model), report)


def preview(store: Store, settings: IdentitySettings, version: str) -> Preview:
    """What `rerun` would change. Writes nothing but the model, if a new one is trained."""
    with _loaded(store, settings) as bench:
        model = choose_model(store, bench, settings, version)
        return _differences(store, bench, Applied(settings, model))


def train_model(store: Store, settings: IdentitySettings) -> Model:
    """Train a model on all party records and keep it; it decides nothing until it is applied."""
    with _loaded(store, settings) as bench:
        return choose_model(store, bench, settings, "train")


def choose_model(store: Store, bench: Workbench, settings: IdentitySettings, version: str | None = None) -> Model:
    """The model that the settings choose, or this version: `latest`, `train`, `built_in`, or an id.

    `latest` trains the first model where none is stored, if there are records enough.
    """
    version = version or settings.model.version
    if version == "built_in":
        return built_in(bench.identifiers)
    if version == "latest":
        try:
            return stored_model(store, "latest")
        except ConfigurationError:
            if bench.records < settings.model.train_from:
                return built_in(bench.identifiers)
            version = "train"
    if version == "train":
        model = train(bench)
        store_model(store, model)
        return model
    return stored_model(store, version)


@contextmanager
def _loaded(store: Store, settings: IdentitySettings) -> Iterator[Workbench]:
    """A workbench with all live records, whose blocks have been judged."""
    with open_workbench(settings, identifiers(store)) as bench:
        _load(store, bench)
        bench.judge_blocks()
        yield bench


def _load(store: Store, bench: Workbench) -> None:
    """All party records: the live ones on the workbench, and what stands of each in the table `standing`."""
    raw: CodecOptions[RawBSONDocument] = CODEC.with_options(document_class=RawBSONDocument)
    records = store.identity["party_records"].with_options(codec_options=raw)
    made = store.identity["state"].find_one({"_id": "normalisation"})
    rekey = made is not None and made["hash"] != bench.settings.normalisation  # a preview of other blocking
    progress = Progress("identity: read", "party records")
    bench.execute(
        "create table standing (id varchar, customer_id varchar, deleted boolean, identified boolean, pending boolean,"
        " revision bigint, home varchar[])"
    )
    for batch in in_batches(records.find({}).batch_size(READ), READ):
        prepared: list[Prepared] = []
        named: list[tuple[str, str]] = []
        quoted: list[tuple[str, str]] = []
        standing: list[tuple[Any, ...]] = []
        for record in batch:
            sv = record["_sv"]
            form = to_dict(record["compared"])
            pending = STATION in sv.get("pending", ())
            standing.append(
                (
                    record["_id"],
                    record.get("customer_id"),
                    record["deleted"],
                    record["identified"],
                    pending,
                    sv["revision"],
                    form.get("homes"),
                )
            )
            if record["deleted"]:
                continue
            if rekey:
                prepared.append(prepare(record["_id"], form, bench.settings))
            else:
                prepared.append(Prepared(record["_id"], form, [key for key in record["keys"] if key[0].isdigit()]))
            named += [(record["_id"], target) for target in record["same_as"]]
            quoted += [(record["_id"], quote["record"]) for quote in record["quotes"] if quote["record"]]
        bench.add(prepared)
        bench.name(named)
        bench.quote(quoted)
        _insert_standing(bench, standing)
        progress.advance(len(batch))


def to_dict(raw: Any) -> Document:
    """A raw sub-document as plain Python values."""
    return {key: to_dict(value) if isinstance(value, RawBSONDocument) else value for key, value in raw.items()}


def _insert_standing(bench: Workbench, rows: list[tuple[Any, ...]]) -> None:
    columns = list(zip(*rows, strict=True))
    text = pa.string()
    types = (text, text, pa.bool_(), pa.bool_(), pa.bool_(), pa.int64(), pa.list_(text))
    names = ("id", "customer_id", "deleted", "identified", "pending", "revision", "home")
    table = pa.table({n: pa.array(c, t) for n, c, t in zip(names, columns, types, strict=True)})
    with bench.arriving(table):
        bench.execute("insert into standing select * from arriving")


def _decide(store: Store, bench: Workbench, applied: Applied, report: IdentityReport) -> None:
    report.mode, report.model = "full", applied.model.version
    report.read += int(bench.one("select count(*) from standing"))
    report.count("pairs_compared", bench.make_pairs())
    score(bench, applied.model)
    report.add_weights(bench.execute("select bits, pairs from weight_count").fetchall())
    first = store.identity["clusters"].estimated_document_count() == 0
    links = _Links(store, bench, applied.model, report)
    links.write(first)
    report.capped = capped_blocks(bench)
    keep_dead(store, bench)
    progress = Progress("identity: customers", "party records")
    customer_of: list[tuple[str, str]] = []

    def write(around: Neighbourhood) -> None:
        decided = settle(store, around, report)
        customer_of.extend((record, cluster.customer_id) for cluster in decided for record in cluster.records)
        progress.advance(len(around.records))

    write_behind(_divided(store, bench, applied, links, first), write)
    households.replace_all(store, _households(bench, customer_of), report)
    store.identity["state"].update_one({"_id": "applied"}, {"$set": {"carried_out": True}})


def _divided(store: Store, bench: Workbench, applied: Applied, links: "_Links", first: bool) -> Iterator[Neighbourhood]:
    """All records, divided into those who are one person, in portions."""
    for records, found in _neighbourhoods(store, bench, links.ends, write=True):
        division = divided(applied, found.profiles, map(as_link, found.links), found.decisions)
        touched = {record for record, document in records.items() if document["_sv"]["pending"]}
        for record in records.keys() & links.marked.keys():
            records[record]["_sv"] = {
                "pending": [STATION],
                "revision": records[record]["_sv"]["revision"] + links.marked[record],
            }
        yield Neighbourhood(records, found.links, division, touched, set(records), first)


def _households(bench: Workbench, customer_of: list[tuple[str, str]]) -> dict[str, Document]:
    ids, customers = zip(*customer_of, strict=True) if customer_of else ((), ())
    table = pa.table({"id": pa.array(ids, pa.string()), "customer_id": pa.array(customers, pa.string())})
    with bench.arriving(table):
        rows = bench.execute(
            f"""
            select home, list(distinct customer_id order by customer_id), count(distinct id) from (
                select id, unnest(home) as home from standing where not deleted
            ) join arriving using (id) group by home
            having count(distinct customer_id) between 2 and {households.MOST} order by home
            """
        ).fetchall()
    return {home: {"_id": home, "customers": customers, "records": records} for home, customers, records in rows}


def divided(applied: Applied, profiles: Mapping[str, Profile], links: Iterable[Link], decisions: Decisions) -> Division:
    """The records divided by what is applied, by their links, and by what humans decided."""
    return divide(
        profiles,
        [*links, *(Link(a, b, 10 * CERTAIN, DECIDED) for a, b in sorted(decisions.same))],
        applied.settings,
        households=applied.model.households is not None,
        apart=decisions.apart,
    )


def capped_blocks(bench: Workbench, most: int = 20) -> list[tuple[str, int, int]]:
    """The largest blocks that were left out: rule, records, and how many the rule allows."""
    rows = bench.execute(f"select rule, records from dead_key order by records desc, rule limit {most}").fetchall()
    rules = bench.settings.blocking
    return [(rules[rule].name, records, rules[rule].at_most) for rule, records in rows]


def keep_dead(store: Store, bench: Workbench) -> None:
    """Keep which e-mails, phones and identifiers are no evidence: incremental runs go on from them."""
    dead = store.identity["dead_values"]
    wanted = {f"{column}:{value}" for column, value in bench.execute("select field, value from dead_value").fetchall()}
    stored = {document["_id"] for document in dead.find({}, {"_id": 1})}
    put(dead, [{"_id": identifier} for identifier in sorted(wanted - stored)], ())
    for batch in in_batches(sorted(stored - wanted)):
        dead.delete_many({"_id": {"$in": batch}})
    _keep_dead_keys(store, bench)


def _keep_dead_keys(store: Store, bench: Workbench) -> None:
    """Keep the keys that are no evidence, so that an incremental run need not read all who share one to see it again."""
    examples = bench.execute("select distinct id from dead_key join name_of using (n)").fetchall()
    records = find_many(store.identity["party_records"], "_id", (row[0] for row in examples), {"keys": 1})
    keys = {key for record in records for key in record["keys"] if key[0].isdigit()}
    with bench.arriving(pa.table({"key": pa.array(list(keys), pa.string())})):
        dead = bench.execute("select key, spare from arriving join dead_key on k = hash(key) order by key").fetchall()
    store.identity["dead_keys"].delete_many({})
    put(store.identity["dead_keys"], [{"_id": key, "spare": spare} for key, spare in dead], ())


class _Links:
    """The links that were found, against those that are stored."""

    def __init__(self, store: Store, bench: Workbench, model: Model, report: IdentityReport) -> None:
        self.store, self.bench, self.model, self.report = store, bench, model, report
        self.ends: list[tuple[str, str]] = []
        self.marked: Counter[str] = Counter()

    def write(self, first: bool) -> None:
        """Write what is new or changed and remove what is gone. Keeps the two ends of each in `ends`.

        In the `first` run of all nobody need be put on the work list: all are on it.
        """
        links = self.store.identity["links"]
        stored = {d["_id"]: d["hash"] for d in links.find({}, {"hash": 1}).batch_size(READ)}
        seen: set[str] = set()
        progress = Progress("identity: links", "links")

        def write(batch: list[Document]) -> None:
            changed = []
            for link in batch:
                self.ends.append((link["ends"][0], link["ends"][1]))
                self.report.add_link(link)
                seen.add(link["_id"])
                if stored.get(link["_id"]) != link["hash"]:
                    changed.append(link)
            if not first:
                self.mark(changed)
            inserted, updated = put(links, changed, stored)
            self.report.inserted += inserted
            self.report.updated += updated
            progress.advance(len(batch))

        write_behind(in_batches(found_links(self.bench, self.model), READ), write)
        for gone in in_batches(sorted(stored.keys() - seen)):
            found = list(links.find({"_id": {"$in": gone}}, {"ends": 1}))
            self.mark(found)
            links.delete_many({"_id": {"$in": gone}})
            self.report.deleted += len(gone)

    def mark(self, changed: Iterable[Document]) -> None:
        """Put both ends on the work list before their link changes, so that a crash in between loses no customer."""
        ends = {end for link in changed for end in link["ends"]}
        self.marked.update(ends)
        bulk_write(self.store.identity["party_records"], mark_pending(sorted(ends), STATION))


@dataclass
class _Found:
    """What a batch of components holds beside the standing of its records."""

    profiles: dict[str, Profile]
    links: list[Document]
    decisions: Decisions


def _neighbourhoods(
    store: Store, bench: Workbench, ends: list[tuple[str, str]], *, write: bool
) -> Iterator[tuple[dict[str, Document], _Found]]:
    """All records, whole components and those who share a customer together, in portions of about `SETTLED_TOGETHER`."""
    decisions = all_decisions(store)
    _number_components(bench, [*ends, *decisions.same, *decisions.apart], merged_ids(store))
    bounds = bench.execute(
        f"""
        select min(component), max(component) from (
            select component, (sum(records) over (order by component)) // {SETTLED_TOGETHER} as portion
            from (select component, count(*) as records from component group by component)
        ) group by portion order by 1
        """
    ).fetchall()
    for low, high in bounds:
        rows = bench.execute(
            f"""
            select s.id, s.customer_id, s.deleted, s.identified, s.pending, s.revision,
                r.first, r.last, r.gender, r.born, r.given, r.others
            from component c join standing s using (id) left join name_of using (id) left join record r using (n)
            where c.component between {low} and {high}
            """
        ).fetchall()
        records: dict[str, Document] = {}
        profiles: dict[str, Profile] = {}
        for (
            identifier,
            customer,
            deleted,
            identified,
            pending,
            revision,
            first,
            last,
            gender,
            born,
            given,
            others,
        ) in rows:
            records[identifier] = {
                "_id": identifier,
                "customer_id": customer,
                "deleted": deleted,
                "identified": identified,
                "_sv": {"pending": [STATION] if pending else [], "revision": revision},
            }
            if not deleted:
                further = tuple((given or [])[1:]) + tuple(others or [])
                profiles[identifier] = Profile(first or "", last or "", gender or "", born or "", further)
        linked = bench.execute(
            f"select id from linked join component using (id) where component between {low} and {high}"
        ).fetchall()
        links = _links_of(store, [row[0] for row in linked]) if write else []
        about = Decisions(
            frozenset(pair for pair in decisions.same if pair[0] in records),
            frozenset(pair for pair in decisions.apart if pair[0] in records),
        )
        yield records, _Found(profiles, links, about)


def _links_of(store: Store, records: list[str]) -> list[Document]:
    return list({link["_id"]: link for link in find_many(store.identity["links"], "ends", records)}.values())


def _number_components(bench: Workbench, ends: list[tuple[str, str]], merged: Mapping[str, str]) -> None:
    """The table `component` (`id`, `component`): records that links, decisions or a customer hold together, by a number.

    `merged` are customers that have become others, whom their records belong to.
    """
    parent: dict[str, str] = {}

    def root(record: str) -> str:
        parent.setdefault(record, record)
        while parent[record] != record:
            parent[record] = record = parent[parent[record]]
        return record

    for a, b in ends:
        x, y = root(a), root(b)
        if x != y:
            parent[max(x, y)] = min(x, y)
    with bench.arriving(pa.table({"id": pa.array(list(parent), pa.string())})):
        bench.execute("create or replace table linked as select id from arriving")
    mates: dict[str, str] = {}
    ids = {"customer_id": pa.array(list(merged), pa.string()), "into": pa.array(list(merged.values()), pa.string())}
    with bench.arriving(pa.table(ids)):
        rows = bench.execute(
            """
            with owned as (
                select coalesce(arriving."into", customer_id) as owner, id
                from standing left join arriving using (customer_id) where customer_id is not null
            )
            select owner, id from owned where owner in (select owner from owned group by 1 having count(*) > 1)
            order by 1, 2
            """
        ).fetchall()
    for customer, record in rows:
        x, y = root(mates.setdefault(customer, record)), root(record)
        if x != y:
            parent[max(x, y)] = min(x, y)
    table = pa.table(
        {"id": pa.array(list(parent), pa.string()), "root": pa.array([root(record) for record in parent], pa.string())}
    )
    with bench.arriving(table):
        bench.execute(
            "create or replace table component as select id, dense_rank() over (order by coalesce(root, id)) as component"
            " from standing left join arriving using (id)"
        )


def _differences(store: Store, bench: Workbench, applied: Applied) -> Preview:
    model = applied.model
    bench.make_pairs()
    score(bench, model)
    stored = {d["_id"] for d in store.identity["links"].find({}, {"_id": 1}).batch_size(READ)}
    by_record: dict[str, list[Link]] = defaultdict(list)
    ends: list[tuple[str, str]] = []
    found: set[str] = set()
    for document in found_links(bench, model):
        link = as_link(document)
        by_record[link.a].append(link)
        ends.append((link.a, link.b))
        found.add(document["_id"])
    result = Preview(model.version, links_added=len(found - stored), links_removed=len(stored - found))
    before: set[str] = set()
    for records, around in _neighbourhoods(store, bench, ends, write=False):
        links = [link for record in around.profiles for link in by_record.get(record, ())]
        division = divided(applied, around.profiles, links, around.decisions)
        _count(result, division, {record: document["customer_id"] for record, document in records.items()}, before)
    result.customers_before = len(before)
    return result


def _count(result: Preview, division: Division, customers: dict[str, str | None], before: set[str]) -> None:
    groups_of: dict[str, list[list[str]]] = defaultdict(list)
    for group in division.groups:
        result.customers_after += 1
        result.records += len(group)
        here = {customer for record in group if (customer := customers[record])}
        before |= here
        for customer in here:
            groups_of[customer].append(group)
        if len(here) > 1:
            result.customers_merged += len(here) - 1
            if len(result.merges) < EXAMPLES:
                result.merges.append(group[:10])
    for customer, groups in sorted(groups_of.items()):
        sizes = sorted((sum(customers[record] == customer for record in group) for group in groups), reverse=True)
        result.records_moved += sum(sizes[1:])
        if len(groups) > 1:
            result.customers_split += len(groups) - 1
            if len(result.splits) < EXAMPLES:
                result.splits.append([record for group in groups for record in group[:5]])
