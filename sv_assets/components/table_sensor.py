"""A sensor that looks whether the tables of a system have something new, and requests a run that lands those."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import dagster as dg

from sv_assets.catalogue.source import Source
from sv_assets.components.keys import checks_after_landing, landing_key
from sv_assets.components.under_way import assets_under_way, pauses
from sv_assets.errors import SvError
from sv_assets.landing.skip import why_closed
from sv_assets.mongo import Store, explained_mongo_errors
from sv_assets.resources import MongoResource
from sv_assets.sources.records import Position

SYSTEM_TAG = "sv/system"
LOOK_SECONDS = 5
"""The daemon asks sensors every five seconds at most."""
LOAD_SECONDS, RUN_SECONDS = 24 * 3_600, 2 * 3_600
"""After which a run is ended whose host is gone: one that reads tables from their first row, and any other."""


@dataclass
class Found:
    """What one tick found: tables to read from their first row, tables with something new, and why others are left alone."""

    loads: list[Source] = field(default_factory=list)
    changed: list[Source] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        return " ".join(self.left) or "Nothing is new beyond the bookmarks."


def table_sensor(sources: Sequence[Source]) -> dg.SensorDefinition:
    """Lands what is new in the tables of one system. What follows from it is pulled by the stations' own conditions.

    A table is looked at by a statement or two that an index answers; one that cannot be looked at is read each
    `read_every`. The run key names the last run of the system, so a tick that is evaluated twice starts one run.
    """
    system = sources[0].declared_in
    landings = {landing_key(source): source for source in sources if not source.table.vanished}

    @dg.sensor(
        name=f"{system.system}_changes",
        description=f"Looks whether the tables of {system.system} have something new, and requests a run that lands those.",
        asset_selection=dg.AssetSelection.assets(*landings)
        | dg.AssetSelection.checks(*(check for source in sources for check in checks_after_landing(source))),
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def changes(context: dg.SensorEvaluationContext, mongo: MongoResource) -> dg.SensorResult:
        if closed := why_closed(sources[0]):
            return dg.SensorResult(skip_reason=dg.SkipReason(closed))
        runs = [keys for run in assets_under_way(context.instance) if (keys := run & landings.keys())]
        if len(runs) >= sources[0].sql_system.max_connections:
            return dg.SensorResult(
                skip_reason=dg.SkipReason(f"As many runs read {system.system} as its `max_connections` allows.")
            )
        tags = {SYSTEM_TAG: system.system}
        busy = frozenset[dg.AssetKey]().union(*runs)
        waiting = pauses(context.instance, tags, landings)
        try:
            with explained_mongo_errors(), mongo.store() as store:
                free = [source for key, source in landings.items() if key not in busy and key not in waiting]
                found = _found(context.instance, store, free)
        except SvError as error:
            return dg.SensorResult(skip_reason=dg.SkipReason(str(error)))
        if busy:
            found.left.append(f"{len(busy):,} tables are under way.")
        for key, seconds in sorted(waiting.items()):
            found.left.append(f"The last runs of {key.to_user_string()} failed; the next may start in {seconds:.0f} s.")
        last = next(iter(context.instance.get_run_records(dg.RunsFilter(tags=tags), limit=1)), None)
        after = last.dagster_run.run_id if last else "none"
        requests = [
            _request(tables, tags, f"{system.system} after {after}", seconds)
            for tables, seconds in ((found.changed, RUN_SECONDS), (found.loads, LOAD_SECONDS))
            if tables
        ]
        return dg.SensorResult(requests, skip_reason=None if requests else dg.SkipReason(found.sentence))

    return changes


def _request(tables: Sequence[Source], tags: dict[str, str], prefix: str, seconds: int) -> dg.RunRequest:
    names = hashlib.sha256(" ".join(source.key for source in tables).encode()).hexdigest()[:12]
    return dg.RunRequest(
        run_key=f"{prefix}: {names}",
        asset_selection=[landing_key(source) for source in tables],
        asset_check_keys=[check for source in tables for check in checks_after_landing(source)],
        tags={**tags, "dagster/max_runtime": str(seconds)},
    )


def _found(instance: dg.DagsterInstance, store: Store, tables: Sequence[Source]) -> Found:
    from sv_assets.landing.bookmarks import Bookmark
    from sv_assets.sources.look import look_at

    found = Found()
    positions: dict[str, Position | None] = {}
    for source in tables:
        try:
            positions[source.key] = Bookmark(store, source.key, source.table.capture.mode, source.table.key).read()
        except SvError:  # its run says it, where people look for it
            positions[source.key] = None
    for seen in look_at(tables, positions):
        position = positions[seen.source.key]
        if position is None or "scan_after" in position:
            found.loads.append(seen.source)
        elif seen.news or (seen.news is None and _is_due(instance, seen.source)):
            found.changed.append(seen.source)
    return found


def _is_due(instance: dg.DagsterInstance, source: Source) -> bool:
    last = instance.get_latest_materialization_event(landing_key(source))
    return last is None or time.time() - last.timestamp >= source.table.read_every.total_seconds()
