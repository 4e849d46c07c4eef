"""The assets of a table: the legacy table itself (external), and its landing. What a queue shares with it, too."""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import dagster as dg

from sv_assets.catalogue.load import load_catalogue
from sv_assets.catalogue.source import Source
from sv_assets.components.keys import CAPTURE_CHECK, landing_key, legacy_key, path_of, pool_of
from sv_assets.components.lineage import (
    COLUMN_LINEAGE,
    COLUMN_SCHEMA,
    landed_schema,
    landing_lineage,
    located,
    source_metadata,
)
from sv_assets.components.quarantine_shown import capture_next
from sv_assets.components.recording import recorded
from sv_assets.components.run_history import history_of_landing
from sv_assets.components.source_checks import checked_landing, landing_check_specs
from sv_assets.components.station import WRITTEN, explained_failures
from sv_assets.components.steps import asset_step
from sv_assets.quality.result import Result
from sv_assets.resources import MongoResource
from sv_assets.sources.records import Window

if TYPE_CHECKING:
    from sv_assets.landing.land import LandingReport

PARTITIONS_REPORTED_BY_A_SCAN = 92
"""Dagster stores each partition as an event of its own, about a hundred a second on its SQLite storage."""


class TableRunConfig(dg.Config):
    """How a table is landed.

    `full`: read everything again, not only from the bookmark. `from_bookmark`: go on from the bookmark, whatever day the
    run was started for. `allow_deletes`: believe the source although more rows are gone than its `max_delete_share` (for
    tables that are reconciled apart, that is said to their reconciliation).
    """

    full: bool = False
    from_bookmark: bool = False
    allow_deletes: bool = False


def legacy_asset(
    source: Source, refers_to: Sequence[Source] = (), said: Mapping[str, Any] | None = None
) -> dg.AssetSpec:
    """Lineage starts in the legacy system: an external asset that landing observes.

    `refers_to` are the tables that its foreign keys point to, as far as lines between assets can show them. `said` is
    its `source_metadata`, for those who have it.
    """
    metadata: dict[str, Any] = {
        "declared name": source.name,
        "personal data": ", ".join(sorted(source.entry.pii)) or "none declared",
        "dagster/uri": f"{'sqs' if source.is_queue else 'sqlserver'}://{source.system}/{quote(source.name)}",
        "dagster/table_name": f"{source.system}.{source.name}",
        **(said or source_metadata(source)),
    }
    if not source.is_queue and source.table.foreign_keys:
        metadata["foreign keys"] = "; ".join(
            f"{', '.join(key.columns)} → {key.table} ({', '.join(key.key)})" for key in source.table.foreign_keys
        )
    return dg.AssetSpec(
        legacy_key(source),
        deps=[legacy_key(other) for other in refers_to],
        description=source.entry.description or f"{source.name} in {source.system}.",
        group_name=f"legacy_{source.system}",
        kinds={"aws", "sqs"} if source.is_queue else {"sqlserver"},
        owners=source.declared_in.owners,
        metadata=metadata,
    )


def foreign_key_lineage(sources: Sequence[Source]) -> dict[str, list[Source]]:
    """By source key, the sources its foreign keys point to, without those that would close a circle: assets form none."""
    by_name = {source.name.casefold(): source for source in sources if not source.is_queue}
    edges: dict[str, list[Source]] = {source.key: [] for source in sources}

    def leads_to(start: Source, goal: Source) -> bool:
        return start == goal or any(leads_to(other, goal) for other in edges[start.key])

    for source in by_name.values():
        for key in source.table.foreign_keys:
            other = by_name.get(key.table.casefold())
            if other is not None and other not in edges[source.key] and not leads_to(other, source):
                edges[source.key].append(other)
    return edges


def partitions_of(source: Source) -> dg.TimeWindowPartitionsDefinition | None:
    """Days or hours up to and including the present one, in the system's own time zone."""
    if source.table.partitions is None:
        return None
    declared = source.table.partitions
    zone = source.sql_system.time_zone
    if declared.by == "hour":
        start = f"{declared.start.isoformat()}-00:00"
        return dg.HourlyPartitionsDefinition(start_date=start, timezone=zone, end_offset=1)
    return dg.DailyPartitionsDefinition(start_date=declared.start.isoformat(), timezone=zone, end_offset=1)


def common_of(source: Source) -> dict[str, Any]:
    """What the landing of a table and of a queue have in common."""
    return {
        "key": landing_key(source),
        "deps": [legacy_key(source)],
        "group_name": f"landing_{source.system}",
        "owners": source.declared_in.owners,
    }


