"""Explanations: why two records are one person or are not, whatever decided it."""

import datetime as dt
import logging
from itertools import pairwise

import pytest

from sv_assets.errors import SvError
from sv_assets.identity.comparisons import NULL
from sv_assets.identity.decisions import decide, undo
from sv_assets.identity.explain import PairExplained, as_page, explain_pair
from sv_assets.identity.explain_customer import explain_between, explain_customer
from sv_assets.identity.resolution import refresh_identities
from sv_assets.mongo import Store
from sv_assets_tests.retailer import OFFICER, Retailer

ANN = {"actor": "ann", "reason": "she rang"}
BORN = {"DateOfBirth": dt.datetime(1980, 3, 7, tzinfo=dt.timezone.utc)}


@pytest.fixture
def shop(store: Store) -> Retailer:
    return Retailer(store)


def said(pair: PairExplained, comparison: str) -> tuple[str, str | None, str | None]:
    (found,) = [c for c in pair.weighed.comparisons if c.comparison == comparison]
    return found.level, found.left, found.right


def test_a_link_is_explained_with_its_rules_its_evidence_and_the_values_side_by_side(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Title="Mrs", Email="Jane@x.com", **BORN)
    b = shop.account(2, "Jane", "Smith", EmailAddress="jane@X.com")
    shop.identify()
    pair = explain_pair(shop.store, a, b, actor=OFFICER)
    assert pair.one_customer
    assert pair.link is not None and pair.link["rules"] == pair.weighed.rules
    assert "email_and_name" in pair.weighed.rules
    assert pair.verdict.startswith("One person: email_and_name")
    assert f"{pair.link['weight']:.2f} bits (threshold {pair.threshold:g})" in pair.verdict
    assert said(pair, "email") == ("exact", "jane@x.com", "jane@x.com")
    assert said(pair, "surname") == ("exact", "smith", "smith")
    assert said(pair, "birth_date") == (NULL, "1980-03-07", None)
    assert [key.rule for key in pair.keys if key.value == "jane@x.com"] == ["email"]
    assert pair.notes == []


def test_the_bits_of_the_comparisons_add_up_to_both_weights(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Title="Mrs", Email="jane@x.com", Phone="01632 960123", **BORN)
    b = shop.customer(2, "Peter", "Smith", Title="Mr", Email="jane@x.com", Phone="01632 960123")
    c = shop.customer(3, "Olga", "Petrova")
    shop.identify()
    for other in (b, c):
        weighed = explain_pair(shop.store, a, other, actor=OFFICER).weighed
        assert weighed.household is not None and weighed.start_household is not None
        strangers = weighed.start + sum(c.bits + c.rarity for c in weighed.comparisons)
        household = weighed.start_household + sum((c.household or 0) + c.household_rarity for c in weighed.comparisons)
        assert strangers == pytest.approx(weighed.strangers, abs=0.02)
        assert household == pytest.approx(weighed.household, abs=0.02)


def test_a_household_is_explained_as_one(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="home@x.com", Phone="01632 960123")
    b = shop.customer(2, "Peter", "Smith", Email="home@x.com", Phone="01632 960123")
    shop.identify()
    pair = explain_pair(shop.store, a, b, actor=OFFICER)
    assert not pair.one_customer and pair.link is None
    assert pair.weighed.conflict == "first_name"
    assert "two people of one household" in pair.verdict
    assert "(threshold 0.5)" in pair.verdict


def test_who_was_never_compared_is_weighed_all_the_same(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="jane@x.com")
    b = shop.customer(2, "Wei", "Chen", Email="wei@x.com")
    shop.identify()
    pair = explain_pair(shop.store, a, b, actor=OFFICER)
    assert pair.keys == []
    assert pair.weighed.weight < pair.threshold
    assert "they share no blocking key" in pair.verdict
    assert said(pair, "email") == ("else", "jane@x.com", "wei@x.com")


def test_a_key_and_a_value_that_too_many_share_are_named(shop: Retailer) -> None:
    first = ["Ann", "Bea", "Cleo", "Dora", "Eve", "Fay", "Gina", "Hope", "Ida", "Joy"]
    last = ["Adams", "Brown", "Clark", "Dixon", "Evans", "Field", "Gray", "Hill", "Innes", "Jones"]
    records = [
        shop.customer(10 * x + y, f"{first[x]}", last[y], Email="office@x.com", Phone="01632 960123")
        for x in range(10)
        for y in range(10)
    ]
    records.append(shop.customer(900, "Zoe", "Young", Email="office@x.com"))
    shop.identify()
    pair = explain_pair(shop.store, records[0], records[-1], actor=OFFICER)
    (key,) = [key for key in pair.keys if key.rule == "email"]
    assert (key.value, key.records, key.at_most, key.capped) == ("office@x.com", 101, 100, True)
    assert "The e-mail office@x.com is used by too many people and is no evidence." in pair.notes
    assert said(pair, "email")[0] == NULL, "as a run weighs it"
    assert "too many records share each blocking key" in pair.verdict


