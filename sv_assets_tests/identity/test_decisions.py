"""Human decisions: they win, they survive, they can be taken back and carried over, and never contradict each other."""

import datetime as dt
import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sv_assets.errors import ConfigurationError, SvError
from sv_assets.identity.customer_ids import resolve
from sv_assets.identity.decisions import (
    all_decisions,
    decide,
    list_decisions,
    merge,
    separate,
    split,
    undo,
)
from sv_assets.identity.replay import export_decisions, import_decisions
from sv_assets.identity.resolution import refresh_identities
from sv_assets.ledger import Erased, Policy, record_trace, write
from sv_assets.mongo import Document, Store
from sv_assets_tests.examples import examples
from sv_assets_tests.retailer import Retailer

ANN = {"actor": "ann", "reason": "she rang"}
BORN = {"DateOfBirth": dt.datetime(1980, 3, 7, tzinfo=dt.timezone.utc)}
BORN_LATER = {"DateOfBirth": dt.datetime(2008, 9, 21, tzinfo=dt.timezone.utc)}


@pytest.fixture
def shop(store: Store) -> Retailer:
    return Retailer(store)


@pytest.fixture
def strangers(shop: Retailer) -> list[str]:
    """Five records that nothing links."""
    names = [("Jane", "Smith"), ("Peter", "Jones"), ("Olga", "Petrova"), ("Wei", "Chen"), ("Abebe", "Tadesse")]
    records = [shop.customer(number, *name, Email=f"{number}@x.com") for number, name in enumerate(names, 1)]
    shop.identify()
    assert len(shop.people()) == 5
    return records


@pytest.fixture
def one_person(shop: Retailer) -> list[str]:
    """Four records of one customer, of which the first is the anchor."""
    records = [shop.customer(1, "Jane", "Smith", Email="jane@x.com", Mobile="07700900123", **BORN)]
    shop.identify()
    records += [shop.account(n, "Jane", "Smith", EmailAddress="jane@x.com", Telephone="07700900123") for n in (2, 3, 4)]
    shop.identify()
    assert shop.people() == {frozenset(records)}
    return records


def parts(shop: Retailer) -> set[frozenset[str]]:
    refresh_identities(shop.store)
    return shop.people()


# --- what decisions do ----------------------------------------------------------------------------------------------------


def test_a_decision_makes_two_strangers_one_person_and_the_older_keeps_its_id(
    shop: Retailer, strangers: list[str]
) -> None:
    late = shop.customer(9, "Zoe", "Young", Email="zoe@x.com")
    shop.identify()
    before = shop.customer_ids()
    decide(shop.store, "same", late, strangers[0], **ANN)
    assert frozenset({late, strangers[0]}) in parts(shop)
    after = shop.customer_ids()
    assert after[late] == after[strangers[0]] == before[strangers[0]]
    assert resolve(shop.store, before[late]) == before[strangers[0]]
    (event,) = shop.events("merged")
    assert event["customer_ids"] == [before[strangers[0]], before[late]]


def test_a_decision_takes_records_apart_and_the_part_with_the_anchor_keeps_the_id(
    shop: Retailer, one_person: list[str]
) -> None:
    before = shop.customer_ids()[one_person[0]]
    separate(shop.store, one_person[:1], one_person[1:], **ANN)
    assert parts(shop) == {frozenset(one_person[:1]), frozenset(one_person[1:])}
    after = shop.customer_ids()
    assert after[one_person[0]] == before
    (event,) = shop.events("split")
    assert event["customer_ids"] == [after[one_person[1]], before]


def test_a_decision_survives_new_content_new_records_and_full_runs(shop: Retailer, one_person: list[str]) -> None:
    a, b, c, d = one_person
    separate(shop.store, [a], [b, c, d], **ANN)
    parts(shop)
    shop.customer(1, "Jane", "Smith", Email="jane@x.com", Mobile="07700900123", Phone="01632 960123", **BORN)
    new = shop.account(5, "Jane", "Smith", EmailAddress="jane@x.com", Telephone="07700900123")
    shop.identify()
    refresh_identities(shop.store, full=True)
    assert all(not {a, x} <= people for people in shop.people() for x in (b, c, d))
    assert any({b, c, d} <= people for people in shop.people())
    assert new in {record for people in shop.people() for record in people}


def test_a_customer_is_split_as_a_whole_and_each_side_stays_together(shop: Retailer, one_person: list[str]) -> None:
    customer = shop.customer_ids()[one_person[0]]
    decision = split(shop.store, customer, one_person[2:], **ANN)
    assert parts(shop) == {frozenset(one_person[:2]), frozenset(one_person[2:])}
    assert len(all_decisions(shop.store).apart) == 4
    undo(shop.store, decision["_id"], **ANN)
    assert parts(shop) == {frozenset(one_person)}, "one act is taken back by one act"


