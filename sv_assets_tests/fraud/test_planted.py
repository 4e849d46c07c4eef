"""Fraud that was planted in estates nobody looked at before is found, and honest people who look like it are let be."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from sv_assets.customers.facts import refresh_facts
from sv_assets.customers.orders import ORDERS
from sv_assets.errors import ConfigurationError
from sv_assets.fraud.evaluate import Planted, Scored, quality, quality_of_store, read_truth
from sv_assets.fraud.model import refresh_model
from sv_assets.fraud.settings import load_settings
from sv_assets.identity.party import refresh_party_records
from sv_assets.local.generator.calendar import Calendar
from sv_assets.local.generator.fraud_truth import write_fraud_truth
from sv_assets.local.generator.legacy_schema import TABLES
from sv_assets.local.generator.rows import Batch, Ids
from sv_assets.local.generator.seed import generate
from sv_assets.mongo import Document, Store, in_batches
from sv_assets_tests.fraud.shop import after, run
from sv_assets_tests.retailer import Retailer

PEOPLE = 300
UNTIL = date(2026, 11, 20)
PATTERNS = {"account_takeover", "bust_out", "card_testing", "refund_abuse", "reshipping", "synthetic_identity"}


def generated(seed: int) -> Batch:
    return next(generate(PEOPLE, seed, Calendar(UNTIL), Ids()))


def rows(batch: Batch, table: str) -> Iterator[Document]:
    columns = [part.split()[0] for part in TABLES["sales"][table].replace("DECIMAL(19,4)", "DECIMAL").split(",")]
    for row in batch.rows["sales", table]:
        yield dict(zip(columns, row, strict=True))


def landed(store: Store, batch: Batch) -> None:
    """The sales system alone, each account and guest a customer of their own: identity has tests elsewhere."""
    shop = Retailer(store)
    for table in ("Account", "OrderHeader", "Payment", "Refund"):
        for some in in_batches(rows(batch, table)):
            shop.land(f"sales.{table.lower()}", *some)
    refresh_party_records(store, shop.catalogue)
    store.identity["party_records"].update_many({}, [{"$set": {"customer_id": {"$concat": ["C", "$_id"]}}}])
    refresh_facts(store, shop.catalogue, ORDERS)


@pytest.mark.parametrize("seed", [4_021, 77_003])
def test_planted_fraud_is_found_in_unseen_estates(store: Store, tmp_path: Path, seed: int) -> None:
    batch = generated(seed)
    landed(store, batch)
    run(store)
    model, _ = refresh_model(store, load_settings(), after())
    assert model is not None
    run(store)
    with (tmp_path / "truth.csv").open("w", encoding="utf-8") as file:
        write_fraud_truth(file, batch.planted, header=True)
    found = quality_of_store(store, read_truth(tmp_path / "truth.csv"), [10])
    assert set(found["patterns"]) == PATTERNS
    assert found["recall"] > 0.55
    assert found["precision"] > 0.6
    assert found["precision_at"]["10"] >= 0.8
    assert found["incidents_found"] >= found["incidents"] - 1
    honest = found["look_alikes"].values()
    assert sum(f["flagged"] for f in honest) <= 0.1 * sum(f["orders"] for f in honest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,2\n",
        "source,key,pattern,incident,fraud\nx,1,card_tes",
        "source,key,pattern,incident,fraud\nx,1,p,i,yes\n",
    ],
)
def test_a_file_that_is_no_truth_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "truth.csv"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match="cannot be read as a truth"):
        read_truth(file)


def test_quality_is_what_is_counted_by_hand() -> None:
    """Six orders, four fraud (one not scored), three flagged of which two are fraud."""
    scores = {
        f"s:{n}": Scored(after(minutes=10 * n), flagged, risk, rules)
        for n, (flagged, risk, rules) in enumerate(
            [
                (False, 20.5, ("a",)),
                (True, 60.0, ("a", "b")),
                (True, 90.0, ("b",)),
                (True, 55.0, ("a",)),
                (False, 0.1, ()),
            ]
        )
    }
    truth = {
        "s:0": Planted("ring", "R1", True), "s:1": Planted("ring", "R1", True), "s:2": Planted("ring", "R2", True),
        "s:9": Planted("bust", "B1", True), "s:3": Planted("office", "O1", False),
    }  # fmt: skip
    found = quality(scores, truth, [1, 3, 50])
    assert (found["orders"], found["fraud"], found["flagged"]) == (5, 4, 3)
    assert (found["precision"], found["recall"], found["false_positive_rate"]) == (0.6667, 0.5, 0.5)
    assert (found["incidents"], found["incidents_found"]) == (3, 2)
    assert found["precision_at"] == {"1": 1.0, "3": 0.6667, "50": 0.6}
    assert found["patterns"]["ring"]["minutes_to_flag"] == 5.0, "ten minutes in R1, none in R2"
    assert found["look_alikes"] == {"office": {"orders": 1, "flagged": 1}}
    assert found["rules"] == {"a": {"fired": 3, "precision": 0.6667}, "b": {"fired": 2, "precision": 1.0}}


def test_every_seed_plants_other_fraud_among_few_orders() -> None:
    one, other = generated(1), generated(2)
    for batch in (one, other):
        counted = Counter(planted.pattern for planted in batch.planted if planted.fraud)
        assert set(counted) == PATTERNS
        assert 0.005 < sum(counted.values()) / len(batch.rows["sales", "OrderHeader"]) < 0.035
        assert len({planted.key for planted in batch.planted}) == len(batch.planted)
    assert [p.key for p in one.planted] != [p.key for p in other.planted]
    assert one.planted == generated(1).planted
