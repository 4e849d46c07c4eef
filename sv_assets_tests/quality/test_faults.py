"""Each fault planted in a source is reported by the check it is for, and by no other."""

import datetime as dt
import sqlite3
from contextlib import closing

import pytest

from sv_assets.errors import ConfigurationError
from sv_assets.landing.land import land_table
from sv_assets.quality.landing import audit
from sv_assets.quality.subject import Subject
from sv_assets_tests.quality.conftest import CLOSING, Estate

TOUCHED = "2026-11-19 22:59:00.000"
MONTH_AGO = (CLOSING - dt.timedelta(days=30)).strftime("%Y-%m-%d")


def retype(estate: Estate, system: str, table: str, before: str, after: str) -> None:
    """SQLite cannot alter a column's type: the table is written anew."""
    with closing(sqlite3.connect(estate.folder / f"{system}.sqlite")) as database, database:
        (declared,) = database.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        database.execute(f'ALTER TABLE "{table}" RENAME TO Old')
        database.execute(declared.replace(before, after))
        database.execute(f'INSERT INTO "{table}" SELECT * FROM Old')
        database.execute("DROP TABLE Old")


def test_a_clean_estate_gives_no_alarm(estate: Estate) -> None:
    assert estate.failing() == set()
    for result in estate.results.values():
        assert any(c.isdigit() for c in result.sentence), result
        assert "\n" not in result.sentence
        assert result.figures, result
    assert estate.failing() == set()


@pytest.mark.parametrize(
    ("system", "table", "column"),
    [("sales", "Payment", "CardFingerprint"), ("sales", "Refund", "Reason"), ("contactcentre", "Call", "CallerName")],
)
def test_a_dropped_column_is_drift_and_the_rest_goes_on_landing(
    estate: Estate, system: str, table: str, column: str
) -> None:
    assert estate.failing(system) == set()
    estate.run(system, f'ALTER TABLE "{table}" DROP COLUMN {column}')
    estate.run(system, f"UPDATE \"{table}\" SET ModifiedAt = '{TOUCHED}' WHERE ModifiedAt >= '2026-11-01'")
    assert estate.failing(system) == {(table.lower(), "schema_as_declared")}
    assert f"{column} is no longer there" in estate.sentence(f"{system}/{table.lower()}", "schema_as_declared")
    touched = estate.store.landing[f"{system}.{table.lower()}"].find_one({"_sv.run_id": "run2"})
    assert touched is not None
    assert column not in touched
    assert estate.failing(system) == {(table.lower(), "schema_as_declared")}, "until somebody agrees"


def test_a_dropped_key_or_capture_column_fails_the_landing_in_one_sentence(estate: Estate) -> None:
    estate.land("sales")
    estate.run("sales", "DROP INDEX IX_Payment_ModifiedAt")
    estate.run("sales", "ALTER TABLE Payment DROP COLUMN ModifiedAt")
    source = estate.catalogue.source("sales.payment")
    with pytest.raises(ConfigurationError, match="no longer has the column ModifiedAt, by which it is read"):
        land_table(estate.store, estate.catalogue, source, "again")
    results = list(audit(Subject(estate.store, estate.catalogue, source, estate.now)))
    assert {"schema_as_declared", "source_keys_unique"} >= {r.check for r in results if not r.passed}


def test_added_and_retyped_columns_are_drift(estate: Estate) -> None:
    assert estate.failing("sales") == set()
    estate.run("sales", "ALTER TABLE Refund ADD COLUMN Batch INT")
    retype(estate, "sales", "Payment", "Method VARCHAR(20)", "Method NVARCHAR(60)")
    retype(estate, "sales", "OrderHeader", "GrandTotal DECIMAL(19,4)", "GrandTotal FLOAT")
    estate.run("sales", f"UPDATE Refund SET Batch = 7, ModifiedAt = '{TOUCHED}' WHERE RefundId % 3 = 0")
    estate.run("sales", f"UPDATE OrderHeader SET ModifiedAt = '{TOUCHED}' WHERE OrderId % 9 = 0")
    assert estate.failing("sales") == {(table, "schema_as_declared") for table in ("refund", "payment", "orderheader")}
    assert "Batch is new: int" in estate.sentence("sales/refund", "schema_as_declared")
    assert "Method was varchar(20) and is nvarchar(60)" in estate.sentence("sales/payment", "schema_as_declared")


