"""Cases: they open, are decided, taken up again by new evidence and withdrawn; decisions teach; a kill at any write is mended."""

import datetime as dt
import os
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import MongoClient

from sv_assets.access import Actor
from sv_assets.errors import SvError
from sv_assets.fraud.cases import case_id
from sv_assets.fraud.metrics import figures, history, refresh_metrics
from sv_assets.fraud.review import decide, listed, refresh_cases, shown
from sv_assets.fraud.settings import FraudSettings, load_settings
from sv_assets.mongo import Document, Store
from sv_assets_tests.fraud.shop import (  # fmt: skip
    after,
    delete_order,
    everything,
    order,
    party,
    put_orders,
    put_parties,
    refund,
    run,
    signals,
    waiting,
)
from sv_assets_tests.killed import KILLED, KillAtWrite, in_a_process_of_its_own

ANALYST = Actor("fay", "fraud_analyst", "fraud_prevention", reason="T-1")
DROP = {"line_1": "7 Mill Lane", "postcode": "M1 1AA"}


def ring(store: Store, count: int = 5) -> None:
    """New names, one telephone, one device, one drop."""
    people = [party(f"p{n}", "Eve", f"Name{n}", phone="+447700900111", opened_at=after(days=-1)) for n in range(count)]
    put_parties(store, people)
    put_orders(
        store,
        [
            order(n, after(hours=n), party=f"p{n}", customer=f"C{n}", device="d", card=f"c{n}", to=DROP, billed={"line_1": f"{n} Far Road", "postcode": "B1 1BB"}, total=120)
            for n in range(count)
        ],
    )  # fmt: skip


def case(store: Store, number: int) -> Document:
    found = store.fraud["cases"].find_one({"_id": case_id(f"sales.orderheader:{number}")})
    assert found is not None
    return found


def test_a_case_says_why_and_what_it_is_linked_to_and_names_nobody(store: Store) -> None:
    ring(store)
    run(store)
    found = listed(store, actor=ANALYST)
    assert [c["risk"] for c in found] == sorted((c["risk"] for c in found), reverse=True)
    assert {c["order"] for c in found} >= {f"sales.orderheader:{n}" for n in (2, 3, 4)}
    told = shown(store, found[0]["_id"], actor=ANALYST)
    assert any("many names behind one telephone" in r["says"] for r in told["case"]["reasons"])
    assert {"phone", "device", "address"} <= set(told["linked"][0]["shares"])
    text = str([store.fraud[name].find_one({}) for name in ("facts", "signals", "scores", "cases", "events")])
    assert not any(word in text for word in ("Name", "Eve", "7700900111", "Mill Lane"))


def test_a_decision_holds_teaches_and_is_opened_again_by_new_evidence(store: Store) -> None:
    ring(store)
    run(store)
    decided = decide(store, [case(store, 4)["_id"]], "innocent", by="ann", why="a charity")
    assert [(c["state"], c["verdict"], c["decided_by"], c["why"]) for c in decided] == [
        ("decided", "innocent", "ann", "a charity")
    ]
    assert sum(r.written for r in run(store)[:3]) == 0
    # A chargeback on another order that shares the telephone is new evidence for this one.
    delayed = order(
        0,
        after(hours=0),
        party="p0",
        customer="C0",
        device="d",
        card="c0",
        to=DROP,
        refunds=[refund(after(hours=3), 50, "chargeback")],
    )
    put_orders(store, [delayed])
    run(store)
    assert case(store, 4)["state"] == "open"
    assert (case(store, 4)["reopened"], case(store, 4)["verdict"]) == (1, "innocent")
    (again,) = decide(store, [case(store, 4)["_id"]], "fraud", by="bob", why="charged back")
    assert (again["state"], again["verdict"]) == ("decided", "fraud")
    kinds = [e["kind"] for e in shown(store, again["_id"], actor=ANALYST)["events"]]
    assert kinds == ["opened", "decided", "reopened", "decided"]
    put_orders(store, [order(9, after(days=2), party="p4", customer="C4")])
    run(store)
    assert signals(store, 9)["shared_fraud_365d"] == 1
    assert "shares_with_fraud" in case(store, 9)["rules"]
    decide(store, [again["_id"]], "unclear", by="bob", why="not sure after all")
    run(store)
    assert signals(store, 9)["shared_fraud_365d"] == 0
    assert "shares_with_fraud" not in case(store, 9)["rules"]
    assert waiting(store) == 0


