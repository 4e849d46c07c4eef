"""What a person sees of every asset: what it is and whose, where its columns come from, its last runs, and a few rows that
tell nothing of anybody."""

import re
from typing import Any

import dagster as dg
import pytest
from dagster._serdes import serialize_value

from sv_assets import run_figures
from sv_assets.catalogue import load_catalogue
from sv_assets.components.described import described_assets
from sv_assets.components.landing_assets import landing_asset
from sv_assets.components.lineage import COLUMN_SCHEMA, MADE_FROM, reads
from sv_assets.components.run_history import LAG
from sv_assets.dictionary import lineage_graph
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Store
from sv_assets.resources import MongoResource
from sv_assets_tests.components.conftest import QUIET, text_of
from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.sources.shop import Shop

PEOPLE = "Id INT PRIMARY KEY, Vorname TEXT, Mail TEXT, Geburt DATE, Bemerkung TEXT, Stand TEXT, Summe DECIMAL(9,2), Am DATETIME2(3)"
DECLARED = [
    "pii: {Mail: contact, Vorname: name, Geburt: sensitive}",
    "feeds:",
    "  party: {name: {first: Vorname}, email: Mail, date_of_birth: Geburt}",
    "  order: {number: Id, placed_at: Am, status: Stand, total: Summe, party: self}",
]


def person(number: int, amount: Any = 1.5) -> tuple[Any, ...]:
    return (
        number, f"Zwentibold{number}", f"zwenti{number}@geheim.example", "1961-04-17", f"rang at 0770{number}900", "paid", amount,
        "2026-11-24 10:00:00",
    )  # fmt: skip


SECRETS = ("Zwentibold", "geheim", "zwenti", "1961", "0770", "Bemerkung0")


@pytest.fixture
def shop(catalogued: Catalogued) -> Shop:
    return Shop(catalogued)


def test_every_asset_says_which_table_it_is_and_what_its_columns_are(definitions: dg.Definitions) -> None:
    for node in definitions.resolve_asset_graph().asset_nodes:
        assert node.description and node.owners and node.kinds and node.group_name != "default", node.key
        metadata = node.metadata
        assert "dagster/uri" in metadata and "dagster/table_name" in metadata, node.key
        if node.key.path[-1] in ("deletes", "dead_letters", "rebuild"):
            continue
        schema = metadata[COLUMN_SCHEMA]
        assert isinstance(schema, dg.TableSchema)
        assert schema.columns and all(c.description for c in schema.columns if "." not in c.name), node.key


def test_lineage_of_columns_stands_in_the_definitions(definitions: dg.Definitions) -> None:
    said = {asset.key: asset for asset in described_assets(definitions)}
    assert ("legacy/crm/customer", "Email") in said["landing/crm/customer"].columns["Email"]
    assert ("landing/crm/customer", "Email") in said["identity/party_records"].columns["emails"]
    assert ("identity/party_records", "emails") in said["single_view/customers"].columns["emails"]
    graph = definitions.resolve_asset_graph()
    links = graph.get(dg.AssetKey(["single_view", "customers"])).metadata[MADE_FROM].value
    assert "[crm.customer.Email](/assets/legacy/crm/customer?view=overview)" in links
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    for node in graph.asset_nodes:
        for name in (MADE_FROM, "dictionary"):
            if name in node.metadata:
                linked = re.findall(r"\(/assets/([^?)]+)", node.metadata[name].value)
                assert linked and set(linked) <= keys, node.key


def test_pages_say_what_a_source_is_and_what_its_columns_become(definitions: dg.Definitions) -> None:
    for stage in ("legacy", "landing"):
        page = (
            definitions.resolve_asset_graph().get(dg.AssetKey([stage, "crm", "customer"])).metadata["dictionary"].value
        )
        assert "rowversion: rows whose RowVer lies above the bookmark" in page
        assert "[emails](/assets/single_view/customers" in page


def test_a_consumer_that_says_what_it_reads_is_found_from_the_legacy_column() -> None:
    metadata = reads("contact_centre/lookup", {"mail": ["emails[].value"], "spent": ["single_view/orders.total"]})
    assert "crm.customer.Email" in metadata[MADE_FROM].value
    lookup = dg.AssetSpec(["contact_centre", "lookup"], metadata=metadata)
    said = described_assets(dg.Definitions(assets=[lookup]))
    graph = lineage_graph(load_catalogue(), said)
    (email,) = graph.find("crm.customer.Email")
    assert "contact_centre/lookup.mail" in [str(field) for field in graph.downstream(email)]
    with pytest.raises(
        ConfigurationError, match=r"contact_centre/lookup, x: there is no field nonsense in single_view/customers"
    ):
        reads("contact_centre/lookup", {"x": ["nonsense"]})


def test_runs_show_figures_and_masked_rows_and_nothing_of_anybody(store: Store, shop: Shop) -> None:
    shop.table("Person", PEOPLE, [person(n) for n in range(1, 8)] + [person(8, "cheap Zwentibold")])
    source = shop.declare("dbo.Person", "Id", "{mode: modified_at, column: Am}", DECLARED)
    for _ in range(2):
        result = dg.materialize([landing_asset(source)], resources={"mongo": MongoResource()}, run_config=QUIET)
        assert result.success
    (event,) = result.asset_materializations_for_node("landing__shop__person")
    rows = [record.data for record in event.metadata["preview"].value.records]
    assert len(rows) == 5
    assert {row["Stand"] for row in rows} == {"paid"}
    assert all(
        row[name] == "***" for row in rows for name in ("Id", "Vorname", "Mail", "Geburt", "Bemerkung") if name in row
    )
    assert event.metadata[LAG].value > 0
    runs = run_figures.latest(store, "landing/shop/person")
    assert [run.figures["read"] for run in runs] == [8, 8]
    check = next(e for e in result.get_asset_check_evaluations() if e.check_name == "quarantine_empty")
    assert not check.passed
    assert [r.data["key"] for r in check.metadata["newest"].value.records] == ["***"]
    assert "sv quarantine retry shop.person" in check.metadata["next"].value
    shown = "".join(text_of(e) for e in result.all_events)
    assert [secret for secret in SECRETS if secret in shown] == []
    assert len(serialize_value(event.metadata["preview"])) < 20_000
