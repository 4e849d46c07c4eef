"""When jobs run by themselves."""

import dagster as dg

from sv_assets.defs.automation.jobs import full_rebuild, incremental_now

every_quarter_of_an_hour = dg.ScheduleDefinition(
    name="incremental_every_quarter_of_an_hour",
    job=incremental_now,
    cron_schedule="*/15 * * * *",
    execution_timezone="Europe/London",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

every_sunday_night = dg.ScheduleDefinition(
    name="full_rebuild_on_sunday_night",
    job=full_rebuild,
    cron_schedule="0 2 * * 0",
    execution_timezone="Europe/London",
    default_status=dg.DefaultScheduleStatus.STOPPED,
)
