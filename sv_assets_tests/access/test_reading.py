"""The read path: who may not is refused, and everything that is read is written down before it is shown."""

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from sv_assets.access import Actor, actor_from_environment, load_roles, log
from sv_assets.access.reading import AccessRefused, shown
from sv_assets.customers import find, history
from sv_assets.errors import ConfigurationError, SvError, TransientError
from sv_assets.fraud.review import listed
from sv_assets.fraud.review import shown as case_shown
from sv_assets.identity.decisions import merge
from sv_assets.identity.explain import explain_pair
from sv_assets.identity.explain_customer import explain_between, explain_customer
from sv_assets.landing.quarantine import Chosen, Quarantine, newest_entries
from sv_assets.mongo import Document, Store, open_store
from sv_assets.privacy.audience import export
from sv_assets.privacy.evidence import Evidence
from sv_assets.privacy.gather import gather
from sv_assets.privacy.requests import identify
from sv_assets.privacy.rights import restrict, said_by
from sv_assets.sources.records import Rejected
from sv_assets_tests.command_line import run_sv
from sv_assets_tests.retailer import OFFICER, Retailer, day

AGENT = Actor("ann", "contact_centre", "service", command="test")
MARKETING = Actor("max", "marketing", "campaign")
SECRETS = ("jane", "smith", "peter", "jones", "x.com")


def entries(store: Store) -> list[Document]:
    return sorted(store.control[log.COLLECTION].find({}), key=lambda entry: entry["at"])


def the_entry(store: Store) -> Document:
    (entry,) = entries(store)
    return entry


READS: dict[str, tuple[str, Callable[[Store, Actor, str], Any]]] = {
    "find.customers": ("single_view.customers", lambda s, a, i: find.customers(s, email="jane@x.com", actor=a)),
    "find.by_id": ("single_view.customers", lambda s, a, i: find.by_id(s, i, actor=a)),
    "history.entries_of": ("single_view.customer_history", lambda s, a, i: history.entries_of(s, i, actor=a)),
    "history.as_of": ("single_view.customers", lambda s, a, i: history.as_of(s, i, day(9999), actor=a)),
    "explain_customer": ("explained.customer", lambda s, a, i: explain_customer(s, i, actor=a)),
    "explain_pair": ("explained.pair", lambda s, a, i: explain_pair(s, "crm.customer:1", "crm.customer:2", actor=a)),
    "explain_between": ("explained.pair", lambda s, a, i: explain_between(s, i, "crm.customer:2", actor=a)),
    "newest_entries": ("control.quarantine", lambda s, a, i: newest_entries(s, Chosen(("a.b",)), 5, actor=a)),
    "shown": ("single_view.customers", lambda s, a, i: shown(s, a, "single_view.customers", [{"_id": i}])),
}


@pytest.fixture(scope="module")
def built(mongo_url: str) -> Iterator[Retailer]:
    """Jane, who has a history, and Peter; made once, because nothing here changes them."""
    store = open_store(mongo_url, f"t{uuid.uuid4().hex[:8]}_")
    shop = Retailer(store)
    shop.customer(1, "Jane", "Smith", Email="jane@x.com", ModifiedAt=day(1))
    shop.customer(2, "Peter", "Jones", Email="home@x.com", ModifiedAt=day(1))
    shop.run()
    shop.customer(1, "Jane", "Smith", Email="jane@x.com", Mobile="07700 900123", ModifiedAt=day(2))
    shop.run()
    yield shop
    for database in store.databases():
        store.client.drop_database(database.name)
    store.close()


@pytest.fixture
def known(built: Retailer, monkeypatch: pytest.MonkeyPatch) -> Retailer:
    """The same with an empty log, and named by the environment."""
    monkeypatch.setenv("SV_MONGO_URL", built.store.url)
    monkeypatch.setenv("SV_MONGO_PREFIX", built.store.prefix)
    built.store.control[log.COLLECTION].delete_many({})
    return built


@pytest.fixture
def jane(known: Retailer) -> str:
    """Her id."""
    return next(i for i, c in known.customers().items() if c["email"]["value"] == "jane@x.com")


