"""When jobs run by themselves."""

import dagster as dg

from sv_assets.components.queue_sensor import UNDER_WAY
from sv_assets.defs.automation.jobs import RUN_CONFIG, full_rebuild, incremental_now


def _unless_under_way(context: dg.ScheduleEvaluationContext, wanted: str) -> dg.RunRequest | dg.SkipReason:
    """A first load may take hours; the ticks in between would only pile up behind it."""
    for job in (incremental_now, full_rebuild):
        if context.instance.get_runs(dg.RunsFilter(job_name=job.name, statuses=UNDER_WAY), limit=1):
            return dg.SkipReason(f"A run of {job.name} is under way.")
    return dg.RunRequest(run_config=RUN_CONFIG[wanted])


@dg.schedule(
    job=incremental_now,
    cron_schedule="*/15 * * * *",
    execution_timezone="Europe/London",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def incremental_every_quarter_of_an_hour(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Lands and composes what changed, every quarter of an hour."""
    return _unless_under_way(context, incremental_now.name)


@dg.schedule(
    job=full_rebuild,
    cron_schedule="0 2 * * 0",
    execution_timezone="Europe/London",
    default_status=dg.DefaultScheduleStatus.STOPPED,
)
def full_rebuild_on_sunday_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Reads and composes everything again, on Sundays at two."""
    return _unless_under_way(context, full_rebuild.name)
