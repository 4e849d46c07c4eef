"""How calls are measured: repeats at the edges of their window, late calls, merges, look-ups, and before and after a change."""

import datetime as dt
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from sv_assets.access import Actor, log
from sv_assets.contact_centre import look_up, metrics
from sv_assets.contact_centre.calls import COLLECTION, measured, refresh_calls
from sv_assets.contact_centre.metrics import Figures, around, by_day, figures, refresh_metrics, weeks
from sv_assets.contact_centre.settings import ContactCentreSettings, load_settings
from sv_assets.customers.find import Question
from sv_assets.errors import ConfigurationError
from sv_assets.identity.decisions import merge, undo
from sv_assets.mongo import Document, Store
from sv_assets_tests.command_line import run_sv
from sv_assets_tests.retailer import Retailer, day

WEEK = dt.timedelta(days=7)
ZONE = load_settings().zone
AGENT = Actor("ann", "contact_centre", "service")


def call(number: int, at: dt.datetime, customer: int | None = 1, **columns: Any) -> Document:
    row = dict.fromkeys(("CallerName", "CallerNumber", "OrderNumber", "Agent", "Notes"))
    given = {"CallId": number, "CustomerNumber": customer, "StartedAt": at, "Reason": "delivery", "DurationSeconds": 60}
    return {**row, **given, "ModifiedAt": at, **columns}


def land(shop: Retailer, *calls: Document) -> None:
    shop.land("contactcentre.call", *calls)
    shop.run()
    refresh_calls(shop.store)
    refresh_metrics(shop.store)


def kept(store: Store) -> dict[int, str | None]:
    """By call, the one that it repeats."""
    found = store.contact_centre[COLLECTION].find({})
    return {int(c["_id"].rpartition(":")[2]): c["repeats"] and c["repeats"].rpartition(":")[2] for c in found}


def facts(*offsets: float) -> list[Document]:
    return [
        {
            "_id": f"c{n}",
            "customer_id": "C1",
            "at": day(0) + dt.timedelta(hours=h),
            "reason": "r",
            "duration_seconds": 1,
        }
        for n, h in enumerate(offsets)
    ]


@given(st.lists(st.integers(0, 24 * 30), max_size=12), st.randoms())
def test_a_call_repeats_the_one_before_it_if_that_lies_less_than_the_window_back(hours: list[int], chance: Any) -> None:
    calls = facts(*hours)
    shuffled = list(calls)
    chance.shuffle(shuffled)
    found = {c["_id"]: c["repeats"] for c in measured(shuffled, WEEK, ZONE)}
    order = sorted(calls, key=lambda c: (c["at"], c["_id"]))
    for n, one in enumerate(order):
        earlier = [e["_id"] for e in order[:n] if one["at"] - e["at"] < WEEK]
        assert found[one["_id"]] == (earlier[-1] if earlier else None)


def test_the_window_is_half_open() -> None:
    assert [c["repeats"] for c in measured(facts(0, 24 * 7), WEEK, ZONE)] == [None, None]
    assert [c["repeats"] for c in measured(facts(0, 24 * 7 - 0.001), WEEK, ZONE)] == [None, "c0"]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (61, 61),
        ("61", 61),
        (Decimal128("61.50"), 61),
        (0, 0),
        (-1, None),
        ("soon", None),
        (float("nan"), None),
        (float("inf"), None),
        (1e300, None),
        (10**9, None),
        (True, None),
    ],
)
def test_a_duration_counts_whatever_type_its_column_has_and_rubbish_does_not(said: Any, seconds: int | None) -> None:
    (found,) = measured([{**facts(0)[0], "duration_seconds": said}], WEEK, ZONE)
    assert found["seconds"] == seconds


def test_calls_of_messages_say_their_moment_in_words_and_the_last_moment_there_is_stops_nobody() -> None:
    first, second, third, none = facts(0, 1, 2, 3)
    first["at"], second["at"], third["at"], none["at"] = (
        "2026-11-01T09:00:00Z", "2026-11-02T09:00:00+01:00", dt.datetime.max.replace(tzinfo=dt.timezone.utc), "soon",
    )  # fmt: skip
    found = list(measured([first, second, third, {**third, "_id": "c9"}, none], WEEK, ZoneInfo("Europe/Berlin")))
    assert [(c["_id"], c["repeats"]) for c in found] == [("c0", None), ("c1", "c0"), ("c2", None), ("c9", "c2")]
    assert [c["day"] for c in found] == ["2026-11-01", "2026-11-02", "9999-12-31", "9999-12-31"]


