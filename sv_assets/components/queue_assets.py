"""The assets of a queue: the queue and its dead letters (external), its landing, and its archive, a partition a day."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import dagster as dg

from sv_assets.catalogue.load import load_catalogue
from sv_assets.catalogue.source import Source
from sv_assets.components.keys import (
    RECEIVES_CHECK,
    archive_key,
    dead_letters_key,
    landing_key,
    legacy_key,
    path_of,
    pool_of,
)
from sv_assets.components.landing_assets import common_of, described, metadata_of, observe_source
from sv_assets.components.lineage import COLUMN_SCHEMA, located
from sv_assets.components.recording import recorded, shown
from sv_assets.components.run_history import history_of_landing
from sv_assets.components.source_checks import checked_landing, landing_check_specs
from sv_assets.components.station import RETRIES, explained_failures
from sv_assets.components.steps import asset_step
from sv_assets.errors import SvError
from sv_assets.mongo import explained_mongo_errors
from sv_assets.quality.result import Result
from sv_assets.quality.results import record
from sv_assets.resources import MongoResource
from sv_assets.sources.records import Window

if TYPE_CHECKING:
    from sv_assets.landing.land import LandingReport

log = logging.getLogger(__name__)
_ARCHIVED = dg.TableSchema(
    [
        dg.TableColumn("_id", "string", "Its message id."),
        dg.TableColumn("body", "any", "The body as it came, personal data and all.", tags={"pii": "sensitive"}),
        dg.TableColumn("sent_at", "date", "When it was sent, by the clock of SQS; the partition is its day."),
        dg.TableColumn("received_at", "date", "When a run received it."),
        dg.TableColumn("run_id", "string", "That run."),
        dg.TableColumn("key", "string", "The business key, as far as it is known.", tags={"pii": "contact"}),
        dg.TableColumn("event", "string", "The event type, as far as it is known."),
    ]
)


class QueueRunConfig(dg.Config):
    """How a queue is landed: until it is empty, or until one of these.

    `receivers`: how many ask at once; as declared, if not given.
    """

    stop_after_seconds: float = 600.0
    stop_after_messages: int | None = None
    receivers: int | None = None


def queue_assets(
    source: Source, said: Mapping[str, Any] | None = None, origin: Mapping[str, Any] | None = None
) -> list[dg.AssetsDefinition]:
    """Its landing, of which `said` is the `source_metadata`, and its archive; `origin` says where they are declared."""
    return [_landing(source, said), _archive(source, origin or {})]


def dead_letters_asset(source: Source, origin: Mapping[str, Any] | None = None) -> dg.AssetSpec:
    """The queue to which SQS moves what was received too often; the sensor of its queue observes it."""
    return dg.AssetSpec(
        dead_letters_key(source),
        deps=[legacy_key(source)],
        description=f"What could not be landed from {source.name} for long. `sv queues inspect` and `redrive` look after it.",
        group_name=f"legacy_{source.system}",
        kinds={"aws", "sqs"},
        owners=source.declared_in.owners,
        metadata={
            "declared name": source.queue.dead_letters or "",
            "dagster/uri": f"sqs://{source.system}/{quote(source.queue.dead_letters or '')}",
            "dagster/table_name": f"{source.system}.{source.queue.dead_letters}",
            **(origin or {}),
        },
    )


def archive_partitions(source: Source) -> dg.DailyPartitionsDefinition:
    """The days on which messages were sent, by the clock of SQS, in UTC."""
    return dg.DailyPartitionsDefinition(start_date=source.queue.archive.start.isoformat(), timezone="UTC", end_offset=1)


def _landing(source: Source, said: Mapping[str, Any] | None) -> dg.AssetsDefinition:
    declared = source.queue
    spec = dg.AssetSpec(
        **common_of(source),
        description=f"{declared.description or source.name} Newest version per {declared.key}.",
        kinds={"sqs", "mongodb"},
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=declared.freshness, warn_window=declared.freshness / 2
        ),
        metadata={
            **described(source, said),
            "key": declared.key,
            "version": declared.version,
        },
    )
    check = dg.AssetCheckSpec(
        RECEIVES_CHECK,
        asset=landing_key(source),
        description="No message has been received nearly as often as SQS allows before it makes a dead letter of it.",
    )

    def landing(context: dg.AssetExecutionContext, config: QueueRunConfig) -> dg.MaterializeResult[Any]:
        from sv_assets.landing.land import LandingReport
        from sv_assets.landing.land_queue import land_queue
        from sv_assets.sources.sqs.receive import Bounds

        mongo: MongoResource = context.resources.mongo
        report = LandingReport(source.key)
        try:
            with explained_failures(), mongo.store() as store:
                bounds = Bounds(config.stop_after_seconds, config.stop_after_messages, config.receivers)
                land_queue(store, load_catalogue(), source, context.run.run_id, bounds=bounds, report=report)
                row_count = store.landing[source.key].estimated_document_count()
                history = history_of_landing(store, context, source, report, row_count)
                found = _receives_check(source, report)
                checked = recorded(store, [found], context.run.run_id, source.declared_in.owners)
        except BaseException:
            if report.findings.warnings:  # most needed where runs fail, and receive the same messages again and again
                context.instance.report_runless_asset_event(_as_evaluation(shown(_receives_check(source, report))))
                _keep_all_the_same(mongo, source, report, context.run.run_id)
            raise
        finally:
            _report_days(context, source, report)
        observe_source(context, source, report)
        return dg.MaterializeResult(metadata=metadata_of(source, report, row_count) | history, check_results=checked)

    more, evaluate = landing_check_specs(source), partial(checked_landing, source)
    return asset_step(spec, check, QueueRunConfig, pool_of(source), landing, more=more, evaluate=evaluate)


def _archive(source: Source, origin: Mapping[str, Any]) -> dg.AssetsDefinition:
    key = archive_key(source)

    @dg.asset(
        **{**common_of(source), "key": key},
        retry_policy=RETRIES,
        description=(
            f"Every message of {source.name} whole, by the day it was sent, for {source.queue.archive.keep.days} days. The "
            f"landing of the queue fills it. Materialise days here to land them again, into landing.{source.key}."
        ),
        kinds={"mongodb"},
        partitions_def=archive_partitions(source),
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={**located(f"archive/{source.key}"), COLUMN_SCHEMA: _ARCHIVED, **origin},
    )
    def archive(context: dg.AssetExecutionContext, mongo: MongoResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from sv_assets.landing.land_queue import replay_queue

        span = context.partition_time_window
        with explained_failures(), mongo.store() as store:
            report = replay_queue(store, load_catalogue(), source, context.run.run_id, Window(span.start, span.end))
            row_count = store.archive[source.key].estimated_document_count()
            shown = history_of_landing(store, context, source, report, row_count)
        found = metadata_of(source, report, row_count) | shown
        return dg.MaterializeResult(metadata={**found, "dagster/uri": f"mongodb://archive/{source.key}"})

    return archive


def _report_days(context: dg.AssetExecutionContext, source: Source, report: "LandingReport") -> None:
    """The days of the archive to which this run added, so that the UI shows them as filled."""
    known = set(archive_partitions(source).get_partition_keys())
    for day, count in sorted(report.days.items()):
        if day in known:
            context.log_event(
                dg.AssetMaterialization(archive_key(source), partition=day, metadata={"messages_added": count})
            )


def _keep_all_the_same(mongo: MongoResource, source: Source, report: "LandingReport", run_id: str) -> None:
    """Keeps the result of a run that failed, unless MongoDB is what it failed by: the error that is raised says it."""
    try:
        with explained_mongo_errors(), mongo.store() as store:
            record(store, [_receives_check(source, report)], run_id, source.declared_in.owners)
    except SvError as error:
        log.warning("The result of %s could not be kept: %s", RECEIVES_CHECK, error)


def _receives_check(source: Source, report: "LandingReport") -> Result:
    most = report.findings.figures.get("most_receives_of_a_message", 0)
    seen = f"{report.outcome.read:,} messages were received, none more than {most} times."
    sentence = " ".join(report.findings.warnings) or (report.stopped if not report.outcome.read else "") or seen
    return Result(
        RECEIVES_CHECK, path_of(source), not report.findings.warnings, sentence, {"most_receives_of_a_message": most}
    )


def _as_evaluation(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """The result of a check as an event of its own, for a step that ends with an error."""
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
    )
