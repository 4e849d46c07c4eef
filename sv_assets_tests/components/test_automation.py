"""What runs by itself: looks at tables, stations that follow, schedules, quiet hours, and pauses after failures."""

import datetime as dt
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from sv_assets.catalogue import load_catalogue
from sv_assets.components.asset_job import job_for_no_day
from sv_assets.components.keys import STATIONS, checks_after_landing, landing_key
from sv_assets.components.table_sensor import SYSTEM_TAG, table_sensor
from sv_assets.components.under_way import FIRST_PAUSE, LONGEST_PAUSE, assets_under_way, pauses
from sv_assets.errors import ClosedError
from sv_assets.landing.land import land_table
from sv_assets.sources.records import Window
from sv_assets_tests.components.conftest import QUIET, TinyEstate
from sv_assets_tests.conftest import Catalogued

IDENTITY = {key for key in STATIONS if key.path[0] == "identity"}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


# --- stations follow -------------------------------------------------------------------------------------------------


class Follower:
    """The conditions of a sensor, by default those of the stations, evaluated tick by tick as the daemon does."""

    def __init__(
        self, definitions: dg.Definitions, instance: dg.DagsterInstance, sensor: str = "stations_follow"
    ) -> None:
        self._definitions, self._instance, self._cursor = definitions, instance, None
        selection = definitions.get_repository_def().get_sensor_def(sensor).asset_selection
        assert selection is not None
        self._selection = selection
        self.tick()

    def tick(self) -> set[Any]:
        result = dg.evaluate_automation_conditions(
            defs=self._definitions,
            instance=self._instance,
            asset_selection=self._selection,
            cursor=self._cursor,
        )
        self._cursor = result.cursor
        return {r.key for r in result.results if not r.true_subset.is_empty}

    def landed(self, *path: str, partition: str | None = None) -> None:
        self._instance.report_runless_asset_event(dg.AssetMaterialization(["landing", *path], partition=partition))


@pytest.fixture
def follower(definitions: dg.Definitions, instance: dg.DagsterInstance) -> Follower:
    return Follower(definitions, instance)


def plan(instance: dg.DagsterInstance, definitions: dg.Definitions, keys: set[dg.AssetKey]) -> dg.DagsterRun:
    """A run of these stations that has begun."""
    job = definitions.get_repository_def().get_job("__ASSET_JOB").get_subset(asset_selection=keys)
    return instance.create_run_for_job(job, asset_selection=frozenset(keys), status=dg.DagsterRunStatus.STARTED)


def test_landed_people_are_followed_by_every_station_in_one_tick(follower: Follower) -> None:
    assert follower.tick() == set()
    follower.landed("crm", "customer")
    assert follower.tick() == set(STATIONS)
    assert follower.tick() == set(), "what was requested once is not requested again"


