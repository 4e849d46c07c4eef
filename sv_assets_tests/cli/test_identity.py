"""`sv identity` as a person or a script uses it: its output, its exit code, and what it leaves."""

import json
import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from sv_assets.identity.resolution import applied_now, refresh_identities
from sv_assets.identity.settings import DEFAULT
from sv_assets.mongo import Store
from sv_assets_tests.command_line import run_sv
from sv_assets_tests.retailer import Retailer

SECRETS = ("jane", "smith", "7700900123", "high st")
STEWARD = ("--as", "data_steward", "--purpose", "identity_review")
WHY = ("--reason", "she rang", "--actor", "ann")


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Sv = Callable[..., Ran]


@pytest.fixture
def sv(store: Store) -> Sv:
    """`sv identity …` in this process, on the store of the test."""

    def run(*arguments: str) -> Ran:
        ended = run_sv("identity", *arguments)
        assert "Traceback" not in ended.stdout + ended.stderr
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def shop(store: Store) -> Retailer:
    return Retailer(store)


@dataclass(frozen=True)
class People:
    """Jane's two records, of one customer; Wei and Zoe, whom nothing links to anybody."""

    jane: str
    web: str
    wei: str
    zoe: str


@pytest.fixture
def people(shop: Retailer) -> People:
    jane = shop.customer(1, "Jane", "Smith", Email="jane@x.com", Mobile="07700900123")
    address = {"AddressId": 7, "CustomerId": 1, "AddressType": "home", "Line1": "12 High St", "Postcode": "YO1 7HH"}
    shop.land("crm.customeraddress", address)
    web = shop.account(2, "Jane", "Smith", EmailAddress="jane@x.com", Telephone="07700900123")
    shop.identify()
    wei, zoe = shop.customer(3, "Wei", "Chen"), shop.customer(4, "Zoe", "Young")
    shop.identify()
    return People(jane, web, wei, zoe)


def read(ran: Ran, code: int = 0) -> Any:
    assert ran.code == code, ran.err
    return json.loads(ran.out)


# --- explain -------------------------------------------------------------------------------------------------------------