def double(estate: Estate, table: str, columns: str, key: str, touch: str, where: str) -> int:
    return estate.run("sales", f"INSERT INTO {table} SELECT {key}, {columns}, {touch} FROM {table} WHERE {where}")


@pytest.mark.parametrize("touch", [f"'{TOUCHED}'", "ModifiedAt"])
def test_doubled_rows_are_told_from_equal_ones(estate: Estate, touch: str) -> None:
    assert estate.failing("sales") == set()
    key = "'f0000000-0000-4000-8000-' || substr('000000000000' || OrderId, -12)"
    columns = "OrderId, Method, CardFingerprint, Amount, Status, PaidAt"
    made = double(estate, "Payment", columns, key, touch, "Status = 'captured' AND Method <> 'gift_card' LIMIT 12")
    assert made > 5
    assert estate.failing("sales") == {("payment", "no_doubled_rows")}


def test_doubled_lines_of_orders_are_more_than_there_were(estate: Estate) -> None:
    assert estate.failing("sales") == set()
    columns = "Sku, Description, Quantity, UnitPrice, LineTotal"
    (highest,) = estate.rows("sales", "SELECT max(RowVer) FROM OrderLine")[0]
    estate.run(
        "sales", f"CREATE TABLE Copied AS SELECT OrderId, LineNumber + 40 AS N, {columns} FROM OrderLine LIMIT 15"
    )
    for n, row in enumerate(estate.rows("sales", "SELECT * FROM Copied"), start=1):
        version = (int.from_bytes(highest) + n).to_bytes(8)
        estate.run("sales", "INSERT INTO OrderLine VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *row, version)
    assert estate.failing("sales") == {("orderline", "no_doubled_rows")}


@pytest.mark.parametrize("table", ["Payment", "OrderLine"])
def test_a_stopped_feed_is_not_fresh(estate: Estate, table: str) -> None:
    assert estate.failing("sales") == set()
    moment = f"(SELECT OrderDate FROM OrderHeader h WHERE h.OrderId = {table}.OrderId)"
    assert estate.run("sales", f"DELETE FROM {table} WHERE {moment} >= '{MONTH_AGO}'") > 10
    assert estate.failing("sales") == {(table.lower(), "fresh")}


@pytest.mark.parametrize(
    ("table", "change", "where"),
    [
        ("OrderHeader", "CurrencyCode = 'EUR'", f"OrderDate >= '{MONTH_AGO}'"),
        ("OrderHeader", "CurrencyCode = 'EUR'", "OrderId % 4 = 0"),
        ("OrderHeader", "GrandTotal = GrandTotal * 100", f"OrderDate >= '{MONTH_AGO}'"),
        ("OrderHeader", "GrandTotal = round(GrandTotal * 1.2, 4)", f"OrderDate >= '{MONTH_AGO}'"),
        ("OrderHeader", "GrandTotal = round(GrandTotal * 1.2, 2)", "1"),
        ("Payment", "Amount = Amount * 100", f"PaidAt >= '{MONTH_AGO}'"),
    ],
)
def test_shifted_money_is_not_spread_as_before(estate: Estate, table: str, change: str, where: str) -> None:
    assert estate.failing("sales") == set()
    assert estate.run("sales", f"UPDATE {table} SET {change}, ModifiedAt = '{TOUCHED}' WHERE {where}") > 5
    assert estate.failing("sales") == {(table.lower(), "distribution_steady")}
    assert estate.failing("sales") == {(table.lower(), "distribution_steady")}, "until it is mended or agreed to"


def test_shifted_money_is_seen_at_the_first_look(estate: Estate) -> None:
    estate.run("sales", f"UPDATE OrderHeader SET CurrencyCode = 'EUR' WHERE OrderDate >= '{MONTH_AGO}'")
    assert estate.failing("sales") == {("orderheader", "distribution_steady")}


@pytest.mark.parametrize(
    ("system", "statement", "table", "column"),
    [
        ("sales", "UPDATE Payment SET Amount = Amount + 1 WHERE rowid_ % 50 = 3", "payment", "Amount"),
        ("sales", "UPDATE OrderLine SET Quantity = Quantity + 1 WHERE OrderId % 97 = 3", "orderline", "Quantity"),
        ("crm", "UPDATE Customer SET Email = 'x' || Email WHERE CustomerId % 30 = 1", "customer", "Email"),
    ],
)
def test_rows_edited_without_their_version_are_told_by_content(
    estate: Estate, system: str, statement: str, table: str, column: str
) -> None:
    assert estate.failing(system) == set()
    statement = statement.replace("rowid_ % 50 = 3", "OrderId % 50 = 3")
    edited = estate.run(system, statement)
    assert edited > 0
    assert estate.failing(system) == {(table, "content_matches_source")}
    result = estate.results[f"landing/{system}/{table}", "content_matches_source"]
    assert (result.figures["edited"], result.figures["columns"]) == (edited, column)


def test_rows_that_were_never_landed_are_missing(estate: Estate) -> None:
    assert estate.failing("sales") == set()
    estate.store.landing["sales.refund"].delete_many({"Reason": {"$ne": None}})
    assert estate.failing("sales") == {("refund", "row_count_matches_source")}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("please write to jane.roe@example.co.uk instead", "email"),
        ("ring back on 07700 900123 after six", "phone"),
        ("moved to 14 Acacia Road, Leeds LS6 2AB", "postcode"),
        ("NI number AB123456C on file", "national_insurance"),
        ("paid with 4111 1111 1111 1111", "card"),
        ("refund to GB29 NWBK 6016 1331 9268 19", "iban"),
    ],
)
def test_personal_data_in_free_text_is_told_without_its_value(estate: Estate, text: str, kind: str) -> None:
    assert estate.failing("sales") == set()
    assert estate.run("sales", f"UPDATE Refund SET Reason = ?, ModifiedAt = '{TOUCHED}' WHERE RefundId % 9 = 1", text)
    assert estate.failing("sales") == {("refund", "no_undeclared_personal_data")}
    result = estate.results["landing/sales/refund", "no_undeclared_personal_data"]
    assert f"Reason ({kind}" in result.sentence
    assert text not in str(result)


