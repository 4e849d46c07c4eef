"""How good identity is, measured against the generator's truth."""

import csv
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypedDict


class PairwiseQuality(TypedDict):
    precision: float
    recall: float
    true_pairs: int
    predicted_pairs: int
    common_pairs: int


def pairwise_quality(
    truth: Iterable[tuple[str, Hashable]], clusters: Mapping[str, Hashable] | Iterable[tuple[str, Hashable]]
) -> PairwiseQuality:
    """Compares pairs of records that are one entity with pairs that are in one cluster, without enumerating pairs.

    Both sides give (record id, entity or cluster id), each record id once. A record that only one side knows counts
    there: missing from the clusters, its true pairs lower recall; missing from the truth, its pairs lower precision.
    Precision is 1.0 when no pairs are predicted, recall 1.0 when none are true.
    """
    cluster_of = dict(clusters)
    entities: Counter[Hashable] = Counter()
    cells: Counter[tuple[Hashable, Hashable]] = Counter()
    for record, entity in truth:
        entities[entity] += 1
        if record in cluster_of:
            cells[entity, cluster_of[record]] += 1
    true, predicted, common = (_pairs(counts.values()) for counts in (entities, Counter(cluster_of.values()), cells))
    return {
        "precision": common / predicted if predicted else 1.0,
        "recall": common / true if true else 1.0,
        "true_pairs": true,
        "predicted_pairs": predicted,
        "common_pairs": common,
    }


def _pairs(sizes: Iterable[int]) -> int:
    return sum(n * (n - 1) // 2 for n in sizes)


def read_truth(path: Path) -> Iterator[tuple[str, str]]:
    """Yields (`<source>:<key>`, person), for example (`crm.customer:100001`, `P000001`)."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield f"{row['source']}:{row['key']}", row["person"]
