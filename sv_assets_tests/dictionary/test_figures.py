"""Figures of what has landed, and previews: bounded, and never what somebody's column says."""

from dataclasses import replace

from sv_assets.catalogue import load_catalogue
from sv_assets.dictionary.figures import figures_of
from sv_assets.dictionary.preview import landed_rows, open_columns, station_rows
from sv_assets.dictionary.site import Dictionary, pages
from sv_assets.landing.land import land_table
from sv_assets.mongo import Store
from sv_assets_tests.sources.shop import Shop


def test_figures_say_how_much_has_landed_and_how_full_columns_are(store: Store, shop: Shop) -> None:
    shop.table(
        "Item",
        "Id INT NOT NULL PRIMARY KEY, Mail NVARCHAR(40)",
        [(n, f"secret{n}@x.com" if n % 4 else None) for n in range(1, 9)],
    )
    source = shop.declare(rest=["pii: {Mail: contact}"])
    assert figures_of(store, shop.catalogue)[source.key].landed_at is None
    land_table(store, shop.catalogue, source, "run")
    found = figures_of(store, shop.catalogue)
    assert (found[source.key].rows, found[source.key].sampled) == (8, 8)
    assert found[source.key].null_share == {"Id": 0.0, "Mail": 0.25}
    site = pages(Dictionary(shop.catalogue, figures=found))
    assert "25.0%" in site["source/shop.item.html"]
    assert not any("secret" in text for text in site.values())


def test_keys_personal_columns_and_free_text_are_never_open() -> None:
    for source in load_catalogue().sources:
        key = {source.queue.key} if source.is_queue else {*source.table.key}
        assert not open_columns(source) & (key | set(source.entry.pii)), source.key
    assert open_columns(load_catalogue().source("sales.orderheader")) == {
        "OrderDate",
        "Status",
        "GrandTotal",
        "CurrencyCode",
        "Channel",
    }


def test_a_column_that_says_who_somebody_is_is_hidden_whatever_else_it_feeds(store: Store, shop: Shop) -> None:
    rest = [
        "feeds: {party: {name: {last: Name}, email: Status}, order: {number: Id, placed_at: Name, status: Status, channel: Weg, party: self}}"
    ]
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40), Status NVARCHAR(40), Weg NVARCHAR(40), Other NVARCHAR(40)",
               [(1, "Smith", "Jones", "web", "Baker"), (2, "Smith", "Jones", "12 High Street", "Baker"), (3, None, "", None, None)])  # fmt: skip
    source = shop.declare(rest=rest)
    land_table(store, shop.catalogue, source, "run")
    rows = sorted(landed_rows(store, source), key=lambda row: row["Weg"])
    assert [(row["Weg"], row["Name"], row["Status"]) for row in rows] == [
        ("", "", ""),
        ("***", "***", "***"),
        ("web", "***", "***"),
    ]
    assert not {"Smith", "Jones", "Baker"} & {value for row in rows for value in row.values()}


def test_a_path_inside_of_a_personal_one_is_personal() -> None:
    web = load_catalogue().source("web.web_account_events")
    closed = replace(web, entry=web.entry.model_copy(update={"pii": {"$.preferences": "sensitive"}}))
    assert any(path.startswith("$.preferences.") for path in open_columns(web))
    assert not any(path.startswith("$.preferences.") for path in open_columns(closed))


def test_customers_are_masked_and_unknown_stations_have_no_preview(store: Store) -> None:
    golden = {"value": {"first": "Zwentibold", "last": "Geheim"}, "rule": "only_value"}
    store.single_view["customers"].insert_one(
        {
            "_id": "C46ZB8F1YYS5B74GC",
            "name": golden,
            "email": {"value": "zwenti@geheim.example"},
            "phone": None,
            "orders": {"count": 3},
            "version": 1,
        }
    )
    (row,) = station_rows(store, "single_view/customers")
    assert row["orders"] == "3" and row["email"] == "z***@g***"
    assert not any(word in value for word in ("wentibold", "eheim", "46ZB8F1") for value in row.values())
    assert station_rows(store, "identity/links") == []