def test_customers_are_merged_by_their_anchors_and_aliases_name_them_too(shop: Retailer, strangers: list[str]) -> None:
    ids = shop.customer_ids()
    one, two, three = (ids[record] for record in strangers[:3])
    merge(shop.store, one, two, **ANN)
    assert frozenset(strangers[:2]) in parts(shop)
    gone = two if shop.customer_ids()[strangers[0]] == one else one
    merge(shop.store, gone, three, **ANN)
    assert frozenset(strangers[:3]) in parts(shop)
    with pytest.raises(SvError, match="are one customer already"):
        merge(shop.store, one, three, **ANN)


def test_undoing_a_merge_gives_the_parts_back_and_the_alias_stays(shop: Retailer, strangers: list[str]) -> None:
    a, b = strangers[:2]
    before = shop.customer_ids()
    decision = decide(shop.store, "same", a, b, **ANN)
    parts(shop)
    survivor = shop.customer_ids()[a]
    (loser,) = {before[a], before[b]} - {survivor}
    heir, other = (a, b) if before[a] == survivor else (b, a)
    undo(shop.store, decision["_id"], actor="bob", reason="it was her sister")
    assert {frozenset({a}), frozenset({b})} <= parts(shop)
    after = shop.customer_ids()
    assert after[heir] == survivor
    assert after[other] not in before.values(), "an id that became an alias is not given again"
    assert resolve(shop.store, loser) == survivor
    (event,) = shop.events("split")
    assert event["customer_ids"] == [after[other], survivor]
    (told,) = shop.events("undone")
    assert (told["actor"], told["reason"], told["records"]) == ("bob", "it was her sister", [a, b])
    assert told["customer_ids"] == [survivor]


def test_a_decision_that_was_taken_back_can_be_made_again(shop: Retailer, strangers: list[str]) -> None:
    a, b = strangers[:2]
    first = decide(shop.store, "same", a, b, **ANN)
    undo(shop.store, first["_id"], **ANN)
    second = decide(shop.store, "same", a, b, **ANN)
    assert frozenset({a, b}) in parts(shop)
    assert [d.in_force for d in list_decisions(shop.store)] == [True, False]
    undo(shop.store, second["_id"], **ANN)
    decide(shop.store, "not_same", a, b, **ANN)
    assert frozenset({a, b}) not in parts(shop)


def test_a_guard_does_not_stop_what_a_human_decided(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Title="Mrs", **BORN)
    b = shop.customer(2, "Peter", "Smith", Title="Mr", **BORN_LATER)
    shop.identify()
    decide(shop.store, "same", a, b, **ANN)
    assert parts(shop) == {frozenset({a, b})}
    assert list(shop.store.identity["review"].find({})) == []


def test_what_links_to_one_of_two_who_were_made_one_stays_and_comes_with_them(shop: Retailer) -> None:
    """The two contradict each other; their records contradict the other one, too, and belong to the customer all the same."""
    a = shop.customer(1, "Jane", "Smith", Email="jane@x.com", Title="Mrs", **BORN)
    b = shop.account(2, "Jane", "Smith", EmailAddress="jane@x.com")
    c = shop.customer(3, "Peter", "Jones", Email="peter@x.com", Title="Mr", **BORN_LATER)
    d = shop.account(4, "Peter", "Jones", EmailAddress="peter@x.com")
    shop.identify()
    assert shop.people() == {frozenset({a, b}), frozenset({c, d})}
    decide(shop.store, "same", a, c, **ANN)
    assert parts(shop) == {frozenset({a, b, c, d})}
    later = shop.account(5, "Jane", "Smith", EmailAddress="jane@x.com", Telephone="07700900123")
    shop.identify()
    assert shop.people() == {frozenset({a, b, c, d, later})}
    refresh_identities(shop.store, full=True)
    assert shop.people() == {frozenset({a, b, c, d, later})}


def test_a_source_that_says_the_contrary_does_not_win(shop: Retailer) -> None:
    a, b = shop.customer(1, "Jane", "Smith"), shop.account(2, "Jane", "Smith", CrmCustomerId=1)
    shop.identify()
    assert shop.people() == {frozenset({a, b})}
    decide(shop.store, "not_same", a, b, **ANN)
    assert parts(shop) == {frozenset({a}), frozenset({b})}


# --- what is told -----------------------------------------------------------------------------------------------------------


