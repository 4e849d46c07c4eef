"""Cards: kept true to the customers, whatever happens in between, and seen by role."""

import datetime as dt
import json
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect
from pymongo.monitoring import CommandListener, CommandStartedEvent

from sv_assets.access import Actor, log
from sv_assets.access.reading import AccessRefused
from sv_assets.contact_centre import cards, look_up
from sv_assets.contact_centre.cards import refresh_cards
from sv_assets.contact_centre.settings import ContactCentreSettings, load_settings
from sv_assets.customers.find import Question
from sv_assets.identity.decisions import merge, undo
from sv_assets.mongo import Document, Store
from sv_assets.privacy.rights import restrict
from sv_assets.privacy.rights import undo as undone
from sv_assets.sealing import opened
from sv_assets_tests.command_line import run_sv
from sv_assets_tests.retailer import OFFICER, Retailer, day

AGENT = Actor("ann", "contact_centre", "service")
LEAD = Actor("lee", "contact_centre_lead", "service")


def all_cards(shop: Retailer) -> dict[str, Document]:
    """With what is sealed in them in the clear."""
    found = list(shop.store.contact_centre[cards.COLLECTION].find({}))
    return {card["_id"]: card for card in opened(shop.store, found)}


def id_of(shop: Retailer, email: str) -> str:
    return next(i for i, c in shop.customers().items() if c["email"] and c["email"]["value"] == email)


def waiting(shop: Retailer) -> int:
    return shop.store.single_view["customers"].count_documents({"_sv.pending": cards.STATION})


def assert_true_to_customers(shop: Retailer) -> None:
    """Each card is what would be made of its customer now, and there is none but those."""
    made = {i: cards.card_of(c, load_settings()) for i, c in shop.customers().items()}
    there = {i: {n: v for n, v in c.items() if n not in ("_sv", "composed_at")} for i, c in all_cards(shop).items()}
    assert there == made


def test_a_card_follows_its_customer_and_only_what_changed_is_written(shop: Retailer) -> None:
    first = refresh_cards(shop.store)
    assert (first.inserted, first.updated, waiting(shop)) == (2, 0, 0)
    assert_true_to_customers(shop)
    assert refresh_cards(shop.store).read == 0
    shop.account(11, "Jane", "Smith", EmailAddress="jane@x.com")
    shop.order(101, AccountId=11)
    shop.land("crm.customerflag", {"CustomerId": 2, "FlagCode": "BEREAVED", "RaisedAt": day(1), "EndedAt": None})
    shop.run()
    again = refresh_cards(shop.store)
    assert (again.read, again.updated) == (2, 2)
    assert_true_to_customers(shop)
    assert all_cards(shop)[id_of(shop, "home@x.com")]["warnings"].keys() == {"bereaved"}
    assert all_cards(shop)[id_of(shop, "jane@x.com")]["orders"]["latest"][0]["number"] == "SO101"
    shop.delete("crm.customerflag", "2|BEREAVED")
    full = refresh_cards(shop.store, full=True)
    assert (full.read, full.written) == (2, 0)


def test_cards_go_with_merges_and_come_back_with_their_undoing(shop: Retailer) -> None:
    refresh_cards(shop.store)
    decision = merge(shop.store, "crm.customer:1", "crm.customer:2", actor="ann", reason="same")
    shop.run()
    report = refresh_cards(shop.store)
    assert (report.deleted, len(all_cards(shop))) == (1, 1)
    assert_true_to_customers(shop)
    undo(shop.store, decision["_id"], actor="ann", reason="not")
    shop.run()
    refresh_cards(shop.store)
    assert len(all_cards(shop)) == 2
    assert_true_to_customers(shop)
    assert refresh_cards(shop.store).read == 0