def test_personal_data_in_notes_that_are_declared_for_something_else_is_told(estate: Estate) -> None:
    assert estate.failing("contactcentre") == set()
    notes = "Notes = 'mail jane.roe@example.com'"
    estate.run("contactcentre", f"UPDATE Call SET {notes}, ModifiedAt = '{TOUCHED}' WHERE CallId % 9 = 1")
    assert estate.failing("contactcentre") == {("call", "no_undeclared_personal_data")}


def test_orphans_are_counted_once_they_cannot_be_on_their_way(estate: Estate) -> None:
    assert estate.failing("sales") == set()
    estate.run("sales", f"UPDATE Refund SET OrderId = 99, ModifiedAt = '{TOUCHED}' WHERE RefundId % 9 = 1")
    estate.land("sales")
    assert estate.failing("sales") == {("refund", "references_resolve")}


def test_a_thinned_day_is_told_by_volume_and_a_silent_one_is_left_to_freshness(estate: Estate) -> None:
    made = "2026-11-{0:02d} {1:02d}:{2:02d}:00.000"
    number = 9_000_000
    for weeks_back in range(9):
        day = dt.date(2026, 11, 18) - dt.timedelta(weeks=weeks_back)
        for n in range(60 if weeks_back else 6):
            number += 1
            at = f"{day} {8 + n % 10:02d}:{n % 60:02d}:{n % 50:02d}.000"
            row = (number, None, 19.99 + n, "Faulty", at, at)
            estate.run(
                "sales",
                "INSERT INTO Refund VALUES (?, (SELECT min(OrderId) FROM OrderHeader), ?, ?, ?, ?)",
                *row[:1],
                *row[2:],
            )
    estate.run(
        "sales",
        "INSERT INTO Refund VALUES (9900000, (SELECT min(OrderId) FROM OrderHeader), 5, 'Faulty', ?, ?)",
        TOUCHED,
        TOUCHED,
    )
    assert made
    failing = estate.failing("sales")
    assert failing == {("refund", "volume_as_usual")}, [
        estate.results[f"landing/sales/{t}", c].sentence for t, c in failing
    ]
