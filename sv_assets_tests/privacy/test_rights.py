"""What people say about their own data counts, stays on record, and reaches marketing."""

import csv
import datetime as dt
import os
from pathlib import Path

import pytest
from bson import Decimal128

from sv_assets.access import Actor
from sv_assets.errors import ConfigurationError, SvError
from sv_assets.identity.decisions import merge
from sv_assets.identity.decisions import undo as undo_decision
from sv_assets.privacy.audience import export, refresh_audience, without_consent
from sv_assets.privacy.declaration import load_declaration, undeclared
from sv_assets.privacy.erase import erase
from sv_assets.privacy.evidence import Evidence, candidates
from sv_assets.privacy.gather import gather
from sv_assets.privacy.retention import enforce, overdue
from sv_assets.privacy.rights import consents, may_be_used_for, objects, rectify, restrict, said_by, undo
from sv_assets_tests.privacy.jane import HANDLER, Estate, found_anywhere
from sv_assets_tests.retailer import day

STEWARD, MAX = Actor("sam", "data_steward", "rectification"), Actor("max", "marketing", "campaign")
WHO = {"actor": "Ann", "evidence": "letter of 3 March"}


def test_a_correction_wins_over_sources_follows_a_merge_and_can_be_taken_back(estate: Estate) -> None:
    store, mary = estate.store, estate.id_of("crm.customer:1003")
    made = rectify(store, mary, "name", {"first": "Marie", "last": "Brown"}, **WHO)
    rectify(store, mary, "email", "marie@example.org", **WHO)
    estate.run()
    document = estate.customers()[mary]
    assert document["name"]["value"] == {"first": "Marie", "last": "Brown"}
    assert (document["name"]["rule"], document["name"]["system"]) == ("rectified", "privacy")
    assert document["email"]["value"] == "marie@example.org"
    assert "email:marie@example.org" in document["keys"]
    assert document["rights"]["rectified"] == ["email", "name"]
    estate.customer(1003, "Mary", "Brown", Email="mary.brown9@example.org", Mobile="07700 900777", ModifiedAt=day(90))
    estate.run()
    assert estate.customers()[mary]["name"]["value"]["first"] == "Marie", (
        "a source that says the old again does not win"
    )
    merge(store, "crm.customer:1003", "crm.customer:1002", actor="Ann", reason="test")
    estate.run()
    survivor = estate.id_of("crm.customer:1003")
    assert estate.customers()[survivor]["name"]["value"]["first"] == "Marie"
    undo(store, made["_id"], actor="Ann", reason="a mistake")
    estate.run()
    assert estate.customers()[survivor]["name"]["value"]["first"] != "Marie"
    assert [bool(one.get("undone")) for one in said_by(store, survivor, actor=STEWARD)] == [False, True]
    with pytest.raises(ConfigurationError, match="no email"):
        rectify(store, survivor, "email", "nonsense", **WHO)
    with pytest.raises(SvError, match="no customer"):
        restrict(store, "C0000000000000000", **WHO)


def test_only_who_may_be_contacted_is_in_the_audience_and_only_over_that_channel(
    estate: Estate, tmp_path: Path
) -> None:
    store = estate.store
    jane, peter, mary = (estate.id_of(f"crm.customer:{n}") for n in (1001, 1002, 1003))
    refresh_audience(store)

    def members() -> dict[str, set[str]]:
        return {m["_id"]: set(m["channels"]) for m in store.marketing["audience"].find({})}

    assert members() == {jane: {"email", "post"}, peter: {"email"}, mary: {"email", "post"}}
    consents(store, mary, "marketing", "email", False, **WHO)
    consents(store, peter, "marketing", "phone", True, **WHO)
    objects(store, jane, "marketing", **WHO)
    estate.run()
    refresh_audience(store)
    assert members() == {peter: {"email", "phone"}, mary: {"post"}}
    assert without_consent(store)[1] == 0
    restrict(store, peter, **WHO)
    assert without_consent(store)[1] == 2, "the check does not wait for composition"
    estate.run()
    assert may_be_used_for(estate.customers()[peter], "fraud") is False
    refresh_audience(store)
    assert peter not in members()