@pytest.mark.parametrize("name", READS)
def test_every_read_is_written_down_and_without_that_nothing_is_shown(
    known: Retailer, jane: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, read = READS[name]
    assert read(known.store, OFFICER, jane) is not None
    found = the_entry(known.store)
    who = {"actor": "olive", "role": "privacy_officer", "purpose": "audit", "reason": "test", "collection": collection}
    assert who.items() <= found.items()
    assert found["outcome"] == ("nobody" if name == "newest_entries" else "shown")
    assert name == "newest_entries" or jane in found["customers"]
    assert found["expires_at"] - found["at"] == load_roles().access_log.keep
    assert not any(secret in str(found).lower() for secret in SECRETS)

    def away(*_: object, **__: object) -> None:
        raise AutoReconnect("away")

    monkeypatch.setattr("pymongo.synchronous.collection.Collection.insert_one", away)
    with pytest.raises(TransientError, match="Nothing is shown"):
        read(known.store, OFFICER, jane)


@pytest.mark.parametrize("name", READS)
def test_who_may_not_read_is_refused_and_that_is_written_down(known: Retailer, jane: str, name: str) -> None:
    collection, read = READS[name]
    for_fun = Actor("olive", "privacy_officer", "campaign", reason="test")
    no_reason = Actor("olive", "privacy_officer", "audit")
    seeing = {role for role, declared in load_roles().roles.items() if collection in declared.collections}
    others = [
        Actor("x", role, load_roles().roles[role].purposes[0], "r") for role in load_roles().roles.keys() - seeing
    ]
    for actor in (for_fun, no_reason, *others):
        with pytest.raises(AccessRefused):
            read(known.store, actor, jane)
    assert {entry["outcome"] for entry in entries(known.store)} == {"refused"}
    assert len(entries(known.store)) == 2 + len(others)
    for wrong in (
        Actor("x", "root", "audit"),
        Actor("x", "contact_centre", "fun"),
        Actor(" ", "contact_centre", "service"),
    ):
        with pytest.raises(ConfigurationError):
            read(known.store, wrong, jane)


def test_requests_audiences_and_cases_are_read_in_a_role_and_written_down_too(
    known: Retailer, jane: str, tmp_path: Path
) -> None:
    store, case = (
        known.store,
        {"_id": "F1", "customer_id": jane, "order": "o:1", "risk": 1, "state": "open", "why": "seen x"},
    )
    store.fraud["cases"].insert_one(case)
    store.marketing["audience"].insert_one(
        {"_id": jane, "name": {"first": "=Jane"}, "channels": {"sms": {"to": "07700 900123"}}}
    )
    out, officer = tmp_path / "sms.csv", Actor("olive", "privacy_officer", "subject_access", "q-1")
    steward, analyst = (
        Actor("sam", "data_steward", "rectification"),
        Actor("fay", "fraud_analyst", "fraud_prevention", "T"),
    )
    restrict(store, jane, actor="Ann", evidence="letter")
    email = Evidence(email="jane@x.com")
    reads: dict[str, tuple[Actor, Callable[[Actor], Any]]] = {
        "fraud.listed": (analyst, lambda a: listed(store, actor=a)),
        "fraud.shown": (analyst, lambda a: case_shown(store, "F1", actor=a)),
        "export": (MARKETING, lambda a: export(store, "sms", out, actor=a)),
        "identify": (officer, lambda a: identify(store, email, actor=a, confirmed_by="Ann")),
        "gather": (officer, lambda a: gather(store, known.catalogue, jane, actor=a)),
        "said_by": (steward, lambda a: said_by(store, jane, actor=a)),
    }
    for name, (actor, read) in reads.items():
        store.control[log.COLLECTION].delete_many({})
        with pytest.raises(AccessRefused):
            read(AGENT)
        assert read(actor), name
        assert [(e["actor"], e["outcome"], e["customers"]) for e in entries(store)] == [
            ("ann", "refused", []),
            (actor.name, "shown", [jane]),
        ], name
    assert "'=Jane" in out.read_text() and "07700 900123" in out.read_text()
    assert out.stat().st_mode & 0o077 == 0, "for its owner alone"
    newcomer = Actor("n", "newcomer", "trial")
    assert listed(store, actor=newcomer)[0]["why"] == "s*** x***"
    assert said_by(store, jane, actor=steward)[0]["kind"] == "restriction"


def test_what_humans_decided_is_read_in_a_role_and_written_down(known: Retailer, jane: str) -> None:
    merge(known.store, "crm.customer:1", "crm.customer:2", actor="ann", reason="same")
    assert run_sv("identity", "decisions", "--as", "marketing").returncode == 1
    steward = ("--as", "data_steward", "--purpose", "identity_review")
    for form in ((), ("--json",)):
        shown_ = run_sv("identity", "decisions", *steward, *form)
        assert shown_.returncode == 0 and "crm.customer:1" in shown_.stdout and "same" in shown_.stdout
    refused, *read = entries(known.store)
    assert refused["outcome"] == "refused"
    assert [(e["command"], jane in e["customers"]) for e in read] == [("sv identity decisions", True)] * 2


def test_an_agent_sees_how_to_reach_somebody_and_not_what_the_officer_sees(known: Retailer, jane: str) -> None:
    seen = find.by_id(known.store, jane, actor=AGENT)
    assert seen is not None
    assert seen["email"] == {"value": "jane@x.com"}
    assert not {"keys", "enrichments", "household", "_sv"} & seen.keys()
    whole = find.by_id(known.store, jane, actor=OFFICER)
    assert whole is not None and {"keys", "sources", "household"} <= whole.keys() and "_sv" not in whole
    (bought,) = find.customers(known.store, customer=jane, actor=MARKETING)
    assert bought.customer["email"] == {"value": "j***@x***"}
    assert "addresses" not in bought.customer


def test_nobody_may_ask_by_what_they_do_not_see(known: Retailer, jane: str) -> None:
    with pytest.raises(AccessRefused, match="postcode"):
        find.customers(known.store, postcode="SW1A 1AA", surname="Smith", actor=MARKETING)
    assert the_entry(known.store)["outcome"] == "refused"


def test_a_history_shows_values_as_the_role_sees_the_customer(known: Retailer, jane: str) -> None:
    steward = Actor("sam", "data_steward", "rectification")
    whole, (entry,) = (
        history.entries_of(known.store, jane, actor=OFFICER),
        history.entries_of(known.store, jane, actor=steward),
    )
    paths = {change["path"] for change in entry["changes"]}
    assert paths < {change["path"] for change in whole[0]["changes"]}
    assert "keys" not in paths and any("900123" in str(change) for change in entry["changes"])
    newcomer = history.entries_of(known.store, jane, actor=Actor("n", "newcomer", "trial"))
    assert "900123" not in str(newcomer) and "***" in str(newcomer)


def test_the_document_that_a_merge_ended_is_seen_as_the_role_sees_the_customer(shop: Retailer) -> None:
    ids = shop.customer_ids()
    merge(shop.store, "crm.customer:1", "crm.customer:2", actor="ann", reason="same")
    shop.run()
    loser = next(i for i in ids.values() if i not in shop.customers())
    (entry,) = history.entries_of(shop.store, loser, actor=Actor("n", "newcomer", "trial"))
    assert entry["kind"] == "ended" and entry["document"]["email"]["value"].endswith("***")
    assert "_sv" not in entry["document"] and "_sv" not in entry


def test_raw_rows_in_quarantine_are_for_who_repairs(store: Store) -> None:
    Quarantine(store, "a.b").put([Rejected("k1", "why", {"Email": "jane@x.com", "In": {"deep": 1}})], "r")
    engineer = Actor("eve", "platform_engineer", "repair", reason="T-1")
    (entry,) = newest_entries(store, Chosen(("a.b",)), 5, actor=engineer)
    assert entry["raw"] == {"Email": "jane@x.com", "In": {"deep": 1}}
    assert "raw" not in newest_entries(store, Chosen(("a.b",)), 5)[0]


def test_a_quarantined_row_is_shown_whole_to_a_role_alone_and_its_key_too(store: Store) -> None:
    put = Quarantine(store, "crm.customer").put
    put([Rejected("jane@x.com", "why", {"Email": "jane@x.com", "Phone": None})], "r")
    for command in (("show", "crm.customer"), ("list", "crm.customer")):
        for form in ((), ("--json",)):
            ended = run_sv("quarantine", *command, *form)
            assert ended.returncode == 0, ended.stderr
            assert "why" in ended.stdout and "jane" not in ended.stdout
    assert "*** (str)" in run_sv("quarantine", "show", "crm.customer").stdout
    assert entries(store) == []
    assert run_sv("quarantine", "show", "crm.customer", "--unmasked").returncode == 1, "a newcomer may not"
    engineer = ("--unmasked", "--as", "platform_engineer", "--because", "T-1")
    assert "jane@x.com" in run_sv("quarantine", "show", "crm.customer", *engineer).stdout
    assert [(e["outcome"], e["role"], e["reason"]) for e in entries(store)] == [
        ("refused", "newcomer", None),
        ("nobody", "platform_engineer", "T-1"),
    ]


def test_more_customers_than_fit_into_one_entry_stand_in_several(store: Store) -> None:
    documents = [{"_id": f"C{n}"} for n in range(log.MOST_CUSTOMERS + 1)]
    shown(store, AGENT, "single_view.customers", documents)
    assert sorted(len(entry["customers"]) for entry in entries(store)) == [1, log.MOST_CUSTOMERS]


def test_the_log_forgets_by_itself(store: Store) -> None:
    shown(store, AGENT, "single_view.customers", [])
    indexes = store.control[log.COLLECTION].index_information()
    assert indexes["expires_at_1"]["expireAfterSeconds"] == 0


# --- the command line -----------------------------------------------------------------------------------------------------


def test_a_newcomer_finds_somebody_masked_and_is_written_down(
    known: Retailer, jane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SV_ACTOR", "nell")
    ended = run_sv("find", "--email", "jane@x.com", "--json")
    assert ended.returncode == 0, ended.stderr
    assert "jane@x.com" not in ended.stdout and "j***@x***" in ended.stdout
    expected = {"actor": "nell", "role": "newcomer", "purpose": "trial", "command": "sv find", "asked_by": ["email"]}
    assert expected.items() <= the_entry(known.store).items()
    assert the_entry(known.store)["customers"] == [jane]


def test_the_role_of_a_command_is_said_or_is_of_the_environment(
    known: Retailer, jane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run_sv("customer", "show", jane, "--as", "contact_centre", "--purpose", "service", "--json")
    monkeypatch.setenv("SV_ROLE", "contact_centre")
    monkeypatch.setenv("SV_PURPOSE", "service")
    assert json.loads(said.stdout)["email"] == json.loads(run_sv("customer", "show", jane, "--json").stdout)["email"]
    assert run_sv("customer", "show", jane).returncode == 0
    assert run_sv("customer", "history", jane).returncode == 1, "an agent has no business with the history"
    monkeypatch.setenv("SV_PURPOSE", "fun")
    assert run_sv("find", "--email", "jane@x.com").returncode == 2


@pytest.mark.parametrize("role", load_roles().roles)
def test_every_role_can_be_shown_somebody_on_the_terminal(known: Retailer, jane: str, role: str) -> None:
    who = ("--as", role, "--purpose", load_roles().roles[role].purposes[0], "--reason", "T-1")
    for command in (("find", "--email", "jane@x.com"), ("customer", "show", jane)):
        ended = run_sv(*command, *who)
        assert ended.returncode == 0, ended.stderr
        assert jane in ended.stdout
    assert {entry["role"] for entry in entries(known.store)} == {role}


def test_who_says_no_purpose_is_asked_for_one_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    assert actor_from_environment("marketing").purpose == "campaign"
    assert actor_from_environment("contact_centre").purpose == ""
    monkeypatch.setenv("SV_ACTOR", "ann")
    assert actor_from_environment().name == "ann"


def test_errors_of_the_gate_are_ours() -> None:
    assert issubclass(AccessRefused, SvError)
    assert dt.timedelta(days=1) < load_roles().access_log.keep
