"""Signals are a matter of what happened when, not of when we heard of it; and windows are half-open."""

import datetime as dt
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sv_assets.fraud import keys, neighbours
from sv_assets.fraud.facts import Fact, Refund, document_of, fact_of
from sv_assets.fraud.settings import load_settings
from sv_assets.fraud.signals import NAMES, explained, in_words, signals_of
from sv_assets.fraud.windows import DAY, HOUR, before, falls_within
from sv_assets.mongo import Store
from sv_assets_tests.fraud.shop import (  # fmt: skip
    START,
    after,
    delete_order,
    everything,
    order,
    party,
    put_orders,
    put_parties,
    refund,
    run,
    signals,
    waiting,
)

CARD, CUSTOMER = keys.key(keys.CARD, "c"), keys.key(keys.CUSTOMER, "C1")
spans = st.integers(-4_000_000, 4_000_000)


def fact(identifier: str, seconds: float, **more: object) -> Fact:
    return Fact(identifier, START + dt.timedelta(seconds=seconds), keys=(CARD, CUSTOMER), customer_id="C1", **more)  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(st.lists(spans, max_size=30), spans, st.sampled_from([HOUR, DAY, 7 * DAY]))
def test_a_window_holds_what_is_in_it_and_nothing_else(moments: list[int], at: int, window: dt.timedelta) -> None:
    facts = sorted((fact(str(n), second) for n, second in enumerate(moments)), key=lambda f: f.at)
    end = START + dt.timedelta(seconds=at)
    assert list(before(facts, end, window)) == [f for f in facts if falls_within(f.at, end, window)]


@pytest.mark.parametrize(("seconds", "counted"), [(3_600, 1), (3_600.001, 0), (0.001, 1), (0, 0), (-1, 0)])
def test_the_hour_begins_exactly_an_hour_before_and_ends_before_the_order(seconds: float, counted: int) -> None:
    other, this = fact("a", -seconds), fact("b", 0)
    assert signals_of(this, {CARD: [other]})["card_orders_1h"] == counted


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(spans, st.floats(1, 1_000), st.booleans()), max_size=8))
def test_what_comes_later_is_not_known_before(others: list[tuple[int, float, bool]]) -> None:
    """Whatever is placed, or paid back, at the moment of the order or after it changes no signal."""
    this = fact("this", 0, total=80.0)
    known = [fact(str(n), -abs(s) - 1, total=t) for n, (s, t, _) in enumerate(others)]
    later = [fact(f"later {n}", abs(s), total=t, fraud=is_fraud) for n, (s, t, is_fraud) in enumerate(others)]
    repaid = [
        Fact(**{**{k: getattr(f, k) for k in Fact.__slots__ if k not in ("by_kind", "refunds")},
                "refunds": (Refund(START + dt.timedelta(seconds=n), 1.0, True),)})
        for n, f in enumerate(known)
    ]  # fmt: skip

    def seen(facts: list[Fact]) -> dict[str, float]:
        ordered = sorted(facts, key=lambda f: (f.at, f.id))
        return signals_of(this, {CARD: ordered, CUSTOMER: ordered})

    assert seen(known) == seen([*known, *later]) == seen([*repaid, *later])


def test_every_signal_is_told_in_words_without_a_name() -> None:
    this = fact(
        "this", 0, name="n", surname="s", total=500.0, placeholders=2, unreachable=True, elsewhere=True, declined=3
    )
    others = [fact(str(n), -n * 60 - 1, name=f"n{n}", surname=f"s{n}", total=10.0, refunds=(Refund(after(seconds=-5), 1, True),)) for n in range(6, 0, -1)]  # fmt: skip
    found = signals_of(this, {CARD: others, CUSTOMER: others})
    told = {one["signal"]: one["says"] for one in explained(found)}
    assert tuple(found) == NAMES
    assert told["card_orders_1h"] == "6 orders with the same card in the hour before"
    assert told["value_ratio"] == "50 times the value of the customer's usual order"
    assert "chargebacks_365d" in told


