"""Why a customer may call: which rules hold, from when, until when, in which words."""

import datetime as dt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from sv_assets.contact_centre.card import card_of
from sv_assets.contact_centre.reasons import holding, reasons_of
from sv_assets.contact_centre.settings import DEFAULT, ContactCentreSettings, ReasonRule, WarningRule, load_settings
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Document
from sv_assets_tests.retailer import day

ZONE = load_settings().zone


def customer(**parts: Any) -> Document:
    empty: Document = {"count": 0, "latest": []}
    people: Document = {name: [] for name in ("emails", "phones", "consents", "flags")}
    return {
        "_id": "C1", "version": 1, **people, "open_issues": empty, "interactions": empty,
        "orders": {**empty, "totals": []}, **parts,
    }  # fmt: skip


def latest(**lists: list[Document]) -> Document:
    return customer(**{name: {"count": len(some), "latest": some, "totals": []} for name, some in lists.items()})


def parcel(status: str, since: dt.datetime | None) -> Document:
    return {"kind": "delivery", "order_number": "SO1", "parcel": 2, "status": status, "since": since}


def said(found: Document, at: dt.datetime) -> list[str]:
    return [r["name"] for r in holding(reasons_of(found, load_settings().reasons, ZONE), at)]


def test_a_parcel_is_late_from_the_declared_moment_until_before_the_last() -> None:
    late = latest(open_issues=[parcel("dispatched", day(1))])
    second = dt.timedelta(seconds=1)
    assert said(late, day(6) - second) == []
    assert said(late, day(6)) == ["delivery_late"]
    assert said(late, day(46) - second) == ["delivery_late"]
    assert said(late, day(46)) == []


def test_a_reason_says_what_it_is_about_in_local_time_and_the_likeliest_comes_first() -> None:
    found = latest(
        open_issues=[parcel("failed_attempt", day(1)), parcel("Dispatched", day(0) - dt.timedelta(minutes=30))],
        orders=[{"number": "SO9", "status": "returned", "placed_at": day(1), "refunded": None}],
    )
    first, second, third = holding(reasons_of(found, load_settings().reasons, ZONE), day(10))
    assert first["says"] == "Parcel 2 of order SO1 could not be delivered (failed attempt, 2 November 2026)."
    assert second["says"] == "Parcel 2 of order SO1 has been on its way since 31 October 2026."
    assert third["says"] == "Order SO9 of 2 November 2026 was returned, and nothing has been refunded."


def test_what_has_been_refunded_or_has_no_moment_is_no_reason() -> None:
    order = {"number": "SO9", "status": "returned", "placed_at": day(1), "refunded": 5}
    assert said(latest(orders=[order], open_issues=[parcel("dispatched", None)]), day(10)) == []


def test_an_order_with_a_parcel_under_way_is_dispatched_whatever_its_own_status_says_yet() -> None:
    order = {"number": "SO9", "status": "Processing", "placed_at": day(1), "refunded": None}
    assert said(latest(orders=[{**order, "delivery": None}]), day(9)) == ["not_dispatched"]
    assert said(latest(orders=[{**order, "delivery": "delivered"}]), day(9)) == []


def test_a_refund_of_nothing_is_none() -> None:
    order = {"number": "SO9", "status": "returned", "placed_at": day(1)}
    for refunded, expected in ((Decimal128("0.00"), ["refund_pending"]), (Decimal128("9.50"), [])):
        assert said(latest(orders=[{**order, "refunded": refunded}]), day(10)) == expected


def test_calls_repeat_while_each_follows_the_one_before_within_the_window() -> None:
    def call(at: dt.datetime, reason: str | None = "delivery", kind: str = "call") -> Document:
        return {"kind": kind, "at": at, "reason": reason}

    week = dt.timedelta(days=7)
    just = dt.timedelta(milliseconds=1)
    assert said(latest(interactions=[call(day(1)), call(day(1) + week)]), day(8)) == []
    near = latest(
        interactions=[
            call(day(1)),
            call(day(1) + week - just, "Delivery  "),
            call(day(3), "payment"),
            call(day(3), None),
        ]
    )
    assert said(near, day(8)) == ["repeated_contact"]
    assert "2 times about Delivery," in reasons_of(near, load_settings().reasons, ZONE)[0]["says"]
    assert said(latest(interactions=[call(day(1), kind="letter"), call(day(2), kind="letter")]), day(3)) == []


