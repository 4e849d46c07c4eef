"""Whatever order versions arrive in, however they are batched and however often they come: the newest is what stays."""

import datetime as dt
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv_assets.catalogue import Source
from sv_assets.landing.documents import Origin
from sv_assets.landing.statements import tombstone
from sv_assets.landing.writer import LandingWriter, Outcome
from sv_assets.mongo import Store, bulk_write
from sv_assets.sources.records import Batch, Record
from sv_assets_tests.examples import examples
from sv_assets_tests.landing.estate import documents
from sv_assets_tests.sources.shop import Shop

START = dt.datetime(2026, 11, 23, tzinfo=dt.timezone.utc)
KINDS: dict[str, Any] = {
    "text": lambda n: f"2024-01-01 00:00:{n:02}.0000000",
    "number": lambda n: n,
    "rowversion": lambda n: (2**63 - 2 + n).to_bytes(8, "big"),
}


class Writing:
    """A writer, and a clock that moves on with every batch."""

    def __init__(self, store: Store, shop: Shop, source: Source) -> None:
        self.store, self.shop, self.source = store, shop, source
        self.moment = START

    def now(self) -> dt.datetime:
        self.moment += dt.timedelta(seconds=1)
        return self.moment

    def write(self, *records: Record) -> Outcome:
        outcome = Outcome()
        writer = LandingWriter(self.store, self.shop.catalogue, self.source, "run")
        writer.write(Batch(list(records), [], {}, self.now()), outcome)
        return outcome

    def delete(self, key: int, version: Any) -> int:
        origin = Origin(self.source, "run", self.now())
        return bulk_write(self.store.landing[self.source.key], [tombstone(origin, key, version)])[1]

    @property
    def names(self) -> dict[int, str]:
        found = self.store.landing[self.source.key].find()
        return {d["_id"]: "(deleted)" if d["_sv"]["deleted"] else d["Name"] for d in found}


@pytest.fixture
def writing(store: Store, shop: Shop) -> Writing:
    return Writing(store, shop, shop.declare(rest=["feeds: {party: {email: Name}}"]))


def record(key: int, version: Any, name: str = "") -> Record:
    return Record(key, str(key), {"Id": key, "Name": name or f"{key} at {version!r}", "V": version}, version)


HISTORY = [(key, version) for key in range(3) for version in range(4)]


@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(st.sampled_from(HISTORY), max_size=8).flatmap(lambda again: st.permutations([*HISTORY, *again])),
    st.lists(st.integers(1, 20), max_size=6),
)
def test_any_order_any_batching_and_any_repeats_leave_the_same_documents(
    writing: Writing, kind: str, order: list[tuple[int, int]], borders: list[int]
) -> None:
    collection = writing.store.landing[writing.source.key]
    collection.drop()
    cuts = [0, *sorted(set(borders)), len(order)]
    for begin, end in itertools.pairwise(cuts):
        writing.write(*[record(key, KINDS[kind](version)) for key, version in order[begin:end]])
    newest = KINDS[kind](3)
    assert writing.names == {key: f"{key} at {newest!r}" for key in range(3)}
    for document in documents(writing.store, writing.source).values():
        assert document["_sv"]["version"] == newest
        assert document["_sv"]["pending"] == ["identity"]


def test_a_late_update_does_not_resurrect_a_deleted_row(writing: Writing) -> None:
    writing.write(record(1, 5))
    read_before = writing.moment
    assert writing.delete(1, 8) == 1
    writing.moment = read_before - dt.timedelta(minutes=1)
    outcome = writing.write(record(1, 7))
    assert writing.names == {1: "(deleted)"}
    assert (outcome.landed, outcome.stale) == (0, 1)


@pytest.mark.parametrize("version", [5, 7, 9])
def test_a_row_that_is_read_after_its_deletion_is_back_whatever_its_version(writing: Writing, version: int) -> None:
    """A row restored from a backup comes with the version that it had."""
    writing.write(record(1, 5))
    writing.delete(1, 8)
    writing.write(record(1, version, "back"))
    assert writing.names == {1: "back"}


def test_a_tombstone_keeps_the_last_fields_and_says_when_and_why(writing: Writing) -> None:
    writing.write(record(1, 5, "gone"))
    writing.delete(1, 8)
    document = documents(writing.store, writing.source)[1]
    assert document["Name"] == "gone"
    assert (document["_sv"]["op"], document["_sv"]["version"], document["_sv"]["pending"]) == (
        "missing",
        8,
        ["identity"],
    )