@pytest.mark.parametrize("name", NAMES)
def test_no_signal_says_of_nothing_what_it_says_of_something(name: str) -> None:
    assert in_words(name, 0.0) != in_words(name, 1.0)


def test_small_shares_are_said_as_they_are() -> None:
    assert "a share of 0.04 of" in in_words("refund_share_180d", 0.04)
    assert "1.5 times" in in_words("value_ratio", 1.5)


def test_money_of_two_currencies_is_not_added_up() -> None:
    def spent(hours: float, total: float, currency: str, share: float) -> Fact:
        back = (Refund(after(hours=-1), share, False),) if share else ()
        return fact(f"{currency}{hours}", -3600 * hours, total=total, currency=currency, refunds=back)

    own = [spent(9, 20_000, "JPY", 1.0), spent(8, 50, "GBP", 0), spent(7, 50, "GBP", 0.5)]
    found = signals_of(fact("this", 0, total=50, currency="GBP"), {CUSTOMER: own})
    assert (found["refund_share_180d"], found["full_refunds_180d"], found["value_ratio"]) == (0.25, 1, 1)


@pytest.mark.parametrize(
    ("billed", "elsewhere"),
    [
        ({"line_1": "7 Mill Lane", "postcode": "yo17aa"}, False),
        ({"line_1": "7, mill ln", "town": "York"}, False),
        ({"line_1": "Flat 2, 7 Mill Lane", "postcode": "YO1 7AA"}, False),
        ({"line_1": "7 Mill Lane", "town": "Leeds"}, True),
        ({"line_1": "7 Mill Lane", "town": "York", "postcode": "B1 1BB"}, True),
        ({"line_1": "9 Mill Lane", "postcode": "YO1 7AA"}, True),
        ({"town": "Leeds"}, False),
    ],
)
def test_what_one_address_leaves_unsaid_is_no_mismatch(billed: dict[str, str], elsewhere: bool) -> None:
    to = {"line_1": "7 Mill Lane", "town": "York", "postcode": "YO1 7AA"}
    found = document_of(order(1, START, to=to, billed=billed), None, (), False, load_settings())
    assert found is not None and found["elsewhere"] is elsewhere


def test_the_first_moments_that_there_are_stop_nothing() -> None:
    """0001-01-01 is what systems write where there is no date."""
    first = dt.datetime(1, 1, 1, tzinfo=dt.timezone.utc)
    address = keys.key(keys.ADDRESS, "a")
    one, two = (
        Fact(f"o{n}", first + n * HOUR, f"C{n}", (address,), surname=f"s{n}", opened_at=first) for n in range(2)
    )
    assert signals_of(two, {address: [one]})["new_account_old_address"] == 0


def history() -> list[Callable[[Store], None]]:
    """Orders, people and what becomes of them: each step is one arrival."""
    drop, card, phone = {"line_1": "7 Mill Lane", "postcode": "M1 1AA"}, "tok1", "+447700900111"
    people = [party(f"p{n}", "Ann", f"Name{n}", phone=phone, email=f"a{n}@x.com") for n in range(4)]
    orders = [
        order(
            n,
            after(minutes=20 * n),
            party=f"p{n % 4}",
            customer=f"C{n % 4}",
            card=card,
            device="d1",
            to=drop,
            billed=None,
        )
        for n in range(8)
    ]
    orders[2]["refunds"] = [refund(after(days=2), 50, "chargeback")]
    orders.append(order(20, after(days=40), party="p0", customer="C0", card=card, total=900))
    orders.append(order(21, after(days=368), party="p1", customer="C1", card=card))
    orders.append(order(22, None, party="p1", customer="C1"))
    return [
        lambda store: put_parties(store, people),
        *(lambda store, one=one: put_orders(store, [one]) for one in orders),  # type: ignore[misc]
    ]


