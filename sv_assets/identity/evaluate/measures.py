"""The measures: what is found against what is true. Pure functions over arrays, which never enumerate the pairs of a group.

Precision is 1.0 where nothing is found, and recall 1.0 where nothing is true.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
"""By record, the number of its group. Groups may be numbered in any way."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How much of what is found is true, and how much of what is true is found."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    def as_document(self) -> dict[str, float]:
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1}


def quality_of_clusters(clusters: Labels, entities: Labels) -> Quality:
    """Of pairs of records: those within one cluster against those of one entity."""
    common = _pairs(_sizes(_both(clusters, entities)))
    return _quality(common, _pairs(_sizes(clusters)), _pairs(_sizes(entities)))


def quality_of_links(left: Labels, right: Labels, same: Labels, entities: Labels) -> Quality:
    """Of pairs of records: those linked against those of one entity.

    `left` and `right` are the records of each link, a pair at most once. `same` says by record which others it says the
    very same as (-1 for none): they are linked each with each, and none of them by a link of its own.
    """
    known = same >= 0
    found = len(left) + _pairs(_sizes(same[known]))
    common = int((entities[left] == entities[right]).sum()) + _pairs(_sizes(_both(same[known], entities[known])))
    return _quality(common, found, _pairs(_sizes(entities)))


def b_cubed(clusters: Labels, entities: Labels) -> Quality:
    """B-cubed precision and recall (Bagga and Baldwin 1998), each the mean over all records.

    A record's precision is the share of its cluster, itself included, that is of its entity; its recall the share of its
    entity that is in its cluster.
    """
    if not len(entities):
        return Quality(1.0, 1.0)
    _, cluster, cluster_sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    _, entity, entity_sizes = np.unique(entities, return_inverse=True, return_counts=True)
    _, cell, cell_sizes = np.unique(_both(clusters, entities), return_inverse=True, return_counts=True)
    together = cell_sizes[cell]
    precision, recall = (
        math.fsum(together / sizes) / len(entities) for sizes in (cluster_sizes[cluster], entity_sizes[entity])
    )
    return Quality(precision, recall)


def false_merges_per_10000(clusters: Labels, entities: Labels) -> float:
    """Of 10,000 records, how many are in a cluster that mostly is somebody else: not of the entity that has most records of it."""
    if not len(entities):
        return 0.0
    names, cell_sizes = _cells(clusters, entities)
    _, cluster = np.unique(names, return_inverse=True)
    majority = np.zeros(cluster.max() + 1, dtype=np.int64)
    np.maximum.at(majority, cluster, cell_sizes)
    return float(10_000 * (len(entities) - majority.sum()) / len(entities))


def _quality(common: int, found: int, true: int) -> Quality:
    return Quality(common / found if found else 1.0, common / true if true else 1.0)


def _both(a: Labels, b: Labels) -> Labels:
    """By record, a number that is the same where both are."""
    if not len(a):
        return a
    _, first = np.unique(a, return_inverse=True)
    _, second = np.unique(b, return_inverse=True)
    result: Labels = first.astype(np.int64) * (int(second.max()) + 1) + second
    return result


def _cells(clusters: Labels, entities: Labels) -> tuple[Labels, npt.NDArray[Any]]:
    """Of each combination of both, the cluster and how many records there are."""
    _, first, sizes = np.unique(_both(clusters, entities), return_index=True, return_counts=True)
    return clusters[first], sizes


def _sizes(labels: Labels) -> npt.NDArray[Any]:
    return np.unique(labels, return_counts=True)[1]


def _pairs(sizes: npt.NDArray[Any]) -> int:
    return int((sizes * (sizes - 1) // 2).sum())
