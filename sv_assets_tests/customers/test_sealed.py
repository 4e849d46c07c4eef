"""What is declared as sealed is nowhere in the clear, is seen by who may see it, and finds people all the same."""

import datetime as dt
from typing import Any

import pytest
from bson import Binary

from sv_assets import sealing
from sv_assets.access import Actor
from sv_assets.access.reading import AccessRefused
from sv_assets.catalogue import load_catalogue
from sv_assets.contact_centre import look_up
from sv_assets.contact_centre.cards import refresh_cards
from sv_assets.customers import find, history
from sv_assets.customers.sealed import check_declaration, hashed_kinds, unsealed
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Store
from sv_assets.privacy.erase import erase
from sv_assets.privacy.rights import rectify
from sv_assets.sealing import master
from sv_assets.sealing.declaration import Declaration
from sv_assets.sealing.keys import key_id
from sv_assets.sealing.values import key_of
from sv_assets_tests.privacy.jane import found_anywhere
from sv_assets_tests.retailer import OFFICER, Retailer, day

BORN = dt.datetime(1980, 3, 7, tzinfo=dt.timezone.utc)
SECRETS = ("1980-03-07", "1981-04-08", "bereaved")
# Of flags the key of their rows is in the clear, which names the flag here.
IN_THE_CLEAR = (
    "landing.crm.customer",
    "landing.crm.customerflag",
    "identity.party_records",
    "identity.models",
    "single_view.flags",
)
AGENT = Actor("ann", "contact_centre", "service")
LEAD = Actor("lea", "contact_centre_lead", "service")
MARKETING = Actor("max", "marketing", "campaign")


def raise_flag(shop: Retailer, number: int, customer: int, **columns: Any) -> None:
    row = {"FlagId": number, "CustomerId": customer, "FlagCode": "Bereaved", "RaisedAt": day(1), "EndedAt": None}
    shop.land("crm.customerflag", {**row, "ModifiedAt": day(1), **columns})


@pytest.fixture
def family(store: Store) -> Retailer:
    """Jane, of whom a birth date and a flag are known; and Peter, of whom neither is."""
    shop = Retailer(store)
    shop.customer(1, "Jane", "Smith", Email="jane@x.com", DateOfBirth=BORN, ModifiedAt=day(1))
    shop.customer(2, "Peter", "Jones", Email="peter@x.com", ModifiedAt=day(1))
    raise_flag(shop, 1, 1)
    shop.run()
    refresh_cards(store)
    return shop


def test_nothing_that_is_sealed_lies_in_the_clear_and_each_role_sees_what_it_may(family: Retailer) -> None:
    store, jane = family.store, family.customer_ids()["crm.customer:1"]
    assert found_anywhere(store, SECRETS, allowed=IN_THE_CLEAR) == []
    assert store.control["customer_keys"].count_documents({}) == 1, "who has nothing to seal needs no key"

    whole = find.by_id(store, jane, actor=OFFICER)
    assert whole is not None
    assert (whole["date_of_birth"]["value"], whole["dates_of_birth"][0]["value"]) == ("1980-03-07", "1980-03-07")
    assert (whole["flags"][0]["flag"], whole["flags"][0]["since"]) == ("bereaved", day(1))
    agent = find.by_id(store, jane, actor=AGENT)
    assert agent is not None
    assert agent["date_of_birth"]["value"] == "1***"
    assert "flags" not in agent
    marketing = find.by_id(store, jane, actor=MARKETING)
    assert marketing is not None
    assert "date_of_birth" not in marketing and "flags" not in marketing

    card = look_up.by_id(store, jane, actor=AGENT)
    assert card is not None
    assert card["who"]["date_of_birth"] == "1***"
    assert list(card["warnings"]) == ["bereaved"]
    newcomer = look_up.by_id(store, jane, actor=Actor("new", "newcomer", "trial"))
    assert newcomer is not None
    assert "warnings" not in newcomer or newcomer["warnings"] == {}


def test_who_may_not_see_a_value_does_not_cause_its_opening(family: Retailer, monkeypatch: pytest.MonkeyPatch) -> None:
    store, jane = family.store, family.customer_ids()["crm.customer:1"]
    monkeypatch.setenv(master.VARIABLE, "other:" + "A" * 128)  # whoever opens something fails
    assert find.by_id(store, jane, actor=MARKETING) is not None
    with pytest.raises(ConfigurationError, match="master key"):
        find.by_id(store, jane, actor=OFFICER)


def test_nothing_is_written_again_that_did_not_change(family: Retailer) -> None:
    before = list(family.store.single_view["customers"].find({}))
    for _ in range(2):
        family.run()
    assert list(family.store.single_view["customers"].find({})) == before


