"""What checks found, kept in `control.check_results`: one document an evaluation, for as long as `SV_KEEP_CHECK_RESULTS` says.

    {_id, asset, check, passed, severity, sentence, figures, next_step, run_id, at, owners, partition}

The `_id` is made of the run, the asset and the check, so that a step that is tried again does not count twice.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bson import Decimal128, Int64
from pymongo import IndexModel

from sv_assets import settings
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Document, Store, ensure_indexes, put
from sv_assets.quality.result import Result

COLLECTION = "check_results"
KEEP = "SV_KEEP_CHECK_RESULTS"
KEEP_DAYS = 400
_TREND = 30


@dataclass(frozen=True)
class State:
    """The newest result of a check, and since when it has failed without a pass in between."""

    latest: Document
    failing_since: dt.datetime | None
    trend: tuple[bool, ...] = ()

    @property
    def passed(self) -> bool:
        return bool(self.latest["passed"])


def keep_days() -> int:
    """How long results are kept. Raises ConfigurationError for what is no number of days."""
    said = settings.variable(KEEP) or str(KEEP_DAYS)
    if not said.isdigit() or int(said) < 1:
        raise ConfigurationError(f"{KEEP} is a whole number of days, at least 1; for example {KEEP_DAYS}.")
    return int(said)


def record(store: Store, results: Iterable[Result], run_id: str, owners: Sequence[str] = ()) -> None:
    """Keep what was found; the same evaluation again replaces itself."""
    collection = store.control[COLLECTION]
    seconds = keep_days() * 86_400
    ensure_indexes(
        collection,
        [IndexModel([("asset", 1), ("check", 1), ("at", -1)]), IndexModel([("at", 1)], expireAfterSeconds=seconds)],
    )
    now = dt.datetime.now(dt.timezone.utc)
    put(collection, [_document(result, run_id, owners, now) for result in results], _Everything())


def states(store: Store) -> list[State]:
    """The state of every check that was ever evaluated, by asset and name."""
    newest: Iterator[Document] = store.control[COLLECTION].aggregate(
        [
            {"$sort": {"at": -1}},
            {"$group": {"_id": {"asset": "$asset", "check": "$check"}, "at": {"$max": "$at"}}},
        ]
    )
    pairs = sorted((group["_id"]["asset"], group["_id"]["check"]) for group in newest)
    return [state for asset, check in pairs if (state := state_of(store, asset, check)) is not None]


def state_of(store: Store, asset: str, check: str) -> State | None:
    """The state of one check; None where it was never evaluated."""
    latest: Document | None = None
    failing_since: dt.datetime | None = None
    passes: list[bool] = []
    for result in history(store, asset, check, at_most=None):
        latest = latest or result
        if len(passes) < _TREND:
            passes.append(bool(result["passed"]))
        if result["passed"]:
            break
        failing_since = result["at"]
    return None if latest is None else State(latest, failing_since, tuple(reversed(passes)))


def history(store: Store, asset: str, check: str, at_most: int | None = _TREND) -> Iterator[Document]:
    """The results of one check, the newest first."""
    found = store.control[COLLECTION].find({"asset": asset, "check": check}).sort("at", -1)
    return found.limit(at_most) if at_most else found


def latest_figures(store: Store, asset: str, check: str, figure: str, at_most: int = _TREND) -> list[Any]:
    """The last values of one figure, the oldest first."""
    found = [result["figures"].get(figure) for result in history(store, asset, check, at_most)]
    return [value for value in reversed(found) if value is not None]


class _Everything:
    """Every id may be there: `put` then replaces."""

    def __contains__(self, _: object) -> bool:
        return True


def _document(result: Result, run_id: str, owners: Sequence[str], now: dt.datetime) -> Document:
    return {
        "_id": "|".join((run_id, result.asset, result.check, result.partition or "")),
        "asset": result.asset,
        "check": result.check,
        "passed": result.passed,
        "severity": result.severity,
        "sentence": result.sentence,
        "figures": {_figure_name(name): _storable(value) for name, value in result.figures.items()},
        "next_step": result.next_step,
        "run_id": run_id,
        "at": now,
        "owners": list(owners),
        "partition": result.partition,
    }


def _figure_name(name: str) -> str:
    """As MongoDB can be asked for it: without dots and a dollar at its beginning."""
    return name.replace(".", "_").replace("$", "")


def _storable(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, (int, float, str, Decimal128, Int64, dt.datetime)):
        return value
    return [_storable(item) for item in value] if isinstance(value, (list, tuple)) else str(value)