def test_a_guard_is_named_with_what_it_saw(shop: Retailer) -> None:
    both = {"Email": "smith@x.com", "Mobile": "07700900123"}
    a = shop.customer(1, "Jane", "Smith", Title="Mrs", **both)
    b = shop.account(2, "J", "Smith", EmailAddress="smith@x.com", Telephone="07700900123")
    c = shop.customer(3, "John", "Smith", Title="Mr", **both)
    shop.identify()
    pairs = [explain_pair(shop.store, b, other, actor=OFFICER) for other in (a, c)]
    (stopped,) = [pair for pair in pairs if not pair.one_customer]
    assert stopped.link is not None
    assert [guard["guard"] for guard in stopped.guards] == ["conflict"]
    assert "but the guard conflict stopped that" in stopped.verdict
    assert "first name" in stopped.verdict or "title" in stopped.verdict


def test_a_chain_is_told_record_by_record(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="jane@x.com")
    b = shop.account(2, "Jane", "Smith", EmailAddress="jane@x.com", Telephone="07700900123")
    c = shop.customer(3, "Jane", "Smith-Jones", Mobile="07700900123")
    shop.identify()
    decide(shop.store, "same", b, c, **ANN)
    refresh_identities(shop.store)
    pair = explain_pair(shop.store, a, c, actor=OFFICER)
    assert pair.one_customer
    assert [step.records for step in pair.chain][:1] == [(a, b)] or len(pair.chain) == 1
    assert all(one.records[1] == other.records[0] for one, other in pairwise(pair.chain))
    assert pair.chain[-1].records[1] == c
    assert f"{a} – {b} – {c}" in pair.verdict
    assert pair.chain[-1].rules == ["decided_by_human"]


def test_what_the_sources_say_and_records_that_say_the_very_same_are_rules_as_well(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith")
    b, c = (shop.account(n, "Peter", "Jones", CrmCustomerId=1) for n in (2, 3))
    d, e = (shop.customer(n, "Olga", "Petrova", Email="olga@x.com") for n in (4, 5))
    shop.identify()
    assert explain_pair(shop.store, a, b, actor=OFFICER).verdict.startswith("One person: given_by_source links them")
    assert explain_pair(shop.store, d, e, actor=OFFICER).verdict.startswith("One person: identical links them")
    both = explain_pair(shop.store, b, c, actor=OFFICER)
    assert both.one_customer
    assert "given_by_source" not in both.weighed.rules, "both name the first, not each other"


def test_two_that_name_one_who_is_not_there_are_linked_by_that(shop: Retailer) -> None:
    a, b = (shop.account(n, first, "Jones", CrmCustomerId=9) for n, first in ((1, "Peter"), (2, "Jane")))
    shop.identify()
    pair = explain_pair(shop.store, a, b, actor=OFFICER)
    assert pair.one_customer
    assert pair.weighed.rules[0] == "given_by_source"


def test_a_decision_is_the_verdict_before_and_after_it_is_carried_out(shop: Retailer) -> None:
    a, b = shop.customer(1, "Jane", "Smith"), shop.customer(2, "Wei", "Chen")
    shop.identify()
    decision = decide(shop.store, "same", a, b, **ANN)
    pair = explain_pair(shop.store, a, b, actor=OFFICER)
    assert pair.decision is not None
    assert (pair.decision["kind"], pair.decision["actor"], pair.decision["reason"]) == ("same", "ann", "she rang")
    assert "not carried out yet" in pair.verdict
    assert f"{a} waits for the next run." in pair.notes
    refresh_identities(shop.store)
    assert explain_pair(shop.store, a, b, actor=OFFICER).verdict.startswith("One person, by decision of ann on ")
    undo(shop.store, decision["_id"], **ANN)
    refresh_identities(shop.store)
    assert explain_pair(shop.store, a, b, actor=OFFICER).decision is None
    decide(shop.store, "not_same", a, b, **ANN)
    assert explain_pair(shop.store, a, b, actor=OFFICER).verdict.startswith("Not one person, by decision of ann")


def test_a_decision_about_other_records_of_the_customers_is_found(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="jane@x.com")
    b = shop.account(2, "Jane", "Smith", EmailAddress="jane@x.com", Telephone="07700900123")
    c = shop.customer(3, "Jane", "Smith", Mobile="07700900123", Email="other@x.com")
    shop.identify()
    assert shop.people() == {frozenset({a, b, c})}
    decision = decide(shop.store, "not_same", a, c, **ANN)
    refresh_identities(shop.store)
    pairs = [explain_pair(shop.store, b, other, actor=OFFICER) for other in (a, c)]
    (kept,) = [pair for pair in pairs if not pair.one_customer]
    assert decision["_id"] in kept.verdict


def test_a_deleted_record_and_a_changed_one_are_told(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="jane@x.com")
    b = shop.account(2, "Jane", "Smith", EmailAddress="jane@x.com", Telephone="07700900123")
    shop.identify()
    shop.store.identity["links"].update_one({}, {"$set": {"weight": 3.0}})
    assert any("have changed since" in note for note in explain_pair(shop.store, a, b, actor=OFFICER).notes)
    shop.delete("crm.customer", 1)
    shop.identify()
    pair = explain_pair(shop.store, a, b, actor=OFFICER)
    assert pair.verdict == f"Not one person: {a} was deleted at the source."


def test_the_page_is_one_file_with_the_verdict_and_the_values(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="jane@x.com")
    b = shop.account(2, "Jane", "Smith", EmailAddress="jane@x.com")
    shop.identify()
    decide(shop.store, "same", a, b, actor="ann", reason="<script>alert(1)</script>")
    page = as_page(explain_pair(shop.store, a, b, actor=OFFICER))
    assert page.startswith("<!DOCTYPE html>")
    assert "jane@x.com" in page and "<svg" in page and "email and name" in page
    assert "alert(1)" in page and "<script" not in page


def test_an_explanation_leaves_no_personal_data_in_the_log(shop: Retailer, caplog: pytest.LogCaptureFixture) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="jane@x.com", Mobile="07700900123")
    b = shop.account(2, "Jane", "Smith", EmailAddress="jane@x.com")
    shop.identify()
    with caplog.at_level(logging.DEBUG):
        as_page(explain_pair(shop.store, a, b, actor=OFFICER))
        explain_customer(shop.store, a, actor=OFFICER)
    for value in ("jane", "smith", "7700900123"):
        assert not [record for record in caplog.records if value in record.getMessage().lower()]


