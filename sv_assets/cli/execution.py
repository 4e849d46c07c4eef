"""Running a Dagster job in this process, with progress on the terminal, recorded in the instance that the UI shows."""

import logging
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import psutil

from sv_assets.alerts.runs import AUDIT
from sv_assets.cli.output import errors
from sv_assets.components.station import ERROR_CLASS, WRITTEN
from sv_assets.errors import ConfigurationError
from sv_assets.launcher import PROCESS_TAG
from sv_assets.settings import PROJECT_ROOT


@dataclass
class RunResult:
    """What a job run did: by asset its metadata and seconds, the check results, and what failed in one sentence each."""

    run_id: str
    success: bool
    seconds: float
    assets: dict[str, dict[str, Any]] = field(default_factory=dict)
    asset_seconds: dict[str, float] = field(default_factory=dict)
    check_seconds: float = 0.0
    checks: list[tuple[str, str, bool, bool, str]] = field(default_factory=list)
    """(asset, check, passed, is an error, sentence)"""
    failures: list[tuple[str, str]] = field(default_factory=list)
    configuration_is_wrong: bool = False


def execute(job_name: str, selection: list[str] | None = None, partitions: str | None = None) -> RunResult:
    """Run a job (or the named assets of it, or some of their partitions) to its end. Failures are in the result, not raised."""
    os.chdir(PROJECT_ROOT)  # dagster.yaml names its folders from here
    os.environ.setdefault("DAGSTER_HOME", str(PROJECT_ROOT))
    from sv_assets.definitions import defs

    definitions = defs()
    repository = definitions.get_repository_def()
    jobs = sorted(name for name in repository.job_names if not name.startswith("__"))
    if job_name not in jobs:
        raise ConfigurationError(f"There is no job {job_name}. There are: {', '.join(jobs)}.")
    # A backfill, of the UI too, is no run of a job that is declared, and may be of assets that stand in none.
    job = repository.get_job("__ASSET_JOB" if partitions else job_name)
    declared = dict(job.run_config or {})
    if selection:
        keys = {dg.AssetKey(name.split("/")) for name in selection}
        known = job.asset_layer.executable_asset_keys
        if unknown := keys - set(known):
            name = unknown.pop().to_user_string()
            raise ConfigurationError(
                f"{job_name} has no asset {name}. It has: {', '.join(sorted(k.to_user_string() for k in known))}."
            )
        checks = {check for check in repository.asset_graph.asset_check_keys if check.asset_key in keys}
        job = job.get_subset(asset_selection=keys, asset_check_selection=checks)
        steps = {key.to_python_identifier() for key in keys}
        run_config = {"ops": {step: config for step, config in declared.get("ops", {}).items() if step in steps}}
    else:
        run_config = declared
    chosen = _chosen(repository.asset_graph, selection or (), partitions) if partitions else {}
    run_id = str(uuid.uuid4())
    (PROJECT_ROOT / ".local" / "dagster").mkdir(parents=True, exist_ok=True)
    with dg.DagsterInstance.get() as instance:
        limit_pools(instance)
        _close_runs_of_dead_processes(instance)
        started = time.monotonic()
        with _progress(instance, run_id), _quiet():
            outcome = job.execute_in_process(
                instance=instance,
                run_id=run_id,
                raise_on_error=False,
                run_config={**run_config, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                tags={PROCESS_TAG: f"{os.getpid()}:{psutil.Process().create_time()}", **chosen},
            )
        return _collect(outcome, run_id, time.monotonic() - started)


def _chosen(graph: Any, selection: Iterable[str], partitions: str) -> dict[str, str]:
    """The tags by which a run knows its partitions: `2026-11-22..2026-11-24`, or a single one."""
    keys = [dg.AssetKey(name.split("/")) for name in selection]
    if not keys:
        raise ConfigurationError("--partitions needs --select: say of which asset.")
    first, _, last = partitions.partition("..")
    for key in keys:
        defined = graph.get(key).partitions_def
        if defined is None:
            raise ConfigurationError(f"{key.to_user_string()} has no partitions. Leave out --partitions.")
        known = defined.get_partition_keys()
        unknown = [name for name in (first, last or first) if name not in known]
        if unknown:
            raise ConfigurationError(
                f"{key.to_user_string()} has no partition {unknown[0]}; it has {known[0]} to {known[-1]}. A range is {known[0]}..{known[-1]}."
            )
        if known.index(first) > known.index(last or first):
            raise ConfigurationError(f"{partitions} ends before it begins.")
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}


