"""Which column becomes what: forward, back, and by whatever words a person has for it."""

import pytest

from sv_assets.catalogue import Catalogue, load_catalogue
from sv_assets.customers.lineage import CUSTOMERS
from sv_assets.dictionary import AssetSaid, Field, LineageGraph, lineage_graph
from sv_assets.errors import SvError
from sv_assets_tests.sources.shop import Shop

LOOKUP = AssetSaid(
    "contact_centre/lookup", columns={"mail": ((CUSTOMERS, "emails[].value"), ("landing/crm/customer", "Email"))}
)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="module")
def graph(catalogue: Catalogue) -> LineageGraph:
    return lineage_graph(catalogue, [LOOKUP])


def test_a_legacy_column_is_followed_to_customer_fields_and_on_to_who_reads_them(graph: LineageGraph) -> None:
    (email,) = graph.find("crm.customer.Email")
    reached = [str(field) for field in graph.downstream(email)]
    assert {"identity/party_records.emails", "single_view/customers.emails", "contact_centre/lookup.mail"} <= set(
        reached
    )


def test_a_customer_field_is_followed_back_to_every_legacy_column(graph: LineageGraph, catalogue: Catalogue) -> None:
    declared = {
        f"{s.key}.{c}"
        for s in catalogue.feeding("party")
        for c in (s.entry.feeds.party.email if s.entry.feeds.party else [])
    }
    assert {str(field) for field in graph.legacy_columns(Field(CUSTOMERS, "emails"))} == declared
    (mail,) = graph.find("contact_centre/lookup.mail")
    assert {str(field) for field in graph.legacy_columns(mail)} == declared


def test_every_edge_is_there_both_ways(graph: LineageGraph) -> None:
    for field in graph.made_from:
        for made in graph.downstream(field):
            assert field in graph.upstream(made), (field, made)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("emails", "single_view/customers.emails"),
        ("emails[].value", "single_view/customers.emails"),
        ("CRM.Customer.EMAIL", "crm.customer.Email"),
        ("sales.orderheader", "sales.orderheader.AccountId"),
        ("single_view/orders:total", "single_view/orders.total"),
        ("GuestEmail", "sales.orderheader.GuestEmail"),
        ("web.web_account_events.$.account.email", "web.web_account_events.$.account.email"),
    ],
)
def test_fields_are_found_by_the_words_people_have(graph: LineageGraph, words: str, first: str) -> None:
    assert str(graph.find(words)[0]) == first


def test_an_unknown_field_is_answered_with_the_nearest_ones(graph: LineageGraph) -> None:
    with pytest.raises(SvError, match="Did you mean emails"):
        graph.find("emials")


def test_fields_are_followed_whatever_tables_are_declared(shop: Shop) -> None:
    shop.declare(
        "dbo.Mitglied",
        "Nr",
        "{mode: snapshot}",
        ["feeds: {party: {name: {last: Name}, email: [Mail1, Mail2], ids: {card: Karte}}}"],
    )
    graph = lineage_graph(shop.catalogue)
    assert [f.name for f in graph.legacy_columns(Field(CUSTOMERS, "emails"))] == ["Mail1", "Mail2"]
    assert [f.name for f in graph.legacy_columns(Field(CUSTOMERS, "accounts"))] == ["Nr"]
    assert "identity/party_records.ids.card" in [str(f) for f in graph.downstream(Field("shop.mitglied", "Karte"))]
