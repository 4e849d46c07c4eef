"""Introspecting again: what a person wrote stays to the letter, facts are refreshed, what vanished is marked."""

import datetime as dt

import pytest

from sv_assets.catalogue.model import VanishedColumn
from sv_assets.errors import ConfigurationError
from sv_assets_tests.sources.introspect.conftest import Introspected
from sv_assets_tests.sources.introspect.samples import CHINOOK, NORTHWIND

TODAY = dt.datetime.now().astimezone().date()

BY_HAND = """\
# Kept by the shop's own people.
type: sv_assets.components.SqlServerSystem
attributes:
  system: shop
  connection: '{{ env.SHOP_SQLSERVER_URL }}'   # single quotes on purpose
  owners: [ "team:shop" ]
  tables:
    # Our customers.
    - name: dbo.Customer
      description: >
        One row
        a customer.
      key:   [CustomerId]
      capture: {mode: snapshot}   # for now
      pii: {
        FirstName: name,     # the first
        LastName: name }
      columns:
        CustomerId: int
        FirstName: NVARCHAR(40)   # as it is
        Nickname: nvarchar(20)
      rows: 7

    - {name: dbo.Track, key: [TrackId], capture: {mode: snapshot}}   # all in one line
  max_connections: 1   # stands after the tables
"""


def by_hand(shop: Introspected) -> None:
    shop.file.parent.mkdir(parents=True, exist_ok=True)
    shop.file.write_text(BY_HAND)


@pytest.mark.parametrize("database", [NORTHWIND, CHINOOK])
def test_running_again_leaves_the_file_as_it_was_to_the_last_byte(shop: Introspected, database: str) -> None:
    shop.script(database)
    shop.introspect()
    written, at = shop.file.read_bytes(), shop.file.stat().st_mtime_ns
    found = shop.introspect()
    assert not found["written"]
    assert (shop.file.read_bytes(), shop.file.stat().st_mtime_ns) == (written, at)


def test_every_line_that_a_person_wrote_is_still_there(shop: Introspected) -> None:
    by_hand(shop)
    shop.script(CHINOOK)
    shop.introspect()
    lines = shop.text.splitlines()
    changed = {  # retyped, vanished, counted, or the end of what was added to
        "        CustomerId: int",
        "        Nickname: nvarchar(20)",
        "      rows: 7",
        "        LastName: name }",
        "    - {name: dbo.Track, key: [TrackId], capture: {mode: snapshot}}   # all in one line",
    }
    missing = [line for line in BY_HAND.splitlines() if line not in lines and line not in changed]
    assert missing == []
    assert "        FirstName: NVARCHAR(40)   # as it is" in lines, "NVARCHAR(40) is nvarchar(40)"
    assert f"        Nickname: {{type: nvarchar(20), vanished: {TODAY}}}" in lines
    assert lines[-1] == "  max_connections: 1   # stands after the tables"
    assert shop.table("dbo.Customer").rows == 1
    assert shop.table("dbo.Track").columns["Bytes"] == "integer"
    assert shop.table("dbo.Customer").capture.mode == "snapshot"


def test_what_was_added_of_a_table_that_is_declared_is_facts_and_masks(shop: Introspected) -> None:
    by_hand(shop)
    shop.script(CHINOOK)
    shop.introspect()
    customer = shop.table("dbo.Customer")
    assert customer.feeds.party is None, "a feed that a person did not declare is not declared for them"
    assert customer.columns["CustomerId"] == "integer", "retyped"
    assert customer.columns["Email"] == "nvarchar(60)", "added"
    assert customer.pii["Email"] == "contact", "a new column is masked from the start"
    assert isinstance(customer.columns["Nickname"], VanishedColumn)
    assert [k.table for k in customer.foreign_keys] == ["dbo.Employee"]
    assert shop.table("dbo.Invoice").feeds.order is None, "its customers are not declared to be people"