def test_a_changed_birth_date_is_told_by_the_history_and_sealed_there(family: Retailer) -> None:
    store, jane = family.store, family.customer_ids()["crm.customer:1"]
    before = dt.datetime.now(dt.timezone.utc)
    born = dt.datetime(1981, 4, 8, tzinfo=dt.timezone.utc)
    family.customer(1, "Jane", "Smith", Email="jane@x.com", DateOfBirth=born, ModifiedAt=day(2))
    family.run()
    assert found_anywhere(store, SECRETS, allowed=IN_THE_CLEAR) == []
    (entry,) = history.entries_of(store, jane, actor=OFFICER)
    changed = {change["path"]: (change["from"], change["to"]) for change in entry["changes"] if "from" in change}
    assert changed["date_of_birth.value"] == ("1980-03-07", "1981-04-08")
    then = history.as_of(store, jane, before, actor=OFFICER)
    assert then is not None
    assert then["date_of_birth"]["value"] == "1980-03-07"
    steward = history.entries_of(store, jane, actor=Actor("nia", "newcomer", "trial"))
    assert "1980" not in str(steward)


def test_a_name_and_a_birth_date_find_somebody_and_tell_nobody(family: Retailer) -> None:
    store, jane = family.store, family.customer_ids()["crm.customer:1"]
    (found,) = find.customers(store, actor=LEAD, name="Jane Smith", born="1980-03-07")
    assert found.customer["_id"] == jane
    assert found.reason == "name and date of birth"
    assert find.customers(store, actor=LEAD, name="Jane Smith", born="1980-03-08") == []
    (kept,) = [k for k in family.customers()[jane]["keys"] if k.startswith("name_born:")]
    assert kept.startswith("name_born:t1.") and "jane" not in kept
    for actor in (AGENT, MARKETING, Actor("nia", "newcomer", "trial")):
        with pytest.raises(AccessRefused, match="born"):
            find.customers(store, actor=actor, name="Jane Smith", born="1980-03-07")
    for said in ({"born": "1980-03-07"}, {"name": "Jane Smith", "born": "7 March"}):
        with pytest.raises(ConfigurationError):
            find.customers(store, actor=LEAD, **said)


def test_an_estate_of_yesterday_is_sealed_by_the_next_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(master.SWITCH, "off")
    shop = Retailer(store)
    shop.customer(1, "Jane", "Smith", DateOfBirth=BORN, ModifiedAt=day(1))
    raise_flag(shop, 1, 1)
    shop.run()
    born = dt.datetime(1981, 4, 8, tzinfo=dt.timezone.utc)
    shop.customer(1, "Jane", "Smith", DateOfBirth=born, ModifiedAt=day(2))
    shop.run()
    refresh_cards(store)
    jane = shop.customer_ids()["crm.customer:1"]
    rectify(store, jane, "date_of_birth", "1980-03-07", actor="Ann", evidence="passport")
    places = {place for _, place in found_anywhere(store, SECRETS, allowed=IN_THE_CLEAR)}
    assert places == {
        *(f"single_view.{n}" for n in ("customers", "customer_history", "corrections")),
        "contact_centre.customer_card",
    }
    monkeypatch.delenv(master.SWITCH)
    shop.run()
    refresh_cards(store)
    assert found_anywhere(store, SECRETS, allowed=IN_THE_CLEAR) == []
    document = shop.customers()[jane]
    assert document["date_of_birth"]["value"] == "1980-03-07"
    assert document["date_of_birth"]["rule"] == "rectified"
    (flag,) = store.single_view["flags"].find({})
    assert sealing.is_sealed(flag["flag"]) and sealing.opened(store, flag)["flag"] == "bereaved"
    changes = [c for e in history.entries_of(store, jane, actor=OFFICER) for c in e["changes"]]
    assert ("1980-03-07", "1981-04-08") in [(c.get("from"), c.get("to")) for c in changes]