def described(source: Source, said: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the definition of a landing says of it: its collection, its columns and where they come from, its page."""
    return {
        **located(f"landing/{source.key}"),
        **(said or source_metadata(source)),
        COLUMN_LINEAGE: landing_lineage(source),
    }


def landing_asset(source: Source, said: Mapping[str, Any] | None = None) -> dg.AssetsDefinition:
    """The landing of a table, and its checks. `said` is its `source_metadata`, for those who have it."""
    capture = source.table.capture
    column = getattr(capture, "column", None)

    spec = dg.AssetSpec(
        **common_of(source),
        description=f"{source.entry.description or source.name} Captured by {capture.mode}{f' ({column})' if column else ''}.",
        kinds={"sqlserver", "mongodb"},
        partitions_def=partitions_of(source),
        metadata={
            **described(source, said),
            "capture": capture.mode,
            "key": ", ".join(source.table.key),
        },
    )
    check = dg.AssetCheckSpec(
        CAPTURE_CHECK,
        asset=landing_key(source),
        description="The capture mode saw every change: no gap, no row it cannot see, no writer that holds rows back.",
    )

    def landing(context: dg.AssetExecutionContext, config: TableRunConfig) -> dg.MaterializeResult[Any]:
        from sv_assets.landing.land import land_table

        mongo: MongoResource = context.resources.mongo
        window = None if config.full or config.from_bookmark else _window(context)
        with explained_failures(), mongo.store() as store:
            report = land_table(
                store,
                load_catalogue(),
                source,
                context.run.run_id,
                full=config.full,
                window=window,
                allow_deletes=config.allow_deletes,
            )
            row_count = store.landing[source.key].estimated_document_count()
            shown = history_of_landing(store, context, source, report, row_count)
            checked = recorded(
                store,
                [_capture_check(source, report)],
                context.run.run_id,
                source.declared_in.owners,
                lambda found: {} if found.passed else capture_next(source),
            )
        observe_source(context, source, report)
        if window is None:
            _report_partitions(context, source, report)
        return dg.MaterializeResult(metadata=metadata_of(source, report, row_count) | shown, check_results=checked)

    range_policy = dg.BackfillPolicy.single_run() if source.table.partitions else None
    more, evaluate = landing_check_specs(source), partial(checked_landing, source)
    return asset_step(spec, check, TableRunConfig, pool_of(source), landing, range_policy, more, evaluate)


def _capture_check(source: Source, report: "LandingReport") -> Result:
    """What this read showed of the source."""
    warnings = report.findings.warnings
    seen = f"Captured by {source.table.capture.mode}: {report.outcome.read:,} rows read, nothing was out of its sight."
    sentence = " ".join(warnings) or report.stopped or seen
    return Result(CAPTURE_CHECK, path_of(source), not warnings, sentence, dict(report.findings.figures))


def _window(context: dg.AssetExecutionContext) -> Window | None:
    """The time asked for; None for an unpartitioned run, which goes on from the bookmark."""
    if not context.has_partition_key and not context.has_partition_key_range:
        return None
    span = context.partition_time_window
    return Window(span.start.replace(tzinfo=None), span.end.replace(tzinfo=None))


def metadata_of(source: Source, report: "LandingReport", row_count: int) -> dict[str, Any]:
    """What a materialisation shows of a landing."""
    outcome = report.outcome
    metadata: dict[str, Any] = {
        "dagster/row_count": row_count,
        "dagster/uri": f"mongodb://landing/{source.key}",
        "read": outcome.read,
        "inserted": outcome.inserted,
        "updated": outcome.updated,
        "unchanged": outcome.unchanged,
        "stale": outcome.stale,
        "deleted": outcome.deleted,
        "quarantined": outcome.quarantined,
        WRITTEN: outcome.landed,
        "bookmark_before": report.bookmark_before,
        "bookmark_after": report.bookmark_after,
        "seconds": round(report.seconds, 3),
    }
    if report.columns:
        metadata[COLUMN_SCHEMA] = landed_schema(source, report.columns)
        metadata[COLUMN_LINEAGE] = landing_lineage(source, (name for name, _ in report.columns))
    if report.deletes_refused:
        metadata["deletes_refused"] = report.deletes_refused
    if report.stopped:
        metadata["stopped"] = report.stopped
    return metadata | report.findings.figures


def observe_source(context: dg.AssetExecutionContext, source: Source, report: "LandingReport") -> None:
    """What this run saw of the source itself, on the source's own page."""
    metadata = {"rows_read": report.outcome.read, "read_by_run": context.run.run_id, "position": report.bookmark_after}
    context.log_event(dg.AssetObservation(legacy_key(source), metadata=metadata))


def _report_partitions(context: dg.AssetExecutionContext, source: Source, report: "LandingReport") -> None:
    """An unpartitioned run says which partitions it landed rows of, so that the UI shows them; a scan the last ones.

    What follows a partitioned table hears of it by its partitions alone: where rows landed, the present one is among
    them, also if they belong to none (pre-orders, rows from before the first day).
    """
    partitions = partitions_of(source)
    if partitions is None:
        return
    known = set(partitions.get_partition_keys(current_time=dt.datetime.now(dt.timezone.utc)))
    if report.scanned:
        unseen = known - context.instance.get_materialized_partitions(landing_key(source))
        keys = sorted(unseen)[-PARTITIONS_REPORTED_BY_A_SCAN:]
    else:
        present = {max(known)} if known and report.outcome.landed + report.outcome.deleted else set()
        keys = sorted((known & report.outcome.by_partition.keys()) | present)
    for key in keys:
        context.log_event(
            dg.AssetMaterialization(
                landing_key(source),
                partition=key,
                metadata={"rows_landed_in_this_run": report.outcome.by_partition.get(key, 0)},
            )
        )