def test_one_reason_in_two_spellings_is_one() -> None:
    one, two = facts(0, 1)
    assert [c["repeats"] for c in measured([one, {**two, "reason": "R  "}], WEEK, ZONE)] == [None, "c0"]


def test_a_call_belongs_to_the_day_on_which_it_came_in_local_time() -> None:
    summer = dt.datetime(2026, 6, 30, 23, 30, tzinfo=dt.timezone.utc)
    (found,) = measured([{**facts(0)[0], "at": summer}], WEEK, ZONE)
    assert found["day"] == "2026-07-01"


def test_a_call_of_which_a_message_told_counts() -> None:
    one, two = facts(0, 1)
    found = measured([one, {**two, "at": "2026-11-01T10:00:00+01:00"}], WEEK, ZONE)
    assert [c["_id"] for c in found] == ["c0", "c1"]


def test_late_calls_and_merges_come_out_as_if_all_had_been_there_at_once(shop: Retailer) -> None:
    land(shop, call(1, day(1)), call(2, day(9)), call(3, day(4), customer=2))
    assert kept(shop.store) == {1: None, 2: None, 3: None}
    land(shop, call(4, day(5)))
    assert kept(shop.store) == {1: None, 4: "1", 2: "4", 3: None}
    decision = merge(shop.store, "crm.customer:1", "crm.customer:2", actor="ann", reason="same")
    land(shop)
    assert kept(shop.store) == {1: None, 3: "1", 4: "3", 2: "4"}
    undo(shop.store, decision["_id"], actor="ann", reason="not")
    land(shop)
    assert kept(shop.store) == {1: None, 4: "1", 2: "4", 3: None}
    shop.delete("contactcentre.call", 4)
    land(shop)
    assert kept(shop.store) == {1: None, 2: None, 3: None}
    land(shop, call(2, day(3)), call(3, day(4), customer=2, Reason="payment"))
    assert kept(shop.store) == {1: None, 2: "1", 3: None}
    again = [refresh_calls(shop.store), refresh_metrics(shop.store)]
    assert sum(r.written for r in again) == 0
    whole = [refresh_calls(shop.store, full=True), refresh_metrics(shop.store, full=True)]
    assert sum(r.written for r in whole) == 0


def test_a_call_that_moves_to_another_customer_in_the_same_run_is_kept_whoever_is_worked_off_first(
    shop: Retailer,
) -> None:
    land(shop, *(call(n, day(n), customer=1 + n % 2) for n in range(1, 7)))
    land(shop, *(call(n, day(n), customer=2 - n % 2) for n in range(1, 7)))
    assert kept(shop.store) == {1: None, 2: None, 3: "1", 4: "2", 5: "3", 6: "4"}
    customers = {c["_id"]: c["customer_id"] for c in shop.store.contact_centre[COLLECTION].find({})}
    interactions = {i["_id"]: i["customer_id"] for i in shop.store.single_view["interactions"].find({})}
    assert customers == interactions


def test_figures_count_calls_repeats_and_time_of_the_days_from_the_first_to_before_the_last(shop: Retailer) -> None:
    land(
        shop,
        call(1, day(1)),
        call(2, day(2), DurationSeconds=None),
        call(3, day(3), Reason="payment", DurationSeconds=120),
    )
    first = day(1).date()
    found = figures(shop.store, first, first + dt.timedelta(days=3))
    assert (found.calls, found.repeats, found.timed, found.handling_seconds) == (3, 1, 2, 90)
    assert figures(shop.store, first, first + dt.timedelta(days=2)).calls == 2
    assert [f.first for f in by_day(shop.store, first, first + dt.timedelta(days=9))] == [
        "2026-11-02",
        "2026-11-03",
        "2026-11-04",
    ]
    (week,) = weeks(by_day(shop.store, first, first + dt.timedelta(days=9)))
    assert (week.first, week.before, week.calls) == ("2026-11-02", "2026-11-09", 3)