def test_other_settings_for_cases_take_up_what_they_would_have(store: Store) -> None:
    ring(store)
    run(store)
    decide(store, [case(store, 4)["_id"]], "innocent", by="ann", why="a charity")
    declared = load_settings().model_dump()
    sooner = FraudSettings.model_validate({**declared, "cases": {**declared["cases"], "reopen_points": 1}})
    store.fraud["events"].update_many({"kind": "decided"}, {"$inc": {"points": -2}})
    run(store)
    assert case(store, 4)["state"] == "decided"
    refresh_cases(store, sooner)
    assert case(store, 4)["state"] == "open"
    assert refresh_cases(store, sooner).read == 0


def test_nothing_is_decided_about_an_order_without_a_score(store: Store) -> None:
    ring(store)
    run(store)
    store.fraud["scores"].delete_one({"_id": "sales.orderheader:4"})
    with pytest.raises(SvError, match="sv fraud score --full"):
        decide(store, [case(store, 4)["_id"]], "fraud", by="ann", why="seen")


def test_an_order_that_is_gone_takes_its_open_case_with_it_but_not_a_decision(store: Store) -> None:
    ring(store)
    run(store)
    decide(store, [case(store, 3)["_id"]], "fraud", by="ann", why="seen")
    for number in (3, 4):
        delete_order(store, number)
    run(store)
    assert (case(store, 3)["state"], case(store, 4)["state"]) == ("decided", "withdrawn")
    ring(store)
    run(store)
    assert case(store, 4)["state"] == "open"
    assert waiting(store) == 0


def test_figures_follow_decisions_by_rule_and_day(store: Store) -> None:
    ring(store)
    run(store)
    open_cases = [c["_id"] for c in listed(store, actor=ANALYST)]
    decide(store, open_cases[:2], "fraud", by="ann", why="seen")
    decide(store, open_cases[2:3], "innocent", by="ann", why="a charity")
    refresh_metrics(store)
    (total,) = figures(store)
    assert (total["decided"], total["fraud"], total["innocent"]) == (3, 2, 1)
    assert (total["rejection_rate"], total["false_positive_rate"]) == (0.6667, 0.3333)
    assert total["lead_hours"] > 24
    assert any(figure["name"] == "many_names_on_device" for figure in figures(store, "rule"))
    today = f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d}"
    assert figures(store, "total", today)[0]["opened"] == len(open_cases)
    assert refresh_metrics(store).written == 0


