"""What follows from the model of the customer document: its reference page, its validator, and its lineage."""

from sv_assets.catalogue.source import Source
from sv_assets.customers import lineage
from sv_assets.customers.model import Customer
from sv_assets.customers.schema import columns, reference_page, validator
from sv_assets.settings import PROJECT_ROOT
from sv_assets_tests.retailer import catalogue


def test_the_page_of_the_customer_document_is_the_model() -> None:
    page = (PROJECT_ROOT / "docs" / "customer.md").read_text()
    assert page.endswith(reference_page()), "render it again: sv_assets.customers.schema.reference_page()"


def test_every_field_of_the_document_is_described() -> None:
    undescribed = [c.path for c in columns() if "." not in c.path and not c.description]
    assert undescribed == []
    assert {c.path for c in columns() if "." not in c.path} == {
        info.alias or name for name, info in Customer.model_fields.items()
    }


def test_the_validator_asks_for_types_however_deep_and_allows_more_fields() -> None:
    schema = validator()["$jsonSchema"]
    assert schema["properties"]["orders"]["properties"]["totals"]["items"]["properties"]["spend"] == {
        "bsonType": "decimal"
    }
    assert schema["properties"]["name"]["bsonType"] == ["object", "null"]
    assert "additionalProperties" not in schema


def test_every_field_of_a_customer_can_be_followed_to_legacy_columns() -> None:
    traced = {field: set(found) for field, found in lineage.legacy_columns(catalogue()).items()}
    assert traced["email"] >= {
        "crm.customer.Email",
        "sales.account.EmailAddress",
        "web.web_account_events.$.account.email",
    }
    assert "contactcentre.complaint.ClosedAt" in traced["open_issues"]
    assert "sales.orderheader.GrandTotal" in traced["orders"]
    assert "crm.contactpreference.OptedIn" in traced["consents"]
    assert all(traced.values())
    assert "crm.customeraddress.Postcode" in traced["household"]
    composed = set(Customer.model_fields) - {
        "id",
        "schema_version",
        "version",
        "composed_at",
        "enrichments",
        "left_out",
        "rights",
    }
    assert composed - traced.keys() - {"large"} == {"accounts", "sources"}, "these are made of keys, not of columns"


def test_every_column_of_the_lineage_is_declared() -> None:
    made = (lineage.of_party_records, lineage.of_orders, lineage.of_interactions, lineage.of_consents)
    for upstreams in (found for of in made for found in of(catalogue()).values()):
        for node, column in upstreams:
            assert isinstance(node, Source)
            assert column in node.paths_used()
