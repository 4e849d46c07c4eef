"""Who was erased is nowhere, and stays so whatever lands again; what the law wants stays without them."""

import datetime as dt
import threading
import time
from typing import Any

import pytest
from bson import Binary, Decimal128
from pymongo.database import Database
from pymongo.errors import OperationFailure

from sv_assets.customers.history import as_of, composed_part
from sv_assets.landing.archive import Archive
from sv_assets.landing.land_queue import replay_queue
from sv_assets.landing.quarantine import Chosen
from sv_assets.landing.retry import retry_quarantined
from sv_assets.landing.suppression import Suppression
from sv_assets.lease import lease
from sv_assets.ledger import ERASED
from sv_assets.mongo import Document, Store
from sv_assets.privacy import erase as erasing
from sv_assets.privacy import search
from sv_assets.privacy.audience import refresh_audience
from sv_assets.privacy.bundle import write_bundle
from sv_assets.privacy.declaration import load_declaration
from sv_assets.privacy.erase import STEPS, dry_run, erase, erase_again, unfinished
from sv_assets.privacy.erasure import Erasure, Work
from sv_assets.privacy.evidence import Evidence, candidates
from sv_assets.privacy.gather import Gathered, gather
from sv_assets.sealing import SHREDDED, opened
from sv_assets.sealing.keys import keyring
from sv_assets.sources.records import Record, Window
from sv_assets_tests.privacy.jane import HANDLER, HOME, IDENTIFIERS, Estate, found_anywhere
from sv_assets_tests.retailer import OFFICER, catalogue, day

LATER = ("control.legacy_actions",)
NOW = dt.datetime.now(dt.timezone.utc)


def everything(store: Store) -> dict[str, list[Document]]:
    found = {}
    for database in store.databases():
        for name in sorted(database.list_collection_names()):
            found[f"{database.name}.{name}"] = sorted(database[name].find({}), key=repr)
    return found


def test_an_erased_person_is_nowhere_and_a_rebuild_and_replay_bring_nothing_back(estate: Estate) -> None:
    store, jane, peter = estate.store, estate.id_of("crm.customer:1001"), estate.id_of("crm.customer:1002")
    before, rows = composed_part(estate.customers()[peter]), everything(store)
    plan = dry_run(store, estate.catalogue, jane)
    assert everything(store) == rows, "a dry run writes nothing"
    assert plan.counts["landing.sales.orderheader"] == 2
    assert plan.counts["control.quarantine"] == 2
    done = erase(store, estate.catalogue, jane, actor="Ann", reason="asked")
    assert done.found == {}
    assert found_anywhere(store, (*IDENTIFIERS, jane), allowed=LATER) == []
    after = composed_part(estate.customers()[peter])
    assert {name for name in before if before[name] != after[name]} <= {"household"}

    window = Window(day(-30).date(), day(300).date())
    for source in estate.catalogue.sources:
        if source.is_queue:
            replay_queue(store, estate.catalogue, source, "replay", window)
            retry_quarantined(store, estate.catalogue, source, Chosen((source.key,)), "retry")
    estate.everything_again()
    assert found_anywhere(store, (*IDENTIFIERS, jane), allowed=LATER) == []
    assert set(estate.customers()) == {peter, estate.id_of("crm.customer:1003")}
    assert composed_part(estate.customers()[peter]) == after
    assert store.archive["web.web_account_events"].count_documents({}) == 1, "Mary's message is still there"


@pytest.mark.parametrize(
    ("at_work", "writes"), [("contact_centre.cards", "contact_centre.customer_card"), ("fraud", "fraud.facts")]
)
def test_a_consumer_that_is_at_work_meanwhile_brings_nobody_back(estate: Estate, at_work: str, writes: str) -> None:
    store, mary = estate.store, estate.id_of("crm.customer:1003")
    database, _, collection = writes.partition(".")
    held, about_to_clear = threading.Event(), threading.Event()

    def work() -> None:
        with lease(store, at_work):
            held.set()
            about_to_clear.wait(30)
            time.sleep(1.0)
            getattr(store, database)[collection].insert_one({"_id": mary, "customer_id": mary})

    consumer = threading.Thread(target=work)
    consumer.start()
    held.wait(30)
    erase(
        store, estate.catalogue, mary, actor="Ann", reason="asked", verify=False,
        advance=lambda step: about_to_clear.set() if step == "consumers" else None,
    )  # fmt: skip
    consumer.join()
    assert getattr(store, database)[collection].find_one({"_id": mary}) is None


