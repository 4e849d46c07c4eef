"""A declaration that does not fit its database is one sentence with the system, the table and the next step."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sv_assets.errors import ConfigurationError
from sv_assets_tests.sources.shop import Shop

SECRET = "s3cr3t-w0rd"


def refused(shop: Shop, **declared: Any) -> str:
    source = shop.declare(**declared)
    with pytest.raises(ConfigurationError) as caught:
        shop.read(source)
    sentence = str(caught.value)
    assert sentence.startswith("system shop: ")
    assert SECRET not in sentence
    assert "\n" not in sentence
    return sentence


def a_table(shop: Shop, *rows: tuple[Any, ...]) -> None:
    shop.table("Item", "Id INT, Code NVARCHAR(9), ModifiedAt DATETIME2, RowVer ROWVERSION, Amount INT", rows)


def test_a_missing_table_gets_the_nearest_names(shop: Shop) -> None:
    a_table(shop)
    sentence = refused(shop, name="dbo.Items")
    assert "no table dbo.Items" in sentence
    assert "Did you mean Item?" in sentence


def test_a_missing_column_gets_the_nearest_names(shop: Shop) -> None:
    a_table(shop)
    assert "no column Modified. Did you mean ModifiedAt?" in refused(
        shop, capture="{mode: modified_at, column: Modified}"
    )
    assert "no column Kode. Did you mean Code?" in refused(shop, key="Kode")
    assert "no column Email" in refused(shop, rest=["feeds: {party: {email: Email}}"])
    assert "no column Nmae" in refused(shop, rest=["pii: {Nmae: name}"])


@pytest.mark.parametrize(
    ("declared", "allowed"),
    [
        ({"capture": "{mode: rowversion, column: Amount}"}, "rowversion"),
        ({"capture": "{mode: modified_at, column: Amount}"}, "datetime2"),
        ({"rest": ["partitions: {by: day, start: 2024-01-01, column: Code}"]}, "datetime2"),
    ],
)
def test_a_capture_column_of_the_wrong_type_is_refused(shop: Shop, declared: Any, allowed: str) -> None:
    a_table(shop)
    sentence = refused(shop, **declared)
    assert "cannot say what is new" in sentence
    assert allowed in sentence


def test_a_key_that_is_not_unique_is_refused(shop: Shop) -> None:
    a_table(shop, (1, SECRET, None, None, 1), (2, SECRET, None, None, 1))
    sentence = refused(shop, key="Code")
    assert "not unique" in sentence
    assert "dbo.Item" in sentence


def test_a_key_that_some_rows_lack_is_refused(shop: Shop) -> None:
    a_table(shop, (1, SECRET, None, None, 1), (None, "b", None, None, 1))
    assert "1 rows of dbo.Item have no value in the key (Id)" in refused(shop)


def test_a_key_without_an_index_is_taken_where_the_rows_prove_it(shop: Shop) -> None:
    a_table(shop, (1, "a", None, None, 1), (2, "a", None, None, 1))
    records, _ = shop.read(shop.declare(key="Code, Id"))
    assert len(records) == 2


@pytest.mark.parametrize("name", ["_id", "_sv", "a.b", "$price"])
def test_a_column_whose_name_landing_needs_is_refused(shop: Shop, name: str) -> None:
    shop.table("Item", f'Id INT NOT NULL PRIMARY KEY, "{name}" INT')
    assert f"a column {name}," in refused(shop)


def test_a_missing_file_is_refused(shop: Shop) -> None:
    shop.catalogued.database.unlink()
    assert "no SQLite file" in refused(shop)


def test_a_file_that_is_no_database_is_refused(shop: Shop) -> None:
    shop.catalogued.database.write_text("hello" * 1000)
    assert "database refuses" in refused(shop)


def test_an_unset_variable_says_which_and_how_to_set_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SHOP_SQLSERVER_URL")
    monkeypatch.setenv("SV_LOCAL_DIR", str(tmp_path))
    assert "SHOP_SQLSERVER_URL is not set" in refused(shop)


@pytest.mark.parametrize(
    "url",
    [f"what is {SECRET}", f"oracle2://u:{SECRET}@h/db", f"mssql+pyodbc://u:{SECRET}@host:port/db", "://", f"{SECRET}"],
)
def test_a_url_that_is_none_is_refused_without_its_secrets(
    shop: Shop, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_SQLSERVER_URL", url)
    assert "not a database URL we know" in refused(shop)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../etc/passwd", "''"])
def test_a_time_zone_that_is_none_is_refused(shop: Shop, zone: str) -> None:
    a_table(shop)
    source = shop.declare()
    path = Path(shop.catalogued.directory / "shop" / "defs.yaml")
    path.write_text(path.read_text().replace("  tables:", f"  time_zone: {zone}\n  tables:"))
    with pytest.raises(ConfigurationError, match="not a time zone"):
        shop.read(shop.catalogue.source(source.key))


def test_nothing_we_do_can_write_to_a_legacy_database(shop: Shop) -> None:
    a_table(shop, (1, "a", None, None, 1))
    before = shop.catalogued.database.read_bytes()
    shop.read(shop.declare())
    database, _ = shop.open(shop.declare())
    with pytest.raises(ConfigurationError, match="readonly"), database.connect() as connection:
        connection.exec_driver_sql("DELETE FROM Item")
    database.close()
    assert shop.catalogued.database.read_bytes() == before


@pytest.mark.parametrize("folder", ["my shop", "50%20", "a#b", "what?"])
def test_a_path_may_hold_any_character(
    shop: Shop, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_table(shop, (1, "a", None, None, 1))
    moved = tmp_path / folder / "shop.sqlite"
    moved.parent.mkdir()
    shop.catalogued.database.rename(moved)
    monkeypatch.setenv("SHOP_SQLSERVER_URL", f"sqlite:///{quote(str(moved))}")
    assert len(shop.read(shop.declare())[0]) == 1


def test_text_that_is_not_utf_8_stops_neither_the_table_nor_leaves_its_value_in_an_error(shop: Shop) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(9)")
    shop.run("INSERT INTO Item VALUES (1, CAST(X'4a6f73e9' AS TEXT)), (2, 'fine')")
    records, _ = shop.read(shop.declare())
    assert [record.key for record in records] == [1, 2]