def test_a_run_that_is_cut_off_anywhere_is_made_whole_by_the_next(
    shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh_cards(shop.store)
    merge(shop.store, "crm.customer:1", "crm.customer:2", actor="ann", reason="same")
    shop.customer(3, "Zoe", "Young", Email="zoe@x.com", ModifiedAt=day(1))
    shop.run()
    for statement in ("delete_many", "bulk_write"):
        with monkeypatch.context() as patch:
            patch.setattr(f"pymongo.synchronous.collection.Collection.{statement}", _cut)
            with pytest.raises(AutoReconnect):
                refresh_cards(shop.store)
    refresh_cards(shop.store)
    assert_true_to_customers(shop)
    assert waiting(shop) == 0


def _cut(*_: object, **__: object) -> None:
    raise AutoReconnect("cut")


def test_a_customer_that_changes_while_its_card_is_made_stays_on_the_list(
    shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cards.card_of
    done: list[int] = []

    def slow(customer: Document, settings: object) -> Document:
        if not done:
            done.append(1)
            shop.customer(1, "Janet", "Smith", Email="jane@x.com", ModifiedAt=day(3))
            shop.run()
        return made(customer, load_settings())

    monkeypatch.setattr(cards, "card_of", slow)
    refresh_cards(shop.store)
    assert_true_to_customers(shop)


def test_an_older_card_never_overwrites_a_newer_one(shop: Retailer) -> None:
    refresh_cards(shop.store)
    jane = id_of(shop, "jane@x.com")
    newer = {**all_cards(shop)[jane], "customer_version": 99}
    shop.store.contact_centre[cards.COLLECTION].replace_one({"_id": jane}, newer)
    refresh_cards(shop.store, full=True)
    assert all_cards(shop)[jane]["customer_version"] == 99


def test_other_rules_make_every_card_again(shop: Retailer) -> None:
    refresh_cards(shop.store)
    settings = ContactCentreSettings.model_validate({**load_settings().model_dump(), "latest_orders": 1})
    assert refresh_cards(shop.store, settings).read == 2
    assert refresh_cards(shop.store, settings).read == 0


def test_a_card_without_a_customer_goes_with_a_full_run(shop: Retailer) -> None:
    shop.store.contact_centre[cards.COLLECTION].insert_one({"_id": "C0", "_sv": {}})
    refresh_cards(shop.store, full=True)
    assert_true_to_customers(shop)


# --- looking up -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def flagged(shop: Retailer) -> Retailer:
    ended = {"CustomerId": 1, "FlagCode": "VULNERABLE", "RaisedAt": day(1), "EndedAt": day(5)}
    shop.land("crm.customerflag", ended, {**ended, "FlagCode": "Bereaved", "EndedAt": None})
    shop.run()
    refresh_cards(shop.store)
    jane = id_of(shop, "jane@x.com")
    shop.store.client[f"{shop.store.prefix}fraud"]["cases"].insert_one(
        {"_id": "F1", "customer_id": jane, "state": "open"}
    )
    yield shop
    shop.store.client.drop_database(f"{shop.store.prefix}fraud")


def test_warnings_are_seen_by_role_and_while_they_hold(flagged: Retailer) -> None:
    jane = id_of(flagged, "jane@x.com")
    seen = {
        role.role: set((look_up.by_id(flagged.store, jane, actor=role, at=day(4)) or {}).get("warnings", ()))
        for role in (AGENT, LEAD, OFFICER, Actor("n", "newcomer", "trial"))
    }
    assert seen["contact_centre"] == {"vulnerable", "bereaved"}
    assert seen["contact_centre_lead"] == seen["privacy_officer"] == {"vulnerable", "bereaved", "fraud_review"}
    assert seen["newcomer"] == set()
    (later,) = look_up.cards(flagged.store, Question(email="jane@x.com"), actor=AGENT, at=day(5))
    assert later["warnings"].keys() == {"bereaved"}
    flagged.store.client[f"{flagged.store.prefix}fraud"]["cases"].update_one(
        {"_id": "F1"}, {"$set": {"state": "decided"}}
    )
    assert "fraud_review" not in (look_up.by_id(flagged.store, jane, actor=LEAD, at=day(5)) or {})["warnings"]
    with pytest.raises(AccessRefused):
        look_up.by_id(flagged.store, jane, actor=Actor("m", "marketing", "campaign"))


def test_an_open_case_behind_many_decided_ones_warns_since_the_first_open_one(flagged: Retailer) -> None:
    jane = id_of(flagged, "jane@x.com")
    cases = flagged.store.fraud["cases"]
    cases.delete_many({})
    cases.insert_many(
        [{"_id": f"D{n:03}", "customer_id": jane, "state": "decided", "opened_at": day(0)} for n in range(60)]
    )
    cases.insert_many(
        [{"_id": f"F{n}", "customer_id": jane, "state": "open", "opened_at": day(9 - n)} for n in range(3)]
    )
    card = look_up.by_id(flagged.store, jane, actor=LEAD)
    assert card is not None and card["warnings"]["fraud_review"]["since"] == day(7)


def test_a_card_is_found_before_its_station_has_run_and_by_an_alias(shop: Retailer) -> None:
    jane, peter = id_of(shop, "jane@x.com"), id_of(shop, "home@x.com")
    card = look_up.by_id(shop.store, jane, actor=AGENT)
    assert card is not None and card["reach"]["email"] == "jane@x.com"
    merge(shop.store, "crm.customer:1", "crm.customer:2", actor="ann", reason="same")
    shop.run()
    refresh_cards(shop.store)
    found = {(look_up.by_id(shop.store, i, actor=AGENT) or {})["_id"] for i in (jane, peter)}
    assert len(found) == 1
    assert look_up.by_id(shop.store, "C0", actor=AGENT) is None


def test_who_is_found_is_shown_as_they_are_known_now_though_their_card_is_older(shop: Retailer) -> None:
    refresh_cards(shop.store)
    restrict(shop.store, id_of(shop, "jane@x.com"), actor="Ann", evidence="letter")
    shop.run()
    (card,) = look_up.cards(shop.store, Question(email="jane@x.com"), actor=AGENT)
    assert "restricted" in card and not any(card["reach"].values())


def test_every_look_up_is_written_down_with_its_call(shop: Retailer) -> None:
    refresh_cards(shop.store)
    look_up.cards(shop.store, Question(email="nobody@x.com"), actor=AGENT, call="900")
    look_up.cards(shop.store, Question(email="jane@x.com"), actor=AGENT, call="900")
    entries = sorted(shop.store.control[log.COLLECTION].find({}), key=lambda e: e["at"])
    assert [(e["call"], e["outcome"], e["asked_by"], len(e["customers"])) for e in entries] == [
        ("900", "nobody", ["email"], 0),
        ("900", "shown", ["email"], 1),
    ]


def test_the_command_shows_one_screen_as_the_role_sees_it(flagged: Retailer) -> None:
    jane = id_of(flagged, "jane@x.com")
    agent = ("--as", "contact_centre", "--purpose", "service", "--call", "77")
    shown = run_sv("card", "--email", "jane@x.com", *agent)
    assert shown.returncode == 0, shown.stderr
    assert "jane@x.com" in shown.stdout and "Bereaved: be gentle" in shown.stdout and jane in shown.stdout
    masked = run_sv("card", jane)
    assert masked.returncode == 0 and "jane@x.com" not in masked.stdout.lower()
    assert json.loads(run_sv("card", jane, "--json").stdout)[0]["reach"]["email"] == "j***@x***"
    assert run_sv("card", "--email", "nobody@x.com").returncode == 1
    assert run_sv("card", jane, "--email", "jane@x.com").returncode == 2
    assert run_sv("card").returncode == 2
    assert run_sv("card", jane, "--as", "marketing").returncode == 1


def test_days_on_the_screen_are_those_of_the_retailer(shop: Retailer) -> None:
    shop.account(11, "Jane", "Smith", EmailAddress="jane@x.com")
    shop.order(101, AccountId=11, OrderDate=dt.datetime(2026, 7, 1, 23, 30, tzinfo=dt.timezone.utc))
    shop.run()
    shown = run_sv("card", "--email", "jane@x.com", "--as", "contact_centre", "--purpose", "service").stdout
    assert "2026-07-02" in shown and "2026-07-01" not in shown


class Statements(CommandListener):
    """The names of the statements that went to MongoDB, but for those of the connection itself."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def test_a_look_up_takes_no_more_than_its_statements(shop: Retailer) -> None:
    """Reading a card is reading one document and writing one line of the log; the bench measures how long it takes."""
    refresh_cards(shop.store)
    jane = id_of(shop, "jane@x.com")
    statements = Statements()
    with MongoClient[dict[str, Any]](shop.store.url, event_listeners=[statements]) as client:
        watched = Store(client, shop.store.prefix)
        look_up.by_id(watched, jane, actor=AGENT)
        statements.names.clear()
        assert look_up.by_id(watched, jane, actor=AGENT)
        assert sorted(statements.names) == ["find", "insert"]


def test_a_card_of_who_restricted_their_data_says_that_and_nothing_more(shop: Retailer) -> None:
    jane = id_of(shop, "jane@x.com")
    shop.land("crm.customerflag", {"CustomerId": 1, "FlagCode": "BEREAVED", "RaisedAt": day(1), "EndedAt": None})
    shop.run()
    refresh = cards.refresh_cards
    refresh(shop.store)
    before = all_cards(shop)[jane]
    said = restrict(shop.store, jane, actor="Ann", evidence="letter")
    shop.run()
    refresh(shop.store)
    card = look_up.by_id(shop.store, jane, actor=LEAD)
    assert card is not None
    assert card["who"] == {"name": before["who"]["name"], "date_of_birth": None}
    assert card["restricted"]["since"] == said["at"]
    assert not any(card["reach"].values()) and card["warnings"] == {} and card["reasons"] == []
    assert_true_to_customers(shop)
    undone(shop.store, said["_id"], actor="Ann", reason="settled")
    shop.run()
    refresh(shop.store)
    after = all_cards(shop)[jane]
    assert {n: after[n] for n in ("who", "reach", "warnings")} == {n: before[n] for n in ("who", "reach", "warnings")}