def test_what_was_sealed_for_an_erased_person_is_opened_by_nobody_and_they_get_no_key_again(estate: Estate) -> None:
    store, jane, mary = estate.store, estate.id_of("crm.customer:1001"), estate.id_of("crm.customer:1003")
    estate.land("crm.customerflag", {"CustomerId": 1001, "FlagCode": "BEREAVED", "RaisedAt": day(1), "EndedAt": None})
    estate.land("crm.customerflag", {"CustomerId": 1003, "FlagCode": "VULNERABLE", "RaisedAt": day(1), "EndedAt": None})
    estate.run()
    held = sections(gather(store, estate.catalogue, jane, actor=HANDLER))
    assert held["single_view.customers"][0]["date_of_birth"]["value"] == "1980-03-07"
    assert [one["flag"] for one in held["single_view.flags"]] == ["bereaved"], "subject access shows what is sealed"
    backup = list(
        store.single_view["customers"].find({"_id": {"$in": [jane, mary]}}, {"flags": 1}).sort("flags.flag", 1)
    )
    vault = list(store.control["customer_keys"].find({"keyAltNames": jane}))
    done = erase(store, estate.catalogue, jane, actor="Ann", reason="asked")
    assert done.found == {}
    assert done.counts["control.customer_keys shredded"] == 1
    assert [flag["customer_id"] for flag in store.single_view["flags"].find({})] == [mary]
    assert flags_in(store, backup) == {jane: SHREDDED, mary: "vulnerable"}
    assert keyring(store).of_owners([jane])[jane][1] is None

    store.control["customer_keys"].replace_one({"_id": vault[0]["_id"]}, vault[0])
    keyring(store).forget()
    assert flags_in(store, backup)[jane] == "bereaved", "the key vault was restored from a backup"
    erase_again(store, estate.catalogue, actor="Ann")
    assert flags_in(store, backup) == {jane: SHREDDED, mary: "vulnerable"}


def flags_in(store: Store, customers: list[Document]) -> dict[str, str]:
    return {d["_id"]: d["flags"][0]["flag"] for d in opened(store, customers)}


def sections(gathered: Gathered) -> dict[str, list[Document]]:
    return {section.name: section.documents for section in gathered.sections}


def test_orders_stay_for_the_law_without_a_person_and_money_still_adds_up(estate: Estate) -> None:
    store, jane = estate.store, estate.id_of("crm.customer:1001")
    erase(store, estate.catalogue, jane, actor="Ann", reason="asked", verify=False)
    for round_ in range(2):
        orders = {o["_id"]: o for o in store.single_view["orders"].find({})}
        assert len(orders) == 3
        mine = [orders["sales.orderheader:3001"], orders["sales.orderheader:3002"]]
        assert [o["total"] for o in mine] == [Decimal128("19.99"), Decimal128("5.00")]
        assert [o["number"] for o in mine] == ["SO3001", "SO3002"]
        assert all(len(o["lines"]) == 1 and len(o["payments"]) == 1 and not o["deliveries"] for o in mine)
        assert mine[0]["refunds"][0]["amount"] == Decimal128("1.00")
        assert mine[0]["customer_id"] != mine[1]["customer_id"], "two orders do not lead to one person"
        assert all(o["customer_id"].startswith("E") and o["party"] is None and o["retained_until"] > NOW for o in mine)
        assert store.single_view["orders"].count_documents({"unresolved": True}) == 0
        pseudonyms = {o["customer_id"] for o in mine}
        if round_ == 0:
            estate.land("sales.refund", {"RefundId": 9, "OrderId": 3002, "Amount": Decimal128("2.00"), "Reason": "x", "RefundedAt": day(3), "ModifiedAt": day(3)})  # fmt: skip
            estate.everything_again()
        else:
            assert mine[1]["refunds"][0]["amount"] == Decimal128("2.00"), "money that is given back later counts"
    assert pseudonyms == {o["customer_id"] for o in mine}