def test_figures_are_those_that_are_counted_by_hand(store: Store) -> None:
    """Two days, two rules, two models; one case is open again, one withdrawn."""

    def put(number: int, day: int, state: str, verdict: str | None, risk: float, **more: Any) -> None:
        opened = after(days=day)
        decided = {"verdict": verdict, "decided_at": opened + dt.timedelta(hours=risk)} if verdict else {}
        one = {"state": state, "risk": risk, "opened_at": opened, "ordered_at": opened - dt.timedelta(hours=number), "opened_by": ["a"], "model": "m1", "reopened": 0}  # fmt: skip
        store.fraud["cases"].insert_one({"_id": f"F{number}", **one, **decided, **more})

    put(1, 0, "decided", "fraud", 90)
    put(2, 0, "decided", "innocent", 80, opened_by=["a", "b"])
    put(3, 0, "decided", "fraud", 70, opened_by=["b"], model="m2")
    put(4, 1, "decided", "unclear", 95, model="m2")
    put(5, 1, "open", "innocent", 60, reopened=1)
    put(6, 1, "withdrawn", None, 50, model=None)
    settings = load_settings().model_copy(update={"precision_at": [1, 2, 3, 4]})
    refresh_metrics(store, settings)
    (total,) = figures(store)
    assert {n: total[n] for n in ("opened", "open", "withdrawn", "reopened", "decided", "fraud", "innocent", "unclear")} == {
        "opened": 6, "open": 1, "withdrawn": 1, "reopened": 1, "decided": 4, "fraud": 2, "innocent": 1, "unclear": 1,
    }  # fmt: skip
    assert (total["rejection_rate"], total["false_positive_rate"]) == (0.5, 0.25)
    assert (total["lead_hours"], total["hours_to_decision"]) == (3.5, 85.0)
    assert total["precision_at"] == {"1": 1.0, "2": 0.5, "3": 0.6667, "4": None}
    by_rule = {f["name"]: (f["opened"], f["decided"], f["precision_at"]["2"]) for f in figures(store, "rule")}
    assert by_rule == {"a": (5, 3, 0.5), "b": (2, 2, 0.5)}
    by_model = {f["name"]: (f["opened"], f["rejection_rate"]) for f in figures(store, "model")}
    assert by_model == {"m1": (3, 0.5), "m2": (2, 0.5), "none": (1, None)}
    first, second = history(store)
    assert (first["opened"], second["opened"], first["lead_hours"]) == (3, 3, 2.0)


@pytest.mark.parametrize(("cases", "verdict", "by", "says"), [(["F0"], "fraud", "ann", "no case"), ([], "guilty", "ann", "verdict"), ([], "fraud", " ", "who decides")])  # fmt: skip
def test_a_decision_about_nothing_or_by_nobody_is_refused(
    store: Store, cases: list[str], verdict: str, by: str, says: str
) -> None:
    with pytest.raises(SvError, match=says):
        decide(store, cases, verdict, by=by, why="because")  # type: ignore[arg-type]


def changes(store: Store) -> None:
    """A late order, one that is gone, another telephone, and a decision, all at once."""
    put_orders(store, [order(7, after(minutes=90), party="p1", customer="C1", device="d", card="c0", to=DROP)])
    delete_order(store, 0)
    put_parties(store, [party("p2", "Eve", "Name2", phone="+447700900222", opened_at=after(days=-1))])
    put_orders(store, [order(2, after(hours=2), party="p2", customer="C2", device="d2", total=80)])


def test_killed_at_any_write_the_next_run_completes_the_work(store: Store) -> None:
    def prepared() -> None:
        for database in (store.fraud, store.single_view, store.identity):
            for name in database.list_collection_names():
                database[name].delete_many({})
        ring(store)
        run(store)
        changes(store)

    def act(target: Store) -> None:
        run(target)
        decide(target, [case_id("sales.orderheader:4")], "fraud", by="ann", why="seen")
        run(target)

    def in_process(listener: KillAtWrite | None) -> Callable[[], None]:
        def work() -> None:
            listeners = [listener] if listener else []
            opened = Store(MongoClient(store.url, event_listeners=listeners), store.prefix)
            act(opened)
            os._exit(0)

        return work

    prepared()
    assert in_a_process_of_its_own(in_process(None)) == 0
    expected = everything(store)
    number = 1
    while True:
        prepared()
        code = in_a_process_of_its_own(in_process(KillAtWrite(number)))
        if code == 0:
            break
        assert code == KILLED
        run(store)
        if case(store, 4)["state"] != "decided":
            decide(store, [case_id("sales.orderheader:4")], "fraud", by="ann", why="seen")
        run(store)
        found = everything(store)
        for one in found["cases"].values():
            one.pop("decided_at", None)
        for one in expected["cases"].values():
            one.pop("decided_at", None)
        assert found == expected, f"killed at write {number}"
        assert waiting(store) == 0
        number += 9
    assert number > 20
