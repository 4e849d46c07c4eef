"""Runs of the real job over a tiny seeded estate, as Dagster sees them."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sv_assets.catalogue import load_catalogue
from sv_assets.components.queue_sensor import QUEUE_TAG
from sv_assets.local import tick
from sv_assets.local.generator.rows import Message
from sv_assets.local.queues import send, sqs_client
from sv_assets.mongo import Document
from sv_assets_tests.components.conftest import QUIET, TinyEstate, text_of

MAY_BE_EMPTY = (
    "identity/review",
    "fraud/model",
    "fraud/cases",
    "fraud/metrics",
    "privacy/requests",
    "privacy/erasures",
)
"""Among thirty people there is little to review, and too little to train on."""
CHANGES = 12


@dataclass(frozen=True)
class Ran:
    """One run of incremental_now, and the customers after it."""

    result: dg.ExecuteInProcessResult
    customers: dict[str, Document]
    landed_by: dict[tuple[str, Any], str]
    """By landed row, the run that wrote it."""

    @property
    def metadata(self) -> dict[str, dict[str, Any]]:
        events = [e for e in self.result.all_events if e.is_step_materialization and e.partition is None]
        found = [e.step_materialization_data.materialization for e in events]
        return {m.asset_key.to_user_string(): {n: v.value for n, v in m.metadata.items()} for m in found}

    @property
    def written(self) -> dict[str, int]:
        numbers = {asset: metadata.get("documents_written", 0) for asset, metadata in self.metadata.items()}
        return {asset: number for asset, number in numbers.items() if number}

    @property
    def checks(self) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
        found = self.result.get_asset_check_evaluations()
        return {(e.asset_key.to_user_string(), e.check_name): e for e in found}


@dataclass(frozen=True)
class Runs:
    """What happened one after the other: a first run, one over nothing new, a tick and a run after it."""

    first: Ran
    second: Ran
    counts: dict[str, dict[str, int]]
    after_tick: Ran


def run_incremental(definitions: dg.Definitions, estate: TinyEstate, instance: dg.DagsterInstance) -> Ran:
    job = definitions.resolve_job_def("incremental_now")
    result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
    customers = {d["_id"]: d for d in estate.store.single_view["customers"].find({})}
    landing = estate.store.landing
    landed_by = {
        (name, d["_id"]): d["_sv"]["run_id"] for name in landing.list_collection_names() for d in landing[name].find({})
    }
    return Ran(result, customers, landed_by)


@pytest.fixture(scope="module")
def runs(definitions: dg.Definitions, tiny_estate: TinyEstate) -> Iterator[Runs]:
    with dg.DagsterInstance.ephemeral() as instance:
        first = run_incremental(definitions, tiny_estate, instance)
        second = run_incremental(definitions, tiny_estate, instance)
        counts = tick(tiny_estate.local_dir, tiny_estate.urls, changes=CHANGES)
        yield Runs(first, second, counts, run_incremental(definitions, tiny_estate, instance))


def test_the_first_run_brings_everything_to_the_customers(runs: Runs) -> None:
    assert runs.first.result.success
    assert len(runs.first.customers) > 15
    for asset, metadata in runs.first.metadata.items():
        assert metadata["dagster/row_count"] > 0 or asset in MAY_BE_EMPTY, asset
        assert metadata["seconds"] >= 0, asset
    landing = runs.first.metadata["landing/crm/customer"]
    assert landing["read"] == landing["inserted"] == landing["dagster/row_count"]
    assert {
        "updated",
        "unchanged",
        "stale",
        "deleted",
        "quarantined",
        "bookmark_before",
        "bookmark_after",
    } <= landing.keys()
    assert landing["bookmark_before"] != landing["bookmark_after"]


def test_all_checks_are_evaluated_and_only_quarantine_warns(runs: Runs, definitions: dg.Definitions) -> None:
    checks = runs.first.checks
    declared = definitions.resolve_asset_graph().asset_check_keys
    assert checks.keys() == {(key.asset_key.to_user_string(), key.name) for key in declared}
    failed = {key: check for key, check in checks.items() if not check.passed}
    assert failed.keys() == {
        ("landing/contactcentre/call", "quarantine_empty"),
        ("landing/web/web_account_events", "quarantine_empty"),
    }
    for check in failed.values():
        assert check.severity == dg.AssetCheckSeverity.WARN
    assert failed["landing/contactcentre/call", "quarantine_empty"].description.startswith(
        "2 rows or messages wait in quarantine: StartedAt is not a date-time"
    )


def test_every_check_explains_itself_in_one_sentence_with_figures(runs: Runs) -> None:
    for key, check in runs.first.checks.items():
        assert any(character.isdigit() for character in check.description or ""), key
        assert "\n" not in check.description, key


def test_a_second_run_writes_nothing(runs: Runs) -> None:
    assert runs.second.result.success
    assert runs.second.written == {}
    assert runs.second.customers == runs.first.customers
    assert runs.second.landed_by == runs.first.landed_by


def test_a_run_after_a_tick_touches_only_what_changed(runs: Runs) -> None:
    assert runs.after_tick.result.success
    changed = {key for key, run in runs.after_tick.landed_by.items() if run != runs.second.landed_by.get(key)}
    assert changed
    assert {
        key: run for key, run in runs.after_tick.landed_by.items() if key not in changed
    }.items() <= runs.second.landed_by.items()
    assert len(changed) <= CHANGES
    assert {name for name, _ in changed} <= {_landing_of(source) for source in runs.counts}
    before, after = runs.second.customers, runs.after_tick.customers
    touched = {i for i in before.keys() | after.keys() if before.get(i) != after.get(i)}
    assert len(touched) <= 2 * CHANGES
    assert runs.after_tick.written.get("single_view/customers", 0) == len(touched)


def _landing_of(source: str) -> str:
    """The landing collection of a table or queue, as a tick names it."""
    return {"web-account-events": "web.web_account_events", "delivery-events.fifo": "delivery.delivery_events"}.get(
        source, source
    )


def test_a_range_of_days_is_landed_in_one_run_and_moves_no_bookmark(
    definitions: dg.Definitions, tiny_estate: TinyEstate, runs: Runs
) -> None:
    landed, bookmarks = tiny_estate.store.landing["sales.orderheader"], tiny_estate.store.control["bookmarks"]
    bookmark = bookmarks.find_one({"_id": "sales.orderheader"})
    with closing(sqlite3.connect(tiny_estate.local_dir / "sales.sqlite")) as database:
        days = [d for (d,) in database.execute("SELECT DISTINCT substr(OrderDate, 1, 10) FROM OrderHeader ORDER BY 1")]
        start, end = days[10], days[14]
        query = "SELECT OrderId FROM OrderHeader WHERE substr(OrderDate, 1, 10) BETWEEN ? AND ?"
        wanted = {number for (number,) in database.execute(query, (start, end))}
    landed.delete_many({})
    asset = definitions.resolve_assets_def(dg.AssetKey(["landing", "sales", "orderheader"]))
    result = dg.materialize(
        [asset],
        tags={"dagster/asset_partition_range_start": start, "dagster/asset_partition_range_end": end},
        run_config=QUIET,
    )
    assert result.success
    assert {row["_id"] for row in landed.find({}, {"_id": 1})} == wanted
    assert bookmarks.find_one({"_id": "sales.orderheader"}) == bookmark
    reported = [e.partition for e in result.get_asset_materialization_events()]
    assert min(reported) == start
    assert max(reported) == end


# --- the queue sensor ------------------------------------------------------------------------------------------------


def evaluate(definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    sensor = definitions.resolve_sensor_def("web_web_account_events_depth")
    repository = definitions.get_repository_def()
    context = dg.build_sensor_context(
        instance=instance, instance_ref=instance.get_ref(), cursor=cursor, repository_def=repository
    )
    return sensor.evaluate_tick(context)


def test_the_queue_sensor_requests_one_run_when_messages_wait_and_none_otherwise(
    definitions: dg.Definitions, tiny_estate: TinyEstate, runs: Runs
) -> None:
    with dg.instance_for_test() as instance:
        empty = evaluate(definitions, instance)
        assert empty.run_requests == []
        assert empty.skip_message == "No message waits."
        send(sqs_client(tiny_estate.urls), [Message("web-account-events", "not json")], nonce="sensor")
        tick_once, again = evaluate(definitions, instance), evaluate(definitions, instance)
        (request,) = tick_once.run_requests
        assert [r.run_key for r in again.run_requests] == [request.run_key], "a tick evaluated twice starts one run"
        assert request.tags[QUEUE_TAG] == "web.web_account_events"
        job = definitions.resolve_job_def("incremental_now")
        run = instance.create_run_for_job(job, tags=request.tags, status=dg.DagsterRunStatus.STARTED)
        busy = evaluate(definitions, instance)
        assert busy.run_requests == []
        assert "a run is under way" in busy.skip_message
        instance.report_run_canceled(run)
        (later,) = evaluate(definitions, instance).run_requests
        assert later.run_key != request.run_key


def test_the_queue_sensor_skips_with_one_sentence_when_the_queue_cannot_be_asked(
    definitions: dg.Definitions, monkeypatch: pytest.MonkeyPatch, tiny_estate: TinyEstate
) -> None:
    monkeypatch.setenv("SQS_ENDPOINT_URL", "http://127.0.0.1:9")
    with dg.instance_for_test() as instance:
        skipped = evaluate(definitions, instance)
    assert skipped.run_requests == []
    assert skipped.skip_message.startswith("system web: SQS does not answer.")


# --- what goes wrong -------------------------------------------------------------------------------------------------


def failure_of(definitions: dg.Definitions, key: list[str]) -> dg.Failure:
    asset = definitions.resolve_assets_def(dg.AssetKey(key))
    with pytest.raises(dg.Failure) as raised:
        dg.materialize([asset], run_config=QUIET)
    return raised.value


@pytest.mark.parametrize(
    ("variable", "value", "asset", "sentence"),
    [
        ("SV_MONGO_URL", "nonsense://u:secret@x", ["landing", "crm", "customer"], "SV_MONGO_URL is not a MongoDB"),
        ("SV_MONGO_URL", "nonsense://u:secret@x", ["identity", "clusters"], "SV_MONGO_URL is not a MongoDB"),
        (
            "CRM_SQLSERVER_URL",
            "nonsense",
            ["landing", "crm", "customer"],
            "system crm: its connection is not a database URL",
        ),
        ("CRM_SQLSERVER_URL", "sqlite:////nowhere/crm.sqlite", ["landing", "crm", "customer"], "system crm: "),
    ],
)
def test_a_wrong_url_fails_the_step_with_our_one_sentence_and_is_not_tried_again(
    definitions: dg.Definitions,
    tiny_estate: TinyEstate,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    asset: list[str],
    sentence: str,
) -> None:
    monkeypatch.setenv(variable, value)
    failure = failure_of(definitions, asset)
    assert failure.description is not None
    assert failure.description.startswith(sentence)
    assert "\n" not in failure.description
    assert "secret" not in failure.description
    assert not failure.allow_retries


def test_a_missing_column_fails_the_step_with_our_one_sentence(
    definitions: dg.Definitions, tiny_estate: TinyEstate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(tmp_path / "crm.sqlite")) as database:
        database.execute("CREATE TABLE Customer (CustomerId INT NOT NULL PRIMARY KEY, RowVer ROWVERSION NOT NULL)")
    monkeypatch.setenv("CRM_SQLSERVER_URL", f"sqlite:///{tmp_path}/crm.sqlite")
    failure = failure_of(definitions, ["landing", "crm", "customer"])
    assert "crm" in (failure.description or "")
    assert "dbo.Customer" in (failure.description or "")


def test_no_value_of_a_personal_column_is_in_any_event_of_a_run(runs: Runs, tiny_estate: TinyEstate) -> None:
    """Of the whole estate: what a column that is declared as personal data says is in no event."""
    shown = "".join(
        text_of(event)
        for event in [*runs.first.result.all_events, *runs.after_tick.result.all_events]
        if event.is_step_event or event.asset_key
    )
    words = set(re.findall(r"[\w@.+'-]+", shown))
    found = []
    for source in load_catalogue().sources:
        for document in tiny_estate.store.landing[source.key].find({}):
            for path in source.entry.pii:
                value: Any = document
                for part in ["body", *path.removeprefix("$.").split(".")] if source.is_queue else [path]:
                    value = value.get(part) if isinstance(value, dict) else None
                if (
                    isinstance(value, str)
                    and len(value) > 2
                    and (value in words if " " not in value else value in shown)
                ):
                    found.append((source.key, path))
    assert found == []


def test_stations_show_their_last_runs_and_masked_rows(runs: Runs) -> None:
    for node in ("single_view__customers", "identity__party_records", "single_view__orders"):
        (event,) = runs.after_tick.result.asset_materializations_for_node(node)
        assert event.metadata["history"].value.startswith("![The last runs of"), node
        assert event.metadata["preview"].value.records
    places = {
        e.asset_key.to_user_string()
        for e in runs.after_tick.result.asset_materializations_for_node("identity__resolution")
        if "history" in e.metadata
    }
    assert places == {"identity/links", "identity/clusters", "identity/households", "identity/review"}