def test_what_a_person_says_last_counts_and_a_later_refusal_at_a_source_counts_again(
    estate: Estate, tmp_path: Path
) -> None:
    store, mary = estate.store, estate.id_of("crm.customer:1003")
    pref = {"CustomerId": 1003, "Purpose": "marketing", "Channel": "email"}
    estate.land("crm.contactpreference", {**pref, "OptedIn": False, "RecordedAt": day(2)})
    estate.run()
    refresh_audience(store)
    assert store.marketing["audience"].find_one({"_id": mary, "channels.email": {"$exists": True}}) is None
    consents(store, mary, "marketing", "email", True, **WHO)
    estate.run()
    refresh_audience(store)
    found = store.marketing["audience"].find_one({"_id": mary})
    assert found is not None and found["channels"]["email"]["consent"]["rule"] == "person_said"
    assert without_consent(store) == (store.marketing["audience"].count_documents({}) and without_consent(store)[0], 0)
    assert export(store, "email", tmp_path / "email.csv", actor=MAX) >= 1
    with (tmp_path / "email.csv").open() as handle:
        assert "mary.brown9@example.org" in {row["to"] for row in csv.DictReader(handle)}
    later = dt.datetime.now(dt.timezone.utc) + dt.timedelta(hours=1)
    estate.land("crm.contactpreference", {**pref, "OptedIn": False, "RecordedAt": later})
    estate.run()
    assert without_consent(store)[1] == 1
    refresh_audience(store)
    assert without_consent(store)[1] == 0
    with pytest.raises(ConfigurationError, match="specific"):
        consents(store, mary, "marketing", "*", True, **WHO)


def test_purposes_and_channels_mean_the_same_however_they_are_written_and_unknown_ones_are_refused(
    estate: Estate,
) -> None:
    store, mary = estate.store, estate.id_of("crm.customer:1003")
    pref = {"CustomerId": 1003, "Purpose": "Marketing", "Channel": "EMAIL", "OptedIn": False, "RecordedAt": day(2)}
    estate.land("crm.contactpreference", pref)
    estate.run()
    (known,) = [c for c in estate.customers()[mary]["consents"] if c["channel"].casefold() == "email"]
    assert (known["granted"], known["rule"]) == (False, "most_restrictive")
    consents(store, mary, "marketing", "Email", True, **WHO)
    estate.run()
    (known,) = [c for c in estate.customers()[mary]["consents"] if c["channel"].casefold() == "email"]
    assert (known["granted"], known["rule"]) == (True, "person_said")
    refresh_audience(store)
    assert store.marketing["audience"].find_one({"_id": mary, "channels.email": {"$exists": True}}) is not None
    objects(store, mary, "Marketing ", **WHO)
    assert without_consent(store)[1] > 0
    estate.run()
    refresh_audience(store)
    assert store.marketing["audience"].find_one({"_id": mary}) is None
    with pytest.raises(ConfigurationError, match="marketng is no purpose"):
        objects(store, mary, "marketng", **WHO)
    with pytest.raises(ConfigurationError, match="e-mail is no channel"):
        consents(store, mary, "marketing", "e-mail", False, **WHO)


def test_who_objects_is_left_alone_under_every_customer_that_is_the_same_person(estate: Estate) -> None:
    store, mary = estate.store, estate.id_of("crm.customer:1003")
    event = estate.web("W-5", 1, email="mary.brown9+shop@example.org", first_name="M", last_name="Brown")
    estate.send("web.web_account_events", event)
    estate.run()
    other = estate.id_of("web.web_account_events:W-5")
    assert other != mary

    def members() -> set[str]:
        estate.run()
        refresh_audience(store)
        return {m["_id"] for m in store.marketing["audience"].find({})} & {mary, other}

    assert members() == {mary, other}
    said = objects(store, mary, "marketing", **WHO)
    assert without_consent(store)[1] > 0
    assert members() == set()
    undo(store, said["_id"], actor="Ann", reason="a mistake")
    assert members() == {mary, other}
    consents(store, other, "marketing", "email", True, **WHO)
    assert [s["kind"] for s in said_by(store, mary, actor=STEWARD)] == ["objection"], (
        "a consent is of that customer alone"
    )


def test_what_was_put_right_is_the_persons_own_in_proof_bundle_and_erasure(estate: Estate, folder: Path) -> None:
    store, mary = estate.store, estate.id_of("crm.customer:1003")
    rectify(store, mary, "email", "marie.right@example.org", **WHO)
    estate.account(2009, "Mary", "Brown", Telephone="0113 000", CrmCustomerId=1003, ModifiedAt=day(1))
    estate.order(3009, OrderNumber="1234567890", AccountId=2009, GrandTotal=Decimal128("1.00"), ModifiedAt=day(1))
    estate.run()
    (found,) = candidates(store, Evidence(email="marie.right@example.org", phone="07700 900777"))
    assert (found.customer_id, found.is_proven) == (mary, True)
    told = repr(gather(store, estate.catalogue, mary, actor=HANDLER).sections)
    assert "'value': 'marie.right@example.org'" in told
    assert "'OrderNumber': '1234567890'" in told, "a number of their own order is no stranger's telephone"
    (folder / "logs").mkdir()
    (folder / "logs" / "mongo.log").write_text("slow query marie.right@example.org\n")
    assert erase(store, estate.catalogue, mary, actor="Ann", reason="asked").found == {}
    assert found_anywhere(store, ("marie.right@example.org",), folder) == []
    estate.customer(1300, "Mary", "Brown", Email="Marie.Right@example.org", ModifiedAt=day(1))
    assert store.landing["crm.customer"].find_one({"_id": 1300}) is None