def test_what_points_to_an_erased_person_goes_and_stays_away_in_whatever_form_it_comes(estate: Estate) -> None:
    from sv_assets.landing.writer import LandingWriter, Outcome
    from sv_assets.sources.records import Batch, Rejected

    store, jane = estate.store, estate.id_of("crm.customer:1001")

    def flag(code: str) -> Document:
        return {"CustomerId": 1001, "FlagCode": code, "RaisedAt": day(1), "EndedAt": None, "ModifiedAt": day(1)}

    def landed() -> list[str]:
        return [row["_id"] for row in store.landing["crm.customerflag"].find({})]

    estate.land("crm.customerflag", flag("bereaved"), flag("vulnerable"))
    estate.delete("crm.customerflag", '[1001,"bereaved"]')  # and no station has taken up either
    assert len(landed()) == 2
    estate.land("contactcentre.call", {"CallId": 7009, "CustomerNumber": "1001", "StartedAt": day(2), "Notes": "text"})
    erase(store, estate.catalogue, jane, actor="Ann", reason="asked", verify=False)
    assert landed() == []
    assert store.landing["contactcentre.call"].find_one({"_id": 7009}) is None
    estate.land("crm.customerflag", flag("terminally_ill"))
    assert landed() == [], "a row under a new key that points to them"
    bad = Rejected("99", "ValidFrom is no date", {"AddressId": 99, "CustomerId": "1001", "Line1": "12 Old Bakery Row"})
    source = estate.catalogue.source("crm.customeraddress")
    LandingWriter(store, estate.catalogue, source, "test").write(Batch([], [bad], {}, day(3)), Outcome())
    assert store.control["quarantine"].find_one({"source": "crm.customeraddress"}) is None


def test_notes_of_other_people_keep_nothing_of_an_erased_person_however_often_they_land(estate: Estate) -> None:
    store, jane = estate.store, estate.id_of("crm.customer:1001")
    note = "partner: JANE.smith77+new@example.org; or\n07700-900123, mine is 07700 900777"
    call = {"CallId": 7005, "CustomerNumber": 1003, "StartedAt": day(2), "Notes": note, "Reason": "ask 07700900123"}
    estate.land("contactcentre.call", call)
    lent = {"CallId": 7007, "CustomerNumber": 1003, "CallerNumber": "07700 900123", "StartedAt": day(2)}
    estate.land("contactcentre.call", lent)  # Mary rang from Jane's telephone, which nobody knows to be hers
    event = estate.web("W-2", 2, email="mary.brown9@example.org", first_name="Mary", last_name="Brown", note=note)
    estate.send("web.web_account_events", event)
    estate.run()
    assert erase(store, estate.catalogue, jane, actor="Ann", reason="asked").found == {}
    texts = (*IDENTIFIERS, "JANE.smith77+new@example.org", "07700-900123", "07700900123", jane)
    asked = Suppression(store, estate.catalogue, estate.catalogue.source("contactcentre.call"))
    differ = asked.erased_of(
        [Record(7005, "7005", call, b"1"), Record(7006, "7006", {**call, "Notes": "", "Reason": ""}, b"1")]
    )
    assert differ == {7005}, "an audit takes it for no row that was edited past its capture"

    def said() -> tuple[str, str]:
        landed = store.landing["contactcentre.call"].find_one({"_id": 7005}) or {}
        (fact,) = store.single_view["interactions"].find({"record": "contactcentre.call:7005"})
        return landed["Notes"], fact["reason"]

    for _ in range(2):
        assert found_anywhere(store, texts, allowed=LATER) == []
        assert said() == ("partner: [erased]; or\n[erased], mine is 07700 900777", "ask [erased]")
        (message,) = [m for m in store.archive["web.web_account_events"].find({"key": "W-2"}) if "note" in m["body"]]
        assert "[erased]" in message["body"] and "mary.brown9@example.org" in message["body"]
        lent_row = store.landing["contactcentre.call"].find_one({"_id": 7007}) or {}
        assert lent_row["CallerNumber"] == "[erased]", "the call is Mary's still"
        outcome = estate.land("contactcentre.call", call)  # as the source still has it
        assert outcome.suppressed == 0
        store.archive["web.web_account_events"].delete_one({"_id": message["_id"]})
        store.landing["contactcentre.call"].delete_one({"_id": 7007})
        estate.everything_again()


