"""What an engineer sees of a queue in the UI: its landing, the days of its archive, its dead letters, and its sensor."""

import datetime as dt
import json
import os
import time
from typing import Any

import boto3
import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from sv_assets.catalogue import Source
from sv_assets.components.keys import RECEIVES_CHECK, archive_key, dead_letters_key, landing_key, legacy_key
from sv_assets.components.queue_assets import archive_partitions, dead_letters_asset, queue_assets
from sv_assets.components.queue_sensor import QUEUE_TAG, Look, queue_sensor, run_config
from sv_assets.components.source_checks import audits_of
from sv_assets.errors import ConfigurationError
from sv_assets.landing.writer import LandingWriter
from sv_assets.mongo import Store
from sv_assets.quality.backlog import DEAD_LETTERS as DEAD_LETTERS_CHECK
from sv_assets.resources import MongoResource
from sv_assets.sources.sqs.queue import Depth, Queue
from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.landing.test_land_queue import WebShop, bodies, sqs

__all__ = ["sqs"]


@pytest.fixture
def web(catalogued: Catalogued, sqs: Any, request: pytest.FixtureRequest) -> WebShop:
    made = WebShop(catalogued, sqs, f"a{abs(hash(request.node.nodeid))}")
    made.create(receives=3)
    return made


def ran(source: Source, instance: dg.DagsterInstance, **how: Any) -> dg.ExecuteInProcessResult:
    """The landing and its checks, as a run of the UI would do them."""
    landing, _archive = queue_assets(source)
    how.setdefault("selection", [landing])
    assets = [landing, _archive, dead_letters_asset(source)]
    return dg.materialize(assets, resources={"mongo": MongoResource()}, instance=instance, **how)


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    return {e.check_name: (e.passed, e.description or "") for e in result.get_asset_check_evaluations()}


def metadata_of(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, Any]:
    (event,) = [e for e in result.asset_materializations_for_node(key.to_python_identifier()) if not e.partition]
    return {name: value.value for name, value in event.metadata.items()}


def today() -> str:
    return f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d}"


def test_a_run_fills_a_day_of_the_archive_and_that_day_can_be_landed_again(store: Store, web: WebShop) -> None:
    web.send(*[{"id": f"k{n}", "v": n} for n in range(12)], "not json")
    source = web.source
    with dg.DagsterInstance.ephemeral() as instance:
        result = ran(source, instance)
        shown = metadata_of(result, landing_key(source))
        assert (shown["read"], shown["inserted"], shown["quarantined"]) == (13, 12, 1)
        assert (shown["messages_deleted"], shown["messages_archived"]) == (13, 13)
        assert shown["oldest_message_seconds"] >= 0
        assert instance.get_materialized_partitions(archive_key(source)) == {today()}
        store.landing[source.key].delete_many({"_id": {"$in": ["k1", "k2"]}})
        again = ran(source, instance, selection=[archive_key(source)], partition_key=today())
        (event,) = again.asset_materializations_for_node(archive_key(source).to_python_identifier())
        assert {name: event.metadata[name].value for name in ("read", "inserted", "unchanged", "quarantined")} == {
            "read": 13, "inserted": 2, "unchanged": 10, "quarantined": 1,
        }  # fmt: skip
    assert {key: body["v"] for key, body in bodies(store, source).items()} == {f"k{n}": n for n in range(12)}


def test_a_range_of_days_is_landed_again_in_one_run(store: Store, web: WebShop) -> None:
    web.send({"id": "a", "v": 1}, {"id": "b", "v": 1})
    source = web.source
    with dg.DagsterInstance.ephemeral() as instance:
        ran(source, instance)
        long_ago = dt.datetime(2026, 3, 3, 12, tzinfo=dt.timezone.utc)
        moved = store.archive[source.key].find_one({"key": "a"})
        assert moved is not None
        store.archive[source.key].update_one({"_id": moved["_id"]}, {"$set": {"sent_at": long_ago}})
        store.landing[source.key].delete_many({})
        tags = {"dagster/asset_partition_range_start": "2026-03-01", "dagster/asset_partition_range_end": "2026-03-31"}
        ran(source, instance, selection=[archive_key(source)], tags=tags)
    assert list(bodies(store, source)) == ["a"]


def test_the_archive_has_a_partition_for_each_day_up_to_today(web: WebShop) -> None:
    keys = archive_partitions(web.source).get_partition_keys()
    assert (keys[0], keys[-1]) == ("2026-01-01", today())


