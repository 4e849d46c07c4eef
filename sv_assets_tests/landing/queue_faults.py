"""A queue behind the proxy that misbehaves, and an account of every message that was sent to it."""

import json
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError
from botocore.retries.standard import ExponentialBackoff
from pymongo.errors import PyMongoError

from sv_assets.catalogue import Source, load_catalogue
from sv_assets.errors import TransientError
from sv_assets.landing import land_queue as landing_module
from sv_assets.landing.land import LandingReport
from sv_assets.landing.land_queue import land_queue
from sv_assets.local import RunningServer
from sv_assets.local.servers import REGION
from sv_assets.mongo import Store, store_from_environment
from sv_assets.sources.messages import message_of
from sv_assets.sources.sqs import receive
from sv_assets.sources.sqs.queue import Depth
from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.landing.crash import FORKS
from sv_assets_tests.queue_proxy import Ledger, QueueProxy

SECONDS = 120.0
"""How long anything may take that is to end by itself: a bound for hangs, and no measure."""


def changed(source: Source, **declared: Any) -> Source:
    """The queue with other words in its declaration; they may be such as the catalogue would refuse."""
    return Source(source.sqs_system, source.queue.model_copy(update=declared))


@dataclass
class Counted:
    """A queue of the test's own: filled and looked at directly, landed through the proxy.

    What was sent stands in `sent` (the body by message id), `newest` (the version by key), `poison` (the ids of what
    cannot land) and `order` (the ids of a group). `unsafe` are messages that were to be deleted before they were in the
    archive, and in landing or quarantine.
    """

    store: Store
    proxy: QueueProxy
    client: Any
    source: Source
    catalogue: Any
    url: str
    dead_url: str = ""
    sent: dict[str, str] = field(default_factory=dict)
    newest: dict[str, Any] = field(default_factory=dict)
    poison: set[str] = field(default_factory=set)
    order: dict[str, list[str]] = field(default_factory=dict)
    unsafe: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.proxy.before_deleting = self._check_safe

    @property
    def is_fifo(self) -> bool:
        return self.source.name.endswith(".fifo")

    # Messages in.

    def send(self, *bodies: Any, group: str = "g", **how: Any) -> list[str]:
        """Send messages; text is sent as it is, and is poison unless it is a JSON object."""
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        ids: list[str] = []
        for batch in _batches(texts):
            entries = [{"Id": str(n), "MessageBody": text, **self._fifo(group), **how} for n, text in enumerate(batch)]
            answer = self.client.send_message_batch(QueueUrl=self.url, Entries=entries)
            assert not answer.get("Failed")
            by_entry = {done["Id"]: done["MessageId"] for done in answer["Successful"]}
            ids += [by_entry[str(n)] for n in range(len(batch))]
        for identifier, text in zip(ids, texts, strict=True):
            self._note(identifier, text, group)
        return ids

    def send_versions(self, count: int, keys: int, first: int = 1, groups: int = 4, **more: Any) -> None:
        """Send `count` versions of `keys` keys; of a FIFO queue, all versions of a key in one group."""
        bodies = [{"id": f"k{n % keys}", "v": first + n // keys, **more} for n in range(count)]
        if not self.is_fifo:
            self.send(*bodies)
            return
        for number in range(groups):
            mine = [body for n, body in enumerate(bodies) if n % keys % groups == number]
            self.send(*mine, group=f"g{number}")

    def _fifo(self, group: str) -> dict[str, str]:
        return {"MessageGroupId": group, "MessageDeduplicationId": uuid.uuid4().hex} if self.is_fifo else {}

    def _note(self, identifier: str, text: str, group: str) -> None:
        self.sent[identifier] = text
        self.order.setdefault(group, []).append(identifier)
        try:
            body = json.loads(text)
            key, version = str(body["id"]), body["v"]
        except (ValueError, TypeError, KeyError, RecursionError):
            self.poison.add(identifier)
            return
        self.newest[key] = max(self.newest.get(key, version), version)

    # Runs.

    def land(self, **how: Any) -> LandingReport:
        return land_queue(self.store, self.catalogue, self.source, "run", **how)

    def drain(self, seconds: float = SECONDS) -> None:
        """Run again and again until the queue is empty, whatever happens to a run."""
        until = time.monotonic() + seconds
        while self.depth.total:
            assert time.monotonic() < until, f"not drained: {self.depth}"
            try:
                self.land()
            except TransientError:
                self.show_all()
            time.sleep(0.05)

    def show_all(self) -> None:
        """End the back-off of what is hidden; what somebody else holds by now is left alone."""
        gone = set(self.proxy.ledger.gone)
        handles = [
            handle for message, handle in self.proxy.handles.items() if message in self.sent and message not in gone
        ]
        for batch in _batches(handles):
            entries = [{"Id": str(n), "ReceiptHandle": h, "VisibilityTimeout": 0} for n, h in enumerate(batch)]
            self.client.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)

    # Messages out.

    @property
    def depth(self) -> Depth:
        return self._depth(self.url)

    @property
    def dead(self) -> int:
        return self._depth(self.dead_url).total

    @property
    def archived(self) -> dict[str, str]:
        """The bodies in the archive, by message id."""
        return {d["_id"]: message_of(d).body for d in self.store.archive[self.source.key].find()}

    @property
    def landed(self) -> dict[str, Any]:
        """The bodies that have landed, by key."""
        return {d["_id"]: d["body"] for d in self.store.landing[self.source.key].find()}

    @property
    def quarantined(self) -> Counter[str]:
        """The messages in quarantine that are as they were sent, by id."""
        entries = self.store.control["quarantine"].find({"source": self.source.key, "status": "open"})
        messages = [message_of(entry["raw"]) for entry in entries]
        return Counter(m.message_id for m in messages if m.body == self.sent[m.message_id])

    def reconcile(self) -> None:
        """Every message in is a message out: exactly, and never deleted before it was safe."""
        self.check_again()
        assert receiver_threads() == []
        assert self.unsafe == []
        assert self.depth == Depth(0, 0, 0)
        assert self.archived == self.sent
        assert {key: body["v"] for key, body in self.landed.items()} == self.newest
        assert self.quarantined == Counter(self.poison)
        assert {message for message in self.proxy.ledger.gone if message in self.sent} == set(self.sent)
        if self.is_fifo:
            self.check_order()

    def check_order(self) -> None:
        """No message of a group was put into the archive before one that was sent ahead of it."""
        moments = {d["_id"]: d["received_at"] for d in self.store.archive[self.source.key].find({}, {"received_at": 1})}
        for group, ids in self.order.items():
            received = [moments[identifier] for identifier in ids if identifier in moments]
            assert received == sorted(received), f"the group {group} landed out of order"
            there = [identifier in moments for identifier in ids]
            assert there == sorted(there, reverse=True), f"of the group {group}, a later message landed alone"

    def check_again(self) -> None:
        """What was deleted while MongoDB was away is looked up now."""
        later, self.unchecked = self.unchecked, []
        self._check_safe(later)

    def _check_safe(self, messages: list[str]) -> None:
        """Called when the server is about to delete these."""
        try:
            there = {
                d["_id"]: d.get("key")
                for d in self.store.archive[self.source.key].find({"_id": {"$in": messages}}, {"key": 1})
            }
            keys = [key for key in there.values() if key is not None]
            query = {"_id": {"$in": keys}}
            landed = {d["_id"]: d["_sv"]["version"] for d in self.store.landing[self.source.key].find(query)}
        except PyMongoError:
            self.unchecked += messages
            return
        for identifier in messages:
            if identifier not in there:
                self.unsafe.append(f"{identifier} was not in the archive")
            elif identifier in self.poison or there[identifier] is None:
                continue  # counted at the end
            elif landed.get(there[identifier], _NOTHING) < json.loads(self.sent[identifier])["v"]:
                self.unsafe.append(f"{identifier} had not landed")

    def _depth(self, url: str) -> Depth:
        kinds = ("", "NotVisible", "Delayed")
        names = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
        found = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return Depth(*(int(found[name]) for name in names))


class _Nothing:
    def __lt__(self, _other: object) -> bool:
        return True


_NOTHING: Any = _Nothing()


def in_flight(ledger: Ledger, weight: Callable[[str], int] = lambda _message: 1) -> int:
    """The most that was ever received, and neither deleted nor given back yet; by default in messages."""
    held: set[str] = set()
    now = most = 0
    for event, message in list(ledger.sequence):
        if event == "delivered" and message not in held:
            held.add(message)
            now += weight(message)
        elif event in ("deleted", "deleted_untold", "released") and message in held:
            held.remove(message)
            now -= weight(message)
        most = max(most, now)
    return most


def hidden_again(ledger: Ledger) -> list[str]:
    """Messages that were hidden once more after they had been given back or deleted."""
    free: set[str] = set()
    found: list[str] = []
    for event, message in list(ledger.sequence):
        if event == "delivered":
            free.discard(message)
        elif event == "released" or event.startswith("deleted"):
            free.add(message)
        elif event == "extended" and message in free:
            found.append(message)
    return found


def released_and_deleted(ledger: Ledger) -> list[str]:
    """Messages that were given back after they had last been received, and deleted all the same."""
    free: set[str] = set()
    found: list[str] = []
    for event, message in list(ledger.sequence):
        if event == "delivered":
            free.discard(message)
        elif event == "released":
            free.add(message)
        elif event.startswith("deleted") and message in free:
            found.append(message)
    return found


def receiver_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("sqs-")]