def test_what_ended_while_sealing_was_off_is_sealed_when_it_is_told_by_the_history(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jane's two records become one person; Peter's flag and birth date go, and his document stays as it is after that."""
    monkeypatch.setenv(master.SWITCH, "off")
    shop = Retailer(store)
    shop.customer(1, "Jane", "Smith", Email="jane@x.com", DateOfBirth=BORN, ModifiedAt=day(1))
    shop.customer(2, "Maud", "Jones", Email="maud@x.com", DateOfBirth=BORN, ModifiedAt=day(1))
    shop.customer(3, "Peter", "Brown", Email="peter@x.com", DateOfBirth=BORN, ModifiedAt=day(1))
    raise_flag(shop, 1, 1)
    shop.run()
    shop.customer(3, "Peter", "Brown", Email="peter@x.com", DateOfBirth=None, ModifiedAt=day(2))
    shop.run()
    shop.customer(2, "Jane", "Smith", Email="jane@x.com", DateOfBirth=BORN, ModifiedAt=day(3))
    monkeypatch.delenv(master.SWITCH)
    shop.run()
    assert [entry["kind"] for entry in store.single_view["customer_history"].find({"kind": "ended"})] == ["ended"]
    assert found_anywhere(store, SECRETS, allowed=IN_THE_CLEAR) == []


def test_what_is_written_while_sealing_is_off_is_sealed_by_the_next_run(
    family: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, jane = family.store, family.customer_ids()["crm.customer:1"]
    monkeypatch.setenv(master.SWITCH, "off")
    rectify(store, jane, "date_of_birth", "1981-04-08", actor="Ann", evidence="passport")
    assert found_anywhere(store, SECRETS, allowed=IN_THE_CLEAR)
    monkeypatch.delenv(master.SWITCH)
    family.run()
    refresh_cards(store)
    assert found_anywhere(store, SECRETS, allowed=IN_THE_CLEAR) == []


def test_what_cannot_be_opened_stays_as_it_is_and_stops_nobody(family: Retailer) -> None:
    store, jane = family.store, family.customer_ids()["crm.customer:1"]
    rectify(store, jane, "email", "new@x.com", actor="Ann", evidence="letter")
    damaged = {}
    for name, field in (("flags", "flag"), ("corrections", "says")):
        (document,) = store.single_view[name].find({})
        sealed = bytes(document[field])
        damaged[name] = Binary(sealed[:-1] + bytes([sealed[-1] ^ 1]), 6)
        store.single_view[name].update_one({"_id": document["_id"]}, {"$set": {field: damaged[name]}})
    family.customer(1, "Jane", "Brown", Email="jane@x.com", DateOfBirth=BORN, ModifiedAt=day(3))
    store.identity["party_records"].update_many({}, {"$addToSet": {"_sv.pending": "flags"}})
    family.run()
    assert family.customers()[jane]["email"]["value"] == "jane@x.com", "what was put right cannot be read"
    assert family.customers()[jane]["name"]["value"]["last"] == "Brown"
    (flag,) = store.single_view["flags"].find({})
    assert flag["flag"] == damaged["flags"]


def test_a_flag_that_came_before_its_person_is_shut_when_that_person_is_erased(store: Store) -> None:
    shop = Retailer(store)
    raise_flag(shop, 1, 1)
    shop.run()
    before = store.single_view["flags"].find_one({})
    assert before is not None and key_of(before["flag"]) == key_id("crm.customer:1")
    shop.customer(1, "Jane", "Smith", Email="jane@x.com", DateOfBirth=BORN, ModifiedAt=day(1))
    shop.run()
    now = store.single_view["flags"].find_one({})
    assert now is not None and key_of(now["flag"]) == key_id(shop.customer_ids()["crm.customer:1"])
    erase(store, load_catalogue(), shop.customer_ids()["crm.customer:1"], actor="Ann", reason="asked")
    assert sealing.opened(store, [before["flag"], now["flag"]]) == [sealing.SHREDDED, sealing.SHREDDED]


def test_what_moves_to_another_customer_is_sealed_with_the_key_of_that_one(family: Retailer) -> None:
    store = family.store
    raise_flag(family, 2, 2)
    family.run()
    family.customer(2, "Jane", "Smith", Email="jane@x.com", DateOfBirth=BORN, ModifiedAt=day(3))
    family.run()
    (jane,) = set(family.customer_ids().values())
    loser = next(c for c in store.identity["aliases"].find({}))["_id"]
    sealing.keys.shred(store, [loser], "test", day(1))
    document = family.customers()[jane]
    assert [one["flag"] for one in document["flags"]] == ["bereaved", "bereaved"]
    assert all(one["flag"] == "bereaved" for one in sealing.opened(store, list(store.single_view["flags"].find({}))))


def test_every_field_that_a_sensitive_column_feeds_is_sealed_or_excused() -> None:
    declared, catalogue = sealing.load_declaration(), load_catalogue()
    check_declaration(declared)
    assert unsealed(catalogue, declared) == []
    bare = Declaration(collections={})
    missing = unsealed(catalogue, bare)
    assert "crm.customer.DateOfBirth → single_view.customers.date_of_birth" in missing
    assert "crm.customerflag.FlagCode → single_view.flags.flag" in missing
    assert "crm.customer.DateOfBirth → single_view.customers.keys" in missing, "look-up keys tell it, too"


def test_keys_made_of_whatever_is_sealed_are_hashed() -> None:
    why = "test"
    sealed = Declaration(collections={"single_view.customers": {"email.value": why, "emails.value": why}})
    assert hashed_kinds(sealed) == {"email"}
    towns = Declaration(collections={"single_view.customers": {"address.value.town": why, "addresses.value.town": why}})
    assert hashed_kinds(towns) == {"name_town"}


@pytest.mark.parametrize(("path", "says"), [("flags.colour", "no field flags.colour"), ("flags", "is no single value")])
def test_a_declared_path_must_be_a_value_of_the_model(path: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        check_declaration(Declaration(collections={"single_view.customers": {path: "x"}}))


def test_a_flag_that_comes_before_its_person_is_sealed_and_then_sealed_with_the_key_of_the_person(store: Store) -> None:
    shop = Retailer(store)
    raise_flag(shop, 1, 1)
    shop.run()
    (waiting,) = store.single_view["flags"].find({})
    assert sealing.is_sealed(waiting["flag"]) and waiting["customer_id"] is None
    shop.customer(1, "Jane", "Smith", ModifiedAt=day(1))
    shop.run()
    jane = shop.the_customer()
    assert [flag["flag"] for flag in jane["flags"]] == ["bereaved"]
    (flag,) = store.single_view["flags"].find({})
    assert key_of(flag["flag"]) == key_id(jane["_id"])