def test_a_moment_that_stands_for_never_stops_no_card() -> None:
    """9999-12-31 and 0001-01-01 are what systems write where there is no date."""
    never, first = (dt.datetime(year, *rest, tzinfo=dt.timezone.utc) for year, *rest in ((9999, 12, 31, 23), (1, 1, 1)))
    order = {"number": "SO9", "status": "placed", "refunded": None}
    found = latest(
        orders=[{**order, "placed_at": never}, {**order, "placed_at": first}], open_issues=[parcel("dispatched", never)]
    )
    for zone in ("Europe/London", "Asia/Tokyo", "America/New_York"):
        assert reasons_of(found, load_settings().reasons, ZoneInfo(zone))
    assert said(found, day(1)) == []


moments = st.one_of(
    st.none(),
    st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2030, 1, 1)).map(lambda d: d.replace(tzinfo=dt.timezone.utc)),
)
words = st.one_of(st.none(), st.sampled_from(["dispatched", "{x}", "%s", "returned", "open"]), st.integers())
issues = st.builds(
    lambda k, s, a: {"kind": k, "status": s, "since": a, "order_number": s, "parcel": s},
    st.sampled_from(["delivery", "complaint"]),
    words,
    moments,
)


@given(st.lists(issues, max_size=6), st.randoms())
def test_a_card_is_the_same_whatever_order_its_events_stand_in(some: list[Document], chance: Any) -> None:
    settings = load_settings()
    other = list(some)
    chance.shuffle(other)
    one, two = (card_of(latest(open_issues=each), settings)["reasons"] for each in (some, other))
    assert one == two
    assert all(reason["from"] <= reason["until"] for reason in one)


def test_a_flag_warns_until_it_ends_and_the_longest_lasting_one_counts() -> None:
    flags = [
        {"flag": "vulnerable", "since": day(1), "until": day(9), "system": "crm"},
        {"flag": "vulnerable", "since": day(2), "until": None, "system": "web"},
        {"flag": "likes_cats", "since": day(2), "until": None, "system": "web"},
    ]
    warnings = card_of(customer(flags=flags), load_settings())["warnings"]
    assert warnings.keys() == {"vulnerable"}
    assert WarningRule(flags=["Vulnerable-Customer", " BEREAVED"], says="x").flags == [
        "vulnerable_customer",
        "bereaved",
    ]
    assert (warnings["vulnerable"]["until"], warnings["vulnerable"]["system"]) == (None, "web")


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("about: delivery", "about: parcel", "Input should be"),
        ("{parcel}", "{parcle}", r"\{parcle\} is no word of delivery"),
        ("{parcel}", "{parcel", "cannot be read"),
        ("{parcel}", "{parcel:%d}", "without more in the braces"),
        ("{parcel}", "{parcel!q}", "without more in the braces"),
        ("after: 5d", "after: 45d", "would never hold"),
        ("score: 95", "score: 950", "less than or equal to 100"),
        ("lasts: 14d", "lasts: soon", "a duration is"),
        ("    lasts: 14d", "    lasts: 14d\n    refunded: true", "are for rules about `order`"),
        ("name: delivery_late", "name: parcel_failed", "names two reasons"),
        ("time_zone: Europe/London", "time_zone: Mars", "is no time zone"),
    ],
)
def test_a_wrong_declaration_is_one_sentence_with_its_place(tmp_path: Path, was: str, becomes: str, says: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(DEFAULT.read_text().replace(was, becomes, 1))
    with pytest.raises(ConfigurationError, match=says):
        load_settings(file)


def test_rules_about_repeats_need_their_window() -> None:
    rule = {"name": "x", "about": "repeat", "lasts": "1d", "score": 1, "says": ""}
    with pytest.raises(ValueError, match="which need it"):
        ReasonRule.model_validate(rule)
    assert isinstance(load_settings(), ContactCentreSettings)