def wait_until(reached: Callable[[], Any], what: str, seconds: float = SECONDS) -> None:
    until = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < until, f"waited in vain: {what}"
        time.sleep(0.01)


class Run:
    """A run in a thread of its own; `end` waits for it."""

    def __init__(self, land: Callable[[], LandingReport]) -> None:
        self.report: LandingReport | None = None
        self.failure: BaseException | None = None
        self._land = land
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.report = self._land()
        except BaseException as failure:
            self.failure = failure

    def end(self, seconds: float = SECONDS) -> LandingReport:
        """Its report. Raises what it raised."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the run hangs"
        if self.failure:
            raise self.failure
        assert self.report
        return self.report


@contextmanager
def opened_by(change: Callable[[Any], None]) -> Iterator[None]:
    """Runs in which `change` sees each message before it is opened, and may raise."""
    real = landing_module.open_message

    def open_message(queue: Any, message: Any, payloads: Any) -> Any:
        change(message)
        return real(queue, message, payloads)

    with patch.object(landing_module, "open_message", open_message):
        yield


def start_run(key: str, declared: Mapping[str, Any]) -> Any:
    """A run in a process of its own, in its main thread; returns when it is about to begin."""
    ours, theirs = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=_run, args=(dict(os.environ), key, dict(declared), theirs))
    process.start()
    theirs.close()
    assert ours.recv()
    return process


def _run(environment: dict[str, str], key: str, declared: dict[str, Any], begin: Connection) -> None:
    os.environ.clear()
    os.environ.update(environment)
    catalogue = load_catalogue()
    source = changed(catalogue.source(key), **declared)
    store = store_from_environment()
    store.client.admin.command("ping")
    begin.send(True)
    land_queue(store, catalogue, source, "process")


def _batches(items: Iterable[Any], size: int = 10) -> Iterator[list[Any]]:
    found = list(items)
    for begin in range(0, len(found), size):
        yield found[begin : begin + size]


# Fixtures: import them, with `sqs`, where they are used.


@pytest.fixture
def proxy(sqs_server: RunningServer) -> Iterator[QueueProxy]:
    with QueueProxy(sqs_server.url, seed=7) as made:
        yield made


@pytest.fixture
def make_queue(
    store: Store, catalogued: Catalogued, sqs: Any, proxy: QueueProxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Counted]]:
    """Makes a queue and its declaration. It hides for 30 s, and a standard queue waits for nothing, unless told otherwise."""
    monkeypatch.setenv("SQS_ENDPOINT_URL", proxy.url)
    urls: list[str] = []

    def make(suffix: str = "", *, receives: int | None = None, **declared: Any) -> Counted:
        name = f"f{uuid.uuid4().hex}"
        attributes = {"FifoQueue": "true"} if suffix else {}
        dead = sqs.create_queue(QueueName=f"{name}-dead{suffix}", Attributes=attributes)["QueueUrl"]
        policy = {"maxReceiveCount": receives, "deadLetterTargetArn": f"arn:aws:sqs:eu-west-2:000000000000:{name}-dead{suffix}"}  # fmt: skip
        attributes |= {"RedrivePolicy": json.dumps(policy)} if receives else {}
        urls.extend([dead, sqs.create_queue(QueueName=f"{name}{suffix}", Attributes=attributes)["QueueUrl"]])
        entry = {
            "name": f"{name}{suffix}",
            "key": "$.id",
            "version": "$.v",
            "visibility_seconds": 30,
            "wait_seconds": 1,
        }
        system = {"system": "web", "endpoint": "{{ env.SQS_ENDPOINT_URL }}", "owners": ["team:web"], "region": REGION}
        catalogued.declare("", system="web").write_text(
            json.dumps({"type": "sv_assets.components.SqsQueues", "attributes": {**system, "queues": [entry]}})
        )
        catalogue = load_catalogue(catalogued.directory)
        source = changed(catalogue.sources[0], **{"wait_seconds": 1 if suffix else 0, **declared})
        return Counted(store, proxy, sqs, source, catalogue, urls[-1], dead)

    yield make
    proxy.calm()
    for url in urls:
        with suppress(ClientError):
            sqs.delete_queue(QueueUrl=url)


@pytest.fixture(params=["", ".fifo"])
def queue(request: pytest.FixtureRequest, make_queue: Callable[..., Counted]) -> Counted:
    return make_queue(request.param)


@pytest.fixture
def standard(make_queue: Callable[..., Counted]) -> Counted:
    return make_queue()


@pytest.fixture
def fifo(make_queue: Callable[..., Counted]) -> Counted:
    return make_queue(".fifo")


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between attempts, botocore's and ours, made short."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.01)
    monkeypatch.setattr(receive, "LONGEST_PAUSE", 0.1)