def test_any_order_of_arrival_and_any_repetition_ends_with_the_same_signals(store: Store) -> None:
    expected = None
    for attempt in range(3):
        steps = history()
        first, *rest = steps
        chance = random.Random(attempt)
        if attempt:
            rest = rest + chance.sample(rest, 4)
            chance.shuffle(rest)
        first(store)
        for n, step in enumerate(rest):
            step(store)
            if n % (3 * attempt + 4) == 0:
                run(store)
        run(store)
        assert waiting(store) == 0
        assert sum(report.written for report in run(store)) == 0
        found = everything(store)
        expected = expected or found
        assert found == expected
        assert signals(store, 7)["card_orders_1h"] == 3
        assert signals(store, 20)["shared_chargebacks_365d"] == 1
        assert signals(store, 21)["shared_chargebacks_365d"] == 0, (
            "on day 368 the chargeback of day 2 is more than a year ago"
        )
        for database in (store.fraud, store.single_view, store.identity):
            for name in database.list_collection_names():
                database[name].delete_many({})


@pytest.mark.parametrize(
    "said", ["Unknown", " n/a ", 0, "0000", "00000000-0000-0000-0000-000000000000", "--", "", True, {"id": 1}]
)
def test_what_stands_for_no_device_and_no_card_is_shared_by_nobody(said: object) -> None:
    found = document_of(order(1, START, device=said, card=said), None, (), False, load_settings())
    assert found is not None and [keys.kind_of(key) for key in found["keys"]] == [keys.ADDRESS]


@pytest.mark.parametrize(
    ("name", "placeholders"), [({"title": "Mr"}, 0), ({"title": "Mr", "last": "Test"}, 1), ({}, 0)]
)
def test_a_title_alone_is_no_name_that_stands_for_nobody(name: dict[str, str], placeholders: int) -> None:
    nobody = {"_id": "p", "compared": {}, "name": name, "emails": [], "phones": [" "]}
    found = document_of(order(1, START), nobody, (), False, load_settings())
    assert found is not None and found["placeholders"] == placeholders


@pytest.mark.parametrize(("most_read", "most"), [(6, 1_000), (6, 3)])
def test_changes_of_any_kind_over_years_end_as_if_all_had_come_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, most_read: int, most: int
) -> None:
    monkeypatch.setattr(neighbours, "MOST_READ", most_read)
    monkeypatch.setattr(neighbours, "MOST", most)
    chance = random.Random(most_read)
    put_parties(store, [party(f"p{n}", "Ann", f"Name{n % 3}", phone=f"+4477009001{n % 2}") for n in range(5)])
    there: set[int] = set()
    for _ in range(40):
        number = chance.randint(1, 14)
        if number in there and chance.random() < 0.2:
            delete_order(store, number)
            there.remove(number)
        else:
            back = [
                refund(after(days=chance.randint(-10, 1500)), 50, chance.choice(["refund", "chargeback"]))
                for _ in range(chance.randint(0, 2))
            ]
            at = after(days=chance.choice([0, 1, 365, 366, 400, 730, 1095]), hours=chance.choice([0, 1, 24]))
            whose = {"customer": chance.choice([None, "C1", "C2"]), "party": f"p{chance.randint(0, 4)}"}
            put_orders(store, [order(number, at, card=chance.choice(["k1", "k2"]), refunds=back, **whose)])
            there.add(number)
        if chance.random() < 0.2:
            run(store)
    run(store)
    step_by_step = {name: everything(store)[name] for name in ("facts", "signals")}
    for name in store.fraud.list_collection_names():
        store.fraud[name].delete_many({})
    run(store)
    assert step_by_step == {name: everything(store)[name] for name in ("facts", "signals")}


def test_a_late_order_counts_for_those_after_it_and_one_that_is_gone_no_more(store: Store) -> None:
    put_orders(store, [order(1, after(minutes=0), device="d"), order(3, after(minutes=30), device="d")])
    run(store)
    assert signals(store, 3)["device_orders_1h"] == 1
    put_orders(store, [order(2, after(minutes=10), device="d")])
    run(store)
    assert signals(store, 3)["device_orders_1h"] == 2
    assert signals(store, 1)["device_orders_1h"] == 0
    delete_order(store, 1)
    run(store)
    assert signals(store, 3)["device_orders_1h"] == 1
    assert store.fraud["facts"].count_documents({}) == store.fraud["signals"].count_documents({}) == 2
    assert waiting(store) == 0