def test_a_message_received_nearly_too_often_and_a_dead_letter_are_warnings(
    store: Store, web: WebShop, sqs: Any
) -> None:
    source = web.source
    with dg.DagsterInstance.ephemeral() as instance:
        assert checks_of(ran(source, instance))[RECEIVES_CHECK] == (
            True,
            "0 messages were received, none more than 0 times.",
        )
        web.send({"id": "a", "v": 1})
        sqs.receive_message(QueueUrl=web.url, VisibilityTimeout=0)
        checks = checks_of(ran(source, instance))
        assert not checks[RECEIVES_CHECK][0]
        assert f"SQS moves a message to {web.dead_letters} after 3" in checks[RECEIVES_CHECK][1]
        assert checks[DEAD_LETTERS_CHECK] == (True, f"0 messages are dead letters, in {web.dead_letters}.")
        dead = sqs.get_queue_url(QueueName=web.dead_letters)["QueueUrl"]
        sqs.send_message(QueueUrl=dead, MessageBody="{}")
        passed, sentence = checks_of(ran(source, instance))[DEAD_LETTERS_CHECK]
    assert not passed
    assert sentence.startswith("1 messages are dead letters")
    assert f"sv queues inspect {source.key} --dead-letters" in sentence


def test_a_run_that_fails_warns_of_dead_letters_and_leaves_its_messages_hidden(
    store: Store, web: WebShop, sqs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sound is not to become a dead letter because something of ours is wrong."""
    source = web.source
    web.send({"id": "a", "v": 1})
    sqs.receive_message(QueueUrl=web.url, VisibilityTimeout=0)

    def refuse(*_: Any) -> None:
        raise ConfigurationError("MongoDB refuses our user.")

    with dg.DagsterInstance.ephemeral() as instance:
        with monkeypatch.context() as patched:
            patched.setattr(LandingWriter, "write", refuse)
            assert not ran(source, instance, raise_on_error=False).success
        (record,) = instance.event_log_storage.get_asset_check_execution_history(
            check_key=dg.AssetCheckKey(landing_key(source), RECEIVES_CHECK), limit=1
        )
        assert record.status == AssetCheckExecutionRecordStatus.FAILED
        assert instance.get_materialized_partitions(archive_key(source)) == {today()}
    assert web.depth == Depth(0, 1, 0)


def test_bounds_of_a_run_come_from_its_launch_config(store: Store, web: WebShop) -> None:
    web.send(*[{"id": f"k{n}", "v": 1} for n in range(30)])
    source = web.source
    config = {
        "ops": {landing_key(source).to_python_identifier(): {"config": {"stop_after_messages": 7, "receivers": 2}}}
    }
    with dg.DagsterInstance.ephemeral() as instance:
        shown = metadata_of(ran(source, instance, run_config=config), landing_key(source))
    assert shown["read"] == 7
    assert shown["stopped"] == "it had received 7 messages"
    assert web.depth == Depth(23, 0, 0)


def test_a_queue_counts_as_late_when_nobody_looked_at_it_for_long(web: WebShop) -> None:
    web.queue += ", freshness: 20m"
    landing, _ = queue_assets(web.source)
    policy = landing.specs_by_key[landing_key(web.source)].freshness_policy
    assert policy == dg.FreshnessPolicy.time_window(
        fail_window=dt.timedelta(minutes=20), warn_window=dt.timedelta(minutes=10)
    )


@pytest.mark.parametrize(
    "wrong", [{"receivers": -1}, {"receivers": 0}, {"stop_after_seconds": 0}, {"stop_after_messages": 0}]
)
def test_bounds_that_cannot_be_are_refused_at_once(store: Store, web: WebShop, wrong: dict[str, float]) -> None:
    source = web.source
    config = {"ops": {landing_key(source).to_python_identifier(): {"config": wrong}}}
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(dg.Failure) as raised:
        ran(source, instance, run_config=config)
    assert (raised.value.description or "").startswith("A run of a queue ")
    assert not raised.value.allow_retries


# --- the sensor ------------------------------------------------------------------------------------------------------


def tick(web: WebShop, instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    source = web.source
    definitions = dg.Definitions(
        assets=[*queue_assets(source), dead_letters_asset(source)],
        asset_checks=[audits_of([source])],
        sensors=[queue_sensor(source)],
        resources={"mongo": MongoResource()},
    )
    repository = definitions.get_repository_def()
    context = dg.build_sensor_context(
        instance=instance, instance_ref=instance.get_ref(), cursor=cursor, repository_def=repository
    )
    return definitions.resolve_sensor_def(f"web_{source.slug}_depth").evaluate_tick(context)


def observed(found: Any, key: dg.AssetKey) -> dict[str, Any]:
    (event,) = [event for event in found.asset_events if event.asset_key == key]
    return {name: value.value for name, value in event.metadata.items()}


def test_a_tick_shows_depth_age_and_dead_letters_on_the_assets_of_the_queue(web: WebShop, sqs: Any) -> None:
    source = web.source
    dead = sqs.get_queue_url(QueueName=web.dead_letters)["QueueUrl"]
    sqs.send_message(QueueUrl=dead, MessageBody="{}")
    with dg.instance_for_test() as instance:
        calm = tick(web, instance)
        assert calm.run_requests == []
        assert observed(calm, legacy_key(source)) == {
            "waiting": 0, "in_flight": 0, "delayed": 0, "oldest_message_seconds": 0.0,
        }  # fmt: skip
        assert observed(calm, dead_letters_key(source)) == {"waiting": 1}
        web.send({"id": "a", "v": 1})
        first = tick(web, instance, calm.cursor)
        time.sleep(1)
        second = tick(web, instance, first.cursor)
        assert observed(second, legacy_key(source))["waiting"] == 1
        assert observed(second, legacy_key(source))["oldest_message_seconds"] >= 1
        assert json.loads(tick(web, instance, second.cursor).cursor)["waiting_since"] is not None
        sqs.purge_queue(QueueUrl=web.url)
        assert json.loads(tick(web, instance, second.cursor).cursor)["waiting_since"] is None


def test_a_tick_requests_the_run_of_its_size_and_that_run_drains_the_queue(store: Store, web: WebShop) -> None:
    web.send(*[{"id": f"k{n}", "v": 1} for n in range(25)])
    source = web.source
    with dg.instance_for_test() as instance:
        (request,) = tick(web, instance).run_requests
        assert request.tags[QUEUE_TAG] == source.key
        result = ran(source, instance, run_config=request.run_config)
    assert metadata_of(result, landing_key(source))["inserted"] == 25


def test_the_age_of_the_oldest_message_is_what_cloudwatch_says_where_it_does(web: WebShop) -> None:
    endpoint = {"region_name": "eu-west-2", "endpoint_url": os.environ["SQS_ENDPOINT_URL"]}
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    assert Queue(web.source).oldest_age() is None
    now = dt.datetime.now(dt.timezone.utc)
    boto3.client("cloudwatch", **endpoint, **keys).put_metric_data(
        Namespace="AWS/SQS",
        MetricData=[
            {
                "MetricName": "ApproximateAgeOfOldestMessage",
                "Dimensions": [{"Name": "QueueName", "Value": web.name}],
                "Timestamp": now - dt.timedelta(minutes=minutes),
                "Value": age,
            }
            for minutes, age in ((3, 5000.0), (1, 1234.0))
        ],
    )
    assert Queue(web.source).oldest_age() == 1234.0


def test_dead_letters_that_cannot_be_looked_at_keep_nobody_from_the_queue(store: Store, web: WebShop) -> None:
    web.queue = ", dead_letters: no-such-queue"
    web.send({"id": "a", "v": 1})
    source = web.source
    with dg.instance_for_test() as instance:
        assert len(tick(web, instance).run_requests) == 1
        passed, sentence = checks_of(ran(source, instance))[DEAD_LETTERS_CHECK]
    assert not passed
    assert sentence.startswith("They could not be looked at: system web: there is no queue no-such-queue")


def test_after_runs_that_failed_the_next_one_waits_for_longer_each_time(web: WebShop) -> None:
    web.send({"id": "a", "v": 1})
    source = web.source
    waits: list[float] = []
    with dg.instance_for_test() as instance:
        for _ in range(3):
            run = instance.create_run_for_job(no_work, tags={QUEUE_TAG: source.key}, status=dg.DagsterRunStatus.STARTED)
            instance.report_run_failed(run)
            skipped = tick(web, instance)
            assert skipped.run_requests == []
            waits.append(float(skipped.skip_message.split(" in ")[1].split(" s.")[0]))
        done = instance.create_run_for_job(no_work, tags={QUEUE_TAG: source.key}, status=dg.DagsterRunStatus.SUCCESS)
        assert done
        assert len(tick(web, instance).run_requests) == 1
    assert [round(wait, -1) for wait in waits] == [60, 120, 240]


@dg.job
def no_work() -> None:
    """Nothing."""


@pytest.mark.parametrize(
    ("waiting", "oldest", "receivers", "seconds"),
    [(1, 0, 4, 600), (9_000, 0, 5, 600), (31_000, 0, 16, 600), (100_000, 0, 16, 1000), (10**7, 0, 16, 3600), (50, 1801, 16, 600)],
)  # fmt: skip
def test_a_burst_or_an_old_message_makes_a_larger_run(
    web: WebShop, waiting: int, oldest: float, receivers: int, seconds: float
) -> None:
    assert run_config(web.source, Look(Depth(waiting, 0, 0), oldest)) == {
        "receivers": receivers,
        "stop_after_seconds": seconds,
    }
