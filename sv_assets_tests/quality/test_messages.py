"""What checks find in the messages of a queue, and what `sv checks` says of it."""

import datetime as dt
import json
from typing import Any

import pytest

from sv_assets.mongo import Document, Store
from sv_assets.quality.freshness import fresh
from sv_assets.quality.landing import audit
from sv_assets.quality.result import Result
from sv_assets.quality.results import record
from sv_assets.quality.subject import Subject
from sv_assets_tests.command_line import run_sv
from sv_assets_tests.retailer import Retailer

KEY = "delivery.delivery_events"
START = dt.datetime(2026, 11, 2, 8, tzinfo=dt.timezone.utc)


def event(number: int, **fields: Any) -> Document:
    """One delivery event, every two hours."""
    at = START + dt.timedelta(hours=2 * number, seconds=number % 60)
    return {
        "event_id": f"{number:08d}-0000-4000-8000-000000000000", "order_number": f"SO{number // 3:08d}", "parcel": f"P{number // 3}",
        "sequence": number % 3 + 1, "status": ("dispatched", "out_for_delivery", "delivered")[number % 3], "carrier": "Parcelwing",
        "delivery_reference": f"PA{number * 97 % 10_000_019:08d}", "occurred_at": f"{at:%Y-%m-%dT%H:%M:%S}.000Z", **fields,
    }  # fmt: skip


@pytest.fixture
def retailer(store: Store) -> Retailer:
    made = Retailer(store)
    made.land(
        "sales.orderheader", *({"OrderId": n, "OrderNumber": f"SO{n:08d}", "OrderDate": START} for n in range(80))
    )
    made.land(KEY, *(event(n) for n in range(160)))
    return made


def failing(retailer: Retailer, now: dt.datetime = START + dt.timedelta(days=14)) -> dict[str, Result]:
    subject = Subject(retailer.store, retailer.catalogue, retailer.catalogue.source(KEY), now)
    return {r.check: r for r in [fresh(subject), *audit(subject)] if not r.passed}


def test_messages_that_change_form_are_drift_until_somebody_agrees(retailer: Retailer) -> None:
    assert failing(retailer) == {}
    changed = [event(n, sequence=f"no {n}", weight=2.5) for n in range(160, 166)]
    for body in changed:
        del body["carrier"]
    retailer.land(KEY, *changed)
    found = failing(retailer)
    assert found.keys() == {"schema_as_declared"}
    assert "$.weight is new: number." in found["schema_as_declared"].sentence
    assert "$.sequence was number and is text." in found["schema_as_declared"].sentence
    assert run_sv("checks", "accept", KEY, "--json").returncode == 0
    assert failing(retailer) == {}


def test_a_message_sent_again_under_another_id_is_doubled(retailer: Retailer) -> None:
    assert failing(retailer) == {}
    retailer.land(KEY, *(event(n, event_id=f"{n + 900:08d}-0000-4000-8000-000000000000") for n in range(4)))
    assert failing(retailer).keys() == {"no_doubled_rows"}


def test_a_silent_queue_is_not_fresh_and_personal_data_in_it_is_told(retailer: Retailer) -> None:
    assert failing(retailer).keys() == set()
    assert failing(retailer, START + dt.timedelta(days=16)).keys() == {"fresh"}
    retailer.land(KEY, *(event(n, carrier="call 07700 900123") for n in range(160, 162)))
    assert "no_undeclared_personal_data" in failing(retailer)


def test_checks_are_listed_with_since_when_they_fail(store: Store) -> None:
    assert run_sv("checks").returncode == 1, "nothing was evaluated yet"
    both = [Result("fresh", "landing/a/b", True, "1 h."), Result("volume_as_usual", "landing/a/b", True, "9.")]
    record(store, both, "r1")
    record(store, [Result("fresh", "landing/a/b", False, "99 h.")], "r2")
    shown = run_sv("checks", "--failed")
    assert shown.returncode == 0
    assert "99 h." in shown.stdout
    assert "volume_as_usual" not in shown.stdout
    found = {state["check"]: state for state in json.loads(run_sv("checks", "--json").stdout)}
    assert found.keys() == {"fresh", "volume_as_usual"}
    assert found["fresh"]["failing_since"] == found["fresh"]["at"]
    assert found["fresh"]["trend"] == [True, False]
    results = run_sv("checks", "history", "landing/a/b", "fresh").stdout
    assert results.index("99 h.") < results.index("1 h.")
    assert run_sv("checks", "history", "landing/a/b", "nothing").returncode == 1