def test_what_is_read_for_a_key_of_very_many_does_not_grow_with_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order that came late finds 300 others on the tablet of its shop."""
    put_orders(store, [order(n, after(minutes=n), device="kiosk") for n in range(300)])
    run(store)
    read: list[str] = []
    monkeypatch.setattr(neighbours, "fact_of", lambda document: read.append(document["_id"]) or fact_of(document))
    monkeypatch.setattr(neighbours, "MOST", 10)
    monkeypatch.setattr(neighbours, "MOST_READ", 40)
    facts = [fact_of(document) for document in store.fraud["facts"].find({}).sort("at", 1)]
    for some, most in ((facts[200:230], 40 + 10), ([facts[0], facts[120], facts[250]], 3 * 10)):
        read.clear()
        found = neighbours.around(store, some)
        assert [len(near[keys.key(keys.DEVICE, "kiosk")]) for near in found] == [min(10, facts.index(f)) for f in some]
        assert len(read) <= most + len(some)


@pytest.mark.parametrize("most_read", [20_000, 1])
def test_money_back_in_the_year_counts_though_its_order_is_older_and_no_other_order_so_old_does(
    store: Store, monkeypatch: pytest.MonkeyPatch, most_read: int
) -> None:
    monkeypatch.setattr(neighbours, "MOST_READ", most_read)
    late = [refund(after(days=100), 50, "chargeback"), refund(after(days=260), 50)]
    own = {"customer": "C1", "card": "k"}
    put_orders(store, [order(1, after(days=0), **own), order(2, after(days=400), **own)])
    put_orders(store, [order(3, after(days=400), customer="C3", card="k"), order(4, after(days=466), **own)])
    run(store)
    assert signals(store, 2)["chargebacks_365d"] == 0
    put_orders(store, [order(1, after(days=0), refunds=late, **own)])
    run(store)
    assert {n: signals(store, n)["chargebacks_365d"] for n in (2, 4)} == {2: 1, 4: 0}
    assert (signals(store, 3)["shared_chargebacks_365d"], signals(store, 2)["full_refunds_180d"]) == (1, 1)
    assert signals(store, 2)["value_ratio"] == 1, "the order of more than a year ago is no part of the history"


@pytest.mark.parametrize("most_read", [20_000, 1])
def test_who_ordered_more_than_a_year_ago_is_no_stranger(
    store: Store, monkeypatch: pytest.MonkeyPatch, most_read: int
) -> None:
    monkeypatch.setattr(neighbours, "MOST_READ", most_read)
    put_orders(store, [order(n, after(days=500 * n), customer="C1", card="k") for n in (2, 3)])
    run(store)
    assert [signals(store, n)["known_days"] for n in (2, 3)] == [0, 365]
    put_orders(store, [order(1, after(days=500), customer="C1"), order(4, after(days=1010), customer="C4", card="k")])
    run(store)
    assert [signals(store, n)["known_days"] for n in (1, 2, 3, 4)] == [0, 365, 365, 0], "the first order came late"
    delete_order(store, 1)
    run(store)
    assert [signals(store, n)["known_days"] for n in (2, 3)] == [0, 365]
    assert waiting(store) == 0


def test_a_key_of_very_many_orders_is_read_in_part_and_counts_the_nearest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_orders(store, [order(n, after(minutes=n), device="kiosk") for n in range(24)])
    run(store)
    whole = {n: signals(store, n) for n in range(24)}
    monkeypatch.setattr(neighbours, "MOST_READ", 10)
    run(store, full=True)
    assert {n: signals(store, n) for n in range(24)} == whole
    monkeypatch.setattr(neighbours, "MOST", 5)
    run(store, full=True)
    assert signals(store, 23)["device_orders_1h"] == 5