def test_before_and_after_a_change_are_compared_with_how_sure_that_is(shop: Retailer) -> None:
    land(shop, *(call(n, day(n)) for n in range(1, 5)), call(9, day(20)), call(10, day(28)))
    change = around(shop.store, day(10).date(), 14)
    assert (change.before.calls, change.before.repeats, change.after.calls, change.after.repeats) == (4, 3, 1, 0)
    shown = change.shown()["difference"]
    assert shown["repeat_share"]["value"] == -0.75
    assert shown["repeat_share"]["from"] < -0.75 < 0 < shown["repeat_share"]["to"], "one call after proves nothing"
    assert shown["found_at_first_try"] is None
    assert around(shop.store, day(10).date(), 19).after.calls == 2, (
        "the day of the change is after, the last is left out"
    )
    with pytest.raises(ConfigurationError):
        around(shop.store, day(10).date(), 0)
    with pytest.raises(ConfigurationError):
        around(shop.store, day(10).date(), 10**10)


def test_the_first_attempt_of_a_call_counts_even_if_its_entry_comes_late_or_is_forgotten(shop: Retailer) -> None:
    store = shop.store
    look_up.cards(store, Question(email="nobody@x.com"), actor=AGENT, call="900")
    look_up.cards(store, Question(email="jane@x.com"), actor=AGENT, call="900")
    look_up.cards(store, Question(email="jane@x.com"), actor=AGENT, call="901")
    look_up.cards(store, Question(email="jane@x.com"), actor=AGENT)
    today = dt.datetime.now(ZONE).date()
    tomorrow = today + dt.timedelta(days=1)
    refresh_metrics(store)
    assert (figures(store, today, tomorrow).lookups, figures(store, today, tomorrow).found_first) == (2, 1)
    late = store.control[log.COLLECTION].find_one({"call": "901"}) or {}
    earlier = {**late, "_id": "late", "at": late["at"] - dt.timedelta(seconds=20), "customers": [], "outcome": "nobody"}
    store.control[log.COLLECTION].insert_one(earlier)
    refresh_metrics(store)
    assert figures(store, today, tomorrow).found_first == 0
    ahead = dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=2)
    store.control[log.COLLECTION].insert_one({**late, "_id": "ahead", "at": ahead, "call": "902"})
    refresh_metrics(store)
    look_up.cards(store, Question(email="jane@x.com"), actor=AGENT, call="903")
    refresh_metrics(store)
    assert figures(store, today, tomorrow).lookups == 3, "one machine's clock is two days ahead"
    store.control[log.COLLECTION].delete_many({})
    refresh_metrics(store, full=True)
    assert figures(store, today, tomorrow).lookups == 3


def test_look_ups_are_measured_again_when_what_counts_as_found_changes(shop: Retailer) -> None:
    store, declared = shop.store, load_settings().model_dump()
    look_up.cards(store, Question(email="jane@x.com"), actor=AGENT, call="900")
    store.control[log.COLLECTION].update_one({"call": "900"}, {"$set": {"customers": ["C1", "C2"]}})
    today = dt.datetime.now(ZONE).date()
    for at_most, found in ((3, 1), (1, 0), (2, 1)):
        measures = {**declared["measures"], "found_at_most": at_most}
        settings = ContactCentreSettings.model_validate({**declared, "measures": measures})
        refresh_metrics(store, settings)
        assert figures(store, today, today + dt.timedelta(days=1)).found_first == found
        assert refresh_metrics(store, settings).written == 0


def test_the_command_tells_the_last_days_and_a_change(shop: Retailer) -> None:
    land(shop, call(1, day(1)), call(2, day(2)))
    found = json.loads(run_sv("contact-centre", "metrics", "--change", "2026-11-03", "--days", "7", "--json").stdout)
    assert (found["before"]["calls"], found["after"]["repeat_share"]) == (1, 1.0)
    assert run_sv("contact-centre", "metrics", "--change", "2026-11-03").returncode == 0
    assert run_sv("contact-centre", "metrics").returncode == 0
    assert json.loads(run_sv("contact-centre", "metrics", "--json").stdout).keys() == {"total", "days", "reasons"}
    assert run_sv("contact-centre", "metrics", "--change", "soon").returncode == 2
    assert run_sv("contact-centre", "metrics", "--change", "0001-01-05").returncode == 2
    assert Figures("a", "b").shown()["repeat_share"] is None and metrics.COUNTS
