"""Draining a queue: a message is deleted when it is safe, and never before."""

import datetime as dt
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from pymongo import MongoClient

from sv_assets.catalogue import Catalogue, Source, load_catalogue
from sv_assets.errors import ConfigurationError, TransientError
from sv_assets.landing.land import LandingReport
from sv_assets.landing.land_queue import land_again, land_queue, replay_queue
from sv_assets.landing.reset import forget
from sv_assets.landing.writer import LandingWriter, Outcome
from sv_assets.local import RunningServer
from sv_assets.local.queues import dead_letter_name
from sv_assets.mongo import Store
from sv_assets.sources.messages import message_of
from sv_assets.sources.records import Batch, Window
from sv_assets.sources.sqs import holds
from sv_assets.sources.sqs.queue import Depth, Queue
from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.landing.estate import documents, entries


@dataclass
class WebShop:
    """A queue of the test's own, and its declaration."""

    catalogued: Catalogued
    client: Any
    name: str
    url: str = ""
    system: str = ""
    """More entries of the system, as `account: "123456789012", `."""
    queue: str = ""
    """More entries of the queue, as `, wait_seconds: 1`."""

    def create(self, *, receives: int | None = None) -> None:
        """The queue; with dead letters of its own after so many `receives`."""
        attributes = {"FifoQueue": "true"} if self.name.endswith(".fifo") else {}
        if receives:
            dead = self.client.create_queue(QueueName=self.dead_letters, Attributes=attributes)["QueueUrl"]
            arn = self.client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            attributes["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})
            self.queue += f", dead_letters: {self.dead_letters}"
        self.url = self.client.create_queue(QueueName=self.name, Attributes=attributes)["QueueUrl"]

    @property
    def dead_letters(self) -> str:
        return dead_letter_name(self.name)

    @property
    def catalogue(self) -> Catalogue:
        path = self.catalogued.declare("", system="web")
        path.write_text(
            "type: sv_assets.components.SqsQueues\n"
            "attributes:\n"
            '  {system: web, endpoint: "{{ env.SQS_ENDPOINT_URL }}", owners: ["team:web"], region: eu-west-2, '
            f"{self.system}\n"
            f"   queues: [{{name: {self.name}, key: $.id, version: $.v, visibility_seconds: 30, wait_seconds: 1{self.queue}}}]}}\n"
        )
        return load_catalogue(self.catalogued.directory)

    @property
    def source(self) -> Source:
        return self.catalogue.sources[0]

    def send(self, *bodies: Any, group: str = "") -> None:
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        for begin in range(0, len(texts), 10):
            entries = [
                {"Id": str(n), "MessageBody": text} | ({"MessageGroupId": group, "MessageDeduplicationId": f"{group}{n}"} if group else {})
                for n, text in enumerate(texts[begin : begin + 10], begin)
            ]  # fmt: skip
            assert not self.client.send_message_batch(QueueUrl=self.url, Entries=entries).get("Failed")

    def land(self, store: Store, **how: Any) -> LandingReport:
        return land_queue(store, self.catalogue, self.source, "run", **how)

    @property
    def depth(self) -> Depth:
        return Queue(self.source).depth()


@pytest.fixture
def sqs(sqs_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    for name, value in {**keys, "SQS_ENDPOINT_URL": sqs_server.url}.items():
        monkeypatch.setenv(name, value)
    return boto3.client(
        "sqs",
        endpoint_url=sqs_server.url,
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture(params=["", ".fifo"])
def web(request: pytest.FixtureRequest, catalogued: Catalogued, sqs: Any) -> Iterator[WebShop]:
    made = WebShop(catalogued, sqs, f"q{abs(hash(request.node.nodeid))}{request.param}")
    made.create()
    yield made
    sqs.delete_queue(QueueUrl=made.url)


@pytest.fixture
def standard(catalogued: Catalogued, sqs: Any, request: pytest.FixtureRequest) -> WebShop:
    made = WebShop(catalogued, sqs, f"s{abs(hash(request.node.nodeid))}")
    made.create()
    return made


def bodies(store: Store, source: Source) -> dict[str, Any]:
    return {key: d["body"] for key, d in documents(store, source).items()}


def test_a_queue_is_drained_wholly(store: Store, web: WebShop) -> None:
    """A FIFO queue gives out one batch of a group at a time: it is drained only if the run keeps asking."""
    messages = [{"id": f"k{n}", "v": 1} for n in range(25)]
    web.send(*messages, group="g" if web.name.endswith(".fifo") else "")
    report = web.land(store)
    assert (report.outcome.read, report.outcome.inserted, report.undeleted_messages) == (25, 25, 0)
    assert web.depth == Depth(0, 0, 0)
    assert len(bodies(store, web.source)) == 25
    assert web.land(store).outcome.read == 0


def test_duplicates_and_late_versions_leave_the_newest(store: Store, standard: WebShop) -> None:
    standard.send(*[{"id": "a", "v": v, "n": v} for v in (3, 1, 5, 5, 2)])
    standard.land(store)
    standard.send({"id": "a", "v": 4, "n": 4}, {"id": "a", "v": 5, "n": 5}, {"id": "b", "v": 1})
    report = standard.land(store)
    assert bodies(store, standard.source)["a"] == {"id": "a", "v": 5, "n": 5}
    assert (report.outcome.read, report.outcome.inserted, report.outcome.updated) == (3, 1, 0)
    assert standard.depth.total == 0


def test_a_message_lands_with_all_it_holds(store: Store, standard: WebShop) -> None:
    deep: Any = "end"
    for _ in range(80):
        deep = {"d": deep}
    body = {
        "id": "a",
        "v": 1,
        "a.b": {"$set": 1},
        "": None,
        "$literal": "$_id",
        "deep": deep,
        "name": "Zoë  ",
        "set": [[]],
    }
    standard.send(body)
    standard.land(store)
    assert bodies(store, standard.source) == {"a": body}


def test_what_cannot_land_goes_to_quarantine_whole_and_leaves_the_queue(store: Store, standard: WebShop) -> None:
    standard.send(
        "not json",
        '{"id": "x"}',
        {"id": "a", "v": 1},
        '{"id": "\\ud800", "v": 1}',
        '{"id": "d", "v": 1, "x": 1E+99999}',
    )
    report = standard.land(store)
    assert (report.outcome.read, report.outcome.inserted, report.outcome.quarantined) == (5, 2, 3)
    assert standard.depth.total == 0
    assert sorted(entry["raw"]["body"] for entry in entries(store)) == [
        "not json",
        '{"id": "\\ud800", "v": 1}',
        '{"id": "x"}',
    ]
    assert all(entry["reason"] and entry["key"].startswith("message ") for entry in entries(store))
    standard.land(store)
    assert len(entries(store)) == 3


def test_one_message_with_a_version_of_another_type_does_not_hold_up_the_queue(store: Store, standard: WebShop) -> None:
    standard.send({"id": "a", "v": 1})
    standard.land(store)
    standard.send(
        {"id": "a", "v": "2"}, {"id": "a", "v": 3}, {"id": "b", "v": "1"}, {"id": "c", "v": 1}, {"id": "d", "v": 1}
    )
    report = standard.land(store)
    assert report.outcome.quarantined == 1
    assert {key: body["v"] for key, body in bodies(store, standard.source).items()} == {
        "a": 3,
        "b": "1",
        "c": 1,
        "d": 1,
    }
    (entry,) = entries(store)
    assert entry["reason"].startswith("the version is text, and a number in what landed before")
    assert standard.depth.total == 0


def test_messages_are_left_for_later_when_landing_fails(
    store: Store, web: WebShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.send(*[{"id": f"k{n}", "v": 1} for n in range(12)], group="g" if web.name.endswith(".fifo") else "")

    def fail(*_: Any) -> None:
        raise OSError("the network is gone")

    with monkeypatch.context() as patched:
        patched.setattr(LandingWriter, "write", fail)
        patched.setattr(holds, "FIRST_PAUSE", 5)
        with pytest.raises(OSError, match="network"):
            web.land(store)
    assert web.depth.in_flight > 0, "not at once: the next run would meet the same fault"
    wait_until_visible(web, 12)
    assert web.land(store).outcome.inserted == 12


def wait_until_visible(web: WebShop, messages: int) -> None:
    deadline = time.monotonic() + 30
    while web.depth.visible < messages:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_of_two_messages_with_one_version_the_later_sent_stays_whatever_comes_again(
    store: Store, standard: WebShop
) -> None:
    """Producers whose versions are whole seconds: neither a replay nor a duplicate may bring the first one back."""
    standard.send({"id": "a", "v": "2026-11-24T10:00:00Z", "n": 1})
    time.sleep(0.01)
    standard.send({"id": "a", "v": "2026-11-24T10:00:00Z", "n": 2})
    standard.land(store)
    assert bodies(store, standard.source)["a"]["n"] == 2
    day = dt.datetime.now(dt.timezone.utc).date()
    window = Window(day - dt.timedelta(1), day + dt.timedelta(1))
    report = replay_queue(store, standard.catalogue, standard.source, "again", window)
    assert (report.outcome.read, report.outcome.landed) == (2, 0)
    first = store.archive[standard.source.key].find_one({"body": {"$regex": '"n": 1'}})
    assert first is not None
    writer = LandingWriter(store, standard.catalogue, standard.source, "alone")
    outcome = Outcome()
    land_again(writer, [message_of(first)], None, outcome)
    assert (outcome.read, outcome.landed) == (1, 0)
    assert bodies(store, standard.source)["a"]["n"] == 2


def test_a_replay_holds_no_more_than_a_few_large_messages(store: Store, standard: WebShop) -> None:
    standard.send(*[json.dumps({"id": f"k{n}", "v": 1, "pad": "x" * 900_000}) for n in range(1)])
    for n in range(1, 20):
        standard.send(json.dumps({"id": f"k{n}", "v": 1, "pad": "x" * 900_000}))
    standard.land(store)
    sizes: list[int] = []
    real = LandingWriter.write

    def write(self: LandingWriter, batch: Batch, outcome: Outcome) -> Any:
        sizes.append(batch.read)
        return real(self, batch, outcome)

    day = dt.datetime.now(dt.timezone.utc).date()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(LandingWriter, "write", write)
        window = Window(day - dt.timedelta(1), day + dt.timedelta(1))
        replay_queue(store, standard.catalogue, standard.source, "again", window)
    assert sum(sizes) == 20
    assert max(sizes) <= 5


def test_what_mongodb_refuses_stops_only_itself(store: Store, standard: WebShop) -> None:
    """A validator that somebody put on the collection."""
    collection = store.landing[standard.source.key]
    rule = {"$jsonSchema": {"properties": {"body": {"properties": {"v": {"bsonType": "long", "maximum": 5}}}}}}
    store.landing.create_collection(collection.name, validator=rule)
    standard.send({"id": "a", "v": 1}, {"id": "b", "v": 9}, {"id": "c", "v": 2})
    report = standard.land(store)
    assert sorted(bodies(store, standard.source)) == ["a", "c"]
    (entry,) = entries(store)
    assert entry["reason"] == "MongoDB refuses it (code 121)"
    assert json.loads(entry["raw"]["body"]) == {"id": "b", "v": 9}
    assert (report.outcome.quarantined, standard.depth.total) == (1, 0)


def test_another_key_is_refused_until_the_queue_is_reset_and_landed_again(store: Store, standard: WebShop) -> None:
    standard.send({"id": "a", "v": 1, "other": "x"})
    standard.land(store)
    source = standard.source
    changed = Source(source.sqs_system, source.queue.model_copy(update={"key": "$.other"}))
    with pytest.raises(ConfigurationError, match=rf"landed by the key .*sv reset {source.key}"):
        land_queue(store, standard.catalogue, changed, "run")
    assert forget(store, source) == 1
    day = dt.datetime.now(dt.timezone.utc).date()
    window = Window(day - dt.timedelta(1), day + dt.timedelta(1))
    replay_queue(store, standard.catalogue, changed, "again", window)
    assert {key: d["_sv"]["deleted"] for key, d in documents(store, source).items()} == {"a": True, "x": False}
    assert land_queue(store, standard.catalogue, changed, "run").outcome.read == 0
    assert forget(store, source) == 2
    replay_queue(store, standard.catalogue, source, "back", window)
    assert {key: d["_sv"]["deleted"] for key, d in documents(store, source).items()} == {"a": False, "x": True}


def test_nothing_is_received_while_mongodb_is_away(standard: WebShop, monkeypatch: pytest.MonkeyPatch) -> None:
    standard.send({"id": "a", "v": 1})
    monkeypatch.setenv("SV_MONGO_URL", "mongodb://u:s3cr3t@127.0.0.1:1/")
    with pytest.raises(TransientError, match="MongoDB does not answer") as caught:
        standard.land(Store(MongoClient("mongodb://127.0.0.1:1/", serverSelectionTimeoutMS=300)))
    assert "s3cr3t" not in str(caught.value)
    assert standard.depth == Depth(1, 0, 0)


def test_two_runs_drain_one_queue_together(store: Store, standard: WebShop) -> None:
    standard.send(*[{"id": f"k{n % 40}", "v": n} for n in range(120)])
    catalogue, source = standard.catalogue, standard.source
    reports: list[LandingReport] = []
    runs = [
        threading.Thread(target=lambda: reports.append(land_queue(store, catalogue, source, "run"))) for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sum(report.outcome.read for report in reports) == 120
    assert {key: body["v"] for key, body in bodies(store, source).items()} == {f"k{n % 40}": n for n in range(80, 120)}
    assert standard.depth.total == 0


def test_a_run_stops_when_it_is_told_to_and_the_rest_stays(store: Store, standard: WebShop) -> None:
    standard.send({"id": "a", "v": 1})
    assert standard.land(store, should_stop=lambda: True).outcome.read == 0
    assert standard.depth.visible == 1


def test_a_queue_that_does_not_exist_is_one_sentence(store: Store, standard: WebShop) -> None:
    standard.name = "no-such-queue"
    with pytest.raises(ConfigurationError, match="system web: there is no queue no-such-queue") as caught:
        standard.land(store)
    assert "\n" not in str(caught.value)


def test_nobody_listening_for_sqs_is_transient(
    store: Store, standard: WebShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(TransientError, match="system web: SQS does not answer"):
        standard.land(store)


@pytest.mark.parametrize("endpoint", ["what", "ftp//x"])
def test_an_endpoint_that_is_no_url_is_one_sentence(
    store: Store, standard: WebShop, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQS_ENDPOINT_URL", endpoint)
    with pytest.raises(ConfigurationError, match="system web: SQS cannot be used"):
        standard.land(store)


def test_no_region_is_one_sentence(catalogued: Catalogued, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "SQS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SV_LOCAL_DIR", str(catalogued.directory))
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    web = WebShop(catalogued, None, "q")
    catalogue = web.catalogue
    source = catalogue.sources[0]
    regionless = Source(source.sqs_system.model_copy(update={"region": None}), source.queue)
    with pytest.raises(ConfigurationError, match=r"SQS cannot be used \(NoRegionError\)"):
        land_queue(store, catalogue, regionless, "run")
