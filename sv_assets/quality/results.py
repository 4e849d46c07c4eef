"""What checks found, kept in `control.check_results`: one document an evaluation, for as long as `SV_KEEP_CHECK_RESULTS` says.

    {_id, asset, check, passed, severity, sentence, figures, next_step, run_id, at, owners, partition}

The `_id` is made of the run, the asset and the check, so that a step that is tried again does not count twice. Beside them,
`control.check_states` has one document a check: its newest result, since when it fails, and how the last ones went.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bson import Decimal128, Int64
from pymongo import IndexModel

from sv_assets import settings
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Document, Store, ensure_indexes, in_batches, put
from sv_assets.quality.result import Result

COLLECTION = "check_results"
STATES = "check_states"
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
    documents = [_document(result, run_id, owners, now) for result in results]
    put(collection, documents, _Everything())
    _bring_up_to_date(store, documents)


def states(store: Store) -> list[State]:
    """The state of every check that was ever evaluated, by asset and name."""
    found = store.control[STATES].find({})
    return sorted((_state(document) for document in found), key=lambda s: (s.latest["asset"], s.latest["check"]))


def state_of(store: Store, asset: str, check: str) -> State | None:
    """The state of one check; None where it was never evaluated."""
    found = store.control[STATES].find_one({"_id": f"{asset}|{check}"})
    return None if found is None else _state(found)


def _bring_up_to_date(store: Store, documents: list[Document]) -> None:
    """Two runs that end at once may leave out one of their results in the trend; the next one is right again."""
    ids = [f"{d['asset']}|{d['check']}" for d in documents]
    before = {d["_id"]: d for batch in in_batches(ids) for d in store.control[STATES].find({"_id": {"$in": batch}})}
    updated = []
    for identifier, document in zip(ids, documents, strict=True):
        old = before.get(identifier, {"trend": [], "failing_since": None, "latest": {}})
        again = old["latest"].get("_id") == document["_id"]
        trend = [*(old["trend"][:-1] if again else old["trend"]), document["passed"]][-_TREND:]
        began_with_it = again and old["failing_since"] == old["latest"]["at"]
        since = document["at"] if began_with_it else old["failing_since"] or document["at"]
        since = None if document["passed"] else since
        updated.append({"_id": identifier, "latest": document, "failing_since": since, "trend": trend})
    put(store.control[STATES], updated, before.keys())


def _state(document: Document) -> State:
    return State(document["latest"], document["failing_since"], tuple(document["trend"]))


def history(store: Store, asset: str, check: str, at_most: int | None = _TREND) -> Iterator[Document]:
    """The results of one check, the newest first."""
    found = store.control[COLLECTION].find({"asset": asset, "check": check}).sort("at", -1)
    return found.limit(at_most) if at_most else found


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