def test_checks_that_block_nothing_follow_a_station_apart_from_it(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    orders = dg.AssetKey(["single_view", "orders"])
    graph = definitions.resolve_asset_graph()
    apart = {key for key in graph.asset_check_keys if graph.get(key).automation_condition is not None}
    assert {key.asset_key for key in apart} <= set(STATIONS)
    assert not {key for key in apart if graph.get(key).blocking}
    follower = Follower(definitions, instance, "stations_are_checked")
    assert follower.tick() == set()
    instance.report_runless_asset_event(dg.AssetMaterialization(orders))
    assert follower.tick() == {key for key in apart if key.asset_key == orders}
    assert follower.tick() == set(), "what was requested once is not requested again"


def test_no_update_of_a_station_stays_unchecked(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    orders = dg.AssetKey(["single_view", "orders"])
    follower = Follower(definitions, instance, "stations_are_checked")
    follower.tick()
    instance.report_runless_asset_event(dg.AssetMaterialization(orders))
    checks = follower.tick()
    assert checks
    instance.report_runless_asset_event(dg.AssetMaterialization(orders))  # after the request, before the next tick
    assert follower.tick() == checks
    for key in checks:
        result = dg.AssetCheckEvaluation(asset_key=key.asset_key, check_name=key.name, passed=True, metadata={})
        instance.report_runless_asset_event(result)
    assert follower.tick() == set()
    instance.report_runless_asset_event(dg.AssetMaterialization(orders))
    for key in checks:  # of a run that began before
        result = dg.AssetCheckEvaluation(asset_key=key.asset_key, check_name=key.name, passed=True, metadata={})
        instance.report_runless_asset_event(result)
    assert follower.tick() == checks
    assert follower.tick() == set()


def test_landed_payments_are_followed_by_orders_and_customers_alone(follower: Follower) -> None:
    follower.landed("sales", "payment")
    assert follower.tick() == {dg.AssetKey(["single_view", name]) for name in ("orders", "customers")}


@pytest.mark.parametrize("partition", ["2026-11-20", "2025-01-05"])
def test_a_landed_day_is_followed_whichever_it_is(follower: Follower, partition: str) -> None:
    follower.landed("sales", "orderheader", partition=partition)
    assert follower.tick() == set(STATIONS)


def test_updates_do_not_pile_up_behind_a_run_and_none_is_forgotten(
    follower: Follower, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    follower.landed("crm", "customer")
    assert follower.tick() == set(STATIONS)
    run = plan(instance, definitions, set(STATIONS))
    follower.landed("sales", "payment")
    follower.landed("contactcentre", "call")
    assert follower.tick() == set()
    follower.landed("crm", "customer")
    assert follower.tick() == set()
    instance.report_run_canceled(run)
    assert follower.tick() == set(STATIONS)
    assert follower.tick() == set()


def test_a_station_that_is_done_waits_for_the_last_of_its_run(
    follower: Follower, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    run = plan(instance, definitions, {dg.AssetKey(["single_view", "customers"])})
    follower.landed("crm", "customer")
    assert follower.tick() == set(), "customers are still composed by another run"
    instance.report_run_failed(run)
    assert follower.tick() == set(STATIONS)


def test_a_failed_source_holds_nothing_up_for_the_others(
    follower: Follower, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    run = plan(instance, definitions, {dg.AssetKey(["landing", "crm", "customer"])})
    instance.report_run_failed(run)
    assert follower.tick() == set()
    follower.landed("sales", "account")
    assert follower.tick() == set(STATIONS)


def test_a_source_whose_blocking_check_fails_is_followed_by_nothing_and_others_are(
    follower: Follower, instance: dg.DagsterInstance
) -> None:
    def evaluated(passed: bool) -> None:
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=landing_key(load_catalogue().source("crm.customer")),
                check_name="keys_unique_and_present",
                passed=passed,
                severity=dg.AssetCheckSeverity.ERROR,
            )
        )

    evaluated(False)
    follower.landed("crm", "customer")
    assert follower.tick() == set()
    follower.landed("sales", "account")
    assert follower.tick() == set(STATIONS)
    evaluated(True)
    follower.landed("crm", "customer")
    assert follower.tick() == set(STATIONS)


# --- the look at tables ----------------------------------------------------------------------------------------------


def evaluate(definitions: dg.Definitions, instance: dg.DagsterInstance, name: str = "crm_changes") -> Any:
    repository = definitions.get_repository_def()
    context = dg.build_sensor_context(
        instance=instance,
        repository_def=repository,
        resources={"mongo": repository.get_top_level_resources()["mongo"]},
    )
    return definitions.resolve_sensor_def(name).evaluate_tick(context)


def requested(tick: Any) -> list[set[str]]:
    return [{key.to_user_string() for key in request.asset_selection} for request in tick.run_requests]


def land(definitions: dg.Definitions, system: str) -> None:
    keys = {landing_key(s) for s in load_catalogue().sources if s.system == system}
    job = definitions.resolve_job_def("incremental_now").get_subset(asset_selection=keys)
    assert job.execute_in_process(run_config=QUIET).success


def test_a_tick_requests_one_run_over_the_tables_that_changed_and_none_without_news(
    definitions: dg.Definitions, tiny_estate: TinyEstate, instance: dg.DagsterInstance
) -> None:
    first = evaluate(definitions, instance)
    tables = {landing_key(s).to_user_string() for s in load_catalogue().sources if s.system == "crm"}
    assert requested(first) == [tables], "nothing has landed yet"
    land(definitions, "crm")
    instance.report_runless_asset_event(dg.AssetMaterialization(["landing", "crm", "contactpreference"]))
    quiet = evaluate(definitions, instance)
    assert quiet.run_requests == []
    assert quiet.skip_message == "Nothing is new beyond the bookmarks."
    with closing(sqlite3.connect(tiny_estate.local_dir / "crm.sqlite")) as database, database:
        database.execute("UPDATE CustomerAddress SET ModifiedAt = '2026-11-25 10:00:00.120' WHERE AddressId = "
                         "(SELECT MIN(AddressId) FROM CustomerAddress)")  # fmt: skip
    (request,) = evaluate(definitions, instance).run_requests
    (again,) = evaluate(definitions, instance).run_requests
    assert request.run_key == again.run_key, "a tick that is evaluated twice starts one run"
    assert [key.to_user_string() for key in request.asset_selection] == ["landing/crm/customeraddress"]
    assert request.tags[SYSTEM_TAG] == "crm"
    assert request.asset_check_keys == checks_after_landing(load_catalogue().source("crm.customeraddress"))
    job = definitions.get_repository_def().get_job("__ASSET_JOB").get_subset(
        asset_selection=set(request.asset_selection)
    )  # fmt: skip
    run = instance.create_run_for_job(
        job, asset_selection=frozenset(request.asset_selection), tags=request.tags, status=dg.DagsterRunStatus.STARTED
    )
    busy = evaluate(definitions, instance)
    assert busy.run_requests == []
    instance.report_run_failed(run)
    paused = evaluate(definitions, instance)
    assert paused.run_requests == []
    assert "The last runs of landing/crm/customeraddress failed" in paused.skip_message
    with closing(sqlite3.connect(tiny_estate.local_dir / "crm.sqlite")) as database, database:
        database.execute("UPDATE Customer SET RowVer = x'00000000000FFFFF' WHERE CustomerId = "
                         "(SELECT MIN(CustomerId) FROM Customer)")  # fmt: skip
    assert requested(evaluate(definitions, instance)) == [{"landing/crm/customer"}], "a failed table stops only itself"


def test_a_sensor_says_in_one_sentence_that_its_database_is_not_there(
    definitions: dg.Definitions, tiny_estate: TinyEstate, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SV_MONGO_URL", "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200")
    tick = evaluate(definitions, instance, "sales_changes")
    assert tick.run_requests == []
    assert "\n" not in tick.skip_message


def test_pauses_grow_with_each_failure_in_a_row_and_end_with_a_success(instance: dg.DagsterInstance) -> None:
    bad, good = dg.AssetKey("bad"), dg.AssetKey("good")

    def fail() -> None:
        run = create_run_for_test(instance, tags={"t": "x"}, asset_selection=frozenset({bad, good}))
        instance.report_dagster_event(
            dg.DagsterEvent(
                dg.DagsterEventType.ASSET_MATERIALIZATION.value,
                job_name=run.job_name,
                event_specific_data=_materialized(good),
            ),
            run.run_id,
        )
        instance.report_run_failed(run)

    seen = []
    for _ in range(7):
        fail()
        waiting = pauses(instance, {"t": "x"}, [bad, good])
        assert good not in waiting
        seen.append(waiting[bad])
    assert FIRST_PAUSE - 10 < seen[0] <= FIRST_PAUSE
    assert all(later >= earlier - 5 for earlier, later in pairwise(seen))
    assert seen[-1] <= LONGEST_PAUSE
    assert seen[-1] > FIRST_PAUSE * 20
    run = create_run_for_test(instance, tags={"t": "x"}, asset_selection=frozenset({bad}))
    instance.report_dagster_event(
        dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name), run.run_id
    )
    assert pauses(instance, {"t": "x"}, [bad, good]) == {}


def _materialized(key: dg.AssetKey) -> Any:
    from dagster._core.events import StepMaterializationData

    return StepMaterializationData(dg.AssetMaterialization(key))


def test_a_backfill_by_the_day_does_not_keep_a_table_from_its_news(instance: dg.DagsterInstance) -> None:
    key = dg.AssetKey(["landing", "sales", "orderheader"])
    days = {"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": "2026-01-03"}
    create_run_for_test(instance, asset_selection=frozenset({key}), tags=days, status=dg.DagsterRunStatus.STARTED)
    assert assets_under_way(instance) == []
    create_run_for_test(instance, asset_selection=frozenset({key}), status=dg.DagsterRunStatus.STARTED)
    assert assets_under_way(instance) == [{key}]


def test_a_run_of_a_whole_job_keeps_sensors_from_its_tables(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    job = definitions.resolve_job_def("incremental_now")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    (keys,) = assets_under_way(instance)
    assert {landing_key(source) for source in load_catalogue().sources} <= keys
    assert set(STATIONS) <= keys


# --- quiet hours, schedules, partitions ------------------------------------------------------------------------------


def test_quiet_hours_close_a_system_to_sensors_and_to_backfills_which_say_so(
    definitions: dg.Definitions, catalogued: Catalogued, tiny_estate: TinyEstate, instance: dg.DagsterInstance
) -> None:
    declared = catalogued.declare(
        "    - name: dbo.Item\n      key: [Id]\n      capture: {mode: snapshot}\n"
        "      partitions: {by: day, column: At, start: 2026-01-01}\n"
    )
    declared.write_text(declared.read_text().replace("  tables:", '  quiet_hours: ["00:00-24:00"]\n  tables:'))
    (source,) = load_catalogue(catalogued.directory).sources
    window = Window(dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 4))
    with pytest.raises(ClosedError, match="may not be read at this time"):
        land_table(tiny_estate.store, load_catalogue(catalogued.directory), source, "run", window=window)
    report = land_table(tiny_estate.store, load_catalogue(catalogued.directory), source, "run")
    assert report.stopped.startswith("shop may not be read at this time")
    context = dg.build_sensor_context(
        instance=instance, repository_def=definitions.get_repository_def(), resources={"mongo": None}
    )
    tick = table_sensor([source]).evaluate_tick(context)
    assert "shop may not be read at this time" in str(tick.skip_message)


def test_the_schedule_requests_a_run_for_each_system_but_those_at_work(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    found = repository.get_schedule_def("incremental_every_quarter_of_an_hour")
    with (
        dg.instance_for_test() as instance,
        dg.build_schedule_context(
            instance=instance,
            repository_def=repository,
            scheduled_execution_time=dt.datetime(2026, 11, 26, 12, 15, tzinfo=dt.timezone.utc),
        ) as context,
    ):
        requests = found.evaluate_tick(context).run_requests or []
        assert [request.tags[SYSTEM_TAG] for request in requests] == ["contactcentre", "crm", "sales"]
        keys = {key.to_user_string() for request in requests for key in request.asset_selection}
        assert "landing/crm/customer/deletes" in keys
        assert not any(key.startswith(("identity", "single_view", "legacy")) for key in keys)
        key = dg.AssetKey(["landing", "crm", "customer"])
        create_run_for_test(instance, asset_selection=frozenset({key}), status=dg.DagsterRunStatus.STARTED)
        requests = found.evaluate_tick(context).run_requests or []
        assert [request.tags[SYSTEM_TAG] for request in requests] == ["contactcentre", "sales"]


def test_tables_of_different_partitions_run_together_without_a_day() -> None:
    ran: list[str] = []

    @dg.asset(partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
    def days(context: dg.AssetExecutionContext) -> None:
        ran.append("days" if not context.has_partition_key else "a day")

    @dg.asset(partitions_def=dg.HourlyPartitionsDefinition("2026-01-05-00:00"))
    def hours(context: dg.AssetExecutionContext) -> None:
        ran.append("hours" if not context.has_partition_key else "an hour")

    for assets in ([days, hours], [days]):
        job = job_for_no_day("together", dg.AssetSelection.all(), "Both.")
        definitions = dg.Definitions(assets=assets, jobs=[job], executor=dg.in_process_executor)
        resolved = definitions.resolve_job_def("together")
        assert resolved.partitions_def is None
        assert resolved.execute_in_process(run_config=QUIET).success
    assert sorted(ran) == ["days", "days", "hours"]
