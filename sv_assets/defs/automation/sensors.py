"""What is asked for by itself."""

import dagster as dg

from sv_assets.components.keys import CONSUMERS, STATIONS

stations_follow = dg.AutomationConditionSensorDefinition(
    "stations_follow",
    target=dg.AssetSelection.assets(*STATIONS).without_checks(),
    description="Lets what has landed flow through the stations to the customers, in one run at a time.",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=5,
    run_tags={"dagster/max_runtime": str(24 * 3_600)},
)

stations_are_checked = dg.AutomationConditionSensorDefinition(
    "stations_are_checked",
    target=dg.AssetSelection.checks_for_assets(*STATIONS),
    description="Checks what the stations have written since it was checked last, apart from them: a change waits for no check that blocks nothing.",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=120,
    run_tags={"dagster/max_runtime": str(2 * 3_600)},
)

consumers_follow = dg.AutomationConditionSensorDefinition(
    "consumers_follow",
    target=dg.AssetSelection.groups(*CONSUMERS),
    description="Lets what changed in the customers and orders flow on to the teams that use them, apart from the stations, and less often, because their runs take from the stations what a machine has.",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=120,
    run_tags={"dagster/max_runtime": str(24 * 3_600)},
)
