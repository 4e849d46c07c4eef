"""The whole way of a record, over the seeded estate: whatever order its history arrives in, the same customers come out."""

import datetime as dt
import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bson
import pytest

from sv_assets.catalogue import Source
from sv_assets.customers.contacts import CONSENTS, FLAGS, INTERACTIONS
from sv_assets.customers.customers import refresh_customers
from sv_assets.customers.facts import refresh_facts
from sv_assets.customers.history import composed_part
from sv_assets.customers.orders import ORDERS
from sv_assets.identity.evaluate.estate import quality_of_estate, read_truth
from sv_assets.landing.documents import Origin
from sv_assets.landing.quarantine import Quarantine
from sv_assets.landing.statements import tombstone
from sv_assets.landing.writer import LandingWriter, Outcome
from sv_assets.local import RunningServer, seed, tick
from sv_assets.local.generator.legacy_schema import TABLES
from sv_assets.mongo import CODEC, Document, Store, bulk_write, open_store
from sv_assets.sources.capture import open_reader
from sv_assets.sources.database import open_database
from sv_assets.sources.messages.open import open_message
from sv_assets.sources.records import Batch, Position, Record, Rejected, Version
from sv_assets.sources.sqs.queue import Queue
from sv_assets.sources.table import describe
from sv_assets_tests.retailer import Retailer, catalogue, written

PEOPLE = 60
TICKS = 3
CHANGES = 70
UNTIL = dt.date(2026, 11, 20)


@dataclass(frozen=True)
class Landing:
    """One batch of one source, or the keys that were found to be gone."""

    source: Source
    batch: Batch
    gone: tuple[Any, ...] = ()
    version: Version = ""


@dataclass(frozen=True)
class History:
    """Everything that there ever was to land, in its order, and where the truth about it stands."""

    landings: list[Landing]
    local_dir: Path


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, sqs_server: RunningServer) -> Iterator[History]:
    """The batches of the first read of a small estate, and of the reads after each of a few ticks."""
    local = tmp_path_factory.mktemp("estate")
    urls = {f"{system.upper()}_SQLSERVER_URL": f"sqlite:///{local}/{system}.sqlite" for system in TABLES}
    urls |= {"SQS_ENDPOINT_URL": sqs_server.url, "AWS_DEFAULT_REGION": "eu-west-2"}
    urls |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in urls.items():
            patch.setenv(name, value)
        seed(local, urls, people=PEOPLE, until=UNTIL)
        positions: dict[str, Position] = {}
        keys: dict[str, set[Any]] = {}
        landings = list(read_tables(positions, keys))
        for _ in range(TICKS):
            tick(local, urls, changes=CHANGES)
            landings += read_tables(positions, keys)
        landings += (landing for s in catalogue().sources if s.is_queue for landing in read_queue(s))
        yield History(landings, local)


def read_tables(positions: dict[str, Position], keys: dict[str, set[Any]]) -> Iterator[Landing]:
    for source in catalogue().sources:
        if not source.is_queue:
            yield from read_table(source, positions, keys)


def read_table(source: Source, positions: dict[str, Position], keys: dict[str, set[Any]]) -> Iterator[Landing]:
    database = open_database(source.sql_system)
    reader = open_reader(database, describe(database, source))
    for batch in reader.read(positions.get(source.key)):
        positions[source.key] = batch.position or positions[source.key]
        for start in range(0, len(batch.records), 40):
            yield Landing(source, replace(batch, records=batch.records[start : start + 40], rejected=[]))
        if batch.rejected:
            yield Landing(source, replace(batch, records=[]))
    there = set(reader.keys())
    if gone := keys.get(source.key, set()) - there:
        yield Landing(source, Batch([], [], {}, now()), tuple(gone), reader.deletion_version())
    keys[source.key] = there
    database.close()


def read_queue(source: Source) -> Iterator[Landing]:
    queue = Queue(source)
    while queue.depth().total:
        messages = queue.receive()
        converted = [open_message(source.queue, received.message, None).content for received in messages]
        queue.delete(messages)
        for start in range(0, len(converted), 40):
            part = converted[start : start + 40]
            records = [c for c in part if isinstance(c, Record)]
            yield Landing(source, Batch(records, [c for c in part if isinstance(c, Rejected)], {}, now()))


def now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)


def land(store: Store, landings: list[Landing]) -> None:
    writers: dict[str, LandingWriter] = {}
    for landing in landings:
        source = landing.source
        writer = writers.setdefault(source.key, None) or LandingWriter(store, catalogue(), source, uuid.uuid4().hex)
        writers[source.key] = writer
        writer.write(landing.batch, Outcome())
        origin = Origin(source, writer.run_id, landing.batch.extracted_at)
        bulk_write(writer.collection, [tombstone(origin, key, landing.version) for key in landing.gone])


