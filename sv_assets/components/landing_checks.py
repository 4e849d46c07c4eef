"""The checks of one source, each explained in one sentence with figures."""

from collections.abc import Iterator

import dagster as dg

from sv_assets.catalogue.source import Source
from sv_assets.components.keys import landing_key, reconciliation_key
from sv_assets.components.station import RETRIES, explained_failures
from sv_assets.errors import ConfigurationError
from sv_assets.landing.quarantine import Quarantine
from sv_assets.landing.reconcile import live_count, needs_reconciliation
from sv_assets.landing.skip import why_not_now
from sv_assets.mongo import Store
from sv_assets.resources import MongoResource
from sv_assets.sources.database import open_database
from sv_assets.sources.introspect.drift import Drift, drift_of_table
from sv_assets.sources.schema import read_table
from sv_assets.sources.sqs.queue import Queue
from sv_assets.sources.table import count_rows, describe

SCHEMA_CHECK = "schema_as_declared"
DEAD_LETTERS_CHECK = "dead_letters_empty"


def landing_checks(source: Source) -> dg.AssetChecksDefinition:
    """All checks of one source, in one step."""
    key = landing_key(source)
    counted = (
        dg.AssetCheckSpec("queue_drained", asset=key, description="No message waits in the queue after a run.")
        if source.is_queue
        else dg.AssetCheckSpec(
            "row_count_matches_source", asset=key, description="As many live rows have landed as the source has."
        )
    )

    specs = [
        dg.AssetCheckSpec(
            "keys_unique_and_present",
            asset=key,
            blocking=True,
            description="Every row has a key, and no two the same.",
        ),
        counted,
        dg.AssetCheckSpec(
            "quarantine_empty", asset=key, description="No row or message of this source waits in quarantine."
        ),
    ]
    if source.is_queue and source.queue.dead_letters:
        specs.append(
            dg.AssetCheckSpec(DEAD_LETTERS_CHECK, asset=key, description="No message of this queue is a dead letter.")
        )
    if not source.is_queue:
        specs.append(
            dg.AssetCheckSpec(
                SCHEMA_CHECK, asset=key, description="The table's columns, key and foreign keys are those declared."
            )
        )

    @dg.multi_asset_check(
        name=f"check_{source.system}_{source.slug}",
        specs=specs,
        pool=f"legacy_{source.system}",
        retry_policy=RETRIES,
        can_subset=True,
    )
    def checks(context: dg.AssetCheckExecutionContext, mongo: MongoResource) -> Iterator[dg.AssetCheckResult]:
        with explained_failures(), mongo.store() as store:
            wanted = context.selected_asset_check_keys
            results = [
                *(_queue_checks if source.is_queue else _table_checks)(store, source),
                _quarantine_empty(store, source),
            ]
            yield from (
                result for result in results if dg.AssetCheckKey(landing_key(source), str(result.check_name)) in wanted
            )

    return checks


def _table_checks(store: Store, source: Source) -> Iterator[dg.AssetCheckResult]:
    key = landing_key(source)
    if reason := why_not_now(source):
        for name in ("keys_unique_and_present", "row_count_matches_source", SCHEMA_CHECK):
            yield dg.AssetCheckResult(
                check_name=name, asset_key=key, passed=True, description=f"Not looked at: {reason}"
            )
        return
    database = open_database(source.sql_system, source)
    try:
        shape = None
        problem = ""
        try:
            shape = describe(database, source)
        except ConfigurationError as error:
            problem = str(error)
        live = live_count(store.landing[source.key])
        yield dg.AssetCheckResult(
            check_name="keys_unique_and_present",
            asset_key=key,
            passed=shape is not None,
            severity=dg.AssetCheckSeverity.ERROR,
            description=problem or f"All {live:,} landed rows have a key of their own ({', '.join(source.table.key)}).",
            metadata={"live_rows": live},
        )
        if shape is None:
            in_source, description = -1, "The source could not be counted: " + problem
        else:
            in_source = count_rows(database, shape)
            description = ""
        waiting = Quarantine(store, source.key).count()
        yield dg.AssetCheckResult(
            check_name="row_count_matches_source",
            asset_key=key,
            passed=live <= in_source <= live + waiting,
            severity=dg.AssetCheckSeverity.WARN,
            description=description or _compared(source, in_source, live, waiting),
            metadata={"source_rows": in_source, "live_rows": live, "quarantined": waiting},
        )
        found = shape.found if shape else read_table(database, source.name)
        yield _schema_as_declared(source, drift_of_table(source.table, found))
    finally:
        database.close()


