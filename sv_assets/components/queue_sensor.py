"""A sensor that looks at a queue and requests a run when there is work and none is under way."""

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from sv_assets.catalogue.source import Source
from sv_assets.components.keys import checks_after_landing, dead_letters_key, landing_key, legacy_key
from sv_assets.components.under_way import assets_under_way, pauses
from sv_assets.errors import SvError
from sv_assets.landing.skip import why_closed

if TYPE_CHECKING:
    from sv_assets.sources.sqs.queue import Depth

QUEUE_TAG = "sv/queue"
MESSAGES_A_RECEIVER = 2_000
"""One receiver more for every so many waiting messages."""
SECONDS, LONGEST_SECONDS = 600, 3_600
GRACE_SECONDS = 600
"""How long a run may take beyond its deadline; a run whose host is gone ends by that."""
LOOK_SECONDS = 5
SHOWN_EVERY_SECONDS = 60.0
OLDEST = "oldest_message_seconds"
MESSAGES_A_SECOND = 100
"""What a run gets through at least; a burst gets the seconds it needs by that."""


@dataclass(frozen=True)
class Look:
    """What a tick saw: how many messages wait, and for how many seconds the oldest at least."""

    depth: "Depth"
    oldest: float


def queue_sensor(source: Source) -> dg.SensorDefinition:
    """Drains the queue; what follows from it is pulled by the stations' own conditions. Depth and age are shown on the
    queue's own asset: each minute, and whenever they change.

    A run is requested once after each one that ended: its run key names that one, so a tick that is evaluated twice
    starts one run, and a cursor that is reset changes nothing but the age that is shown.
    """

    @dg.sensor(
        name=f"{source.system}_{source.slug}_depth",
        description=f"Requests a run when messages wait in {source.name} and no run drains it; a larger one in a burst.",
        asset_selection=dg.AssetSelection.assets(landing_key(source))
        | dg.AssetSelection.checks(*checks_after_landing(source)),
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def depth(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        if closed := why_closed(source):
            return dg.SensorResult(skip_reason=dg.SkipReason(closed))
        last = next(iter(context.instance.get_run_records(dg.RunsFilter(tags={QUEUE_TAG: source.key}), limit=1)), None)
        status = last.dagster_run.status if last else None
        emptied_at = (last.end_time or 0.0) if last and status == dg.DagsterRunStatus.SUCCESS else 0.0
        try:
            look, waiting_since = _look(source, context.cursor, emptied_at)
            events = [_observation(source, look), *_dead_letters_observed(context, source)]
        except SvError as error:
            return dg.SensorResult(skip_reason=dg.SkipReason(str(error)))
        events, shown = _worth_showing(context.cursor, events, look)
        cursor = json.dumps({"waiting_since": waiting_since, **shown})
        skip = None
        if look.depth.visible == 0:
            skip = "No message waits."
        elif any(landing_key(source) in run for run in assets_under_way(context.instance)):
            skip = f"{look.depth.visible:,} messages wait, and a run is under way."
        elif pause := pauses(context.instance, {QUEUE_TAG: source.key}, [landing_key(source)]):
            # Each of them receives messages again, and SQS counts that towards their redrive limit.
            seconds = pause[landing_key(source)]
            skip = f"{look.depth.visible:,} messages wait; the last runs failed, and the next may start in {seconds:.0f} s."
        if skip:
            return dg.SensorResult(skip_reason=dg.SkipReason(skip), asset_events=events, cursor=cursor)
        config = run_config(source, look)
        request = dg.RunRequest(
            run_key=f"{source.key} after {last.dagster_run.run_id if last else 'none'}",
            asset_selection=[landing_key(source)],
            asset_check_keys=checks_after_landing(source),
            tags={QUEUE_TAG: source.key, "dagster/max_runtime": str(int(config["stop_after_seconds"]) + GRACE_SECONDS)},
            run_config={"ops": {landing_key(source).to_python_identifier(): {"config": config}}},
        )
        return dg.SensorResult(run_requests=[request], asset_events=events, cursor=cursor)

    return depth


def run_config(source: Source, look: Look) -> dict[str, Any]:
    """The size of the run that this much work needs: receivers up to `max_receivers`, all of them where the oldest
    message has waited half as long as the queue may be late, and seconds up to an hour."""
    declared = source.queue
    wanted = -(-look.depth.visible // MESSAGES_A_RECEIVER)
    if look.oldest > declared.freshness.total_seconds() / 2:
        wanted = declared.max_receivers
    most = max(declared.receivers, declared.max_receivers)
    return {
        "receivers": min(max(declared.receivers, wanted), most),
        "stop_after_seconds": float(min(max(SECONDS, look.depth.visible // MESSAGES_A_SECOND), LONGEST_SECONDS)),
    }


def _look(source: Source, cursor: str | None, emptied_at: float) -> tuple[Look, float | None]:
    """What is there now, and since when messages have been seen to wait, which goes into the cursor.

    Where CloudWatch does not say how old the oldest message is, it is at least as old as the time for which every tick
    has found some, since the last run that ended well.
    """
    from sv_assets.sources.sqs.queue import Queue

    queue = Queue(source)
    depth = queue.depth()
    now = time.time()
    if depth.visible == 0:
        return Look(depth, 0.0), None
    since = (json.loads(cursor).get("waiting_since") if cursor else None) or now
    since = max(since, emptied_at)
    told = queue.oldest_age()
    return Look(depth, now - since if told is None else told), since


def _worth_showing(
    cursor: str | None, events: list[dg.AssetObservation], look: Look
) -> tuple[list[dg.AssetObservation], dict[str, Any]]:
    """The observations, if messages wait, or they differ from those shown last, or that was a minute ago; and what to
    remember of them."""
    numbers = [value.value for event in events for name, value in event.metadata.items() if name != OLDEST]
    known = json.loads(cursor) if cursor else {}
    if (
        not look.depth.visible
        and known.get("shown") == numbers
        and time.time() - known.get("shown_at", 0.0) < SHOWN_EVERY_SECONDS
    ):
        return [], {"shown": numbers, "shown_at": known["shown_at"]}
    return events, {"shown": numbers, "shown_at": time.time()}


def _observation(source: Source, look: Look) -> dg.AssetObservation:
    depth = look.depth
    return dg.AssetObservation(
        legacy_key(source),
        metadata={
            "waiting": depth.visible,
            "in_flight": depth.in_flight,
            "delayed": depth.delayed,
            OLDEST: round(look.oldest, 1),
        },
    )


def _dead_letters_observed(context: dg.SensorEvaluationContext, source: Source) -> list[dg.AssetObservation]:
    """None where they cannot be looked at, which is no reason to leave the queue alone; a check says it too."""
    if source.queue.dead_letters is None:
        return []
    from sv_assets.sources.sqs.queue import Queue

    try:
        waiting = Queue(source, source.queue.dead_letters).depth().total
    except SvError as error:
        context.log.warning(str(error))
        return []
    return [dg.AssetObservation(dead_letters_key(source), metadata={"waiting": waiting})]
