"""Evaluation: a file of records goes the whole way to clusters, and what comes out is measured against the truth."""

import csv
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sv_assets.errors import ConfigurationError
from sv_assets.identity.evaluate.clustering import CHAIN, clustered
from sv_assets.identity.evaluate.measures import (
    Labels,
    Quality,
    b_cubed,
    false_merges_per_10000,
    quality_of_clusters,
    quality_of_links,
)
from sv_assets.identity.evaluate.memory import PeakMemory
from sv_assets.identity.evaluate.preparation import prepared
from sv_assets.identity.evaluate.records import open_records, read_truth
from sv_assets.identity.linking import MOST_IDENTICAL
from sv_assets.identity.model import Model
from sv_assets.identity.scoring import score, train
from sv_assets.identity.settings import IdentitySettings
from sv_assets.identity.workbench import Workbench, open_workbench

PHASES = ("read", "block", "train", "pairs", "score", "cluster", "measure")
TOP_BLOCKS = 10


@dataclass(frozen=True)
class Found:
    """What was found, whatever is true. `blocks` are those left out that most records share: rule, records.

    `stopped`: by guard, how much it put on the review list; `households`: how many pairs of one household the model sees
    for each pair of one person, None where it sees none.
    """

    records: int
    pairs: int
    links: int
    identical: int
    clusters: int
    largest: int
    households: float | None
    capped: int
    blocks: Sequence[tuple[str, int]]
    dead_values: int
    stopped: dict[str, int]


@dataclass(frozen=True)
class Evaluation:
    """The measures; `seconds` by phase. Of the truth, `unknown` are records that the file does not have; of the file's records
    `untold` have no truth, and are left out of the measures."""

    threshold: float
    pairs: Quality
    clusters: Quality
    b_cubed: Quality
    false_merges_per_10000: float
    seconds: dict[str, float]
    peak_rss_mb: float
    found: Found
    unknown: int
    untold: int

    def as_document(self) -> dict[str, Any]:
        """What `sv identity evaluate --json` prints."""
        return {
            "threshold": self.threshold,
            "pairs": self.pairs.as_document(),
            "clusters": self.clusters.as_document(),
            "b_cubed": self.b_cubed.as_document(),
            "false_merges_per_10000": self.false_merges_per_10000,
            "seconds": self.seconds,
            "peak_rss_mb": self.peak_rss_mb,
        }


Tell = Callable[[str], None]


def evaluate(
    records: Path,
    truth: Path,
    settings: IdentitySettings,
    *,
    clusters_out: Path | None = None,
    links_out: Path | None = None,
    tell: Tell = lambda said: None,
) -> Evaluation:
    """Resolve the records and compare with the truth, which nothing but the measures sees.

    `clusters_out` gets `record_id, cluster_id` (a cluster is called after its first record), `links_out` every link with its
    weights and levels. `tell` is told what goes on. Raises ConfigurationError for files that cannot be read or written.
    """
    clock = _Clock(tell)
    with PeakMemory() as memory, _writable(clusters_out), _writable(links_out):
        file = open_records(records)
        read_truth(truth)
        with open_workbench(settings, file.identifiers) as bench:
            with clock.phase("read"):
                for table in prepared(file, settings):
                    bench.add_table(table)
                _each_record_once(bench, records)
            with clock.phase("block"):
                bench.judge_blocks()
            with clock.phase("train"):
                model = train(bench)
            with clock.phase("pairs"):
                pairs = bench.make_pairs()
            with clock.phase("score"):
                score(bench, model)
            with clock.phase("cluster"):
                clusters, stopped = _clusters(bench, model)
            with clock.phase("measure"):
                entities, unknown = _entities(bench, truth)
                told = entities >= 0
                links = _links(bench, entities)
                found = _found(bench, model, clusters, pairs, stopped)
                if clusters_out:
                    _write_clusters(bench, clusters, clusters_out)
                if links_out:
                    _write_links(bench, model, clusters, links_out)
                measured = Evaluation(
                    threshold=settings.threshold,
                    pairs=links,
                    clusters=quality_of_clusters(clusters[told], entities[told]),
                    b_cubed=b_cubed(clusters[told], entities[told]),
                    false_merges_per_10000=false_merges_per_10000(clusters[told], entities[told]),
                    seconds=clock.seconds,
                    peak_rss_mb=memory.mb,
                    found=found,
                    unknown=unknown,
                    untold=int((~told).sum()),
                )
    measured.seconds["total"] = clock.total()
    return measured


@dataclass
class _Clock:
    tell: Tell
    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self.tell(name)
        before = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - before, 3)

    def total(self) -> float:
        return round(time.perf_counter() - self.started, 3)


@contextmanager
def _writable(path: Path | None) -> Iterator[None]:
    """Says at once that a file cannot be written, not after all the work."""
    if path is not None:
        try:
            path.touch()
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None
    yield


def _each_record_once(bench: Workbench, path: Path) -> None:
    twice = bench.execute(
        "select id, count(*) from name_of group by id having count(*) > 1 order by id limit 1"
    ).fetchall()
    for record, times in twice:
        raise ConfigurationError(
            f"{path} has {times} records with the record_id {record}; give every record one of its own."
        )


