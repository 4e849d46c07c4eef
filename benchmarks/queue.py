"""How fast a queue drains into MongoDB, beside how fast a bare loop receives and deletes as many messages.

Every measured part runs in a process of its own, so that its peak memory is its own:

- `land`: `land_queue` end to end: messages are received, archived, landed and deleted;
- `limit`: as many threads, with the same client, ask for the same batches of ten and delete them, and look at nothing;
  once before the landing and once after it.

Beside each runs the same feeder, which fills the queue up to `depth` before the clock starts, and keeps it there while it
is drained. That is because SQS's stand-in looks through all its messages at every request, as no real queue does: the
bare loop drains 370 messages/s from 20,000, and 2,800/s from a few (measured, 2 cores). Both sides are to see the same
depth, messages in flight included, because the stand-in looks through those as well. Landing holds some thousands in
flight, where the bare loop holds ten a thread: with a depth below that it waits for the feeder. With a depth of 0, or of
all the messages, everything is sent before the clock starts.

The clock runs from making a client until the last message is deleted. Both sides know how many messages there are, and
ask for no more, so that neither ends with an empty long poll.

For each message sent to a FIFO queue, the stand-in looks through all that were sent in the last five minutes: feed it
some thousands, not a hundred thousand.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.parts import print_figures, run_part
from sv_assets.catalogue import Catalogue, Source, load_catalogue
from sv_assets.landing.land_queue import land_queue
from sv_assets.local import start_mongo, start_sqs
from sv_assets.local.queues import sqs_client
from sv_assets.mongo import Store, in_batches, open_store, store_from_environment
from sv_assets.sources.sqs.queue import SQS_BATCH, Queue
from sv_assets.sources.sqs.receive import Bounds
from sv_assets.sources.sqs.session import aws_client

Sent = tuple[int, int]
"""What a message says: an account, and its version."""
VERSIONS = 3
"""How many versions of an account are sent."""
SENT_TWICE, SENT_LATE = 0.05, 0.05
"""Shares of the messages: sent once more by their producer, and sent after a newer version."""
SECONDS_PER_DEPTH = 1 / 20_000
"""How long the feeder pauses, for each message of the depth: a tenth of the queue is drained meanwhile, or less. To look
at the depth costs the stand-in as much as a request for messages."""
DAY = 86_400.0
PREFIX = "bench_"
_SYSTEM = """\
type: sv_assets.components.SqsQueues
attributes:
  system: bench
  endpoint: "{{ env.SQS_ENDPOINT_URL }}"
  region: eu-west-2
  owners: ["team:bench"]
  queues:
"""
_QUEUE = """\
    - name: %s
      key: $.account.id
      version: $.version
      feeds:
        party:
          name: {first: $.account.first_name, last: $.account.last_name}
          email: $.account.email
          phone: $.account.phone
          observed_at: $.occurred_at
