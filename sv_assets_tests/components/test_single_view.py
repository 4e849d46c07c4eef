"""The assets of the single view as Dagster runs them: what they show, their checks, and a rebuild by buckets."""

import dagster as dg
import pytest

from sv_assets.components.lineage import COLUMN_LINEAGE
from sv_assets.customers.enrichments import enrich
from sv_assets.customers.queries import INDEXES
from sv_assets.defs.customers import assets, checks
from sv_assets.mongo import Store
from sv_assets.resources import MongoResource
from sv_assets_tests.retailer import Retailer, day

PEOPLE = [
    ("Ann", "Archer"), ("Bob", "Quirk"), ("Carol", "Dunn"), ("David", "Lowe"), ("Edith", "Marsh"), ("Frank", "Osei"),
    ("Grace", "Pratt"), ("Henry", "Upton"), ("Irene", "Vance"), ("Jack", "Whyte"),
]  # fmt: skip
CHECKS = [
    checks.one_document_per_customer,
    checks.no_customer_is_in_quarantine,
    checks.documents_are_small,
    checks.queries_use_indexes,
]


@pytest.fixture
def shop(store: Store) -> Retailer:
    shop = Retailer(store)
    for number, (first, last) in enumerate(PEOPLE):
        shop.customer(number, first, last, Email=f"{last}@x.com", ModifiedAt=day(1))
    shop.run()
    return shop


def run(
    *definitions: dg.AssetsDefinition | dg.AssetChecksDefinition, only: dg.AssetSelection | None = None, **tags: str
) -> dg.ExecuteInProcessResult:
    resources = {"mongo": MongoResource()}
    return dg.materialize(list(definitions), resources=resources, selection=only, tags=tags, raise_on_error=False)


def failed_checks(result: dg.ExecuteInProcessResult) -> dict[str, str | None]:
    return {e.check_name: e.description for e in result.get_asset_check_evaluations() if not e.passed}


def test_customers_show_what_was_done_and_where_their_columns_come_from(shop: Retailer) -> None:
    shop.customer(0, "Ann", "Zimmer", Email="Archer@x.com", ModifiedAt=day(2))
    shop.identify()
    result = run(assets.customers, *CHECKS)
    assert result.success
    assert failed_checks(result) == {}
    metadata = result.asset_materializations_for_node("single_view__customers")[0].metadata
    assert (metadata["documents_read"].value, metadata["updated"].value) == (1, 1)
    assert metadata["dagster/row_count"].value == len(PEOPLE)
    lineage = metadata[COLUMN_LINEAGE].value
    assert dg.TableColumnDep(dg.AssetKey(["identity", "party_records"]), "emails") in lineage.deps_by_column["email"]
    schema = assets.customers.metadata_by_key[assets.CUSTOMERS]["dagster/column_schema"]
    assert lineage.deps_by_column.keys() < {column.name for column in schema.columns}


def test_all_buckets_rebuild_the_view_and_keep_what_others_added(shop: Retailer) -> None:
    customers = shop.store.single_view["customers"]
    before = shop.customers()
    kept, *lost = sorted(before)
    enrich(shop.store, "segment", "marketing/segments", {kept: "gold"})
    customers.delete_many({"_id": {"$in": lost}})
    span = {"dagster/asset_partition_range_start": "00", "dagster/asset_partition_range_end": "63"}
    result = run(assets.rebuild, **span)
    assert result.success
    (shown, *_) = result.asset_materializations_for_node("single_view__customers__rebuild")
    assert (shown.metadata["inserted"].value, shown.metadata["updated"].value) == (len(PEOPLE) - 1, 0)
    assert shop.customers().keys() == before.keys()
    assert shop.customers()[kept]["enrichments"]["segment"]["value"] == "gold"


def test_each_check_finds_its_fault(shop: Retailer) -> None:
    customers = shop.store.single_view["customers"]
    customers.drop_indexes()
    large, lost, *_ = shop.customers()
    customers.update_one({"_id": large}, {"$set": {"large": 700_000}})
    customers.delete_one({"_id": lost})
    found = failed_checks(run(assets.customers, *CHECKS, only=dg.AssetSelection.checks(*CHECKS)))
    assert "scans the collection" in str(found["queries_use_indexes"])
    assert "9 customer documents for 10" in str(found["one_document_per_customer"])
    assert found.keys() == {"queries_use_indexes", "documents_are_small", "one_document_per_customer"}
    customers.create_indexes(INDEXES["customers"])
