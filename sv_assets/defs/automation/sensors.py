"""What is said about runs: checks that warn do not fail a run, so a sensor makes them heard."""

import dagster as dg


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    name="warn_of_failed_checks",
    description="Logs the failed checks of a run that succeeded all the same.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def warn_of_failed_checks(context: dg.RunStatusSensorContext) -> None:
    events = context.instance.all_logs(context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    for event in events:
        evaluation = event.get_dagster_event().asset_check_evaluation_data
        if not evaluation.passed:
            context.log.warning(
                f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}: {evaluation.description}"
            )
