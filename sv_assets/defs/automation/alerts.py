"""Somebody who looks at everything every half minute, and tells those whose it is. Declared in alerts.yaml."""

import dagster as dg

from sv_assets.alerts.settings import load_alert_settings
from sv_assets.alerts.without_store import THERE, away_of, tell_away, tell_back
from sv_assets.components.watching import look, watched_in
from sv_assets.errors import SvError, TransientError
from sv_assets.mongo import explained_mongo_errors, now_in_milliseconds
from sv_assets.resources import MongoResource


@dg.sensor(
    name="alerts",
    description="Keeps alerts in line with failed runs, checks, freshness, dead letters and backlogs, and sends them.",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def alerts(context: dg.SensorEvaluationContext, mongo: MongoResource) -> dg.SensorResult:
    assert context.repository_def is not None, "the daemon evaluates sensors with their repository"
    away = away_of(context.cursor)
    try:
        settings = load_alert_settings()
        with explained_mongo_errors(), mongo.store() as store:
            store.client.admin.command("ping")
            found = look(context.instance, watched_in(context.repository_def), store, settings)
    except TransientError as error:
        context.log.warning(str(error))
        cursor = tell_away(away, settings, now_in_milliseconds()).as_cursor()
        return dg.SensorResult(skip_reason=dg.SkipReason(str(error)), cursor=cursor)
    except SvError as error:
        return dg.SensorResult(skip_reason=dg.SkipReason(str(error)), cursor=context.cursor)
    left = tell_back(away, settings, now_in_milliseconds()) if away else None
    for alert in found.alerts:
        if alert.last_seen == alert.first_seen:
            context.log.warning(f"{alert.condition.title}: {alert.condition.sentence}")
    for channel, sentence in found.told.failed.items():
        context.log.warning(f"Alert channel {channel}: {sentence}")
    told = ", ".join(f"{count} to {channel}" for channel, count in sorted(found.told.told.items()))
    said = f"{len(found.alerts)} alerts are open. Told: {told or 'nothing new'}."
    return dg.SensorResult(skip_reason=dg.SkipReason(said), cursor=left.as_cursor() if left else THERE)
