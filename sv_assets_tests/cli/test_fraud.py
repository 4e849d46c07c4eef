"""`sv fraud` as a person or a script uses it."""

import json
from pathlib import Path
from typing import Any

import pytest

from sv_assets.mongo import Store
from sv_assets_tests.command_line import run_sv
from sv_assets_tests.fraud.shop import after, delete_order, order, put_orders


def sv(*arguments: str) -> tuple[int, str, str]:
    ended = run_sv("fraud", *arguments)
    assert "Traceback" not in ended.stdout + ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def as_json(*arguments: str) -> Any:
    code, out, _ = sv(*arguments, "--json")
    assert code == 0
    return json.loads(out)


@pytest.fixture
def shop(store: Store) -> Store:
    put_orders(store, [order(n, after(minutes=2 * n), device="d", card=f"c{n}", total=8) for n in range(6)])
    return store


def test_cases_are_scored_listed_shown_and_decided(shop: Store) -> None:
    assert as_json("score")["signals"]["read"] == 6
    (first, *others) = as_json("cases")
    assert first["state"] == "open"
    assert "several cards on one device within a day" in sv("show", first["_id"])[1]
    assert as_json("show", first["_id"])["events"][0]["kind"] == "opened"
    (decided,) = as_json("decide", first["_id"], "--verdict", "fraud", "--reason", "seen", "--by", "ann")
    assert (decided["verdict"], decided["decided_by"]) == ("fraud", "ann")
    assert "decided: fraud" in sv("cases", "--state", "decided")[1]
    status = as_json("status")
    assert (status["cases"]["decided"], status["cases"]["open"], status["model"]) == (1, len(others), None)
    assert "orders judged" in sv("status")[1]
    delete_order(shop, 5)
    as_json("score")
    after_it = as_json("status")
    assert (after_it["orders"], after_it["flagged"]) == (5, status["flagged"] - 1), (
        "an order that is gone is not judged"
    )


def test_who_is_suspected_is_for_who_looks_into_fraud(shop: Store) -> None:
    shop.single_view["orders"].update_many({}, {"$set": {"customer_id": "C46ZB8F1YYS5B74GC"}})
    as_json("score")
    (masked, *_) = as_json("cases")
    assert (masked["customer_id"], masked["order"]) == ("C***", "s***")
    as_json("decide", masked["_id"], "--verdict", "fraud", "--reason", "seen", "--by", "ann")
    shown = sv("show", masked["_id"])[1] + sv("show", masked["_id"], "--json")[1]
    assert "C46ZB8F1YYS5B74GC" not in shown and "sales.orderheader" not in shown
    told = as_json("show", masked["_id"], "--as", "fraud_analyst", "--reason", "T-1")
    assert told["case"]["customer_id"] == "C46ZB8F1YYS5B74GC" and told["signals"] and told["linked"]
    assert sv("cases", "--as", "contact_centre", "--purpose", "service")[0] == 1


def test_quality_is_measured_against_a_truth(shop: Store, tmp_path: Path) -> None:
    truth = tmp_path / "t.csv"
    rows = [f"sales.orderheader,{n},card_testing,I1,1" for n in range(6)]
    truth.write_text("\n".join(["source,key,pattern,incident,fraud", *rows]) + "\n")
    assert sv("evaluate", "--truth", str(truth))[0] == 1, "nothing is judged yet"
    as_json("score")
    found = as_json("evaluate", "--truth", str(truth))
    assert found["precision"] == 1
    assert found["patterns"]["card_testing"]["incidents_found"] == 1
    assert "card_testing" in sv("evaluate", "--truth", str(truth))[1]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("cases",), 1, "no such case"),
        (("cases", "--state", "lost"), 2, "no state lost"),
        (("show", "F0"), 1, "There is no case F0"),
        (("decide", "F0", "--verdict", "guilty", "--reason", "x", "--by", "y"), 2, "no verdict guilty"),
        (("decide", "F0", "--verdict", "fraud", "--reason", "x", "--by", "y"), 1, "There is no case F0"),
        (("train",), 1, "fewer than 500 orders"),
        (("evaluate", "--truth", "/nowhere.csv"), 2, "cannot be read"),
    ],
)
def test_what_cannot_be_done_says_why(store: Store, arguments: tuple[str, ...], code: int, says: str) -> None:
    got, out, err = sv(*arguments)
    assert got == code
    assert says in out + err
