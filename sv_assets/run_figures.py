"""What each materialisation came to, in figures, kept for a year and a month: the history that the pages of assets draw.

One document a materialisation in `control.run_figures`; figures alone, never a value of a row. It is kept here and not
read back from Dagster's event log, which grows with everything else that happens.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from pymongo import IndexModel

from sv_assets.mongo import Store, ensure_indexes

KEPT = dt.timedelta(days=400)
RUNS_SHOWN = 30
INDEXES = [
    IndexModel([("asset", 1), ("at", -1)]),
    IndexModel([("at", 1)], expireAfterSeconds=int(KEPT.total_seconds())),
]


@dataclass(frozen=True)
class RunFigures:
    """The figures of one materialisation of an asset, and when it ended."""

    at: dt.datetime
    figures: Mapping[str, float]


def note(store: Store, asset: str, run_id: str, figures: Mapping[str, float]) -> None:
    """Keep the figures of a materialisation; a second try in the same run takes the place of the first."""
    collection = store.control["run_figures"]
    ensure_indexes(collection, INDEXES)
    document = {
        "_id": f"{asset} {run_id}",
        "asset": asset,
        "run_id": run_id,
        "at": dt.datetime.now(dt.timezone.utc),
        "figures": dict(figures),
    }
    collection.replace_one({"_id": document["_id"]}, document, upsert=True)


def latest(store: Store, asset: str, at_most: int = RUNS_SHOWN) -> list[RunFigures]:
    """The last materialisations of an asset, the oldest of them first."""
    found = store.control["run_figures"].find({"asset": asset}, {"at": 1, "figures": 1})
    return [RunFigures(d["at"], d["figures"]) for d in found.sort([("at", -1)]).limit(at_most)][::-1]