@pytest.mark.parametrize(
    "last",
    [
        "      description: |\n        One row\n        a customer.\n",
        "      description: 'One row\n        a customer.'   # said twice\n",
        "      foreign_keys:\n      - {columns: [Id], table: dbo.B, key: [Id]}\n      # of old\n\n",
        "      pii:\n        Old: name\n",
        "      columns: {}",
        "      rows: 3",
    ],
)
@pytest.mark.parametrize("after", ["", "  max_connections: 1\n"])
def test_facts_are_added_below_whatever_stands_last(shop: Introspected, last: str, after: str) -> None:
    shop.catalogued.declare("    - name: dbo.A\n      key: [Id]\n      capture: {mode: snapshot}\n")
    shop.file.write_text(shop.text + last + ("\n" if after and not last.endswith("\n") else "") + after)
    entry = shop.table("dbo.A")
    shop.script(
        "CREATE TABLE A (Id INT NOT NULL PRIMARY KEY REFERENCES C, Old INT); CREATE TABLE C (Id INT NOT NULL PRIMARY KEY)"
    )
    shop.introspect()
    now = shop.table("dbo.A")
    assert (now.columns, now.rows, now.foreign_keys[-1].table) == ({"Id": "int", "Old": "int"}, 0, "dbo.C")
    facts = ("columns", "rows", "foreign_keys")
    assert now.model_dump(exclude=set(facts)) == entry.model_dump(exclude=set(facts))
    assert all(line in shop.text.splitlines() for line in after.splitlines())
    assert shop.introspect()["changes"] == []


def test_new_tables_are_appended_below_the_last_one(shop: Introspected) -> None:
    shop.script(CHINOOK)
    shop.introspect("--only", "Track")
    shop.introspect()
    names = [line.split("name: ")[1] for line in shop.text.splitlines() if line.startswith("    - name:")]
    assert names == ["dbo.Track", "dbo.Artist", "dbo.Customer", "dbo.Employee", "dbo.Invoice", "dbo.InvoiceLine"]
    assert [s.name for s in shop.catalogue.feeding("order")] == ["dbo.Invoice"]


def test_a_new_order_table_is_not_declared_beside_the_one_there_is(shop: Introspected) -> None:
    shop.script(CHINOOK)
    shop.introspect()
    shop.script(
        "CREATE TABLE Orders (OrderId INT NOT NULL PRIMARY KEY, CustomerId INT REFERENCES Customer, OrderDate DATETIME, Total MONEY)"
    )
    found = shop.introspect()
    assert [s.name for s in shop.catalogue.feeding("order")] == ["dbo.Invoice"]
    assert "the orders of this system stand in dbo.Invoice" in shop.text
    assert found["changes"] == ["dbo.Orders was added."]


def test_rows_and_columns_that_changed_are_said_and_written(shop: Introspected) -> None:
    shop.script(CHINOOK)
    shop.introspect()
    shop.script(
        "INSERT INTO Artist VALUES (9, 'AC'); ALTER TABLE Track ADD COLUMN Mobile VARCHAR(20);"
        "ALTER TABLE Track DROP COLUMN Bytes;"
    )
    found = shop.introspect()
    assert found["changes"] == [
        "dbo.Artist: it has 1 rows, and had 0.",
        "dbo.Track: Bytes is no longer there: marked as vanished.",
        "dbo.Track: Mobile was added.",
        "dbo.Track: Mobile is taken for personal data (contact).",
    ]
    assert shop.table("dbo.Track").columns["Bytes"] == VanishedColumn(type="integer", vanished=TODAY)
    assert shop.table("dbo.Track").pii == {"Mobile": "contact"}


def test_a_column_that_came_back_is_a_column_again(shop: Introspected) -> None:
    shop.script("CREATE TABLE A (Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(10))")
    shop.introspect()
    before = shop.text
    shop.script("ALTER TABLE A DROP COLUMN Name")
    shop.introspect()
    shop.script("ALTER TABLE A ADD COLUMN Name NVARCHAR(10)")
    shop.introspect()
    assert shop.text == before