def _clusters(bench: Workbench, model: Model) -> tuple[Labels, Counter[str]]:
    """By record, the number of the first record of its cluster; and by guard, what it stopped."""
    clusters = np.arange(bench.records, dtype=np.int64)
    stopped: Counter[str] = Counter()
    for division, numbers in clustered(bench, households=bool(model.households)):
        for first, *others in division.groups:
            for record in others:
                clusters[numbers[record]] = numbers[first]
        stopped.update(one.guard for one in division.stopped)
    return clusters, stopped


def _entities(bench: Workbench, path: Path) -> tuple[Labels, int]:
    """By record, the number of its entity, -1 where the truth does not say; and how many of the truth are no records here."""
    bench.execute("create or replace temp table truth (id varchar, entity varchar)")
    for batch in _batches(read_truth(path)):
        with bench.arriving(pa.table(batch, ["id", "entity"])):
            bench.execute("insert into truth select * from arriving")
    for record, entities in bench.execute(
        "select id, count(distinct entity) as n from truth group by id having n > 1 order by id limit 1"
    ).fetchall():
        raise ConfigurationError(
            f"{path} says of the record_id {record} that it is {entities} entities; leave one of the rows."
        )
    rows = bench.execute(
        "select n, dense_rank() over (order by entity) as entity from (select distinct * from truth) join name_of using (id)"
    ).fetchnumpy()
    entities = np.full(bench.records, -1, dtype=np.int64)
    entities[rows["n"]] = rows["entity"]
    unknown = int(bench.one("select count(distinct id) from truth anti join name_of using (id)"))
    bench.execute("drop table truth")
    return entities, unknown


def _batches(rows: Iterator[tuple[str, str]], size: int = 100_000) -> Iterator[list[pa.Array]]:
    batch: list[tuple[str, str]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield [pa.array(column, pa.string()) for column in zip(*batch, strict=True)]
            batch = []
    if batch:
        yield [pa.array(column, pa.string()) for column in zip(*batch, strict=True)]


def _links(bench: Workbench, entities: Labels) -> Quality:
    told = entities >= 0
    ends = bench.execute("select l, r from scored where conflict is null").fetchnumpy()
    left, right = np.asarray(ends["l"]), np.asarray(ends["r"])
    both = told[left] & told[right]
    alike = bench.execute(
        f"select n, identical from record qualify count(identical) over (partition by identical) between 1 and {MOST_IDENTICAL}"
    ).fetchnumpy()
    same = np.full(bench.records, -1, dtype=np.int64)
    same[alike["n"]] = alike["identical"]
    place = np.cumsum(told) - 1
    return quality_of_links(place[left[both]], place[right[both]], same[told], entities[told])


def _found(bench: Workbench, model: Model, clusters: Labels, pairs: int, stopped: Counter[str]) -> Found:
    sizes = np.unique(clusters, return_counts=True)[1]
    blocks = bench.execute(
        f"select rule, records from dead_key order by records desc, rule limit {TOP_BLOCKS}"
    ).fetchall()
    return Found(
        records=bench.records,
        pairs=pairs,
        links=int(bench.one("select count(*) from scored where conflict is null")),
        identical=int(bench.one(f"select count(*) from ({CHAIN})")),
        clusters=len(sizes),
        largest=int(sizes.max(initial=0)),
        households=float(model.households / model.matches) if model.households else None,
        capped=int(bench.one("select count(*) from dead_key")),
        blocks=[(bench.settings.blocking[rule].name, records) for rule, records in blocks],
        dead_values=int(bench.one("select count(*) from dead_value")),
        stopped=dict(stopped.most_common()),
    )


def _write_clusters(bench: Workbench, clusters: Labels, path: Path) -> None:
    bench.connection.register("arriving", pa.table({"n": np.arange(bench.records), "cluster": clusters}))
    rows = bench.execute(
        "select a.id, b.id from arriving join name_of a using (n) join name_of b on b.n = cluster order by arriving.n"
    )
    _write(path, ["record_id", "cluster_id"], rows)
    bench.connection.unregister("arriving")


def _write_links(bench: Workbench, model: Model, clusters: Labels, path: Path) -> None:
    """Every link, also between records that say the very same (each with the next one), and whether it was followed."""
    bench.connection.register("arriving", pa.table({"n": np.arange(bench.records), "cluster": clusters}))
    names = [comparison.name for comparison in model.comparisons]
    levels = []
    for comparison in model.comparisons:
        known = ", ".join(f"'{level.name}'" for level in comparison.observed)
        levels.append(f"[{known}][level_{comparison.name} + 1]")
    rules = ", ".join(f"'{rule.name}'" for rule in bench.settings.rules)
    nothing = ", ".join(["null"] * len(names))
    rows = bench.execute(
        f"""
        with link as (
            select l, r, weight, strangers, household, coalesce([{rules}][rule + 1], 'model') as reason, name_alone, conflict,
                {", ".join(levels)}
            from scored
            union all
            select l, r, null, null, null, 'identical', false, null, {nothing} from ({CHAIN})
        )
        select least(a.id, b.id), greatest(a.id, b.id), x.cluster = y.cluster, link.* exclude (l, r)
        from link join name_of a on a.n = l join name_of b on b.n = r
            join arriving x on x.n = l join arriving y on y.n = r
        order by 1, 2
        """
    )
    header = ["record_id_a", "record_id_b", "one_cluster", "weight", "against_strangers", "against_household", "reason"]
    _write(path, [*header, "name_alone", "conflict", *names], rows)
    bench.connection.unregister("arriving")


def _write(path: Path, header: list[str], rows: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        while batch := rows.fetchmany(100_000):
            writer.writerows(batch)
