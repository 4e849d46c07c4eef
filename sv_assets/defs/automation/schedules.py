"""When jobs run by themselves."""

from collections.abc import Iterator

import dagster as dg

from sv_assets.catalogue.source import Source, needs_reconciliation
from sv_assets.components.keys import DELETES_CHECK, checks_after_landing, landing_key, reconciliation_key
from sv_assets.components.table_sensor import RUN_SECONDS, SYSTEM_TAG
from sv_assets.components.under_way import UNDER_WAY, assets_under_way
from sv_assets.defs.automation.jobs import (
    CATALOGUE,
    audits,
    fraud_retraining,
    full_rebuild,
    incremental_now,
    read_tables,
)
from sv_assets.landing.skip import why_closed


@dg.schedule(
    job=read_tables,
    cron_schedule="*/15 * * * *",
    execution_timezone="Europe/London",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def incremental_every_quarter_of_an_hour(
    context: dg.ScheduleEvaluationContext,
) -> list[dg.RunRequest] | dg.SkipReason:
    """Reads every table from its bookmark, a run a system: what a look cannot tell, deleted rows among it."""
    requests: list[dg.RunRequest] = []
    left: list[str] = []
    busy = frozenset[dg.AssetKey]().union(*assets_under_way(context.instance))
    for system, tables in _by_system():
        keys = [landing_key(s) for s in tables]
        if closed := why_closed(tables[0]):
            left.append(closed)
        elif busy.intersection(keys):  # a first load may take hours; the ticks in between would only pile up behind it
            left.append(f"A run that reads {system} is under way.")
        else:
            deletes = [reconciliation_key(s) for s in tables if needs_reconciliation(s)]
            checks = [check for s in tables for check in checks_after_landing(s)]
            requests.append(
                dg.RunRequest(
                    run_key=f"{system} {context.scheduled_execution_time.isoformat()}",
                    asset_selection=[*keys, *deletes],
                    asset_check_keys=[*checks, *(dg.AssetCheckKey(key, DELETES_CHECK) for key in deletes)],
                    tags={SYSTEM_TAG: system, "dagster/max_runtime": str(RUN_SECONDS)},
                )
            )
    for sentence in left:
        context.log.info(sentence)
    return requests or dg.SkipReason(" ".join(left) or "No table is declared.")


def _by_system() -> Iterator[tuple[str, list[Source]]]:
    tables = [s for s in CATALOGUE.sources if not s.is_queue and not s.table.vanished]
    for system in sorted({s.system for s in tables}):
        yield system, [s for s in tables if s.system == system]


@dg.schedule(
    job=audits,
    cron_schedule="20 * * * *",
    execution_timezone="Europe/London",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def audits_every_hour(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Compares what has landed with the sources, every hour; a source in its quiet hours is left out by its checks."""
    return _unless_under_way(context, audits.name)


@dg.schedule(
    job=full_rebuild,
    cron_schedule="0 2 * * 0",
    execution_timezone="Europe/London",
    default_status=dg.DefaultScheduleStatus.STOPPED,
)
def full_rebuild_on_sunday_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Reads and composes everything again, on Sundays at two."""
    return _unless_under_way(context, full_rebuild.name, incremental_now.name)


@dg.schedule(
    job=fraud_retraining,
    cron_schedule="30 3 * * 1",
    execution_timezone="Europe/London",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def fraud_retraining_on_monday_morning(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Trains the fraud model anew, on Mondays at half past three."""
    return _unless_under_way(context, fraud_retraining.name, full_rebuild.name)


def _unless_under_way(context: dg.ScheduleEvaluationContext, *jobs: str) -> dg.RunRequest | dg.SkipReason:
    for job in jobs:
        if context.instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNDER_WAY), limit=1):
            return dg.SkipReason(f"A run of {job} is under way.")
    return dg.RunRequest()
