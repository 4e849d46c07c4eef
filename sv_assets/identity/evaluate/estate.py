"""The same measures for a landed estate whose truth is known: the embedded one, whose generator keeps it in a file."""

import csv
from pathlib import Path

import numpy as np

from sv_assets.errors import ConfigurationError
from sv_assets.identity.evaluate.measures import (
    b_cubed,
    false_merges_per_10000,
    quality_of_clusters,
    quality_of_links,
)
from sv_assets.mongo import Document, Store

TRUTH = "SV_IDENTITY_TRUTH"
"""Names the truth file: `source,key,person`, one line a source row that describes a person."""


def read_truth(path: Path) -> dict[str, str]:
    """By party record (`crm.customer:100001`), the person. Raises ConfigurationError for a file that is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {f"{row['source']}:{row['key']}": row["person"] for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{TRUTH} names {path}, which cannot be read as a truth file ({type(error).__name__}). "
            "It has the columns source, key, person."
        ) from None


def quality_of_estate(store: Store, truth: dict[str, str]) -> Document:
    """How good links and customers are, by the persons of live party records that the truth knows.

    `{records, pairs, clusters, b_cubed, false_merges_per_10000}`, as `sv identity evaluate` prints them.
    """
    rows = store.identity["party_records"].find({"deleted": False}, {"customer_id": 1}).batch_size(10_000)
    known = [(row["_id"], row.get("customer_id") or row["_id"]) for row in rows if row["_id"] in truth]
    number = {record: n for n, (record, _) in enumerate(known)}
    clusters = _numbered([customer for _, customer in known])
    entities = _numbered([truth[record] for record, _ in known])
    ends = [
        link["ends"]
        for link in store.identity["links"].find({"conflict": None}, {"ends": 1}).batch_size(10_000)
        if link["ends"][0] in number and link["ends"][1] in number
    ]
    left, right = (np.array([number[pair[at]] for pair in ends], dtype=np.int64) for at in (0, 1))
    none = np.full(len(known), -1, dtype=np.int64)
    return {
        "records": len(known),
        "pairs": quality_of_links(left, right, none, entities).as_document(),
        "clusters": quality_of_clusters(clusters, entities).as_document(),
        "b_cubed": b_cubed(clusters, entities).as_document(),
        "false_merges_per_10000": false_merges_per_10000(clusters, entities),
    }


def _numbered(names: list[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
