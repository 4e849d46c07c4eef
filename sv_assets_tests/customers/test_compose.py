"""Composition is a pure function: what is known of a customer, in any order, gives one document, to the byte."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import bson
import pytest
from bson import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from sv_assets.customers.activity import LATEST
from sv_assets.customers.compose import Known, Rules, compose, rules_of
from sv_assets.customers.contacts import yes_or_no
from sv_assets.customers.history import changes_between, composed_part, undo
from sv_assets.customers.model import Customer
from sv_assets.customers.rights import may_be_used_for
from sv_assets.customers.settings import load_settings as load_customer_settings
from sv_assets.customers.values import MOST_SOURCES, MOST_VALUES
from sv_assets.identity.compared import Description, PostalAddress, compared_form, exchange_of
from sv_assets.identity.settings import load_settings
from sv_assets.mongo import CODEC, Document, content_hash
from sv_assets_tests.retailer import catalogue, day

exchange_of("+441332000000")  # loads the numbering plan, which is too slow for the first example of hypothesis
NOBODY = load_settings().values_of_nobody
PERSON = {"first": "Jane", "last": "Smith"}
SETTINGS = load_customer_settings()
RULES = Rules(SETTINGS, frozenset({"crm.customer"}))


def record(number: int, name: Document | None = None, **known: Any) -> Document:
    """A party record as the identity station writes it."""
    name = PERSON if name is None else name
    emails, phones, born = known.get("emails", []), known.get("phones", []), known.get("born")
    return {
        "_id": f"crm.customer:{number}",
        "source": "crm.customer",
        **origin("dbo.Customer", number),
        "observed_at": known.get("observed_at"),
        "name": name,
        "emails": emails,
        "phones": phones,
        "date_of_birth": born,
        "addresses": known.get("addresses", []),
        "compared": compared_form(
            Description(
                first=tuple(v for v in [name.get("first")] if v),
                last=tuple(v for v in [name.get("last")] if v),
                title=name.get("title"),
                full=name.get("full"),
                emails=tuple(emails),
                phones=tuple(phones),
                born=born,
                addresses=tuple(
                    PostalAddress(a.get("line_1"), postcode=a.get("postcode")) for a in known.get("addresses", [])
                ),
            ),
            NOBODY,
        ),
    }


def origin(table: str, number: int) -> Document:
    return {"system": "crm", "table": table, "key": number, "version": f"v{number}"}


def order(number: int, **known: Any) -> Document:
    return {
        "_id": f"sales.orderheader:{number}",
        **origin("dbo.OrderHeader", number),
        "number": f"SO{number}",
        "placed_at": day(number),
        "status": "placed",
        "total": Decimal128("10.00"),
        "currency": "GBP",
        "channel": "web",
        "deliveries": [],
        "refunds": [],
        **known,
    }


def consent(number: int, granted: bool, **known: Any) -> Document:
    what = {"purpose": "marketing", "channel": "email", "granted": granted, "observed_at": day(number)}
    return {"_id": f"crm.contactpreference:{number}", **origin("dbo.ContactPreference", number), **what, **known}


def interaction(number: int, **known: Any) -> Document:
    what = {"kind": "call", "at": day(number), "closed_at": None, "reason": "x", "status": None, "order_number": None}
    return {"_id": f"contactcentre.call:{number}", **origin("dbo.Call", number), **what, **known}


def address(number: int, **known: Any) -> Document:
    where = {"kind": "home", "line_1": "1 High St", "postcode": "SW1A 1AA", "valid_from": None, "valid_to": None}
    return {"record": f"crm.customeraddress:{number}", **origin("dbo.CustomerAddress", number), **where, **known}


def composed(*records: Document, rules: Rules = RULES, **facts: list[Document]) -> Document:
    known = Known("C1", rules, list(records), facts.get("consents", []), facts.get("households", []))
    known.statements = facts.get("statements", [])
    for order in facts.get("orders", []):
        known.activity.add_order(order)
    for interaction in facts.get("interactions", []):
        known.activity.add_interaction(interaction)
    return compose(known)


def by(**criteria: list[str]) -> Rules:
    """The rules, with other criteria for some fields."""
    survivorship = SETTINGS.survivorship.model_copy(update=criteria)
    return Rules(SETTINGS.model_copy(update={"survivorship": survivorship}), RULES.account_sources)


moments = st.sampled_from([None, day(1), day(2), "2026-11-02T00:00:00Z", "not a date"])
people = st.builds(
    lambda n, first, last, emails, phones, born, at, places: record(
        n, {"first": first, "last": last}, emails=emails, phones=phones, born=born, observed_at=at, addresses=places
    ),
    st.integers(1, 99),
    st.sampled_from(["Jane", "J", "JANE "]),
    st.sampled_from(["Smith", "O'Neill"]),
    st.lists(st.sampled_from(["J@x.com", "j@x.com", "none@x.com", "rubbish", " rubbish "]), max_size=3),
    st.lists(st.sampled_from(["07700 900123", "+447700900123", "0"]), max_size=2),
    st.sampled_from([None, "1980-03-07", "1980-07-03"]),
    moments,
    st.lists(st.sampled_from([address(1), address(2, line_1="1 HIGH ST."), address(3, valid_to=day(3))]), max_size=2),
)
facts = {
    "orders": st.builds(lambda n, c: order(n, currency=c), st.integers(1, 50), st.sampled_from(["GBP", "EUR"])),
    "interactions": st.builds(interaction, st.integers(1, 50)),
    "consents": st.builds(consent, st.integers(1, 50), st.booleans()),
}


def unique(items: st.SearchStrategy[Document]) -> st.SearchStrategy[list[Document]]:
    return st.lists(items, max_size=6, unique_by=lambda d: d["_id"])


@given(unique(people), st.fixed_dictionaries({name: unique(items) for name, items in facts.items()}), st.randoms())
def test_the_same_knowledge_in_any_order_gives_the_same_bytes(
    records: list[Document], known: dict[str, list[Document]], chance: Any
) -> None:
    expected = composed(*records, **known)
    for items in (records, *known.values()):
        chance.shuffle(items)
    again = composed(*records, **known)
    assert bson.encode(again, codec_options=CODEC) == bson.encode(expected, codec_options=CODEC)
    assert content_hash(again) == content_hash(expected)


@given(unique(people), st.fixed_dictionaries({name: unique(items) for name, items in facts.items()}))
def test_whatever_is_composed_fits_the_model(records: list[Document], known: dict[str, list[Document]]) -> None:
    document = composed(*records, **known)
    Customer.model_validate({**document, "version": 1, "composed_at": day(1)})


@given(unique(people), unique(people), unique(facts["orders"]), unique(facts["consents"]))
def test_undoing_the_changes_gives_the_document_before(
    before: list[Document], after: list[Document], orders: list[Document], consents: list[Document]
) -> None:
    old, new = composed(*before, orders=orders), composed(*after, consents=consents)
    changes = changes_between(old, new)
    assert composed_part(undo(new, changes)) == composed_part(old)
    assert (changes == []) == (composed_part(old) == composed_part(new))


def test_the_fullest_name_wins_then_the_most_trusted_then_the_latest() -> None:
    records = [
        record(1, {"first": "Jane", "last": "Smith"}, observed_at=day(1)),
        record(2, {"first": " Jane ", "last": "Brown"}, observed_at=day(5)),
        record(3, {"first": "J", "last": "Green"}, observed_at=day(9)),
    ]
    name = composed(*records)["name"]
    assert name["value"] == {"first": "Jane", "last": "Brown"}
    assert (name["key"], name["version"], name["rule"]) == (2, "v2", "recency")
    records[1]["system"] = records[1]["source"] = "elsewhere"
    assert composed(*records)["name"]["rule"] == "trust"
    assert composed(records[0], records[2])["name"]["rule"] == "completeness"
    assert composed(records[2])["name"]["value"] == {"first": "J", "last": "Green"}
    assert composed(records[2])["name"]["rule"] == "only_value"
    assert composed(record(4, {}))["name"] is None


def test_the_declared_criteria_decide_in_their_order() -> None:
    records = [record(n, emails=["old@x.com"], observed_at=day(n)) for n in (1, 2)]
    records.append(record(3, emails=["new@x.com"], observed_at=day(9)))
    email = composed(*records, rules=by(email=["recency", "agreement"]))["email"]
    assert (email["value"], email["rule"], email["observed_at"]) == ("new@x.com", "recency", day(9))
    email = composed(*records, rules=by(email=["agreement", "recency"]))["email"]
    assert (email["value"], email["rule"], email["key"]) == ("old@x.com", "agreement", 2)


def test_losing_values_stay_beside_the_golden_one_with_all_who_say_so() -> None:
    records = [
        record(n, emails=[e], observed_at=day(n)) for n, e in enumerate(["a@x.com", "b@x.com", "A@x.com"], start=1)
    ]
    document = composed(*records)
    assert document["email"]["value"] == "a@x.com"
    assert [(e["value"], e["status"], e["said_by"], e["first_seen"], e["last_seen"]) for e in document["emails"]] == [
        ("a@x.com", "preferred", 2, day(1), day(3)),
        ("b@x.com", "current", 1, day(2), day(2)),
    ]
    assert [source["key"] for source in document["emails"][0]["sources"]] == [3, 1]


def test_the_birth_date_is_the_one_that_most_records_give() -> None:
    records = [record(n, born=born) for n, born in enumerate(["1980-03-07", "1980-07-03", "1980-07-03", "1900-01-01"])]
    document = composed(*records)
    assert (document["date_of_birth"]["value"], document["date_of_birth"]["rule"]) == ("1980-07-03", "agreement")
    assert [(b["value"], b["status"]) for b in document["dates_of_birth"]] == [
        ("1980-07-03", "preferred"),
        ("1980-03-07", "current"),
        ("1900-01-01", "unusable"),
    ]
    assert document["quality"]["conflicts"] == ["date_of_birth"]
    assert composed(record(1))["date_of_birth"] is None


def test_one_email_written_in_two_ways_is_one_with_both_sources() -> None:
    points = composed(record(1, emails=["J@x.com"]), record(2, emails=["j@X.com", "noemail@x.com"]))["emails"]
    assert [(p["value"], p["status"], [s["key"] for s in p["sources"]]) for p in points] == [
        ("j@x.com", "preferred", [1, 2]),
        ("noemail@x.com", "unusable", [2]),
    ]


def test_a_customer_of_thousands_of_records_names_some_and_counts_all() -> None:
    many = MOST_VALUES + 7
    document = composed(*(record(n, emails=[f"e{n}@x.com", "one@x.com"]) for n in range(many)))
    one = next(e for e in document["emails"] if e["value"] == "one@x.com")
    assert (one["said_by"], len(one["sources"])) == (many, MOST_SOURCES)
    assert (len(document["emails"]), document["left_out"]["emails"]) == (MOST_VALUES, many + 1)
    assert document["sources"]["count"] == many


def test_a_refusal_by_any_record_wins() -> None:
    given = [consent(1, False), consent(2, True), consent(3, False), consent(4, True, channel="sms")]
    consents = composed(record(1), consents=given)["consents"]
    assert [(c["channel"], c["granted"], c["key"], c["rule"]) for c in consents] == [
        ("email", False, 3, "most_restrictive"),
        ("sms", True, 4, "most_restrictive"),
    ]


def statement(number: int, kind: str, **said: Any) -> Document:
    return {"_id": f"r-{number}", "kind": kind, "purpose": "Marketing", "at": day(number), **said}


def test_a_purpose_and_a_channel_written_in_two_ways_are_one() -> None:
    given = [consent(1, True), consent(2, False, purpose=" Marketing", channel="EMAIL ")]
    assert [(c["purpose"], c["channel"], c["granted"]) for c in composed(record(1), consents=given)["consents"]] == [
        ("marketing", "email", False)
    ]
    said = [statement(3, "consent", channel="Email", granted=True)]
    (one,) = composed(record(1), consents=given, statements=said)["consents"]
    assert (one["granted"], one["key"], one["rule"]) == (True, "r-3", "person_said")


def test_among_many_refusals_a_permission_is_still_seen_as_a_conflict() -> None:
    given = [consent(n, n == 0) for n in range(MOST_SOURCES + 5)]
    document = composed(record(1), consents=given)
    (one,) = document["consents"]
    assert (len(one["answers"]), one["answers"][-1]["granted"]) == (MOST_SOURCES, True)
    assert "consent to marketing by email" in document["quality"]["conflicts"]


def test_a_moment_in_the_far_future_makes_nothing_stale() -> None:
    never = dt.datetime(9999, 12, 31, tzinfo=dt.timezone.utc)
    document = composed(record(1, observed_at=day(1)), orders=[order(1), order(2, placed_at=never)])
    assert document["quality"]["freshness"] == 1.0


def test_a_refusal_of_every_channel_counts_for_each_and_a_permission_for_none() -> None:
    given = [
        consent(1, True),
        consent(2, False, channel="*"),
        consent(3, True, purpose="survey"),
        consent(4, True, purpose="*"),
    ]
    assert [
        (c["purpose"], c["channel"], c["granted"], c["key"]) for c in composed(record(1), consents=given)["consents"]
    ] == [
        ("*", "email", True, 4),
        ("marketing", "*", False, 2),
        ("marketing", "email", False, 2),
        ("survey", "email", True, 3),
    ]


def test_the_rule_of_a_consent_is_that_of_the_answer_that_decided() -> None:
    said = [statement(3, "consent", channel="email", granted=True)]
    (later,) = composed(record(1), consents=[consent(5, False)], statements=said)["consents"]
    assert (later["granted"], later["system"], later["rule"]) == (False, "crm", "most_restrictive")
    objects = [*said, statement(4, "objection")]
    (refused,) = composed(record(1), consents=[consent(5, False)], statements=objects)["consents"]
    assert (refused["key"], refused["rule"], len(refused["answers"])) == ("r-4", "objection", 3)


def test_an_objection_counts_however_its_purpose_is_written() -> None:
    customer = composed(record(1), statements=[statement(4, "objection", purpose="Marketing ")])
    assert may_be_used_for(customer, "marketing") is False
    assert may_be_used_for(customer, "fraud") is True


def test_the_latest_orders_are_shown_and_all_are_counted() -> None:
    refunds = [{"amount": Decimal128("1.50"), "record": "r"}]
    orders = [order(n) for n in range(1, LATEST + 6)] + [order(99, currency="EUR", refunds=refunds, placed_at=None)]
    summary = composed(record(1), orders=orders)["orders"]
    assert summary["count"] == LATEST + 6
    assert [o["number"] for o in summary["latest"][:2]] == [f"SO{LATEST + 5}", f"SO{LATEST + 4}"]
    assert len(summary["latest"]) == LATEST
    assert [
        (t["currency"], t["orders"], t["spend"].to_decimal(), t["refunds"].to_decimal()) for t in summary["totals"]
    ] == [
        ("EUR", 1, Decimal("10.00"), Decimal("1.50")),
        ("GBP", LATEST + 5, Decimal("10.00") * (LATEST + 5), Decimal(0)),
    ]


def test_the_status_of_a_delivery_is_its_latest_event() -> None:
    events = [
        {"at": "2026-11-03T09:00:00Z", "status": "delivered", "record": "b"},
        {"at": "2026-11-02T09:00:00Z", "status": "dispatched", "record": "a"},
    ]
    latest = composed(record(1), orders=[order(1, deliveries=events), order(2)])["orders"]["latest"]
    assert [o["delivery"] for o in latest] == [None, "delivered"]


def test_of_events_of_one_moment_the_higher_number_is_the_later() -> None:
    events = [
        {"at": day(3), "sequence": number, "status": status, "record": f"r:{number}"}
        for number, status in (("10", "delivered"), (9, "dispatched"))
    ]
    document = composed(record(1), orders=[order(1, deliveries=events)])
    assert document["orders"]["latest"][0]["delivery"] == "delivered"
    assert document["open_issues"]["count"] == 0


def test_an_event_without_a_status_has_none() -> None:
    events = [{"at": day(3), "status": None, "record": "r"}]
    assert composed(record(1), orders=[order(1, deliveries=events)])["orders"]["latest"][0]["delivery"] is None


def test_a_currency_written_in_two_ways_is_one() -> None:
    orders = [order(n, currency=currency) for n, currency in enumerate(["GBP", "gbp", "GBP ", "EUR", None])]
    totals = composed(record(1), orders=orders)["orders"]["totals"]
    assert [(t["currency"], t["orders"]) for t in totals] == [("", 1), ("EUR", 1), ("GBP", 3)]


def test_what_floats_made_of_an_amount_counts_and_sums_hold_what_34_digits_can() -> None:
    amounts = [59.970000000000006, Decimal128("0.00000000000000000001"), Decimal128("99999999999999999999.5")]
    summary = composed(record(1), orders=[order(n, total=a) for n, a in enumerate(amounts)])["orders"]
    assert [o["total"].to_decimal() for o in reversed(summary["latest"])][:1] == [Decimal("59.970000000000006")]
    assert summary["totals"][0]["spend"].to_decimal() == Decimal("100000000000000000059.4700000000000")


def test_what_has_not_arrived_and_is_not_settled_is_an_open_issue() -> None:
    def event(parcel: int, status: str, hour: int) -> Document:
        return {"parcel": parcel, "at": f"2026-11-03T{hour:02}:00:00Z", "status": status, "record": f"{parcel}{hour}"}

    under_way = [event(1, "dispatched", 8), event(1, "Delivered", 9), event(2, "dispatched", 7)]
    document = composed(
        record(1),
        orders=[order(1, deliveries=under_way), order(2, deliveries=[event(1, "dispatched", 6)], status="cancelled")],
        interactions=[
            interaction(1),
            interaction(2, kind="complaint", status="open"),
            interaction(3, kind="complaint", status="open", closed_at=day(4)),
            interaction(4, kind="complaint", status="Closed"),
        ],
    )
    assert document["open_issues"]["count"] == 2
    assert [(i["kind"], i["status"], i.get("parcel")) for i in document["open_issues"]["latest"]] == [
        ("delivery", "dispatched", 2),
        ("complaint", "open", None),
    ]


def test_what_its_source_would_close_is_open_without_a_status_until_it_is_closed() -> None:
    complaints = [interaction(n, kind="complaint", closed_at=closed) for n, closed in enumerate([None, day(2)])]
    rules = replace(RULES, closing_sources=frozenset({"contactcentre.call"}))
    assert composed(record(1), interactions=complaints)["open_issues"]["count"] == 0
    assert composed(record(1), rules=rules, interactions=complaints)["open_issues"]["count"] == 1
    assert rules_of(catalogue()).closing_sources == {"contactcentre.complaint"}


def test_amounts_that_are_none_add_nothing_and_sums_are_exact() -> None:
    amounts = [
        Decimal128("0.10"),
        Decimal128("0.20"),
        "rubbish",
        None,
        float("nan"),
        Decimal128("1E+6000"),
        7,
        "9" * 5_000,
    ]
    summary = composed(record(1), orders=[order(n, total=amount) for n, amount in enumerate(amounts)])["orders"]
    assert summary["totals"][0]["spend"].to_decimal() == Decimal("7.30")
    assert {str(o["total"]) for o in summary["latest"]} == {"0.10", "0.20", "7", "None"}


def test_an_address_written_in_two_ways_is_one_and_the_valid_ones_come_first() -> None:
    records = [
        record(1, addresses=[address(1, line_1="2 Low Rd", valid_to=day(2)), address(2, line_1="1 High St.")]),
        record(2, addresses=[address(3, line_1="1 HIGH STREET", postcode="sw1a1aa")]),
    ]
    document = composed(*records)
    assert [(a["value"]["line_1"], a["status"], [s["key"] for s in a["sources"]]) for a in document["addresses"]] == [
        ("1 High St.", "preferred", [2, 3]),
        ("2 Low Rd", "former", [1]),
    ]
    assert document["address"]["rule"] == "current"
    assert "postcode_surname:SW1A 1AA smith" in document["keys"]
    assert "postcode_house:SW1A 1AA 1" in document["keys"]


def test_an_address_comes_from_the_row_that_shows_it_so_though_another_that_ended_was_seen_later() -> None:
    places = [
        address(1, line_1="1 High St", valid_from=day(1)),
        address(2, line_1="1 HIGH STREET", valid_from=day(-9), valid_to=day(5)),
    ]
    golden = composed(record(1, addresses=places))["address"]
    assert (golden["value"]["line_1"], golden["key"], golden["observed_at"]) == ("1 High St", 1, day(1))
    (known,) = composed(record(1, addresses=places))["addresses"]
    assert (known["status"], known["last_seen"], [s["key"] for s in known["sources"]]) == ("preferred", day(5), [2, 1])


def test_of_two_ways_to_write_an_address_the_more_trusted_source_has_its_way_and_is_named() -> None:
    places = [address(1, line_1="1 High St"), {**address(2, line_1="1 HIGH STREET"), "system": "web"}]
    golden = composed(record(1, addresses=places))["address"]
    assert (golden["value"]["line_1"], golden["system"], golden["key"]) == ("1 High St", "crm", 1)


@pytest.mark.parametrize("year", [2079, 2099, 9999])
def test_an_address_that_ends_in_the_far_future_has_not_ended(year: int) -> None:
    never = dt.datetime(year, 12, 31, tzinfo=dt.timezone.utc)
    places = [
        address(1, valid_from=day(1), valid_to=never),
        address(2, line_1="2 Low Rd", valid_from=day(0), valid_to=day(2)),
    ]
    document = composed(record(1, addresses=places, observed_at=day(3)))
    assert [(a["status"], a["last_seen"]) for a in document["addresses"]] == [
        ("preferred", day(1)),
        ("former", day(2)),
    ]
    assert (document["address"]["rule"], document["quality"]["freshness"]) == ("current", 1.0)


def test_places_that_are_no_more_than_a_county_are_told_apart() -> None:
    places = [
        address(n, line_1=None, postcode=None, county=county) for n, county in enumerate(["Kent", "Essex", "KENT"])
    ]
    assert len(composed(record(1, addresses=places))["addresses"]) == 2


def test_a_row_of_no_more_than_a_constant_country_is_no_address() -> None:
    document = composed(record(1, addresses=[address(1, line_1=None, postcode=" ", country="GB", valid_from=day(1))]))
    assert (document["address"], document["addresses"]) == (None, [])


def test_a_town_in_capitals_is_the_same_town() -> None:
    places = [address(n, postcode=None, town=town) for n, town in enumerate(["Leeds", "LEEDS"])]
    assert len(composed(record(1, addresses=places))["addresses"]) == 1


def test_a_first_name_is_another_name_than_the_same_word_as_a_surname() -> None:
    names = composed(record(1, {"first": "James"}), record(2, {"last": "James"}))["names"]
    assert [name["value"] for name in names] == [{"first": "James"}, {"last": "James"}]


def test_a_name_of_blanks_is_none() -> None:
    blank = record(1, {"first": " ", "last": "\t"}, observed_at=day(9))
    assert composed(blank)["name"] is None
    assert composed(blank, record(2, {"title": " ", "first": "Jane"}))["name"]["value"] == {"first": "Jane"}


def test_the_others_at_the_address_are_the_household() -> None:
    home = {"_id": "1 high st, SW1A 1AA", "customers": ["C1", "C2", "C3"], "records": 4}
    assert composed(record(1), households=[home])["household"] == {"homes": [home["_id"]], "members": ["C2", "C3"]}
    assert composed(record(1))["household"] is None


@pytest.mark.parametrize(
    "moment",
    [None, "", "soon", 7, dt.datetime(2026, 1, 1), day(1), "2026-11-01T00:00:00+00:00", "0001-01-01T00:00:00+05:00"],
)
def test_any_moment_can_be_ordered(moment: Any) -> None:
    document = composed(
        record(1, observed_at=moment),
        record(2, observed_at=day(3)),
        orders=[order(1, placed_at=moment), order(2)],
        interactions=[interaction(1, at=moment), interaction(2)],
    )
    assert document["orders"]["count"] == 2


@pytest.mark.parametrize(
    ("value", "means"),
    [
        (True, True),
        (0, False),
        (1, True),
        ("Y", True),
        (" no ", False),
        ("F", False),
        (Decimal128("1"), True),
        (Decimal128("0"), False),
        (Decimal128("NaN"), None),
        ("Opted-Out", False),
        ("withdrawn", False),
        ("maybe", None),
        (2, None),
        ("", None),
        (None, None),
    ],
)
def test_a_legacy_answer_is_yes_or_no_or_none_at_all(value: object, means: bool | None) -> None:
    assert yes_or_no(value) is means