def test_explain_shows_a_pair_with_its_values_and_writes_its_page(sv: Sv, people: People, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    shown = sv("explain", people.jane, people.web, "--html", str(page), *STEWARD)
    assert shown.code == 0, shown.err
    for part in ("One person: ", "jane@x.com", "e-mail", "the same", "together", "email_and_name", "threshold 0.5"):
        assert part in shown.out
    assert str(page) in shown.out and "holds personal data" in shown.out
    assert "jane@x.com" in page.read_text()
    assert stat.S_IMODE(os.stat(page).st_mode) == 0o600
    found = read(sv("explain", people.jane, people.wei, *STEWARD, "--json"))
    assert found["verdict"].startswith("Not one person: ")
    assert (found["one_customer"], found["link"], found["decision"], found["guards"]) == (False, None, None, [])
    assert {"start", "strangers", "household", "weight", "rules", "comparisons"} <= found["weighed"].keys()
    assert {"comparison": "email", "left": "jane@x.com", "right": None}.items() <= next(
        c for c in found["weighed"]["comparisons"] if c["comparison"] == "email"
    ).items()


def test_explain_shows_the_values_compared_masked_to_who_may_not_see_them(
    sv: Sv, people: People, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    shown = sv("explain", people.jane, people.web, "--html", str(page))
    assert shown.code == 0, shown.err
    assert "j***@x***" in shown.out and "email_and_name" in shown.out
    everything = shown.out + page.read_text() + sv("explain", people.jane, people.web, "--json").out
    assert not any(secret in everything.lower() for secret in SECRETS)
    assert sv("explain", people.jane, people.web, "--as", "marketing").code == 1


def test_explain_shows_a_customer_and_what_lies_between_two(sv: Sv, people: People, shop: Retailer) -> None:
    ids = shop.customer_ids()
    shown = sv("explain", ids[people.jane])
    assert shown.code == 0, shown.err
    for part in (ids[people.jane], "Records: 2", "anchor", people.web, "created"):
        assert part in shown.out
    found = read(sv("explain", people.web, "--json"))
    assert found["customer_id"] == ids[people.jane]
    assert [record["id"] for record in found["records"]] == [people.jane, people.web]
    between = read(sv("explain", ids[people.jane], ids[people.wei], "--json"))
    assert between["links"] == []
    assert between["verdict"].startswith("No link between them.")
    assert between["pair"]["verdict"].startswith("Not one person")
    assert "No link between them" in sv("explain", ids[people.jane], people.wei).out


def test_explain_says_what_is_wrong_with_a_question(sv: Sv, people: People, tmp_path: Path) -> None:
    missing = sv("explain", people.jane, "crm.customer:99")
    assert (missing.code, missing.out) == (1, "")
    assert "There is no party record crm.customer:99" in missing.err
    assert sv("explain", "CNONE").code == 1
    assert sv("explain", people.jane, people.jane).code == 1
    assert sv("explain", people.jane, "--html", str(tmp_path / "x")).code == 2
    nowhere = sv("explain", people.jane, people.web, "--html", str(tmp_path / "no" / "x"))
    assert nowhere.code == 2 and "cannot be written" in nowhere.err


def test_what_others_wrote_cannot_harm_the_terminal(sv: Sv, shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="jane@x.com")
    b = shop.customer(2, "Wei", "Chen")
    shop.identify()
    done = sv("merge", a, b, "--reason", "[red]\x1b[31mevil", "--actor", "[bold]x")
    assert done.code == 0, done.err
    for ran in (sv("decisions"), sv("explain", a, b), sv("explain", a)):
        assert "\x1b[31m" not in ran.out
        assert "[red]" in ran.out


# --- merge, split, undo, decisions --------------------------------------------------------------------------------------


def test_merge_carries_out_at_once_and_says_what_became_of_it(sv: Sv, people: People, shop: Retailer) -> None:
    ids = shop.customer_ids()
    done = read(sv("merge", people.wei, people.jane, *WHY, "--json"))
    assert done["kind"] == "same" and done["carried_out"]
    assert done["before"] == {ids[people.jane]: [people.jane, people.web], ids[people.wei]: [people.wei]}
    (customer,) = done["after"]
    assert customer == ids[people.jane], "the older one keeps its id"
    assert [event["kind"] for event in done["events"]] == ["decided", "merged"]
    assert shop.customer_ids()[people.wei] == customer


def test_split_takes_a_customer_apart_and_undo_puts_it_together(sv: Sv, people: People, shop: Retailer) -> None:
    customer = shop.customer_ids()[people.jane]
    shown = sv("split", customer, "--records", people.web, *WHY)
    assert shown.code == 0, shown.err
    for part in ("Before", "After", "split: ", customer, "sv run"):
        assert part in shown.out
    ids = shop.customer_ids()
    assert ids[people.jane] == customer != ids[people.web]
    (decision,) = read(sv("decisions", "--json"))
    assert (decision["kind"], decision["state"], decision["actor"]) == ("not_same", "in force", "ann")
    assert decision["sides"] == [[people.web], [people.jane]]
    back = read(sv("undo", decision["id"], "--reason", "it is her", "--json"))
    assert back["after"] == {customer: [people.jane, people.web]}
    (decision,) = read(sv("decisions", "--record", people.jane, "--json"))
    assert decision["state"] == "taken back"
    assert decision["undo"]["reason"] == "it is her"
    assert decision["undo"]["actor"], "the user of this machine"
    assert read(sv("decisions", "--record", people.zoe, "--json")) == []


def test_a_decision_can_be_left_to_the_next_run(sv: Sv, people: People, shop: Retailer) -> None:
    before = shop.customer_ids()
    done = read(sv("merge", people.jane, people.wei, *WHY, "--later", "--json"))
    assert (done["carried_out"], done["before"]) == (False, done["after"])
    assert [event["kind"] for event in done["events"]] == ["decided"]
    assert shop.customer_ids() == before
    refresh_identities(shop.store)
    assert shop.customer_ids()[people.wei] == before[people.jane]


def test_what_contradicts_is_refused_with_the_chain(sv: Sv, people: People) -> None:
    sv("merge", people.jane, people.wei, *WHY)
    sv("merge", people.wei, people.zoe, *WHY)
    refused = sv("split", people.jane, people.zoe, *WHY)
    assert (refused.code, refused.out) == (1, "")
    assert f"{people.jane} = {people.wei} (d-" in refused.err and "sv identity undo d-" in refused.err
    assert sv("merge", people.jane, people.wei, *WHY).code == 1
    assert sv("merge", people.jane, "crm.customer:99", *WHY).code == 1
    assert sv("undo", "d-0", *WHY).code == 1


def test_a_question_that_is_none_is_exit_code_2(sv: Sv, people: People, shop: Retailer) -> None:
    customer = shop.customer_ids()[people.jane]
    for arguments in (
        ("merge", people.jane, people.wei),
        ("split", people.jane, *WHY),
        ("split", customer, people.jane, "--records", people.web, *WHY),
        ("split", people.jane, customer, *WHY),
        ("split", people.jane, "--records", people.web, *WHY),
        ("decisions", "--export", "x", "--import", "y"),
        ("decisions", "--import", "/nowhere/x"),
        ("review", "--guard", "none"),
        ("rerun", "--settings", "/nowhere/x.yaml"),
        ("rerun", "--model", "m-none"),
    ):
        assert sv(*arguments).code == 2, arguments


def test_decisions_are_carried_over_in_a_file(sv: Sv, people: People, shop: Retailer, tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    sv("merge", people.jane, people.wei, *WHY)
    together = shop.people()
    assert read(sv("decisions", "--export", str(file), "--json"))["lines"] == 1
    shop.store.identity["decisions"].delete_many({})
    refresh_identities(shop.store, full=True)
    assert shop.people() != together
    done = read(sv("decisions", "--import", str(file), "--json"))
    assert (done["added"], done["there"], done["absent"], done["carried_out"]) == (1, 0, [], True)
    assert shop.people() == together
    assert "0 decisions and undos taken over; 1 were there already." in sv("decisions", "--import", str(file)).out
    file.write_text("nonsense\n")
    wrong = sv("decisions", "--import", str(file))
    assert wrong.code == 2 and "Line 1 is no JSON" in wrong.err


# --- models, train, rerun --------------------------------------------------------------------------------------------------


def test_models_says_which_one_decides(sv: Sv, people: People, shop: Retailer) -> None:
    applied = applied_now(shop.store)
    assert applied is not None
    (model,) = read(sv("models", "--json"))
    assert model["model"] == applied.model.version
    assert (model["applied"], model["built_in"], model["created_at"], model["records"]) == (True, True, None, None)
    assert applied.model.version in sv("models").out


def test_train_keeps_a_model_that_decides_nothing_and_rerun_applies_it(
    sv: Sv, people: People, shop: Retailer, tmp_path: Path
) -> None:
    before = applied_now(shop.store)
    assert before is not None
    for n in range(10, 40):
        shop.customer(n, f"Anna{chr(87 + n)}", f"Brown{chr(80 + n)}", Email=f"{n // 2}@x.com")
    shop.identify()
    trained = read(sv("train", "--json"))
    assert trained["applied"] == before.model.version != trained["model"]
    assert not trained["is_applied"]
    assert {"comparison", "level", "before", "after"} == trained["moved"][0].keys()
    steps = [abs(level["after"] - level["before"]) for level in trained["moved"]]
    assert steps == sorted(steps, reverse=True)
    found = {model["model"]: model for model in read(sv("models", "--json"))}
    assert [found[m]["applied"] for m in (before.model.version, trained["model"])] == [True, False]
    assert found[trained["model"]]["records"] == trained["records"] > 30
    people_before, ids_before = shop.people(), shop.customer_ids()
    preview = read(sv("rerun", "--model", trained["model"], "--json"))
    assert preview["applied"] is False and preview["model"] == trained["model"]
    assert preview["records"] == sum(map(len, people_before))
    assert preview["customers_before"] == len(people_before)
    assert (shop.people(), shop.customer_ids()) == (people_before, ids_before)
    done = read(sv("rerun", "--model", "latest", "--apply", "--json"))
    assert done["applied"] is True and done["model"] == trained["model"]
    assert len(shop.people()) == preview["customers_after"]
    now = applied_now(shop.store)
    assert now is not None and now.model.version == trained["model"]
    assert "It is the one that is applied." in sv("train").out


def other_settings(path: Path, **changed: Any) -> str:
    path.write_text(yaml.safe_dump({**yaml.safe_load(DEFAULT.read_text()), **changed}))
    return str(path)


def test_rerun_shows_what_other_settings_change_and_carries_it_out(
    sv: Sv, people: People, shop: Retailer, tmp_path: Path
) -> None:
    file = other_settings(tmp_path / "strict.yaml", threshold=60, rules=[])
    preview = read(sv("rerun", "--model", "built_in", "--settings", file, "--json"))
    assert preview["links_removed"] == 1 and preview["customers_split"] == 1
    assert preview["splits"] == [[people.jane, people.web]]
    shown = sv("rerun", "--model", "built_in", "--settings", file)
    assert "Would fall apart" in shown.out and "--apply" in shown.out
    assert shop.links() != {}
    done = sv("rerun", "--model", "built_in", "--settings", file, "--apply")
    assert done.code == 0 and "1 split" in " ".join(done.out.split())
    assert shop.links() == {}
    status = read(sv("status", "--json"))
    assert status["settings_differ"] == ["threshold", "rules"]
    assert "sv identity rerun" in sv("status").out


def test_rerun_with_other_blocking_makes_the_records_anew(
    sv: Sv, people: People, shop: Retailer, tmp_path: Path
) -> None:
    contacts = [{"same": [part], "at_most": 100} for part in ("phone", "identifier", "email")]
    file = other_settings(tmp_path / "few.yaml", blocking=contacts)
    before = shop.people()
    preview = read(sv("rerun", "--settings", file, "--json"))
    assert (preview["customers_merged"], preview["customers_split"]) == (0, 0)
    assert read(sv("rerun", "--settings", file, "--apply", "--json"))["applied"]
    keys = {key for r in shop.store.identity["party_records"].find({}) for key in r["keys"] if key[0].isdigit()}
    assert keys == {"0:+447700900123", "2:jane@x.com"}
    assert shop.people() == before
    shop.account(5, "Jane", "Smith", EmailAddress="jane@x.com")
    shop.identify()
    assert any({people.jane, "sales.account:5"} <= group for group in shop.people())


def test_a_rerun_that_was_killed_is_carried_out_by_the_next_run(
    sv: Sv, people: People, shop: Retailer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sv_assets.identity import full

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    file = other_settings(tmp_path / "strict.yaml", threshold=60, rules=[])
    with monkeypatch.context() as patched:
        patched.setattr(full, "score", killed)
        assert sv("rerun", "--model", "built_in", "--settings", file, "--apply").code == 130
    assert not read(sv("status", "--json"))["carried_out"]
    assert "has not been carried out to the end" in sv("status").out
    shop.identify()
    assert shop.links() == {}
    assert read(sv("status", "--json"))["carried_out"]


# --- review, status --------------------------------------------------------------------------------------------------------


def test_review_counts_by_guard_and_shows_ids_only(sv: Sv, shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Title="Mrs", Email="smith@x.com", Mobile="07700900123")
    b = shop.account(2, "J", "Smith", EmailAddress="smith@x.com", Telephone="07700900123")
    c = shop.customer(3, "John", "Smith", Title="Mr", Email="smith@x.com", Mobile="07700900123")
    shop.identify()
    found = read(sv("review", "--json"))
    assert found["count"] == sum(found["guards"].values()) == 1
    assert found["guards"] == {"conflict": 1}
    (item,) = found["items"]
    assert set(item["records"]) in ({a, b}, {b, c})
    assert item.keys() == {"guard", "records", "customer_ids", "weight", "reason", "detail", "since"}
    assert read(sv("review", "--guard", "size", "--json"))["items"] == []
    shown = sv("review").out
    assert "conflict" in shown and b in shown
    assert not any(secret in shown.lower() for secret in ("jane", "john", "x.com"))


def test_status_counts_everything_before_and_after_the_first_run(sv: Sv, shop: Retailer) -> None:
    empty = read(sv("status", "--json"))
    assert (empty["model"], empty["records"], empty["customers"]) == (None, 0, 0)
    assert "Nothing has been decided yet" in sv("status").out
    for number, first in ((1, "Jane"), (2, "Peter")):
        shop.customer(number, first, "Smith", Email=f"{first}@x.com")
        home = {"AddressId": number, "CustomerId": number, "AddressType": "home"}
        shop.land("crm.customeraddress", {**home, "Line1": "12 High St", "Postcode": "YO1 7HH"})
    shop.account(3, "Jane", "Smith", EmailAddress="jane@x.com")
    shop.identify()
    shop.customer(4, "Zoe", "Young")
    full = read(sv("status", "--json"))
    assert (full["records"], full["customers"], full["links"], full["households"]) == (3, 2, 1, 1)
    assert full["links_by_rule"].keys() == {"email_and_name", "model"}
    assert (full["pending"], full["settings_differ"], full["decisions_in_force"]) == (0, [], 0)
    assert full["carried_out"] is True


def test_lists_show_no_personal_data_and_nothing_is_logged(
    sv: Sv, people: People, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        shown = [
            sv("merge", people.jane, people.wei, *WHY),
            sv("split", people.jane, people.zoe, *WHY),
            *(
                sv(command, *more)
                for command in ("status", "review", "decisions", "models")
                for more in ((), ("--json",))
            ),
        ]
        sv("explain", people.jane, people.web)
        sv("explain", people.jane)
    for ran in shown:
        assert ran.code == 0, ran.err
        assert not any(secret in (ran.out + ran.err).lower() for secret in SECRETS)
    messages = [record.getMessage().lower() for record in caplog.records]
    assert not [message for message in messages if any(secret in message for secret in SECRETS)]
