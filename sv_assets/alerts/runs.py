"""What finished runs tell: which step or job failed last and has not succeeded since, and counts of runs by job.

A step is the same in whatever job it runs, so its failure is over as soon as any run of it succeeds. What fails outside
its steps (a process that was killed, a run that could not start) is told of the job. Folding a run in twice, or runs in
another order, changes nothing.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sv_assets.alerts.condition import Condition
from sv_assets.alerts.storage import ATTEMPTS, compare_and_set
from sv_assets.errors import TransientError
from sv_assets.mongo import Document, Store

OUTCOMES, JOBS = "run_outcomes", "job_figures"
TOLD_BY_CHECKS = "DagsterAssetCheckFailedError"
"""What a step raises whose blocking check fails; the check is an alert of its own."""
AUDIT = "audit_"
"""How the steps are called that audit a system."""
REMEMBERED = 500
"""Finished runs of a job whose ids are kept, so that each counts once."""
BUCKETS = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
"""Seconds; of the histogram of how long runs take."""


@dataclass(frozen=True)
class StepFailure:
    """`sentence` is ours or empty: what others raise may hold values of rows."""

    error_class: str
    sentence: str
    at: dt.datetime


@dataclass(frozen=True)
class FinishedRun:
    """A run that ended. `failed` and `succeeded` name its steps."""

    run_id: str
    job: str
    status: str
    started_at: dt.datetime | None
    ended_at: dt.datetime
    failed: Mapping[str, StepFailure] = field(default_factory=dict)
    succeeded: Mapping[str, dt.datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class StepOwner:
    """What a step makes, and whose it is."""

    asset: str
    owners: tuple[str, ...]


def fold_runs(store: Store, runs: Iterable[FinishedRun]) -> int:
    """Remember what these runs tell; returns how many there were."""
    count = 0
    for run in runs:
        count += 1
        for step, at in run.succeeded.items():
            _fold(store, f"step {step}", run, None, at)
        for step, failure in run.failed.items():
            _fold(store, f"step {step}", run, failure, failure.at)
        if run.status == "FAILURE" and not run.failed:
            outside = StepFailure(
                "", "The run ended outside its steps: its process is gone, or it could not start.", run.ended_at
            )
            _fold(store, f"run {run.job}", run, outside, run.ended_at)
        elif run.status == "SUCCESS":
            _fold(store, f"run {run.job}", run, None, run.ended_at)
        _count(store, run)
    return count


def _fold(store: Store, identifier: str, run: FinishedRun, failure: StepFailure | None, at: dt.datetime) -> None:
    collection = store.control[OUTCOMES]
    for _ in range(ATTEMPTS):
        before = collection.find_one({"_id": identifier})
        if before is None and failure is None:
            return  # what has never failed need not be remembered
        known: Document = before or {"_id": identifier, "failed_at": None, "succeeded_at": None, "runs": []}
        after = _with_failure(known, run, failure) if failure else _with_success(known, at)
        if after == known or compare_and_set(collection, before, after):
            return
    raise TransientError(f"{identifier} is being changed by others all the time. The next look tries again.")


def _with_failure(known: Document, run: FinishedRun, failure: StepFailure) -> Document:
    if run.run_id in known["runs"] or (known["succeeded_at"] and failure.at <= known["succeeded_at"]):
        return known
    is_first = not is_failing(known)
    runs = [run.run_id] if is_first else [*known["runs"], run.run_id][-REMEMBERED:]
    after = {**known, "runs": runs, "since": failure.at if is_first else min(known["since"], failure.at)}
    if known["failed_at"] is None or failure.at >= known["failed_at"]:
        after |= {
            "failed_at": failure.at, "run_id": run.run_id, "job": run.job, "error_class": failure.error_class,
            "sentence": failure.sentence,
        }  # fmt: skip
    return after


def _with_success(known: Document, at: dt.datetime) -> Document:
    return known if known["succeeded_at"] and at <= known["succeeded_at"] else {**known, "succeeded_at": at}


def is_failing(outcome: Document) -> bool:
    """Whether it failed last."""
    failed, succeeded = outcome["failed_at"], outcome["succeeded_at"]
    return failed is not None and (succeeded is None or succeeded < failed)


def _count(store: Store, run: FinishedRun) -> None:
    collection = store.control[JOBS]
    for _ in range(ATTEMPTS):
        before = collection.find_one({"_id": run.job})
        known: Document = before or {
            "_id": run.job, "runs": {}, "seconds": 0.0, "buckets": [0] * (len(BUCKETS) + 1), "seen": [],
        }  # fmt: skip
        if run.run_id in known["seen"]:
            return
        took = max(0.0, (run.ended_at - run.started_at).total_seconds()) if run.started_at else 0.0
        at = next((n for n, limit in enumerate(BUCKETS) if took <= limit), len(BUCKETS))
        after = {
            **known,
            "runs": {**known["runs"], run.status: known["runs"].get(run.status, 0) + 1},
            "seconds": known["seconds"] + took,
            "buckets": [count + (n == at) for n, count in enumerate(known["buckets"])],
            "seen": [*known["seen"], run.run_id][-REMEMBERED:],
            "last_seconds": took,
            "last_status": run.status,
            "last_ended_at": run.ended_at,
        }
        if compare_and_set(collection, before, after):
            return
    raise TransientError(
        f"The figures of {run.job} are being changed by others all the time. The next look tries again."
    )


def run_conditions(store: Store, steps: Mapping[str, StepOwner], jobs: Iterable[str]) -> list[Condition]:
    """What failed last and has not succeeded since. Steps and jobs that are no longer defined are left out."""
    known_jobs = set(jobs)
    found = []
    for outcome in store.control[OUTCOMES].find({}):
        kind, _, name = outcome["_id"].partition(" ")
        if outcome.get("error_class") == TOLD_BY_CHECKS:
            continue
        if is_failing(outcome) and (name in steps if kind == "step" else name in known_jobs):
            found.append(_condition(outcome, kind, name, steps.get(name)))
    return found


def _condition(outcome: Document, kind: str, name: str, owner: StepOwner | None) -> Condition:
    cause = outcome["sentence"] or (
        f"It raised {outcome['error_class']}; what it said is on the page of the run, because it may hold personal data."
    )
    what = owner.asset if owner else name
    is_audit = name.startswith(AUDIT)
    title = f"Not all audits of {name.removeprefix(AUDIT)} could be made" if is_audit else f"{what} fails"
    return Condition(
        id=outcome["_id"],
        kind="run",
        severity="error",
        title=title if kind == "step" else f"Runs of {name} fail",
        sentence=f"{cause} It failed in the job {outcome['job']}.",
        owners=owner.owners if owner else (),
        page=f"/runs/{outcome['run_id']}",
        mend=_mend(outcome, kind, name, owner),
        figures={"failed_runs": len(outcome["runs"])},
        since=outcome["since"],
    )


def _mend(outcome: Document, kind: str, name: str, owner: StepOwner | None) -> str:
    if outcome["error_class"] == "ConfigurationError":
        return "sv doctor"
    if name.startswith(AUDIT):
        return "sv run audits"
    if kind == "step" and owner:
        return f"sv run --select {owner.asset}"
    return f"sv run {name}" if not name.startswith("__") else "sv run"