def _schema_as_declared(source: Source, drift: list[Drift]) -> dg.AssetCheckResult:
    table = source.table
    names = table.columns or source.columns_used()
    kept = f"{source.name} has the {len(names)} columns, the key and the {len(table.foreign_keys)} foreign keys that are declared."
    sentences = " ".join(found.sentence for found in drift)
    advice = f"{len(drift)} differences. {sentences} `sv introspect {source.system}` brings the declaration up to date."
    return dg.AssetCheckResult(
        check_name=SCHEMA_CHECK,
        asset_key=landing_key(source),
        passed=not drift,
        severity=dg.AssetCheckSeverity.WARN,
        description=advice if drift else kept,
        metadata={"differences": len(drift), **_by_kind(drift)},
    )


def _by_kind(drift: list[Drift]) -> dict[str, str]:
    kinds = {found.kind: [d.subject or d.table for d in drift if d.kind == found.kind] for found in drift}
    return {kind: ", ".join(subjects) for kind, subjects in kinds.items()}


def _compared(source: Source, in_source: int, live: int, waiting: int) -> str:
    figures = f"The source has {in_source:,} rows; {live:,} are live in landing and {waiting:,} in quarantine"
    if live > in_source:
        asset = reconciliation_key(source).to_user_string() if needs_reconciliation(source) else "the asset again"
        return (
            f"{figures}: {live - in_source:,} rows are gone from the source and were not deleted. If more than "
            f"{source.table.max_delete_share:.0%} are gone, run {asset} with `allow_deletes: true`."
        )
    if in_source > live + waiting:
        return f"{figures}: {in_source - live - waiting:,} are missing. Run the asset; if they stay missing, run it with `full: true`."
    return f"{figures}: all are accounted for."


def _queue_checks(store: Store, source: Source) -> Iterator[dg.AssetCheckResult]:
    key = landing_key(source)
    empty = store.landing[source.key].count_documents({"_id": {"$in": ["", None]}})
    yield dg.AssetCheckResult(
        check_name="keys_unique_and_present",
        asset_key=key,
        passed=empty == 0,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{empty:,} landed messages have no key ({source.queue.key}).",
        metadata={"without_key": empty},
    )
    depth = Queue(source).depth()
    yield dg.AssetCheckResult(
        check_name="queue_drained",
        asset_key=key,
        passed=depth.visible == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{depth.visible:,} messages wait and {depth.in_flight:,} are in work.",
        metadata={"waiting": depth.visible, "in_flight": depth.in_flight},
    )
    if source.queue.dead_letters:
        yield _dead_letters_empty(source, source.queue.dead_letters)


def _dead_letters_empty(source: Source, name: str) -> dg.AssetCheckResult:
    key = landing_key(source)
    try:
        dead = Queue(source, name).depth().total
    except ConfigurationError as error:
        return dg.AssetCheckResult(
            check_name=DEAD_LETTERS_CHECK,
            asset_key=key,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"They could not be looked at: {error}",
        )
    return dg.AssetCheckResult(
        check_name=DEAD_LETTERS_CHECK,
        asset_key=key,
        passed=dead == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{dead:,} messages are dead letters, in {name}."
        + (f" Look at them with `sv queues inspect {source.key} --dead-letters`." if dead else ""),
        metadata={"dead_letters": dead},
    )


def _quarantine_empty(store: Store, source: Source) -> dg.AssetCheckResult:
    quarantine = Quarantine(store, source.key)
    count = quarantine.count()
    reasons = quarantine.reasons() if count else []
    return dg.AssetCheckResult(
        check_name="quarantine_empty",
        asset_key=landing_key(source),
        passed=count == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{count:,} rows or messages wait in quarantine{': ' + '; '.join(reasons) if reasons else ''}.",
        metadata={"quarantined": count},
    )
