"""Fraud that was planted in estates nobody looked at before is found, and honest people who look like it are let be."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from sv_assets.customers.facts import refresh_facts
from sv_assets.customers.orders import ORDERS
from sv_assets.fraud.evaluate import quality_of_store, read_truth
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


def test_every_seed_plants_other_fraud_among_few_orders() -> None:
    one, other = generated(1), generated(2)
    for batch in (one, other):
        counted = Counter(planted.pattern for planted in batch.planted if planted.fraud)
        assert set(counted) == PATTERNS
        assert 0.005 < sum(counted.values()) / len(batch.rows["sales", "OrderHeader"]) < 0.035
        assert len({planted.key for planted in batch.planted}) == len(batch.planted)
    assert [p.key for p in one.planted] != [p.key for p in other.planted]
    assert one.planted == generated(1).planted