def test_nothing_is_explained_that_is_not_there(shop: Retailer) -> None:
    with pytest.raises(SvError, match="Nothing has been decided yet"):
        explain_pair(shop.store, "crm.customer:1", "crm.customer:2", actor=OFFICER)
    a = shop.customer(1, "Jane", "Smith")
    shop.identify()
    with pytest.raises(SvError, match=r"There is no party record crm\.customer:2"):
        explain_pair(shop.store, a, "crm.customer:2", actor=OFFICER)
    with pytest.raises(SvError, match="one record"):
        explain_pair(shop.store, a, a, actor=OFFICER)
    for missing in ("CNONE", "crm.customer:2"):
        with pytest.raises(SvError, match="There is no"):
            explain_customer(shop.store, missing, actor=OFFICER)
        with pytest.raises(SvError, match="There is no"):
            explain_between(shop.store, shop.customer_ids()[a], missing, actor=OFFICER)


# --- customers ---------------------------------------------------------------------------------------------------------------


def test_a_customer_is_explained_by_its_id_an_alias_or_a_record(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="jane@x.com")
    shop.identify()
    b = shop.customer(2, "Wei", "Chen")
    shop.identify()
    ids = shop.customer_ids()
    decide(shop.store, "same", a, b, **ANN)
    refresh_identities(shop.store)
    about = explain_customer(shop.store, ids[a], actor=OFFICER)
    assert (about.customer_id, about.anchor, about.state, about.aliases) == (ids[a], a, "active", [ids[b]])
    assert [(r["id"], r["deleted"], r["pending"]) for r in about.records] == [(a, False, False), (b, False, False)]
    assert [event["kind"] for event in about.events] == ["created", "created", "decided", "merged"]
    assert about.decisions[0]["actor"] == "ann"
    for other in (ids[b], b):
        found = explain_customer(shop.store, other, actor=OFFICER)
        assert (found.customer_id, found.records, found.asked) == (ids[a], about.records, other)


def test_what_links_two_customers_is_told_the_strongest_first(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="jane@x.com")
    shop.account(2, "Jane", "Smith", EmailAddress="jane@x.com", Telephone="07700900123")
    c = shop.customer(3, "Jane", "Smith", Mobile="07700900123", Email="other@x.com")
    shop.identify()
    decide(shop.store, "not_same", a, c, **ANN)
    refresh_identities(shop.store)
    ids = shop.customer_ids()
    assert ids[a] != ids[c]
    between = explain_between(shop.store, ids[a], ids[c], actor=OFFICER)
    assert between.customers == (ids[a], ids[c])
    weights = [link["weight"] for link in between.links]
    assert weights == sorted(weights, reverse=True) and weights
    assert between.pair is not None
    assert set(between.pair.records) == set(between.links[0]["records"])
    assert between.verdict.startswith(f"{len(between.links)} link")


def test_what_links_nothing_is_told_by_the_nearest_pair(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="jane@x.com")
    shop.account(2, "Jane", "Smith", EmailAddress="jane@x.com")
    c = shop.customer(3, "Jane", "Smythe", Email="wei@x.com")
    shop.identify()
    ids = shop.customer_ids()
    between = explain_between(shop.store, ids[a], ids[c], actor=OFFICER)
    assert between.links == []
    assert between.verdict.startswith("No link between them. The nearest records are ")
    assert between.pair is not None and between.pair.weighed.weight < between.pair.threshold


def test_an_alias_and_its_customer_are_one(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith")
    shop.identify()
    b = shop.customer(2, "Wei", "Chen")
    shop.identify()
    ids = shop.customer_ids()
    decide(shop.store, "same", a, b, **ANN)
    refresh_identities(shop.store)
    between = explain_between(shop.store, ids[b], ids[a], actor=OFFICER)
    assert between.verdict.startswith(f"One customer: {ids[b]} became {ids[a]}.")
    assert between.pair is None