@pytest.mark.parametrize("entry", ["block", "flow"])
def test_a_table_that_vanished_is_marked_and_loses_the_mark_when_it_is_back(shop: Introspected, entry: str) -> None:
    shop.script("CREATE TABLE A (Id INT NOT NULL PRIMARY KEY); CREATE TABLE B (Id INT NOT NULL PRIMARY KEY)")
    shop.introspect()
    if entry == "flow":
        text = "    - {name: dbo.B, key: [Id], capture: {mode: snapshot}, columns: {Id: int}, rows: 0}\n"
        shop.file.write_text(shop.text[: shop.text.index("    - name: dbo.B")] + text)
    before = shop.text
    shop.script("DROP TABLE B")
    found = shop.introspect()
    assert found["changes"] == ["dbo.B is no longer there: marked as vanished."]
    assert shop.table("dbo.B").vanished == TODAY
    assert not shop.introspect()["changes"]
    shop.script("CREATE TABLE B (Id INT NOT NULL PRIMARY KEY)")
    shop.introspect()
    assert shop.text == before


def test_tables_that_were_not_asked_for_are_not_touched(shop: Introspected) -> None:
    shop.script("CREATE TABLE A (Id INT NOT NULL PRIMARY KEY); CREATE TABLE B (Id INT NOT NULL PRIMARY KEY)")
    shop.introspect()
    before = shop.text
    shop.script("DROP TABLE B; INSERT INTO A VALUES (1)")
    shop.introspect("--exclude", "*")
    assert shop.text == before
    shop.introspect("--only", "A")
    assert shop.table("dbo.B").vanished is None
    assert shop.table("dbo.A").rows == 1


def test_another_database_than_the_declared_one_marks_nothing(shop: Introspected) -> None:
    shop.script("CREATE TABLE A (Id INT NOT NULL PRIMARY KEY)")
    shop.introspect()
    shop.script("DROP TABLE A; CREATE TABLE Elsewhere (Id INT NOT NULL PRIMARY KEY)")
    before = shop.text
    with pytest.raises(ConfigurationError, match="none of its 1 declared tables"):
        shop.introspect()
    assert shop.text == before


def test_windows_line_ends_stay(shop: Introspected) -> None:
    shop.script("CREATE TABLE A (Id INT NOT NULL PRIMARY KEY)")
    shop.introspect()
    shop.file.write_bytes(shop.file.read_bytes().replace(b"\n", b"\r\n"))
    shop.script("CREATE TABLE B (Id INT NOT NULL PRIMARY KEY); INSERT INTO A VALUES (1)")
    shop.introspect()
    assert shop.file.read_bytes().count(b"\n") == shop.file.read_bytes().count(b"\r\n") > 10
    assert shop.table("dbo.A").rows == 1


def test_tables_in_one_line_cannot_be_added_to(shop: Introspected) -> None:
    shop.script("CREATE TABLE A (Id INT NOT NULL PRIMARY KEY)")
    shop.introspect()
    text = shop.text[: shop.text.index("  tables:")]
    shop.file.write_text(text + "  tables: [{name: dbo.A, key: [Id], capture: {mode: snapshot}}]\n")
    with pytest.raises(ConfigurationError, match="in one line"):
        shop.introspect()


def test_a_second_system_in_the_file_is_left_alone(shop: Introspected) -> None:
    shop.script("CREATE TABLE A (Id INT NOT NULL PRIMARY KEY)")
    shop.introspect()
    other = shop.text.replace("system: shop", "system: other").replace("introspect shop", "introspect other")
    shop.file.write_text(f"{other}---\n{shop.text}")
    shop.script("CREATE TABLE B (Id INT NOT NULL PRIMARY KEY)")
    shop.introspect()
    assert shop.text.startswith(f"{other}---\n")
    assert [s.key for s in shop.catalogue.sources] == ["other.a", "shop.a", "shop.b"]
