"""A sensor that looks at a queue's depth and requests a run when there is work and none is under way."""

import dagster as dg

from sv_assets.catalogue.source import Source
from sv_assets.components.landing_assets import landing_key, legacy_key
from sv_assets.errors import SvError
from sv_assets.sources.queue import Queue

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
QUEUE_TAG = "sv/queue"


def queue_sensor(source: Source) -> dg.SensorDefinition:
    """Drains the queue and lets what it changed flow to the customers. Its depth is shown on the queue's own asset.

    A run is requested once after each one that ended: its run key names that one, so a tick that is evaluated twice
    starts one run, and a cursor that is reset changes nothing.
    """

    @dg.sensor(
        name=f"{source.system}_{source.slug}_depth",
        description=f"Requests a run when messages wait in {source.name} and no run drains it.",
        target=dg.AssetSelection.assets(landing_key(source)).downstream(),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def depth(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            found = Queue(source).depth()
        except SvError as error:
            return dg.SensorResult(skip_reason=dg.SkipReason(str(error)))
        observation = dg.AssetObservation(
            legacy_key(source),
            metadata={"waiting": found.visible, "in_flight": found.in_flight, "delayed": found.delayed},
        )
        last = next(iter(context.instance.get_runs(dg.RunsFilter(tags={QUEUE_TAG: source.key}), limit=1)), None)
        skip = None
        if found.visible == 0:
            skip = "No message waits."
        elif last and last.status in UNDER_WAY:
            skip = f"{found.visible:,} messages wait, and a run is under way."
        if skip:
            return dg.SensorResult(skip_reason=dg.SkipReason(skip), asset_events=[observation])
        run_key = f"{source.key} after {last.run_id if last else 'none'}"
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=run_key, tags={QUEUE_TAG: source.key})], asset_events=[observation]
        )

    return depth