def test_corrections_and_statements_of_an_erased_person_go_with_them(estate: Estate) -> None:
    store, mary = estate.store, estate.id_of("crm.customer:1003")
    rectify(store, mary, "email", "marie.rectified@example.org", **WHO)
    consents(store, mary, "marketing", "email", True, **WHO)
    estate.run()
    refresh_audience(store)
    erase(store, estate.catalogue, mary, actor="Ann", reason="asked", verify=False)
    gone = ("marie.rectified@example.org", "mary.brown9@example.org", mary)
    assert found_anywhere(store, gone, allowed=("control.legacy_actions",)) == []


def test_what_was_said_before_a_merge_that_was_undone_is_erased_with_who_said_it_and_nobody_else(
    estate: Estate,
) -> None:
    store = estate.store
    rectify(store, estate.id_of("crm.customer:1003"), "email", "marie.rectified@example.org", **WHO)
    rectify(store, estate.id_of("crm.customer:1002"), "email", "pete.rectified@example.org", **WHO)
    decision = merge(store, "crm.customer:1003", "crm.customer:1002", actor="Ann", reason="test")
    estate.run()
    undo_decision(store, decision["_id"], actor="Ann", reason="two after all")
    estate.run()
    mary, peter = (estate.id_of(f"crm.customer:{n}") for n in (1003, 1002))
    erase(store, estate.catalogue, peter, actor="Ann", reason="asked", verify=False)
    estate.run()
    assert estate.customers()[mary]["email"]["value"] == "marie.rectified@example.org"
    assert found_anywhere(store, ("pete.rectified@example.org",), allowed=("control.legacy_actions",)) == []
    erase(store, estate.catalogue, mary, actor="Ann", reason="asked", verify=False)
    assert found_anywhere(store, ("marie.rectified@example.org",), allowed=("control.legacy_actions",)) == []


def test_what_is_older_than_declared_goes_and_what_is_late_is_counted(estate: Estate) -> None:
    store, catalogue = estate.store, estate.catalogue
    assert undeclared(store, load_declaration()) == []
    erase(store, catalogue, estate.id_of("crm.customer:1001"), actor="Ann", reason="asked", verify=False)
    estate.delete("crm.customer", 1003)
    estate.run()
    today = dt.datetime.now(dt.timezone.utc)
    assert enforce(store, catalogue, now=today).total == 0
    later = today + dt.timedelta(days=95)
    assert overdue(store, catalogue, now=later).removed == {
        "landing.crm.customer, deleted rows": 1,
        "control.legacy_actions": store.control["legacy_actions"].count_documents({}),
    }
    enforce(store, catalogue, now=later)
    row = store.landing["crm.customer"].find_one({"_id": 1003})
    assert row is not None and set(row) == {"_id", "_sv"} and row["_sv"]["deleted"]
    assert enforce(store, catalogue, now=later).total == 0
    estate.customer(1003, "Mary", "Brown", Email="back@example.org", ModifiedAt=day(90))
    estate.run()
    assert estate.customers()[estate.id_of("crm.customer:1003")]["email"]["value"] == "back@example.org"
    much_later = today + dt.timedelta(days=2200)
    enforce(store, catalogue, now=much_later)
    assert store.landing["sales.orderheader"].count_documents({"_id": {"$in": [3001, 3002]}}) == 0
    assert store.single_view["orders"].count_documents({"retained_until": {"$exists": True}}) == 0


def test_output_of_runs_goes_when_it_is_older_than_declared_and_the_history_stays(estate: Estate, folder: Path) -> None:
    old, new, history = (
        folder / "dagster" / n for n in ("compute_logs/r1/a.err", "compute_logs/r2/a.err", "history/runs.db")
    )
    for path in (old, new, history):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    for path in (old, history):
        os.utime(path, (0, 0))
    assert overdue(estate.store, estate.catalogue).removed["files dagster/compute_logs/**/*"] == 1
    enforce(estate.store, estate.catalogue)
    assert [path.exists() for path in (old, new, history)] == [False, True, True]


def test_a_collection_that_nobody_declared_is_told(estate: Estate) -> None:
    estate.store.control["new_thing"].insert_one({"_id": 1})
    assert undeclared(estate.store, load_declaration()) == ["control.new_thing"]
