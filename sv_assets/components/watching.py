"""One look at everything that can go wrong: what Dagster and MongoDB know becomes conditions, alerts and messages.

Repeating a look changes nothing but when something was last seen. Where one part of it fails, the others go on, and what
that part would have seen is not taken for mended.
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import dagster as dg
from dagster._core.definitions.freshness import FreshnessState

from sv_assets.alerts.alert import Alert
from sv_assets.alerts.backlogs import (
    QueueLook,
    channel_conditions,
    queue_conditions,
    record_looks,
    review_conditions,
)
from sv_assets.alerts.channels import health_of, live_channels
from sv_assets.alerts.checks import (
    MARKS,
    CheckResult,
    check_condition,
    failing_checks,
    fold_checks,
    fold_recorded_results,
    forget_undefined,
    numbers,
    without_recorded,
)
from sv_assets.alerts.condition import Condition, Kind, Observed
from sv_assets.alerts.delivery import Told, deliver
from sv_assets.alerts.runs import FinishedRun, StepFailure, StepOwner, fold_runs, run_conditions
from sv_assets.alerts.settings import AlertSettings
from sv_assets.alerts.storage import sync
from sv_assets.catalogue.load import load_catalogue
from sv_assets.catalogue.source import Source
from sv_assets.components.keys import dead_letters_key, landing_key, legacy_key
from sv_assets.components.station import ERROR_CLASS, WRITTEN
from sv_assets.metrics.latency import Composition, Landed, fold_latencies
from sv_assets.mongo import Store, now_in_milliseconds, to_milliseconds
from sv_assets.quality.names import DEAD_LETTERS, FRESH

log = logging.getLogger(__name__)
FIRST_LOOK = dt.timedelta(hours=24)
OVERLAP = dt.timedelta(minutes=2)
RUNS_A_LOOK = 50
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_CUSTOMERS = "single_view__customers"
_TELLING = {
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


@dataclass(frozen=True)
class Look:
    """What a look left behind: the alerts that are not over, and what was told."""

    alerts: list[Alert]
    told: Told


@dataclass(frozen=True)
class Watched:
    """What is defined, by the names that alerts use."""

    repository: dg.RepositoryDefinition

    @cached_property
    def owners(self) -> dict[dg.AssetKey, tuple[str, ...]]:
        return {
            key: tuple(definition.specs_by_key[key].owners)
            for key, definition in self.repository.assets_defs_by_key.items()
        }

    @cached_property
    def steps(self) -> dict[str, StepOwner]:
        """By step: its asset (of several, the first), and everybody who owns one of them."""
        return {
            definition.node_def.name: self._owner(definition.keys or {key.asset_key for key in definition.check_keys})
            for definition in self.repository.asset_graph.assets_defs
            if definition.is_executable
        }

    def _owner(self, keys: Iterable[dg.AssetKey]) -> StepOwner:
        ordered = sorted(keys)
        owners = {owner: None for key in ordered for owner in self.owners.get(key, ())}
        return StepOwner(ordered[0].to_user_string(), tuple(owners))

    @cached_property
    def checks(self) -> frozenset[tuple[str, str]]:
        keys = self.repository.asset_graph.asset_check_keys
        return frozenset((key.asset_key.to_user_string(), key.name) for key in keys)

    @cached_property
    def with_freshness(self) -> list[dg.AssetKey]:
        graph = self.repository.asset_graph
        return [key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy is not None]


@lru_cache(maxsize=2)
def watched_in(repository: dg.RepositoryDefinition) -> Watched:
    """What a code location defines; worked out once."""
    return Watched(repository)


def look(instance: dg.DagsterInstance, watched: Watched, store: Store, settings: AlertSettings) -> Look:
    """Gather what is wrong, bring the alerts in line with it, and tell everybody who is owed something."""
    observed = observe(instance, watched, store, settings, now_in_milliseconds())
    alerts = sync(store, observed, settings, live_channels(settings), now_in_milliseconds())
    store.control[MARKS].update_one({"_id": "look"}, {"$max": {"at": now_in_milliseconds()}}, upsert=True)
    return Look(alerts, deliver(store, settings))


def observe(
    instance: dg.DagsterInstance, watched: Watched, store: Store, settings: AlertSettings, now: dt.datetime
) -> Observed:
    """Everything that is wrong at this moment."""
    queues = [source for source in load_catalogue().sources if source.is_queue]

    def runs_and_checks() -> list[Condition]:
        _fold_finished_runs(instance, watched, store, now)
        fold_recorded_results(store, now)
        return [
            *run_conditions(store, watched.steps, watched.repository.job_names),
            *_checks(watched, store, queues, now),
        ]

    def stale_assets() -> list[Condition]:
        told = {state["asset"] for state in failing_checks(store, watched.checks) if state["check"] == FRESH}
        return [c for c in _freshness(instance, watched, now) if c.id.removeprefix("freshness ") not in told]

    def backlogs() -> list[Condition]:
        record_looks(store, [_look_of(instance, source) for source in queues])
        return queue_conditions(store, queues, settings.limits, now)

    def review() -> list[Condition]:
        owners = watched.owners.get(dg.AssetKey(["identity", "review"]), ())
        return review_conditions(store, owners, settings.limits, now)

    return Observed.together(
        [
            _part(("run", "check"), runs_and_checks),
            _part(("freshness",), stale_assets),
            _part(("dead_letters", "source"), backlogs),
            _part(("review",), review),
            _part(("channel",), lambda: channel_conditions(health_of(store, settings))),
        ]
    )


def _part(kinds: tuple[Kind, ...], gather: Callable[[], list[Condition]]) -> Observed:
    try:
        return Observed(tuple(gather()), frozenset(kinds))
    except Exception as error:  # whatever it is: the other parts must be seen all the same
        log.warning("alerts: %s could not be looked at (%s)", ", ".join(kinds), type(error).__name__)
        return Observed((), frozenset())


def _fold_finished_runs(instance: dg.DagsterInstance, watched: Watched, store: Store, now: dt.datetime) -> None:
    """What ended since the last look. The mark moves only after it is folded in."""
    marks = store.control[MARKS]
    mark = marks.find_one({"_id": "runs"}) or {"at": now - FIRST_LOOK + OVERLAP, "seen": []}
    records = instance.get_run_records(
        dg.RunsFilter(statuses=_ENDED, updated_after=mark["at"] - OVERLAP),
        limit=RUNS_A_LOOK + len(mark["seen"]),
        order_by="update_timestamp",
        ascending=True,
    )
    seen = set(mark["seen"])
    for record in records:
        if record.dagster_run.run_id not in seen:
            ended = _ended(instance, watched, record)
            fold_checks(store, without_recorded(store, ended.results))
            fold_latencies(store, ended.landed, ended.composed)
            fold_runs(store, [ended.run])
    if records:
        newest = records[-1].update_timestamp.replace(tzinfo=dt.timezone.utc)
        near = [
            r.dagster_run.run_id
            for r in records
            if r.update_timestamp.replace(tzinfo=dt.timezone.utc) >= newest - 2 * OVERLAP
        ]
        marks.replace_one({"_id": "runs"}, {"_id": "runs", "at": newest, "seen": near}, upsert=True)


@dataclass(frozen=True)
class _Ended:
    """What the events of a run that ended tell."""

    run: FinishedRun
    results: list[CheckResult]
    landed: list[Landed]
    composed: list[Composition]


def _ended(instance: dg.DagsterInstance, watched: Watched, record: Any) -> _Ended:
    run = record.dagster_run
    started: dict[str, dt.datetime] = {}
    failed: dict[str, StepFailure] = {}
    succeeded: dict[str, dt.datetime] = {}
    results: list[CheckResult] = []
    landed: list[Landed] = []
    for entry in instance.all_logs(run.run_id, of_type=_TELLING):
        event, at = entry.dagster_event, _moment(entry.timestamp)
        if event is None:
            continue
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            results.append(_result(event.asset_check_evaluation_data, run.run_id, at, watched))
        elif not event.step_key:
            continue
        elif event.event_type == dg.DagsterEventType.STEP_START:
            started[event.step_key] = at
        elif event.event_type == dg.DagsterEventType.STEP_FAILURE:
            failed[event.step_key] = _failure(event, at)
        elif event.event_type == dg.DagsterEventType.STEP_SUCCESS:
            succeeded[event.step_key] = at
        elif event.step_key.startswith("landing__") and _wrote(event):
            landed.append(Landed(f"{run.run_id} {event.step_key}", at))
    composed = [
        Composition(run.run_id, started[step], at)
        for step, at in succeeded.items()
        if step == _CUSTOMERS and step in started
    ]
    began = _moment(record.start_time) if record.start_time else None
    ended = _moment(record.end_time) if record.end_time else record.update_timestamp.replace(tzinfo=dt.timezone.utc)
    finished = FinishedRun(run.run_id, run.job_name, run.status.value, began, ended, failed, succeeded)
    return _Ended(finished, results, landed, composed)


def _wrote(event: Any) -> bool:
    """Whether a landing changed something."""
    written = event.step_materialization_data.materialization.metadata.get(WRITTEN)
    return written is not None and bool(written.value)


def _failure(event: Any, at: dt.datetime) -> StepFailure:
    """Only what our own errors say is passed on; anything else may quote a row."""
    data = event.step_failure_data
    told = data.user_failure_data
    if told is not None and ERROR_CLASS in (told.metadata or {}):
        return StepFailure(str(told.metadata[ERROR_CLASS].value), told.description or "", at)
    raised = data.error
    while raised is not None and raised.cause is not None:
        raised = raised.cause
    return StepFailure(raised.cls_name or "an error" if raised else "an error", "", at)


def _result(evaluation: Any, run_id: str, at: dt.datetime, watched: Watched) -> CheckResult:
    return CheckResult(
        asset=evaluation.asset_key.to_user_string(),
        check=evaluation.check_name,
        passed=evaluation.passed,
        severity="error" if evaluation.severity == dg.AssetCheckSeverity.ERROR else "warning",
        sentence=evaluation.description or "",
        at=at,
        owners=watched.owners.get(evaluation.asset_key, ()),
        figures=numbers({name: value.value for name, value in evaluation.metadata.items()}),
        run_id=run_id,
    )


def _checks(watched: Watched, store: Store, queues: list[Source], now: dt.datetime) -> Iterator[Condition]:
    """The failing checks; dead letters are told by what the sensor sees of them, which is newer."""
    seen = {landing_key(s).to_user_string() for s in queues if s.queue.dead_letters}
    forget_undefined(store, watched.checks, now)
    for state in failing_checks(store, watched.checks):
        if state["check"] == DEAD_LETTERS and state["asset"] in seen and state["figures"]:
            continue
        owners = state["owners"] or watched.owners.get(dg.AssetKey(state["asset"].split("/")), ())
        yield check_condition({**state, "owners": owners})


def _freshness(instance: dg.DagsterInstance, watched: Watched, now: dt.datetime) -> Iterator[Condition]:
    """What Dagster's freshness daemon found too old."""
    states = instance.get_freshness_state_records(watched.with_freshness)
    stale = {key: r for key, r in states.items() if r.freshness_state in (FreshnessState.FAIL, FreshnessState.WARN)}
    records = (
        {record.asset_entry.asset_key: record for record in instance.get_asset_records(list(stale))} if stale else {}
    )
    for key, state in sorted(stale.items()):
        asset = key.to_user_string()
        entry = records[key].asset_entry if key in records else None
        last = (
            _moment(entry.last_materialization_record.timestamp)
            if entry and entry.last_materialization_record
            else None
        )
        failed = state.freshness_state == FreshnessState.FAIL
        age = (
            f"It was last brought up to date {(now - last).total_seconds() / 3600:,.1f} h ago"
            if last
            else "It is out of date"
        )
        yield Condition(
            id=f"freshness {asset}",
            kind="freshness",
            severity="error" if failed else "warning",
            title=f"{asset} is {'out of date' if failed else 'nearly out of date'}",
            sentence=f"{age}, {'longer' if failed else 'nearly longer'} than its freshness policy allows.",
            owners=watched.owners.get(key, ()),
            page=f"/assets/{asset}",
            mend=f"sv run --select {asset}",
            figures={"hours_since_update": round((now - last).total_seconds() / 3600, 1)} if last else {},
            since=state.updated_at,
        )


def _look_of(instance: dg.DagsterInstance, source: Source) -> QueueLook:
    """What the queue's sensor observed last, on the assets of the queue and of its dead letters."""
    seen, at = _observed(instance, legacy_key(source))
    dead, dead_at = _observed(instance, dead_letters_key(source)) if source.queue.dead_letters else ({}, None)
    return QueueLook(
        source.key,
        at=at,
        waiting=seen.get("waiting"),
        in_flight=seen.get("in_flight"),
        oldest_seconds=seen.get("oldest_message_seconds"),
        dead_letters=dead.get("waiting"),
        dead_letters_at=dead_at,
    )


def _observed(instance: dg.DagsterInstance, key: dg.AssetKey) -> tuple[Mapping[str, Any], dt.datetime | None]:
    """The newest observation that counts messages; runs observe the queue too, and count none."""
    for record in instance.fetch_observations(key, limit=5).records:
        observation = record.asset_observation
        if observation is not None and "waiting" in observation.metadata:
            return {name: value.value for name, value in observation.metadata.items()}, _moment(record.timestamp)
    return {}, None


def _moment(seconds: float) -> dt.datetime:
    return to_milliseconds(dt.datetime.fromtimestamp(seconds, dt.timezone.utc))
