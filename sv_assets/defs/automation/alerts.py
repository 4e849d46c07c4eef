"""Somebody who looks at everything every half minute, and tells those whose it is. Declared in alerts.yaml."""

import dagster as dg

from sv_assets.alerts.settings import load_alert_settings
from sv_assets.components.watching import Watched, look
from sv_assets.errors import SvError
from sv_assets.mongo import explained_mongo_errors
from sv_assets.resources import MongoResource


@dg.sensor(
    name="alerts",
    description="Keeps alerts in line with failed runs, checks, freshness, dead letters and backlogs, and sends them.",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def alerts(context: dg.SensorEvaluationContext, mongo: MongoResource) -> dg.SkipReason:
    assert context.repository_def is not None, "the daemon evaluates sensors with their repository"
    try:
        with explained_mongo_errors(), mongo.store() as store:
            found = look(context.instance, Watched(context.repository_def), store, load_alert_settings())
    except SvError as error:
        return dg.SkipReason(str(error))
    for alert in found.alerts:
        if alert.last_seen == alert.first_seen:
            context.log.warning(f"{alert.condition.title}: {alert.condition.sentence}")
    for channel, sentence in found.told.failed.items():
        context.log.warning(f"Alert channel {channel}: {sentence}")
    told = ", ".join(f"{count} to {channel}" for channel, count in sorted(found.told.told.items()))
    return dg.SkipReason(f"{len(found.alerts)} alerts are open. Told: {told or 'nothing new'}.")