def _collect(outcome: dg.ExecuteInProcessResult, run_id: str, seconds: float) -> RunResult:
    result = RunResult(run_id, outcome.success, seconds)
    spent: dict[str, float] = {}
    step_of: dict[str, str] = {}
    for event in outcome.all_events:
        step = event.step_key or ""
        if event.is_step_materialization and event.asset_key:
            metadata = event.step_materialization_data.materialization.metadata
            if event.partition is not None and WRITTEN not in metadata:
                continue  # says only that a partition was landed, too
            asset = event.asset_key.to_user_string()
            result.assets[asset] = {name: value.value for name, value in metadata.items()}
            step_of[asset] = step
        elif event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            sentence = (failure.description if failure else None) or _first_line(event.step_failure_data.error)
            result.failures.append((step, sentence))
            if (
                failure
                and failure.metadata.get(ERROR_CLASS)
                and failure.metadata[ERROR_CLASS].value == "ConfigurationError"
            ):
                result.configuration_is_wrong = True
        elif event.is_step_success:
            spent[step] = event.step_success_data.duration_ms / 1000
    result.asset_seconds = {asset: spent.get(step, 0.0) for asset, step in step_of.items()}
    result.check_seconds = sum(spent[step] for step in spent.keys() - step_of.values())
    for evaluation in outcome.get_asset_check_evaluations():
        is_error = evaluation.severity == dg.AssetCheckSeverity.ERROR
        asset = evaluation.asset_key.to_user_string()
        result.checks.append((asset, evaluation.check_name, evaluation.passed, is_error, evaluation.description or ""))
    return result


def _first_line(error: Any) -> str:
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip().splitlines()[0] if error else "failed without a message"


@contextmanager
def _quiet() -> Iterator[None]:
    """Dagster's own warnings about previews and telemetry say nothing to who runs a command."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _progress(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Says what is being worked on: a status line on a terminal, one line a finished step elsewhere."""
    stop = threading.Event()
    status = errors.status("starting") if errors.is_terminal else None

    class ShowProgress(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            if status:
                status.update(message)
            else:
                errors.print(f"  {message}", markup=False)

    def watch() -> None:
        cursor = None
        of_types = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}
        while not stop.wait(0.5):
            connection = instance.get_records_for_run(run_id, cursor=cursor, of_type=of_types)
            cursor = connection.cursor
            for record in connection.records:
                event = record.event_log_entry.get_dagster_event()
                step = (event.step_key or "").replace("__", "/")
                if event.is_step_start and status:
                    status.update(step)
                elif event.is_step_success and not step.startswith(AUDIT):
                    errors.print(f"  [green]done[/] {step} [dim]{event.step_success_data.duration_ms / 1000:.1f} s[/]")
                elif event.is_step_failure:
                    errors.print(f"  [red]failed[/] {step}")

    handler = ShowProgress(logging.INFO)
    logger = logging.getLogger("sv_assets")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    if status:
        status.start()
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join(timeout=5)
        if status:
            status.stop()
        logger.removeHandler(handler)
        logger.setLevel(level)


def limit_pools(instance: dg.DagsterInstance) -> None:
    """As many runs at once may read a system as its `max_connections` says."""
    from sv_assets.catalogue import load_catalogue

    for source in load_catalogue().sources:
        if not source.is_queue:
            pool = f"legacy_{source.system}"
            instance.event_log_storage.set_concurrency_slots(pool, source.sql_system.max_connections)


def _close_runs_of_dead_processes(instance: dg.DagsterInstance) -> None:
    """A killed `sv run` leaves its run as started; the next one on this machine says that it ended."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        tag = run.tags.get(PROCESS_TAG)
        if tag and not _is_alive(tag):
            instance.report_run_failed(
                run, "The process that ran this was ended from outside. Run the job again to go on."
            )


def _is_alive(tag: str) -> bool:
    pid, _, created = tag.partition(":")
    try:
        return bool(abs(psutil.Process(int(pid)).create_time() - float(created)) < 1.0)
    except psutil.NoSuchProcess:
        return False
