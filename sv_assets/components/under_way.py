"""What runs are at work on, and how long to wait after runs that failed: what every sensor asks before it requests one."""

import time
from collections.abc import Iterable, Mapping

import dagster as dg

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 1_800.0
"""Seconds to wait after one failed run, and at most: twice as many for each that failed in a row."""
_RANGE_TAGS = ("dagster/partition", "dagster/asset_partition_range_start")
_LOOKED_AT = 20


def assets_under_way(instance: dg.DagsterInstance) -> list[frozenset[dg.AssetKey]]:
    """Of each run under way that goes on from bookmarks, what it will materialise. Backfills by partition stand beside it."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    return [_assets_of(instance, run) for run in runs if not any(tag in run.tags for tag in _RANGE_TAGS)]


def _assets_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> frozenset[dg.AssetKey]:
    if run.asset_selection is not None:
        return frozenset(run.asset_selection)
    return _planned(instance, run.execution_plan_snapshot_id) if run.execution_plan_snapshot_id else frozenset()


def _planned(instance: dg.DagsterInstance, plan_id: str) -> frozenset[dg.AssetKey]:
    plan = instance.get_execution_plan_snapshot(plan_id)
    keys = (o.properties.asset_key for step in plan.steps for o in step.outputs if o.properties)
    return frozenset(key for key in keys if key is not None)


def pauses(
    instance: dg.DagsterInstance, tags: Mapping[str, str], assets: Iterable[dg.AssetKey], now: float | None = None
) -> dict[dg.AssetKey, float]:
    """By asset, for how many seconds more it is to be left alone, where its last runs with these tags failed.

    One that succeeded in a run that failed for another's sake does not wait for that.
    """
    waiting = set(assets)
    failures: dict[dg.AssetKey, tuple[int, float]] = {}
    for record in instance.get_run_records(dg.RunsFilter(tags=dict(tags)), limit=_LOOKED_AT):
        run = record.dagster_run
        if run.status in UNDER_WAY or not waiting:
            continue
        concerned = waiting & (run.asset_selection or waiting)
        failed = set()
        if run.status == dg.DagsterRunStatus.FAILURE:
            failed = concerned - _materialized(instance, run.run_id)
        for key in failed:
            count, ended = failures.get(key, (0, record.end_time or 0.0))
            failures[key] = (count + 1, ended)
        waiting -= concerned - failed
    moment = time.time() if now is None else now
    until = {key: ended + min(FIRST_PAUSE * 2 ** (n - 1), LONGEST_PAUSE) for key, (n, ended) in failures.items()}
    return {key: end - moment for key, end in until.items() if end > moment}


_MATERIALIZED: dict[str, frozenset[dg.AssetKey]] = {}


def _materialized(instance: dg.DagsterInstance, run_id: str) -> frozenset[dg.AssetKey]:
    """What a finished run materialised; it never changes, so it is read once."""
    if run_id not in _MATERIALIZED:
        events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        keys = (event.get_dagster_event().asset_key for event in events)
        if len(_MATERIALIZED) > 10 * _LOOKED_AT:
            _MATERIALIZED.clear()
        _MATERIALIZED[run_id] = frozenset(key for key in keys if key is not None)
    return _MATERIALIZED[run_id]