def test_a_row_read_since_it_was_missed_is_not_deleted(writing: Writing) -> None:
    writing.write(record(1, 5))
    looked = Origin(writing.source, "run", writing.now())
    writing.write(record(1, 9, "back"))
    assert bulk_write(writing.store.landing[writing.source.key], [tombstone(looked, 1, 8)]) == (0, 0)
    assert writing.names == {1: "back"}


def test_a_row_whose_version_lies_ahead_is_deleted_too_and_stays_so(writing: Writing) -> None:
    writing.write(record(1, 50))
    looked = writing.moment
    assert writing.delete(1, 8) == 1
    assert writing.delete(1, 9) == 0, "deleting it again changes nothing"
    writing.moment = looked
    writing.write(record(1, 50, "what a slow run had read before"))
    assert writing.names == {1: "(deleted)"}


def test_of_equal_versions_the_later_read_wins(writing: Writing) -> None:
    writing.write(record(1, 5, "first"))
    writing.write(record(1, 5, "second"))
    assert writing.names == {1: "second"}
    writing.moment = START
    outcome = writing.write(record(1, 5, "first"))
    assert writing.names == {1: "second"}, "the earlier read, however late it is written"
    assert outcome.stale == 1


def test_of_equal_versions_in_one_batch_the_last_one_wins(writing: Writing) -> None:
    writing.write(record(1, 5, "first"), record(1, 5, "second"), record(1, 4, "third"))
    assert writing.names == {1: "second"}


def test_replay_changes_nothing(writing: Writing) -> None:
    batch = [record(1, 5), record(2, 5), record(1, 6)]
    first = writing.write(*batch)
    before = documents(writing.store, writing.source, ignore=())
    again = writing.write(*batch)
    assert first.landed == 2
    assert (again.landed, again.unchanged, again.read) == (0, 2, 3)
    assert documents(writing.store, writing.source, ignore=()) == before


@pytest.fixture
def messages(store: Store, shop: Shop) -> Writing:
    """A writer for a queue, whose versions are what its senders make of them."""
    path = shop.catalogued.declare("")
    path.write_text(
        "type: sv_assets.components.SqsQueues\n"
        'attributes: {system: shop, owners: ["team:shop"], queues: [{name: q, key: $.id, version: $.v}]}\n'
    )
    return Writing(store, shop, shop.catalogue.sources[0])


@pytest.mark.parametrize(("first", "other"), [(5, "6"), ("6", 5)])
@pytest.mark.parametrize("together", [True, False])
def test_a_version_of_another_type_goes_to_quarantine_and_stops_nobody_else(
    messages: Writing, first: Any, other: Any, together: bool
) -> None:
    records = [record(1, first, "first"), record(1, other, "odd"), record(2, other, "another key")]
    batches = [records] if together else [records[:1], records[1:]]
    outcomes = [messages.write(*batch) for batch in batches]
    assert messages.names == {1: "first", 2: "another key"}
    assert sum(outcome.quarantined for outcome in outcomes) == 1
    (entry,) = messages.store.control["quarantine"].find()
    assert "which one is newer cannot be told" in entry["reason"]
    assert "odd" in str(entry["raw"])


def test_the_type_of_what_has_landed_decides_and_not_the_order_in_the_batch(messages: Writing) -> None:
    messages.write(record(1, 5))
    messages.write(record(1, "6", "odd"), record(1, 7, "seven"))
    assert messages.names == {1: "seven"}


def test_the_same_content_under_a_newer_version_is_left_alone_whether_or_not_it_was_asked_for(writing: Writing) -> None:
    """A snapshot reads every row under a new version; after a batch full of changes the writer no longer asks first."""
    collection = writing.store.landing[writing.source.key]
    same = [Record(key, str(key), {"Id": key, "Name": "same"}, "1") for key in range(10)]
    writing.write(*same)
    before = documents(writing.store, writing.source, ignore=())
    writer = LandingWriter(writing.store, writing.shop.catalogue, writing.source, "later")
    outcome = Outcome()
    changed = [Record(key, str(key), {"Id": key, "Name": "new"}, "2") for key in range(10, 20)]
    writer.write(Batch(changed, [], {}, writing.now()), outcome)
    again = [Record(record.key, record.key_text, record.fields, "2") for record in same]
    writer.write(Batch(again, [], {}, writing.now()), outcome)
    assert (outcome.inserted, outcome.updated, outcome.unchanged) == (10, 0, 10)
    after = documents(writing.store, writing.source, ignore=())
    assert {key: after[key] for key in before} == before
    assert collection.count_documents({}) == 20
