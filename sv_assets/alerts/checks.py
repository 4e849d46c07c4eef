"""The latest state of every check (`control.alert_checks`), folded from `control.check_results` and from Dagster's runs.

The newest evaluation of a check counts. Folding one in twice, or in another order, changes nothing.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

from pymongo import UpdateOne

from sv_assets.alerts.condition import Condition, Figure, Severity
from sv_assets.mongo import Document, Store, bulk_write, in_batches

RESULTS, STATES, MARKS = "check_results", "alert_checks", "alert_marks"
OVERLAP = dt.timedelta(minutes=5)
"""Results are read again for so long back: clocks differ, and writes arrive late."""
FIRST_LOOK = dt.timedelta(days=7)
LONG_AGO = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


@dataclass(frozen=True)
class CheckResult:
    """One evaluation of a check; `asset` is its path (`landing/crm/customer`)."""

    asset: str
    check: str
    passed: bool
    severity: Severity
    sentence: str
    at: dt.datetime
    owners: tuple[str, ...] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)
    run_id: str = ""
    command: str = ""


def fold_checks(store: Store, results: Iterable[CheckResult]) -> int:
    """Remember these results where they are newer than what is known; returns how many there were."""
    count = 0
    for batch in in_batches(results):
        count += len(batch)
        series: dict[str, list[CheckResult]] = {}
        for result in sorted(batch, key=lambda r: r.at):
            known = series.setdefault(f"{result.asset}/{result.check}", [])
            if len(known) > 1 and known[-2].passed == known[-1].passed == result.passed:
                known.pop()  # only where it turns, and the last
            known.append(result)
        for turn in zip_longest(*series.values()):
            updates = [_update(name, result) for name, result in zip(series, turn, strict=True) if result]
            bulk_write(store.control[STATES], updates)
    return count


def _update(identifier: str, result: CheckResult) -> UpdateOne:
    literal: Document = {
        "_id": identifier,
        "asset": result.asset,
        "check": result.check,
        "passed": result.passed,
        "severity": result.severity,
        "sentence": result.sentence,
        "at": result.at,
        "owners": list(result.owners),
        "figures": dict(result.figures),
        "run_id": result.run_id,
        "command": result.command,
    }
    failing = {"$and": [{"$eq": ["$passed", False]}, {"$ne": [{"$ifNull": ["$failing_since", None]}, None]}]}
    since: object = None if result.passed else {"$cond": [failing, "$failing_since", {"$literal": result.at}]}
    newer = {"$lt": [{"$ifNull": ["$at", LONG_AGO]}, {"$literal": result.at}]}
    after = {"$mergeObjects": [{"$literal": literal}, {"failing_since": since}]}
    return UpdateOne({"_id": identifier}, [{"$replaceWith": {"$cond": [newer, after, "$$ROOT"]}}], upsert=True)


def fold_recorded_results(store: Store, now: dt.datetime) -> int:
    """Fold what stations have written to `control.check_results` since the last look; returns how many were read."""
    mark = store.control[MARKS].find_one({"_id": RESULTS})
    since = mark["at"] - OVERLAP if mark else now - FIRST_LOOK
    found = store.control[RESULTS].find({"at": {"$gte": since, "$lte": now + OVERLAP}})
    count = fold_checks(store, (_recorded(document) for document in found.batch_size(1000)))
    store.control[MARKS].update_one({"_id": RESULTS}, {"$max": {"at": now}}, upsert=True)
    return count


def without_recorded(store: Store, results: list[CheckResult]) -> list[CheckResult]:
    """Of the results of one run those that its stations did not record themselves, which says less of a check."""
    if not results:
        return []
    first, last = min(r.at for r in results) - OVERLAP, max(r.at for r in results) + OVERLAP
    found = store.control[RESULTS].find({"at": {"$gte": first, "$lte": last}}, {"asset": 1, "check": 1, "run_id": 1})
    recorded = {(document["asset"], document["check"], document.get("run_id")) for document in found}
    return [result for result in results if (result.asset, result.check, result.run_id) not in recorded]


def _recorded(document: Document) -> CheckResult:
    return CheckResult(
        asset=document["asset"],
        check=document["check"],
        passed=bool(document["passed"]),
        severity="error" if document.get("severity") == "ERROR" else "warning",
        sentence=document.get("sentence") or "",
        at=document["at"],
        owners=tuple(document.get("owners") or ()),
        figures=numbers(document.get("figures") or {}),
        run_id=document.get("run_id") or "",
        command=document.get("next_step") or document.get("command") or "",
    )


def numbers(figures: Mapping[str, object]) -> dict[str, Figure]:
    """The figures that are numbers, at most eight: text among them could be a value of somebody's row."""
    found = {n: v for n, v in figures.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    return dict(list(found.items())[:8])


def failing_checks(store: Store, defined: Collection[tuple[str, str]]) -> list[Document]:
    """The states of the checks that failed last, of those that are still defined."""
    found = store.control[STATES].find({"passed": False})
    return [state for state in found if (state["asset"], state["check"]) in defined]


def forget_undefined(store: Store, defined: Collection[tuple[str, str]], now: dt.datetime) -> None:
    """Drop the states of failing checks that have not been defined for a day: no run will ever make them pass."""
    found = store.control[STATES].find({"passed": False}, {"asset": 1, "check": 1, "at": 1})
    old = [s["_id"] for s in found if (s["asset"], s["check"]) not in defined and now - s["at"] > dt.timedelta(days=1)]
    if old:
        store.control[STATES].delete_many({"_id": {"$in": old}})


def check_condition(state: Document) -> Condition:
    """The alert of a check that fails."""
    asset, check = state["asset"], state["check"]
    return Condition(
        id=f"check {asset}/{check}",
        kind="check",
        severity=state["severity"],
        title=f"{check} fails on {asset}",
        sentence=state["sentence"] or "It says no more.",
        owners=tuple(state["owners"]),
        page=f"/assets/{asset}?view=checks&checkDetail={check}",
        mend=state.get("command") or _command(asset, check),
        figures=state["figures"],
        since=state["failing_since"],
    )


def _command(asset: str, check: str) -> str:
    parts = asset.split("/")
    if parts[0] == "landing" and len(parts) >= 3:
        source = ".".join(parts[1:3])
        if check == "quarantine_empty":
            return f"sv queues quarantine list {source}"
        if check == "schema_as_declared":
            return f"sv introspect {parts[1]} --diff"
        if check in ("dead_letters_empty", "queue_drained"):
            return f"sv queues inspect {source}"
    return f"sv run --select {asset}"