"""


def measure_queue(
    messages: int, *, depth: int = 10_000, receivers: int = 4, fifo: bool = False
) -> dict[str, float | int | bool]:
    """Drain `messages` messages of some 600 bytes out of a queue that is kept `depth` deep, by `receivers` threads.

    Returns `messages_per_s` end to end, `limit_messages_per_s` of the bare loop, their `ratio`, `peak_rss_mb` of the
    landing process, `lost` (accounts whose newest version has not landed, and messages missing from the archive) and
    `doubled` (messages that the archive holds more often than they were sent, and documents beyond one an account).
    """
    with tempfile.TemporaryDirectory(prefix="sv-bench-") as folder:
        mongo = start_mongo(Path(folder) / "mongo")
        sqs = start_sqs(Path(folder) / "sqs")
        try:
            environment = _prepared(Path(folder), mongo.url, sqs.url, fifo)
            before, landed, after = (
                run_part("benchmarks.queue", environment, part, messages, depth or messages, receivers)
                for part in ("limit0", "land", "limit1")
            )
            with closing(open_store(mongo.url, PREFIX)) as store:
                lost, doubled = _reconciled(store, messages)
        finally:
            sqs.stop()
            mongo.stop()
    limit = 2 * messages / (before["seconds"] + after["seconds"])
    rate = messages / landed["seconds"]
    return {
        "messages": messages,
        "duplicates_sent": _sent_twice(messages),
        "fifo": fifo,
        "depth": depth,
        "receivers": receivers,
        "seconds": round(landed["seconds"], 2),
        "messages_per_s": round(rate),
        "limit_messages_per_s": round(limit),
        "ratio": round(rate / limit, 3),
        "lost": lost,
        "doubled": doubled,
        "peak_rss_mb": round(landed["peak_rss_mb"], 1),
    }


def _prepared(folder: Path, mongo_url: str, sqs_url: str, fifo: bool) -> dict[str, str]:
    """The environment of all parts, each of which has a queue of its own."""
    names = [f"{part}.fifo" if fifo else part for part in ("limit0", "land", "limit1")]
    declared = folder / "legacy" / "bench" / "defs.yaml"
    declared.parent.mkdir(parents=True)
    declared.write_text(_SYSTEM + "".join(_QUEUE % name for name in names))
    environment = {
        **os.environ,
        "SV_CATALOGUE_DIR": str(folder / "legacy"),
        "SV_MONGO_URL": mongo_url,
        "SV_MONGO_PREFIX": PREFIX,
        "SQS_ENDPOINT_URL": sqs_url,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
    }
    for name in names:
        sqs_client(environment).create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if fifo else {})
    return environment


def _reconciled(store: Store, messages: int) -> tuple[int, int]:
    """(lost, doubled): what was sent, beside what stands in the archive and in landing."""
    sent = Counter(_planned(messages))
    newest: dict[str, int] = {}
    for account, version in sent:
        newest[_account_id(account)] = max(version, newest.get(_account_id(account), 0))
    bodies = (json.loads(kept["body"]) for kept in store.archive["bench.land"].find({}, {"body": 1}))
    archived = Counter((int(body["account"]["id"][1:]), body["version"]) for body in bodies)
    found = store.landing["bench.land"].find({}, {"_sv.version": 1})
    landed = {document["_id"]: document["_sv"]["version"] for document in found}
    lost = sum(landed.get(account) != version for account, version in newest.items()) + (sent - archived).total()
    return lost, (archived - sent).total() + len(landed.keys() - newest.keys())


# What is sent.


def _sent_twice(messages: int) -> int:
    return round(messages * SENT_TWICE)


def _planned(messages: int) -> list[Sent]:
    """What the messages say, in the order in which they are sent; the same at every call."""
    chance = random.Random(messages)
    distinct = messages - _sent_twice(messages)
    accounts = -(-distinct // VERSIONS)
    late = 1.5 * accounts  # by more than the newer version of the same account is away
    places = [(n + late * (chance.random() < SENT_LATE), n) for n in range(distinct)]
    places += [(n + accounts * chance.random(), n) for n in chance.sample(range(distinct), _sent_twice(messages))]
    return [(n % accounts, 1 + n // accounts) for _, n in sorted(places)]


def _account_id(account: int) -> str:
    return f"A{account:08}"


def _body(account: int, version: int) -> str:
    """The account as a web shop would describe it, in some 600 bytes."""
    return json.dumps({
        "event": "account.updated", "version": version, "occurred_at": f"2026-{version:02}-11T09:{account % 60:02}:00.000Z",
        "account": {
            "id": _account_id(account), "customer_number": f"C{account:09}", "first_name": f"First{account % 977}",
            "last_name": f"Last{account % 3989}", "email": f"person{account}@example.com",
            "phone": f"07700 900{account % 1000:03}", "date_of_birth": f"19{50 + account % 50}-{1 + account % 12:02}-15",
            "address": {"line1": f"{1 + account % 200} Station Road", "town": "Leeds", "postcode": "LS1 4AB", "country": "GB"},
            "points": account % 5000, "balance": account % 100_000 / 100,
        },
        "preferences": {"email": True, "sms": version % 2 == 0, "post": False, "phone": False, "language": "en-GB"},
        "source": {"application": "web-shop", "release": "2026.11.2", "session": f"{account:032x}"},
    })  # fmt: skip


def _entry(number: int, sent: Sent, is_fifo: bool) -> dict[str, str]:
    entry = {"Id": str(number), "MessageBody": _body(*sent)}
    if is_fifo:
        entry |= {"MessageGroupId": _account_id(sent[0]), "MessageDeduplicationId": str(uuid.uuid4())}
    return entry


# The feeder.


@contextmanager
def _fed(part: str, messages: int, depth: int, receivers: int) -> Iterator[None]:
    """The part's queue is as deep as it is to be, and is kept so by a process that ends when everything is sent."""
    command = [sys.executable, "-m", "benchmarks.queue", f"feed:{part}", str(messages), str(depth), str(receivers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as feeder:
        assert feeder.stdout is not None
        try:
            if not feeder.stdout.readline():
                raise RuntimeError(f"the feeder of {part} ended before it had filled the queue")
            yield
        finally:
            feeder.kill()


def _feed(source: Source, messages: int, depth: int, senders: int) -> None:
    """Send all messages, as fast as there is room for them. Prints a line when the queue is full for the first time."""
    queue = Queue(source)
    send = partial(_send, source, _bare_client(source, 1)[1])
    planned = _planned(messages)
    sent = 0
    with ThreadPoolExecutor(senders) as pool:
        while sent < messages:
            due = planned[sent : sent + max(0, depth - queue.depth().total)]
            list(pool.map(send, (due[n::senders] for n in range(senders))))
            if not sent:
                print("full", flush=True)
            sent += len(due)
            time.sleep(max(0.02, depth * SECONDS_PER_DEPTH))


def _send(source: Source, url: str, sent: Sequence[Sent]) -> None:
    """Send these, ten at a time. By HTTP itself, in a fifth of the processor time that boto3 takes (measured), which the
    drain beside it would miss."""
    place = urlsplit(url)
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessageBatch"}
    with closing(HTTPConnection(str(place.hostname), place.port)) as connection:
        for batch in in_batches(sent, SQS_BATCH):
            entries = [_entry(number, one, source.queue.is_fifo) for number, one in enumerate(batch)]
            connection.request("POST", "/", json.dumps({"QueueUrl": url, "Entries": entries}), headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
            if answer.status != 200 or said.get("Failed"):
                raise RuntimeError(f"SQS did not take a batch ({answer.status})")


# The two sides.


def _bare_client(source: Source, receivers: int) -> tuple[Any, str]:
    """A client as `Queue` has one, and the address of the queue."""
    client = aws_client(
        source.sqs_system, "sqs", connections=receivers + 4, read_timeout=source.queue.wait_seconds + 20
    )
    return client, client.get_queue_url(QueueName=source.name)["QueueUrl"]


def _limit(source: Source, messages: int, receivers: int) -> dict[str, float]:
    """Receive and delete, in as many threads as there are receivers."""
    started = time.perf_counter()
    client, url = _bare_client(source, receivers)
    lock = threading.Lock()
    to_ask_for = messages

    def drain() -> None:
        nonlocal to_ask_for
        while True:
            with lock:
                asked = min(SQS_BATCH, to_ask_for)
                to_ask_for -= asked
            if not asked:
                return
            found = client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=asked,
                VisibilityTimeout=source.queue.visibility_seconds,
                WaitTimeSeconds=source.queue.wait_seconds,
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount", "MessageGroupId"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            _check_that_it_is_fed(len(found))
            with lock:
                to_ask_for += asked - len(found)
            entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(found)]
            assert not client.delete_message_batch(QueueUrl=url, Entries=entries).get("Failed")

    with ThreadPoolExecutor(receivers) as pool:
        for drained in [pool.submit(drain) for _ in range(receivers)]:
            drained.result()
    return {"seconds": time.perf_counter() - started}


def _land(store: Store, catalogue: Catalogue, source: Source, messages: int, receivers: int) -> dict[str, float]:
    """Land until all have come: a run ends where the feeder lets the queue be empty for the time of a long poll."""
    started = time.perf_counter()
    left = messages
    while left:
        report = land_queue(store, catalogue, source, "bench", bounds=Bounds(DAY, left, receivers))
        _check_that_it_is_fed(report.outcome.read)
        left -= report.outcome.read
    return {"seconds": time.perf_counter() - started}


def _check_that_it_is_fed(found: int) -> None:
    if not found:
        raise RuntimeError("the queue ran dry before all messages had come: its feeder is too slow, or has ended")


def main(part: str, messages: int, depth: int, receivers: int) -> None:
    """One part, in this process; prints its figures as a line of JSON."""
    name, _, fed = part.partition(":")
    catalogue = load_catalogue()
    source = catalogue.source(f"bench.{fed or name}")
    if fed:
        return _feed(source, messages, depth, receivers)
    with closing(store_from_environment()) as store, _fed(part, messages, depth, receivers):
        store.client.admin.command("ping")
        if name == "land":
            figures = _land(store, catalogue, source, messages, receivers)
        else:
            figures = _limit(source, messages, receivers)
    left = Queue(source).depth().total
    assert left == 0, f"{part}: {left} messages are left in the queue"
    print_figures(figures)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
