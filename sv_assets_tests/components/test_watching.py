"""A look at a real Dagster instance: what fails there becomes an alert, and what succeeds again recovers."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sv_assets.alerts.checks import RESULTS, CheckResult, fold_checks, fold_recorded_results
from sv_assets.alerts.condition import Condition
from sv_assets.alerts.runs import JOBS, OUTCOMES, FinishedRun, StepFailure, fold_runs, is_failing
from sv_assets.alerts.settings import AlertSettings, Limits
from sv_assets.alerts.storage import read_alerts
from sv_assets.alerts.without_store import Away, away_of
from sv_assets.components.station import explained_failures
from sv_assets.components.watching import Watched, look, observe
from sv_assets.errors import ConfigurationError
from sv_assets.metrics.latency import LATENCIES, Composition, Landed, fold_latencies, quantile
from sv_assets.mongo import Store, now_in_milliseconds
from sv_assets.privacy.declaration import load_declaration, undeclared
from sv_assets.quality.result import Result
from sv_assets.quality.results import record, states
from sv_assets.resources import MongoResource
from sv_assets_tests.alerts.receivers import http_receiver

SETTINGS = AlertSettings.model_validate({"timing": {"recover_after": "0s"}})
QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
state: dict[str, Any] = {}


@dg.asset(key=["landing", "crm", "customer"], owners=["team:crm"])
def landed() -> None:
    with explained_failures():
        if state.get("landing") == "ours":
            raise ConfigurationError("crm: dbo.Customer has no column RowVer. Declare another capture mode.")
        if state.get("landing") == "theirs":
            raise ValueError("Jane Doe of 1 High Street is not a number")


@dg.asset(key=["single_view", "customers"], owners=["team:customer-view", "team:crm"], deps=[landed])
def customers() -> None:
    """What follows."""


@dg.asset_check(asset=landed)
def quarantine_empty() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not state.get("quarantined"),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{state.get('quarantined', 0)} rows wait in quarantine.",
        metadata={"quarantined": state.get("quarantined", 0), "name": "Jane"},
    )


@dg.asset_check(asset=landed, blocking=True)
def keys_unique_and_present() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=not state.get("doubled"), description="2 rows have no key.")


JOB = dg.define_asset_job("everything", selection="*")
DEFINITIONS = dg.Definitions([landed, customers], asset_checks=[quarantine_empty, keys_unique_and_present], jobs=[JOB])


@pytest.fixture(autouse=True)
def nothing_is_wrong() -> None:
    state.clear()


@pytest.fixture(scope="module")
def watched() -> Watched:
    return Watched(DEFINITIONS.get_repository_def())


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(instance: dg.DagsterInstance, job: str = "everything") -> str:
    resolved = DEFINITIONS.resolve_job_def(job)
    return resolved.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET).run_id


def seen(instance: dg.DagsterInstance, watched: Watched, store: Store) -> dict[str, Condition]:
    return {alert.condition.id: alert.condition for alert in look(instance, watched, store, SETTINGS).alerts}


def test_a_failed_step_is_an_alert_of_its_owner_until_any_job_succeeds_with_it(
    instance: dg.DagsterInstance, watched: Watched, store: Store
) -> None:
    state["landing"] = "ours"
    run(instance)
    run_id = run(instance)
    found = seen(instance, watched, store)
    assert found == seen(instance, watched, store), "a look that is repeated changes nothing"
    alert = found["step landing__crm__customer"]
    assert alert.owners == ("team:crm",) and alert.severity == "error" and alert.figures == {"failed_runs": 2}
    assert alert.sentence.startswith("crm: dbo.Customer has no column RowVer.")
    assert alert.mend == "sv doctor" and alert.page in (f"/runs/{run_id}", alert.page)
    state.clear()
    assert dg.materialize([landed], instance=instance, run_config=QUIET).success
    assert seen(instance, watched, store) == {}
    (figures,) = store.control[JOBS].find({"_id": "everything"})
    assert figures["runs"] == {"FAILURE": 2} and sum(figures["buckets"]) == 2


def test_what_others_raise_is_never_quoted(instance: dg.DagsterInstance, watched: Watched, store: Store) -> None:
    state["landing"] = "theirs"
    run(instance)
    alert = seen(instance, watched, store)["step landing__crm__customer"]
    assert "ValueError" in alert.sentence and "Jane" not in alert.sentence + str(list(store.control[OUTCOMES].find({})))
    assert alert.mend == "sv run --select landing/crm/customer"


def test_a_run_that_dies_outside_its_steps_is_told_of_the_job(
    instance: dg.DagsterInstance, watched: Watched, store: Store
) -> None:
    run_id = run(instance)
    dead = instance.create_run_for_job(DEFINITIONS.resolve_job_def("everything"))
    instance.report_run_failed(dead)
    assert set(seen(instance, watched, store)) == {"run everything"}
    assert run(instance) != run_id
    assert seen(instance, watched, store) == {}


def test_a_check_that_warns_is_an_alert_until_it_passes(
    instance: dg.DagsterInstance, watched: Watched, store: Store
) -> None:
    state["quarantined"] = 3
    run(instance)
    alert = seen(instance, watched, store)["check landing/crm/customer/quarantine_empty"]
    assert alert.severity == "warning" and alert.owners == ("team:crm",) and alert.figures == {"quarantined": 3}
    assert alert.sentence == "3 rows wait in quarantine."
    state.clear()
    run(instance)
    assert seen(instance, watched, store) == {}


def test_a_blocking_check_that_fails_is_one_alert_and_not_two(
    instance: dg.DagsterInstance, watched: Watched, store: Store
) -> None:
    state["doubled"] = True
    run_id = run(instance)
    record = instance.get_run_by_id(run_id)
    assert record is not None and record.status == dg.DagsterRunStatus.FAILURE
    (alert,) = seen(instance, watched, store).values()
    assert alert.id == "check landing/crm/customer/keys_unique_and_present" and alert.severity == "error"
    state.clear()
    run(instance)
    assert seen(instance, watched, store) == {}


def test_recorded_results_count_the_newest_first_and_only_of_checks_that_exist(
    instance: dg.DagsterInstance, watched: Watched, store: Store
) -> None:
    now = now_in_milliseconds()

    def result(minutes: int, passed: bool, check: str = "quarantine_empty") -> dict[str, Any]:
        return {
            "asset": "landing/crm/customer", "check": check, "passed": passed, "severity": "ERROR", "sentence": "It is so.",
            "figures": {"rows": 2, "worst": "Jane"}, "run_id": "r", "at": now - dt.timedelta(minutes=minutes), "owners": [], "partition": None,
        }  # fmt: skip

    store.control[RESULTS].insert_many(
        [result(1, False), result(9, True), result(3, False), result(5, False), result(1, False, "removed")]
    )
    found = seen(instance, watched, store)
    assert list(found) == ["check landing/crm/customer/quarantine_empty"]
    (alert,) = found.values()
    assert alert.severity == "error" and alert.owners == ("team:crm",) and alert.figures == {"rows": 2}
    assert alert.since == now - dt.timedelta(minutes=5), "it fails since the first failure after it passed"
    store.control[RESULTS].insert_one(result(0, True))
    assert seen(instance, watched, store) == {}


def test_what_looks_keep_stands_apart_from_the_states_of_checks_and_is_declared(
    instance: dg.DagsterInstance, watched: Watched, store: Store
) -> None:
    record(store, [Result("quarantine_empty", "landing/crm/customer", False, "2 rows wait.")], "run", ["team:crm"])
    seen(instance, watched, store)
    fold_latencies(store, [Landed("landing/crm/customer", now_in_milliseconds())], [])
    (known,) = states(store)
    assert not known.passed and known.latest["check"] == "quarantine_empty"
    assert undeclared(store, load_declaration()) == []


def test_results_in_any_order_leave_the_same_state(store: Store) -> None:
    now = now_in_milliseconds()
    results = [
        CheckResult("a", "c", passed, "warning", str(n), now - dt.timedelta(minutes=10 - n))
        for n, passed in enumerate([True, False, False, True, False])
    ]
    for each in [*results, *reversed(results), results[2]]:
        fold_checks(store, [each])
    (kept,) = store.control["alert_checks"].find({})
    assert kept["passed"] is False and kept["sentence"] == "4" and kept["failing_since"] == results[4].at
    assert fold_recorded_results(store, now) == 0


def test_runs_folded_in_twice_or_late_change_nothing(store: Store) -> None:
    now = now_in_milliseconds()

    def finished(run_id: str, minute: int, fails: bool) -> FinishedRun:
        at = now + dt.timedelta(minutes=minute)
        failed = {"s": StepFailure("SvError", "It is so.", at)} if fails else {}
        return FinishedRun(run_id, "j", "FAILURE" if fails else "SUCCESS", at, at, failed, {} if fails else {"s": at})

    runs = [finished("a", 1, True), finished("b", 2, False), finished("c", 3, True), finished("d", 4, True)]
    fold_runs(store, [*runs, *reversed(runs)])
    (outcome,) = store.control[OUTCOMES].find({"_id": "step s"})
    assert is_failing(outcome) and outcome["since"] == runs[2].ended_at and sorted(outcome["runs"]) == ["c", "d"]
    (figures,) = store.control[JOBS].find({})
    assert figures["runs"] == {"FAILURE": 3, "SUCCESS": 1}


def test_a_landing_is_covered_by_the_first_composition_that_began_after_it(store: Store) -> None:
    now = now_in_milliseconds()

    def second(n: int) -> dt.datetime:
        return now + dt.timedelta(seconds=n)

    first = Composition("c1", second(10), second(14))  # its run ended before that of the landing that it covers
    fold_latencies(store, [Landed("a", second(0))], [])
    fold_latencies(store, [], [first, Composition("c2", second(100), second(120))])
    for _ in range(2):
        fold_latencies(store, [Landed("b", second(9)), Landed("late", second(101))], [first])
    (kept,) = store.control[LATENCIES].find({})
    assert kept["seconds"] == 14 + 5 and sum(kept["buckets"]) == 2
    assert [one["id"] for one in kept["waiting"]] == ["late"]
    assert quantile(kept["buckets"], 0.5) == 5.0 and quantile(kept["buckets"], 1.0) == 15.0
    assert quantile([0] * len(kept["buckets"]), 0.5) is None


def test_dead_letters_backlogs_and_stale_assets_are_alerts(
    instance: dg.DagsterInstance, store: Store, definitions: dg.Definitions
) -> None:
    real = Watched(definitions.get_repository_def())
    queue = "web/web_account_events"
    for key, waiting in ((f"legacy/{queue}", 7), (f"legacy/{queue}/dead_letters", 4)):
        seen_then = dg.AssetObservation(
            dg.AssetKey(key.split("/")), metadata={"waiting": waiting, "oldest_message_seconds": 5.0}
        )
        instance.report_runless_asset_event(seen_then)
    now = now_in_milliseconds()
    store.identity["review"].insert_one({"_id": "x", "guard": "name", "since": now - dt.timedelta(days=40)})
    settings = AlertSettings(limits=Limits(review_items=5))
    found = {c.id: c for c in observe(instance, real, store, settings, now).conditions}
    assert set(found) == {"dead_letters web.web_account_events", "review identity"}
    dead = found["dead_letters web.web_account_events"]
    assert dead.figures == {"dead_letters": 4} and dead.owners and dead.mend.endswith("--dead-letters")
    assert found["review identity"].owners == ("team:customer-view",)
    later = {c.id for c in observe(instance, real, store, settings, now + dt.timedelta(hours=1)).conditions}
    assert "source web.web_account_events" in later

    from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange

    stale = dg.AssetKey(["landing", *queue.split("/")])
    changed = FreshnessStateChange(
        key=stale, new_state=FreshnessState.FAIL, previous_state=FreshnessState.PASS, state_change_timestamp=now.timestamp()
    )  # fmt: skip
    instance._report_runless_asset_event(changed)  # as the freshness daemon does
    found = {c.id: c for c in observe(instance, real, store, settings, now).conditions}
    assert found[f"freshness landing/{queue}"].severity == "error"


def test_one_part_that_cannot_be_looked_at_hides_only_itself(
    instance: dg.DagsterInstance, watched: Watched, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    state["quarantined"] = 3
    run(instance)
    assert len(seen(instance, watched, store)) == 1
    state.clear()
    run(instance)
    with monkeypatch.context() as patch:
        patch.setattr(instance, "get_run_records", lambda *_, **__: 1 / 0)
        assert len(seen(instance, watched, store)) == 1, "it was not seen to be mended"
    assert seen(instance, watched, store) == {}


def test_the_sensor_tells_and_says_what_it_told(
    instance: dg.DagsterInstance,
    store: Store,
    definitions: dg.Definitions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with http_receiver() as hook:
        file = tmp_path / "alerts.yaml"
        hooks = {"hook": {"type": "webhook", "url": hook.url}}
        file.write_text(
            json.dumps({"channels": hooks, "default": {"channels": ["hook"]}, "limits": {"review_items": 0}})
        )
        monkeypatch.setenv("SV_ALERTS_FILE", str(file))
        store.identity["review"].insert_one({"_id": "x", "guard": "name", "since": now_in_milliseconds()})
        sensor = definitions.get_repository_def().get_sensor_def("alerts")
        context = dg.build_sensor_context(
            instance=instance, definitions=definitions, resources={"mongo": MongoResource()}
        )
        skipped = sensor.evaluate_tick(context).skip_message
        assert skipped == "1 alerts are open. Told: 1 to hook."
        assert json.loads(hook.received[0].body)["alerts"][0]["alert"] == "review identity"
    assert [alert.condition.id for alert in read_alerts(store)] == ["review identity"]


def test_the_sensor_tells_when_mongodb_is_away_and_back(
    instance: dg.DagsterInstance, store: Store, definitions: dg.Definitions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    sensor = definitions.get_repository_def().get_sensor_def("alerts")
    with http_receiver() as hook:
        file = tmp_path / "alerts.yaml"
        hooks = {"hook": {"type": "webhook", "url": hook.url}}
        file.write_text(json.dumps({"channels": hooks, "default": {"channels": ["hook"]}}))
        monkeypatch.setenv("SV_ALERTS_FILE", str(file))

        def tick(mongo: MongoResource, cursor: str | None) -> str | None:
            context = dg.build_sensor_context(
                instance=instance, definitions=definitions, cursor=cursor, resources={"mongo": mongo}
            )
            return sensor.evaluate_tick(context).cursor

        long_ago = Away(now_in_milliseconds() - dt.timedelta(hours=1), {}).as_cursor()
        cursor = tick(MongoResource(url="mongodb://127.0.0.1:9/"), long_ago)
        assert away_of(tick(MongoResource(), cursor)) is None
        assert [json.loads(r.body)["alerts"][0]["event"] for r in hook.received] == ["opened", "recovered"]