def test_who_comes_back_as_a_new_customer_is_a_new_person(estate: Estate) -> None:
    store, jane = estate.store, estate.id_of("crm.customer:1001")
    erase(store, estate.catalogue, jane, actor="Ann", reason="asked", verify=False)
    later = dt.datetime.now(dt.timezone.utc) + dt.timedelta(hours=1)
    estate.customer(1500, "Jane", "Smith", Email="jane.smith77@example.org", Mobile="07700 900123", ModifiedAt=later)
    estate.send(
        "web.web_account_events",
        estate.web("W-9", 1, email="jane.smith77@example.org", first_name="Jane", last_name="Smith"),
        later,
    )
    estate.order(
        3500,
        GuestFirstName="Jane",
        GuestLastName="Smith",
        GuestEmail="jane.smith77@example.org",
        OrderDate=later,
        ModifiedAt=later,
    )
    estate.customer(
        1401,
        "Jane",
        "Smith",
        Email="jane.smith77@example.org",
        ModifiedAt=dt.datetime(9999, 12, 31, tzinfo=dt.timezone.utc),
    )
    # Rows of the old days that had not landed: never read before, and under keys that nobody knew.
    estate.customer(1400, "Jane", "Smith", Email="JANE.smith77+old@example.org", ModifiedAt=day(1))
    estate.send(
        "web.web_account_events",
        estate.web("W-0", 1, email="jane.smith77@example.org", first_name="Jane", last_name="Smith"),
    )
    other = {"email": "jane.unknown@example.org", "first_name": "Jane", "last_name": "Smith"}
    estate.send("web.web_account_events", estate.web("W-00", 1, **other, customer_number=1001))
    estate.everything_again()
    assert store.landing["web.web_account_events"].find_one({"_id": "W-00"}) is None, "it says it is whom we erased"
    new = estate.id_of("crm.customer:1500")
    assert new != jane
    assert {r for r, c in estate.customer_ids().items() if c == new} == {
        "crm.customer:1500", "web.web_account_events:W-9", "sales.orderheader:3500",
    }  # fmt: skip
    assert estate.customers()[new]["orders"]["count"] == 1
    assert store.landing["crm.customer"].find_one({"_id": 1400}) is None
    assert store.landing["crm.customer"].find_one({"_id": 1401}) is None, "a date that is rubbish is of no time"


def test_who_shares_contacts_and_an_initial_is_not_taken_along(store: Store, folder: Any) -> None:
    shop = Estate(store)
    shop.customer(3, "Ann", "Green", Email="ann@example.org", Phone="00000 000000", ModifiedAt=day(1))
    shop.customer(1, "John", "Smith", Email="smiths@example.org", Title="Mr", ModifiedAt=day(1))
    shop.customer(
        2,
        "Joan",
        "Smith",
        Email="smiths@example.org",
        Mobile="07700 900321",
        Phone="00000 000000",
        Title="Mrs",
        ModifiedAt=day(1),
    )
    shop.run()
    joan, john = shop.id_of("crm.customer:2"), shop.id_of("crm.customer:1")
    assert joan != john
    assert erase(store, shop.catalogue, joan, actor="Ann", reason="asked").found == {}, (
        "a placeholder is nobody's number"
    )
    shop.everything_again()
    assert set(shop.customers()) == {john, shop.id_of("crm.customer:3")}
    assert shop.customers()[john]["email"]["value"] == "smiths@example.org"
    # Also where everything is landed anew in an empty database, and only the ledger is left.
    for name in store.landing.list_collection_names():
        store.landing[name].drop()
    Estate.everything_again(shop)
    assert {row["_id"] for row in store.landing["crm.customer"].find({})} == {1, 3}