def customers_of(store: Store, landings: list[Landing]) -> list[bytes]:
    """Land, decide and compose once in an empty store; the customer documents as bytes, in the order of their ids."""
    own = open_store(
        f"mongodb://{':'.join(map(str, store.client.address or ()))}", f"{store.prefix}{uuid.uuid4().hex[:6]}_"
    )
    try:
        land(own, landings)
        shop = Retailer(own)
        shop.run()
        assert shop.waiting() == {}
        documents = [{"_id": i, **composed_part(d)} for i, d in sorted(shop.customers().items())]
        return [bson.encode(document, codec_options=CODEC) for document in documents]
    finally:
        for database in own.databases():
            own.client.drop_database(database.name)
        own.close()


def test_a_shuffled_and_doubled_replay_gives_the_same_customers_to_the_byte(store: Store, history: History) -> None:
    expected = customers_of(store, history.landings)
    assert len(expected) > PEOPLE / 2
    for number in range(3):
        chance = random.Random(number)
        landings = history.landings + chance.sample(history.landings, len(history.landings) // 2)
        chance.shuffle(landings)
        replayed = customers_of(store, landings)
        assert differing(expected, replayed) == []


def differing(expected: list[bytes], got: list[bytes]) -> list[Any]:
    """For a failed replay: the fields that differ, of the first customers that do."""
    if len(expected) != len(got):
        return [f"{len(expected)} customers, {len(got)} replayed"]
    pairs = [(bson.decode(a), bson.decode(b)) for a, b in zip(expected, got, strict=True) if a != b]
    return [(name, a[name], b.get(name)) for a, b in pairs[:3] for name in a if a[name] != b.get(name)]


def test_increments_end_with_the_people_of_one_run_over_everything(store: Store, history: History) -> None:
    shop, start = Retailer(store), 0
    for end in [*range(0, len(history.landings), 9), len(history.landings)]:
        land(store, history.landings[start:end])
        shop.run()
        start = end
    assert shop.waiting() == {}
    people, documents = shop.people(), shop.customers()
    with_ids = dict(shop.customer_ids())
    whole = open_store(f"mongodb://{':'.join(map(str, store.client.address or ()))}", f"{store.prefix}whole_")
    try:
        land(whole, history.landings)
        once = Retailer(whole)
        once.run()
        assert people == once.people()
        same = {with_ids[record]: identifier for record, identifier in once.customer_ids().items()}
        renamed = {same[i]: with_members(composed_part(d), same) for i, d in documents.items()}
        assert renamed == {i: composed_part(d) for i, d in once.customers().items()}
        assert written(shop.run()) == 0
    finally:
        for database in whole.databases():
            whole.client.drop_database(database.name)
        whole.close()


def with_members(document: Document, same: dict[str, str]) -> Document:
    """The document, its neighbours under other ids."""
    household = document["household"]
    if household is None:
        return document
    return {**document, "household": {**household, "members": sorted(same[m] for m in household["members"])}}


def test_two_runs_at_once_while_more_lands_do_no_harm(store: Store, history: History) -> None:
    half = len(history.landings) // 2
    land(store, history.landings[:half])
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(Retailer(store).run), pool.submit(Retailer(store).run)]
        futures.append(pool.submit(land, store, history.landings[half:]))
        for future in futures:
            future.result()
    shop = Retailer(store)
    shop.run()
    assert shop.waiting() == {}
    ids = shop.customer_ids()
    assert None not in ids.values()
    assert shop.customers().keys() == set(ids.values())
    assert written([refresh_customers(store, shop.catalogue, full=True)]) == 0, (
        "what was composed amid changes is what is composed now"
    )
    assert (
        written([refresh_facts(store, shop.catalogue, s, full=True) for s in (ORDERS, INTERACTIONS, CONSENTS, FLAGS)])
        == 0
    )


def test_identity_finds_the_generators_people(store: Store, history: History) -> None:
    land(store, history.landings)
    shop = Retailer(store)
    shop.run()
    quality = quality_of_estate(store, read_truth(history.local_dir / "truth.csv"))["clusters"]
    assert quality["precision"] > 0.99
    assert quality["recall"] > 0.85


def test_what_cannot_be_converted_waits_in_quarantine_and_all_else_has_landed(store: Store, history: History) -> None:
    land(store, history.landings)
    counts = {s.key: Quarantine(store, s.key).count() for s in catalogue().sources}
    assert {key: n for key, n in counts.items() if n} == {"contactcentre.call": 2, "web.web_account_events": 4}