def test_each_act_is_an_event_that_says_who_what_and_why(shop: Retailer, strangers: list[str]) -> None:
    a, b = strangers[:2]
    ids = shop.customer_ids()
    decision = decide(shop.store, "same", a, b, **ANN)
    (event,) = shop.events("decided")
    assert event["decision"] == decision["_id"]
    assert event["decided"] == "same"
    assert event["records"] == [a, b]
    assert event["customer_ids"] == sorted([ids[a], ids[b]])
    assert (event["actor"], event["reason"]) == ("ann", "she rang")
    parts(shop)
    undo(shop.store, decision["_id"], **ANN)
    assert shop.events("decided") == [event], "events are only ever added to"
    assert len(shop.events("undone")) == 1


def test_a_decision_whose_event_was_lost_in_a_crash_is_told_by_the_next_run(
    shop: Retailer, strangers: list[str]
) -> None:
    decide(shop.store, "same", *strangers[:2], **ANN)
    (event,) = shop.events("decided")
    shop.store.identity["events"].delete_one({"_id": event["_id"]})
    refresh_identities(shop.store)
    assert shop.events("decided") == [event]


def test_decisions_leave_no_personal_data_in_the_log(
    shop: Retailer, strangers: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        decision = decide(shop.store, "same", *strangers[:2], **ANN)
        parts(shop)
        undo(shop.store, decision["_id"], **ANN)
        parts(shop)
    assert not [r for r in caplog.records if "smith" in r.getMessage().lower() or "1@x.com" in r.getMessage()]


# --- what is refused -----------------------------------------------------------------------------------------------------------


def test_apart_is_refused_where_a_chain_of_decisions_says_one_person(shop: Retailer, strangers: list[str]) -> None:
    a, b, c, *_ = strangers
    first, second = decide(shop.store, "same", a, b, **ANN), decide(shop.store, "same", b, c, **ANN)
    with pytest.raises(SvError) as refused:
        decide(shop.store, "not_same", a, c, **ANN)
    message = str(refused.value)
    assert f"{a} = {b} ({first['_id']}, by ann) = {c} ({second['_id']}, by ann)" in message
    assert f"sv identity undo {first['_id']}" in message
    assert len(list_decisions(shop.store)) == 2
    undo(shop.store, first["_id"], **ANN)
    decide(shop.store, "not_same", a, c, **ANN)
    assert frozenset({b, c}) in parts(shop)


def test_one_person_is_refused_where_it_would_close_a_chain_around_a_decision(
    shop: Retailer, strangers: list[str]
) -> None:
    a, b, c, *_ = strangers
    apart = decide(shop.store, "not_same", a, c, **ANN)
    decide(shop.store, "same", a, b, **ANN)
    with pytest.raises(SvError) as refused:
        decide(shop.store, "same", b, c, **ANN)
    assert f"{a} and {c} cannot be two people ({apart['_id']}, by ann) and one" in str(refused.value)
    assert f"sv identity undo {apart['_id']}" in str(refused.value)


def test_the_contrary_of_a_decision_is_refused_until_it_is_taken_back(shop: Retailer, strangers: list[str]) -> None:
    a, b, *_ = strangers
    for kind, contrary in (("same", "not_same"), ("not_same", "same")):
        decision = decide(shop.store, kind, a, b, **ANN)  # type: ignore[arg-type]
        with pytest.raises(SvError, match=decision["_id"]):
            decide(shop.store, contrary, b, a, **ANN)  # type: ignore[arg-type]
        with pytest.raises(SvError, match="decided already"):
            decide(shop.store, kind, b, a, **ANN)  # type: ignore[arg-type]
        undo(shop.store, decision["_id"], **ANN)


def test_a_split_that_contradicts_one_decision_leaves_nothing_behind(shop: Retailer, one_person: list[str]) -> None:
    decide(shop.store, "same", one_person[1], one_person[3], **ANN)
    with pytest.raises(SvError, match="cannot be two people"):
        split(shop.store, shop.customer_ids()[one_person[0]], one_person[2:], **ANN)
    assert all_decisions(shop.store).apart == frozenset()
    assert parts(shop) == {frozenset(one_person)}


def test_a_split_counts_even_where_a_part_of_it_was_decided_before(shop: Retailer, one_person: list[str]) -> None:
    a, b, c, d = one_person
    first = decide(shop.store, "not_same", a, b, **ANN)
    separate(shop.store, [a], [b, c, d], **ANN)
    undo(shop.store, first["_id"], **ANN)
    assert parts(shop) == {frozenset({a}), frozenset({b, c, d})}


def test_customers_with_records_that_were_decided_apart_are_not_merged(shop: Retailer, one_person: list[str]) -> None:
    stranger = shop.customer(9, "Zoe", "Young")
    shop.identify()
    decision = decide(shop.store, "not_same", one_person[3], stranger, **ANN)
    ids = shop.customer_ids()
    with pytest.raises(SvError, match=decision["_id"]):
        merge(shop.store, ids[one_person[0]], ids[stranger], **ANN)


def test_what_is_not_there_or_says_nothing_is_refused(shop: Retailer, strangers: list[str]) -> None:
    a, b, c, *_ = strangers
    shop.delete("crm.customer", 3)
    shop.identify()
    refused: list[tuple[str, Document]] = [
        ("two different", {"a": a, "b": a}),
        ("There is no party record crm.customer:99", {"a": a, "b": "crm.customer:99"}),
        (f"{c} was deleted", {"a": a, "b": c}),
        ("an actor and a reason", {"a": a, "b": b, "reason": " "}),
        ("an actor and a reason", {"a": a, "b": b, "actor": ""}),
    ]
    for message, arguments in refused:
        with pytest.raises(SvError, match=message):
            decide(shop.store, "same", **{**ANN, **arguments})
    with pytest.raises(SvError, match="There is no customer CNONE"):
        merge(shop.store, "CNONE", a, **ANN)
    with pytest.raises(SvError, match="is no record of"):
        split(shop.store, shop.customer_ids()[a], [b], **ANN)
    with pytest.raises(SvError, match="and not all"):
        split(shop.store, shop.customer_ids()[a], [a], **ANN)
    assert list_decisions(shop.store) == []


def test_an_undo_is_refused_twice_of_nothing_and_of_an_undo(shop: Retailer, strangers: list[str]) -> None:
    decision = decide(shop.store, "same", *strangers[:2], **ANN)
    taken_back = undo(shop.store, decision["_id"], **ANN)
    with pytest.raises(SvError, match="taken back already, by ann"):
        undo(shop.store, decision["_id"], **ANN)
    for nothing in (taken_back["_id"], "d-0"):
        with pytest.raises(SvError, match="There is no decision"):
            undo(shop.store, nothing, **ANN)


# --- replay ------------------------------------------------------------------------------------------------------------------

ROWS = [
    ("Jane", "Smith", {"Email": "jane@x.com", **BORN}),
    ("Jane", "Smith", {"Email": "jane@x.com", "Phone": "01632 960123"}),
    ("J", "Smith", {"Phone": "01632 960123"}),
    ("Peter", "Smith", {"Email": "jane@x.com", "Phone": "01632 960123"}),
    ("Pete", "Smith", {"Phone": "01632 960123", **BORN_LATER}),
    ("Olga", "Petrova", {"Email": "olga@x.com"}),
]
numbers = st.integers(1, len(ROWS))
acts = st.one_of(
    st.tuples(st.sampled_from(["same", "not_same"]), numbers, numbers),
    st.tuples(st.just("undo"), st.integers(0, 5), numbers),
    st.tuples(st.just("split"), numbers, numbers),
)


@contextmanager
def another(store: Store) -> Iterator[Retailer]:
    """A store of its own on the same server."""
    opened = Store(store.client, f"{store.prefix}{uuid.uuid4().hex[:6]}_")
    try:
        yield Retailer(opened)
    finally:
        for database in opened.databases():
            store.client.drop_database(database.name)


def act(shop: Retailer, what: str, x: int, y: int) -> None:
    a, b = f"crm.customer:{x}", f"crm.customer:{y}"
    if what == "undo":
        made = list_decisions(shop.store)
        if x < len(made):
            undo(shop.store, made[x].decision["_id"], **ANN)
    elif what == "split":
        split(shop.store, shop.customer_ids()[a], [b], **ANN)
    else:
        decide(shop.store, what, a, b, **ANN)  # type: ignore[arg-type]


@settings(
    max_examples=examples(3),
    deadline=None,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(acts, max_size=6))
def test_decisions_replayed_on_an_identity_made_anew_give_the_same_people(
    store: Store, history: list[tuple[str, int, int]]
) -> None:
    with another(store) as shop:
        land(shop)
        shop.identify()
        for what, x, y in history:
            try:
                act(shop, what, x, y)
            except SvError:
                continue
            refresh_identities(shop.store)
        expected = shop.people()
        decided = all_decisions(shop.store)
        by_record = {record: people for people in expected for record in people}
        assert all(by_record[a] is by_record[b] for a, b in decided.same)
        assert all(by_record[a] is not by_record[b] for a, b in decided.apart)
        forget_identity(shop.store)
        refresh_identities(shop.store, full=True)
        assert shop.people() == expected


def land(shop: Retailer) -> None:
    for number, (first, last, columns) in enumerate(ROWS, 1):
        shop.customer(number, first, last, **columns)


def forget_identity(store: Store) -> None:
    """Lose all of identity but its records and the decisions."""
    for name in ("links", "clusters", "aliases", "events", "review", "households", "dead_values", "dead_keys", "state"):
        if name == "state":
            store.identity[name].delete_one({"_id": "applied"})
        else:
            store.identity.drop_collection(name)
    store.identity["party_records"].update_many(
        {}, {"$unset": {"customer_id": ""}, "$addToSet": {"_sv.pending": "match"}, "$inc": {"_sv.revision": 1}}
    )


def test_decisions_carried_over_to_another_identity_give_the_same_people(store: Store) -> None:
    with another(store) as one, another(store) as other:
        land(one)
        one.identify()
        taken_back = decide(one.store, "same", "crm.customer:1", "crm.customer:6", **ANN)
        undo(one.store, taken_back["_id"], **ANN)
        decide(one.store, "same", "crm.customer:4", "crm.customer:6", **ANN)
        separate(one.store, ["crm.customer:1"], ["crm.customer:2", "crm.customer:3"], **ANN)
        refresh_identities(one.store)
        lines = list(export_decisions(one.store))
        assert len(lines) == 4
        land(other)
        other.identify()
        imported = import_decisions(other.store, lines)
        assert (imported.added, imported.there, imported.absent) == (4, 0, [])
        refresh_identities(other.store)
        assert other.people() == one.people()
        again = import_decisions(other.store, lines)
        assert (again.added, again.there) == (0, 4)
        assert list(export_decisions(other.store)) == lines
        assert [e["_id"] for e in other.events("decided")] == [e["_id"] for e in one.events("decided")]


def test_decisions_can_be_there_before_their_records(store: Store) -> None:
    with another(store) as one, another(store) as other:
        land(one)
        one.identify()
        decide(one.store, "same", "crm.customer:1", "crm.customer:6", **ANN)
        imported = import_decisions(other.store, export_decisions(one.store))
        assert imported.absent == ["crm.customer:1", "crm.customer:6"]
        land(other)
        other.identify()
        ids = other.customer_ids()
        assert ids["crm.customer:1"] == ids["crm.customer:6"]


def test_decisions_about_who_was_erased_since_do_not_come_back_with_a_file(
    shop: Retailer, strangers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c, *_ = strangers
    taken_back = decide(shop.store, "same", a, b, **ANN)
    undo(shop.store, taken_back["_id"], **ANN)
    decide(shop.store, "same", b, c, **ANN)
    lines = list(export_decisions(shop.store))
    shop.store.identity["decisions"].delete_many({})
    monkeypatch.setenv("SV_ERASURE_KEY", "k1:" + "11" * 32)
    source, _, key = a.partition(":")
    write(shop.store, "e-1", dt.datetime.now(dt.timezone.utc), [Erased(record_trace(source, key))], Policy({}, 0))
    imported = import_decisions(shop.store, lines)
    assert (imported.added, imported.there, imported.erased) == (1, 0, 2)
    assert a not in str(list(shop.store.identity["decisions"].find({})))


def test_an_import_that_contradicts_what_is_decided_or_is_no_export_changes_nothing(
    shop: Retailer, strangers: list[str]
) -> None:
    a, b, c, *_ = strangers
    decide(shop.store, "same", a, b, **ANN)
    decide(shop.store, "same", b, c, **ANN)
    line = next(export_decisions(shop.store))
    apart = {**json.loads(line), "_id": "d-1", "kind": "not_same", "sides": [[a], [c]], "records": sorted([a, c])}
    with pytest.raises(SvError, match=r"Nothing was imported\. .* cannot be two people"):
        import_decisions(shop.store, [json.dumps(apart)])
    orphan = {**json.loads(line), "_id": "d-2", "kind": "undo", "of": "d-3"}
    with pytest.raises(SvError, match="takes back d-3, which is not there"):
        import_decisions(shop.store, [json.dumps(orphan)])
    for wrong in ("x", "[]", "{}", json.dumps({**apart, "kind": "maybe"}), json.dumps({**apart, "sides": [[a], []]})):
        with pytest.raises(ConfigurationError, match="Line 2 is no"):
            import_decisions(shop.store, [line, wrong])
    assert len(list_decisions(shop.store)) == 2