def test_an_erasure_that_is_killed_after_every_step_goes_on(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    store, jane = estate.store, estate.id_of("crm.customer:1001")
    killed: list[str] = []

    def dies(name: str, work: Any) -> Any:
        def step(*arguments: Any) -> None:
            work(*arguments)  # all of it is done, and nobody has noted it
            if name not in killed:
                killed.append(name)
                raise KeyboardInterrupt

        return step

    for name, work in list(STEPS.items()):
        monkeypatch.setitem(erasing.STEPS, name, dies(name, work))
    for number in range(len(STEPS) + 1):
        try:
            if number == 0:
                erase(store, estate.catalogue, jane, actor="Ann", reason="asked")
            for begun in unfinished(store):
                assert erasing.resume(store, estate.catalogue, begun).found == {}
        except KeyboardInterrupt:
            continue
    assert killed == list(STEPS)
    assert unfinished(store) == []
    assert found_anywhere(store, (*IDENTIFIERS, jane), allowed=LATER) == []


def test_a_request_whose_erasure_was_stopped_is_answered_when_it_is_gone_on_with(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sv_assets.privacy import requests

    store, who = estate.store, requests.Candidate(estate.id_of("crm.customer:1001"), ("email", "phone"), ())
    requests.file_request(store, "access", who, actor="Ann")
    filed = requests.file_request(store, "erasure", who, actor="Ann", reason="mail of jane.smith77@example.org")
    monkeypatch.setitem(erasing.STEPS, "files", lambda work: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        requests.carry_out_erasure(store, estate.catalogue, filed["_id"])
    monkeypatch.setitem(erasing.STEPS, "files", lambda work: None)
    store.control["erasures"].update_one({"_id": unfinished(store)[0]}, {"$set": {"notes": ["said before"]}})
    (begun,) = unfinished(store)
    assert erasing.resume(store, estate.catalogue, begun).notes[0] == "said before"
    assert requests.list_requests(store, only_open=True) == []
    assert found_anywhere(store, (*IDENTIFIERS, who.customer_id), allowed=LATER) == [], "not in its own reason either"


def test_a_restored_backup_is_erased_again(estate: Estate, folder: Any) -> None:
    store, jane = estate.store, estate.id_of("crm.customer:1001")
    saved = everything(store)
    erase(store, estate.catalogue, jane, actor="Ann", reason="asked", verify=False)
    for database in store.databases():
        for name in database.list_collection_names():
            database[name].delete_many({})
            if documents := saved.get(f"{database.name}.{name}"):
                database[name].insert_many(documents)
    from sv_assets.ledger import copy_file, take_in

    copy = folder / "erasure-ledger.jsonl"
    assert copy_file() == copy
    assert take_in(store, copy) > 0
    erase_again(store, estate.catalogue, actor="Ann")
    assert found_anywhere(store, (*IDENTIFIERS, jane), allowed=LATER) == []


def test_a_batch_that_was_under_way_while_somebody_was_erased_is_taken_back(estate: Estate) -> None:
    from sv_assets.landing.writer import LandingWriter, Outcome
    from sv_assets.sources.records import Batch, Record

    store, jane = estate.store, estate.id_of("crm.customer:1001")
    source = estate.catalogue.source("crm.customer")
    writer = LandingWriter(store, estate.catalogue, source, "run")
    fields = {"CustomerId": 1001, "FirstName": "Jane", "Surname": "Smith", "Email": "jane.smith77@example.org"}
    batch = Batch([Record(1001, "1001", fields, (999).to_bytes(8))], [], {}, NOW)
    prepared = writer.prepare(batch)
    erase(store, estate.catalogue, jane, actor="Ann", reason="asked")
    writer.send(prepared, Outcome())
    assert store.landing["crm.customer"].find_one({"_id": 1001}) is None


def test_a_dry_run_names_consumers_notes_of_others_logs_and_whatever_else_is_changed(
    estate: Estate, folder: Any
) -> None:
    store, jane = estate.store, estate.id_of("crm.customer:1001")
    estate.land("contactcentre.call", {"CallId": 7006, "CustomerNumber": 1003, "Notes": "ask 07700900123"})
    estate.run()
    refresh_audience(store)
    store.control["access_log"].insert_one({"_id": "a", "customers": [jane]})
    store.contact_centre["customer_card"].insert_one({"_id": jane})
    (folder / "logs").mkdir()
    (folder / "logs" / "mongo.log").write_text("slow query jane.smith77@example.org\n")
    counts = dry_run(store, estate.catalogue, jane).counts
    done = erase(store, estate.catalogue, jane, actor="Ann", reason="asked", verify=False).counts
    for place in (
        "marketing.audience",
        "control.access_log",
        "contact_centre.customer_card",
        "landing.contactcentre.call of others",
    ):
        assert counts[place] == done[place] == 1, place
    assert (counts["files"], done["places in logs"]) == (1, 1)


@pytest.mark.parametrize(("code", "says"), [(13, "dbAdminAnyDatabase"), (59, "does not compact"), (26, None)])
def test_space_is_given_back_in_every_database_or_it_is_said_why_not(
    store: Store, monkeypatch: pytest.MonkeyPatch, code: int, says: str | None
) -> None:
    """Refused by hand: the embedded server compacts nothing."""
    asked: list[str] = []

    def refuses(self: Database[Document], command: str, name: str, **options: Any) -> None:
        asked.append(f"{self.name.removeprefix(store.prefix)}.{name}")
        raise OperationFailure("no", code)

    for database in (store.landing, store.fraud, store.marketing):
        database["some"].insert_one({"_id": 1})
    erasure = Erasure("e", None, NOW, "Ann", "asked")
    with monkeypatch.context() as patched:
        patched.setattr(Database, "command", refuses)
        STEPS["compact"](Work(store, catalogue(), load_declaration(), erasure))
    assert [says in note for note in erasure.notes if says] == ([True] if says else [])
    assert asked == (["fraud.some"] if says else ["fraud.some", "landing.some", "marketing.some"])


def test_what_nobody_declared_is_looked_through_and_reported(estate: Estate) -> None:
    store, jane = estate.store, estate.id_of("crm.customer:1001")
    store.control["somebody_new"].insert_one({"_id": jane, "note": ["call jane.smith77@example.org"]})
    done = erase(store, estate.catalogue, jane, actor="Ann", reason="asked")
    assert any("control.somebody_new" in note for note in done.notes)
    assert found_anywhere(store, (*IDENTIFIERS, jane), allowed=LATER) == []


def test_logs_and_dagsters_history_hold_nothing_afterwards(estate: Estate, folder: Any) -> None:
    import sqlite3

    (folder / "logs").mkdir()
    (folder / "logs" / "mongo.log").write_text("slow query jane.smith77@example.org\nother line\n")
    (folder / "dagster" / "history").mkdir(parents=True)
    path = folder / "dagster" / "history" / "index.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE event_logs (id INTEGER PRIMARY KEY, event TEXT, timestamp TIMESTAMP)")
        connection.execute("INSERT INTO event_logs VALUES (1, 'failed on crm.customer:1001', 0), (2, 'fine', 0)")
    connection.close()
    erase(estate.store, estate.catalogue, estate.id_of("crm.customer:1001"), actor="Ann", reason="asked")
    assert found_anywhere(estate.store, IDENTIFIERS, folder, allowed=LATER) == []
    assert "other line" in (folder / "logs" / "mongo.log").read_text()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT event FROM event_logs ORDER BY id").fetchall() == [
            ("failed on [erased]",),
            ("fine",),
        ]
    connection.close()


def test_what_was_told_of_somebody_while_they_were_taken_for_the_person_goes_as_well(store: Store, folder: Any) -> None:
    from sv_assets.identity.decisions import merge, undo

    shop = Estate(store)
    born = {"DateOfBirth": dt.datetime(1980, 3, 7, tzinfo=dt.timezone.utc)}
    shop.customer(1, "Pete", "Jonas", Email="pete@example.org", ModifiedAt=day(1))
    shop.run()  # the older customer keeps its id
    shop.customer(2, "Zora", "Quill", Email="zora@example.org", Mobile="07700 900321", ModifiedAt=day(1), **born)
    shop.land("crm.customeraddress", {"AddressId": 5, "CustomerId": 2, "AddressType": "home", **HOME, "ValidFrom": day(0), "ValidTo": None, "ModifiedAt": day(1)})  # fmt: skip
    shop.run()
    decided = merge(store, "crm.customer:1", "crm.customer:2", actor="Ann", reason="mistaken")
    shop.run()
    undo(store, decided["_id"], actor="Ann", reason="a mistake")
    shop.run()
    zora, pete = shop.id_of("crm.customer:2"), shop.id_of("crm.customer:1")
    texts = ("Zora", "Quill", "zora@example.org", "07700 900321", "9 Mill Lane", "YO1 7HH", zora)
    assert "Zora" in str(list(store.single_view["customer_history"].find({"customer_id": pete})))
    done = erase(store, shop.catalogue, zora, actor="Ann", reason="asked")
    assert done.found == {}, list(store.identity["clusters"].find({}))
    assert found_anywhere(store, texts, allowed=LATER) == []
    assert "1980" not in str(opened(store, list(store.single_view["customer_history"].find({"customer_id": pete}))))
    assert shop.customers()[pete]["name"]["value"]["first"] == "Pete"
    assert as_of(store, pete, day(9999), actor=OFFICER) is not None


def test_an_address_with_another_tag_or_dots_is_the_same_persons(store: Store, folder: Any) -> None:
    shop = Estate(store)
    shop.customer(1, "Zora", "Quill", Email="zora@example.org", ModifiedAt=day(1))
    shop.order(8, GuestFirstName="Z", GuestLastName="Quill", GuestEmail="Zora+Shop@example.org", ModifiedAt=day(1))
    shop.customer(2, "Ida", "Moss", Email="ida.moss@gmail.com", ModifiedAt=day(1))
    shop.order(
        9, GuestFirstName="Ida", GuestLastName="Moss", GuestEmail="i.d.a.moss+x@googlemail.com", ModifiedAt=day(1)
    )
    shop.customer(3, "Bob", "Reed", Email="zora+bob@example.org", ModifiedAt=day(1))
    shop.run()
    bob = shop.id_of("crm.customer:3")
    asked = candidates(store, Evidence(email="zora+news@example.org", order="SO8"))
    assert asked[0].is_proven and asked[0].customer_id == shop.id_of("sales.orderheader:8")
    (asked_by_mail,) = candidates(store, Evidence(email="idamoss+y@gmail.com"))
    assert asked_by_mail.proofs == ("email",)
    for number in (1, 2):
        done = erase(store, shop.catalogue, shop.id_of(f"crm.customer:{number}"), actor="Ann", reason="asked")
        assert done.found == {}
    assert (
        found_anywhere(store, ("Zora+Shop@example.org", "i.d.a.moss+x@googlemail.com", "Quill", "Moss"), allowed=LATER)
        == []
    )
    assert set(shop.customers()) == {bob}
    assert shop.customers()[bob]["email"]["value"] == "zora+bob@example.org", (
        "somebody else's, although it shares a mailbox"
    )


def test_an_answer_that_waits_to_be_handed_over_goes_whole_its_packed_pdf_too(estate: Estate, folder: Any) -> None:
    store = estate.store
    jane, mary = (estate.id_of(f"crm.customer:{n}") for n in (1001, 1003))
    for name, customer in (("q-jane", jane), ("q-mary", mary)):
        write_bundle(gather(store, estate.catalogue, customer, actor=HANDLER), folder / "privacy" / name)
    erase(store, estate.catalogue, jane, actor="Ann", reason="asked", verify=False)
    assert sorted(path.parent.name for path in (folder / "privacy").rglob("*.*")) == ["q-mary"] * 4


def test_the_archive_keeps_no_message_of_an_erased_person_that_comes_late(estate: Estate) -> None:
    store = estate.store
    erase(store, estate.catalogue, estate.id_of("crm.customer:1001"), actor="Ann", reason="asked", verify=False)
    archive = Archive(store, estate.catalogue.source("web.web_account_events"))
    before = archive.collection.count_documents({})
    estate.send(
        "web.web_account_events",
        estate.web("W-1", 3, email="new.mail@example.org", first_name="Jane", last_name="Smith"),
        NOW + dt.timedelta(days=1),
    )
    assert archive.collection.count_documents({}) == before, "the account is erased, whatever it says later"


@pytest.mark.parametrize(
    "written",
    [
        "JANE@X.ORG", "mail\\njane@x.org", "a\\\\u00e9jane@x.org", "to=jane%40x.org", "%20jane%40x.org&", "07700900123", "07700-900 123",
        "+44 (0)7700 900123", "0044 7700 900123", "(07700) 900123", "tel:7700900123", "JOSÉ ÁVILA", "Jose\u0301 A\u0301vila", "jos\\u00e9 \\u00e1vila",
        "jos\\\\u00e9 \\\\u00e1vila",
    ],
)  # fmt: skip
def test_whatever_case_form_or_escape_somebody_is_written_in_they_are_found(written: str) -> None:
    pattern = search.pattern_of(["jane@x.org", "+447700900123", "José Ávila"])
    assert pattern is not None
    assert pattern.search(written.encode())
    assert not any(pattern.search(t) for t in (b"mjane@x.org", b"107700900123", b"077009001234", b"7700900124"))


def test_taking_somebody_out_of_a_document_leaves_what_is_sealed_in_it_as_it_is() -> None:
    sealed, pattern = Binary(bytes(range(70)), 6), search.pattern_of(["C1"])
    assert pattern is not None
    made = search.without({"born": sealed, "of": ["C1", "C2"]}, pattern)
    assert made == {"born": sealed, "of": [ERASED, "C2"]}
    assert made["born"].subtype == 6
