"""Each fault planted in a source is reported by the check it is for, and by no other."""

import datetime as dt
import random
import sqlite3
import threading
from contextlib import closing

import pytest

from sv_assets.errors import ConfigurationError
from sv_assets.landing.land import land_table
from sv_assets.landing.shapes import agree
from sv_assets.quality.landing import audit
from sv_assets.quality.subject import Subject
from sv_assets_tests.quality.conftest import CLOSING, Estate

TOUCHED = "2026-11-19 22:59:00.000"
MONTH_AGO = (CLOSING - dt.timedelta(days=30)).strftime("%Y-%m-%d")
REFUND = "RefundId, OrderId, Amount, Reason, RefundedAt, ModifiedAt"
SALES = ("sales.account", "sales.orderheader", "sales.payment", "sales.refund")


def retype(estate: Estate, table: str, before: str, after: str) -> None:
    """SQLite cannot alter a column's type: the table is written anew."""
    with closing(sqlite3.connect(estate.folder / "sales.sqlite")) as database, database:
        (declared,) = database.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        database.execute(f'ALTER TABLE "{table}" RENAME TO Old')
        database.execute(declared.replace(before, after))
        database.execute(f'INSERT INTO "{table}" SELECT * FROM Old')
        database.execute("DROP TABLE Old")


def test_a_clean_estate_gives_no_alarm_and_each_check_explains_itself(estate: Estate) -> None:
    assert estate.failing() == set()
    for result in estate.results.values():
        assert any(c.isdigit() for c in result.sentence), result
        assert "\n" not in result.sentence
        assert result.figures, result
    assert estate.failing("sales") == set()


def test_dropped_added_and_retyped_columns_are_drift_and_the_rest_goes_on_landing(estate: Estate) -> None:
    estate.run("sales", "ALTER TABLE Payment ADD COLUMN Terminal INT")
    assert estate.failing(*SALES) == set()
    estate.run("sales", "ALTER TABLE Payment DROP COLUMN Terminal")
    estate.run("sales", "ALTER TABLE Refund DROP COLUMN Reason")  # which a feed names
    estate.run("sales", "ALTER TABLE Account ADD COLUMN Batch INT")
    retype(estate, "OrderHeader", "GrandTotal DECIMAL(19,4)", "GrandTotal FLOAT")
    for table in ("Payment", "Refund", "OrderHeader", "Account"):
        estate.run("sales", f"UPDATE {table} SET ModifiedAt = '{TOUCHED}' WHERE ModifiedAt >= '2026-10-01'")
    drift = {(name.removeprefix("sales."), "schema_as_declared") for name in SALES}
    assert estate.failing(*SALES) == drift
    assert "Terminal is no longer there" in estate.sentence("sales/payment", "schema_as_declared")
    assert "Reason is no longer there" in estate.sentence("sales/refund", "schema_as_declared")
    assert "Batch is new: int" in estate.sentence("sales/account", "schema_as_declared")
    assert "GrandTotal was decimal(19,4) and is float" in estate.sentence("sales/orderheader", "schema_as_declared")
    touched = estate.store.landing["sales.payment"].find_one({"_sv.run_id": "run2"})
    assert touched is not None
    assert "Terminal" not in touched
    assert agree(estate.store, estate.catalogue.source("sales.payment")) == ["Terminal"]
    assert estate.failing(*SALES) == drift - {("payment", "schema_as_declared")}


def test_a_dropped_key_or_capture_column_fails_the_landing_in_one_sentence(estate: Estate) -> None:
    source = estate.catalogue.source("sales.payment")
    land_table(estate.store, estate.catalogue, source, "before")
    estate.run("sales", "DROP INDEX IX_Payment_ModifiedAt")
    estate.run("sales", "ALTER TABLE Payment DROP COLUMN ModifiedAt")
    with pytest.raises(ConfigurationError, match="no longer has the column ModifiedAt, by which it is read"):
        land_table(estate.store, estate.catalogue, source, "again")
    results = {r.check: r for r in audit(Subject(estate.store, estate.catalogue, source, estate.now))}
    assert not results["schema_as_declared"].passed
    assert results["content_matches_source"].sentence.startswith("Not looked at")


def test_doubled_rows_are_told_from_equal_ones(estate: Estate) -> None:
    assert estate.failing("sales") == set()
    columns = "OrderId, Method, CardFingerprint, Amount, Status, PaidAt"
    key = "'f0000000-0000-4000-8000-' || substr('000000000000' || OrderId, -12)"
    which = "Status = 'captured' AND Method <> 'gift_card' LIMIT 12"
    estate.run("sales", f"INSERT INTO Payment SELECT {key}, {columns}, '{TOUCHED}' FROM Payment WHERE {which}")
    columns = "OrderId, Amount, Reason, RefundedAt, ModifiedAt, Kind"  # copied whole: no capture sees them
    estate.run(
        "sales",
        f"INSERT INTO Refund ({REFUND}, Kind) SELECT RefundId + 1000000, {columns} FROM Refund WHERE ModifiedAt < '2026-10-01' LIMIT 5",
    )
    (highest,) = estate.rows("sales", "SELECT max(RowVer) FROM OrderLine")[0]
    columns = "OrderId, LineNumber + 40, Sku, Description, Quantity, UnitPrice, LineTotal"
    for n, row in enumerate(estate.rows("sales", f"SELECT {columns} FROM OrderLine LIMIT 15"), start=1):
        version = (int.from_bytes(highest) + n).to_bytes(8)
        estate.run("sales", "INSERT INTO OrderLine VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *row, version)
    assert estate.failing("sales") == {(table, "no_doubled_rows") for table in ("payment", "refund", "orderline")}
    assert estate.results["landing/sales/payment", "no_doubled_rows"].figures["doubled"] == 12
    assert estate.results["landing/sales/refund", "no_doubled_rows"].figures["not_landed"] == 5


def test_a_stopped_feed_is_not_fresh(estate: Estate) -> None:
    assert estate.failing("sales.payment", "sales.orderline") == set()
    for table in ("Payment", "OrderLine"):
        moment = f"(SELECT OrderDate FROM OrderHeader h WHERE h.OrderId = {table}.OrderId)"
        assert estate.run("sales", f"DELETE FROM {table} WHERE {moment} >= '{MONTH_AGO}'") > 10
    assert estate.failing("sales") == {("payment", "fresh"), ("orderline", "fresh")}


@pytest.mark.parametrize(
    ("orders", "payments"),
    [
        (
            f"CurrencyCode = 'EUR' WHERE OrderDate >= '{MONTH_AGO}'",
            f"Amount = round(Amount * 100, 2) WHERE PaidAt >= '{MONTH_AGO}'",
        ),
        (
            f"GrandTotal = round(GrandTotal * 1.2, 4) WHERE OrderDate >= '{MONTH_AGO}'",
            "Amount = round(Amount * 1.2, 2) WHERE 1",
        ),
    ],
)
def test_shifted_money_is_not_spread_as_before(estate: Estate, orders: str, payments: str) -> None:
    assert estate.failing("sales.orderheader", "sales.payment") == set()
    assert estate.run("sales", f"UPDATE OrderHeader SET ModifiedAt = '{TOUCHED}', {orders}") > 5
    assert estate.run("sales", f"UPDATE Payment SET ModifiedAt = '{TOUCHED}', {payments}") > 5
    shifted = {("orderheader", "distribution_steady"), ("payment", "distribution_steady")}
    assert estate.failing("sales.orderheader", "sales.payment") == shifted
    assert estate.failing("sales.orderheader", "sales.payment") == shifted, "until it is mended or agreed to"


def test_a_currency_that_shifted_before_the_first_look_is_told_by_time(estate: Estate) -> None:
    estate.run("sales", f"UPDATE OrderHeader SET CurrencyCode = 'EUR' WHERE OrderDate >= '{MONTH_AGO}'")
    assert estate.failing("sales.orderheader") == {("orderheader", "distribution_steady")}


def test_rows_edited_without_their_version_are_told_by_content(estate: Estate) -> None:
    names = ("sales.payment", "sales.orderline", "crm.customer")
    assert estate.failing(*names) == set()
    edited = {
        ("sales/payment", "Amount"): (
            "UPDATE Payment SET Amount = Amount + 1 WHERE OrderId % 50 = 3 AND ModifiedAt < '2026-11-01'"
        ),
        ("sales/orderline", "Quantity"): ("UPDATE OrderLine SET Quantity = Quantity + 1 WHERE OrderId % 97 = 3"),
        ("crm/customer", "Email"): (
            "UPDATE Customer SET Email = 'x' || Email WHERE CustomerId % 20 = 1 AND Email <> ''"
        ),
    }
    rows = {key: estate.run(key[0].split("/")[0], statement) for key, statement in edited.items()}
    assert all(rows.values())
    assert estate.failing(*names) == {(asset.split("/")[1], "content_matches_source") for asset, _ in edited}
    for (asset, column), number in rows.items():
        figures = estate.results[f"landing/{asset}", "content_matches_source"].figures
        assert (figures["edited"], figures["columns"]) == (number, column)


def test_the_comparison_goes_on_where_the_last_one_ended(estate: Estate) -> None:
    source = estate.catalogue.source("sales.payment")
    few = source.table.model_copy(
        update={"expect": source.table.expect.model_copy(update={"audit_rows": 300}), "page_rows": 100}
    )
    small = type(source)(source.declared_in, few)
    land_table(estate.store, estate.catalogue, small, "run")
    estate.run("sales", "UPDATE Payment SET Amount = Amount + 1 WHERE PaymentId = (SELECT max(PaymentId) FROM Payment)")
    found = []
    for _ in range(4):
        results = {r.check: r for r in audit(Subject(estate.store, estate.catalogue, small, estate.now))}
        found.append(results["content_matches_source"].figures["edited"])
        assert 300 <= results["content_matches_source"].figures["rows_compared"] < 400
        assert results["row_count_matches_source"].passed
        assert results["no_doubled_rows"].figures["sampled"]
    assert sum(found) >= 1
    assert 0 in found


def test_missing_rows_and_orphans_are_counted(estate: Estate) -> None:
    assert estate.failing("sales.refund", "sales.payment") == set()
    estate.run("sales", f"UPDATE Refund SET OrderId = 99, ModifiedAt = '{TOUCHED}' WHERE RefundId % 9 = 1")
    estate.store.landing["sales.payment"].delete_many({"Status": "failed"})
    estate.land("sales")  # from here on an orphan cannot be on its way
    assert estate.failing("sales.refund", "sales.payment") == {
        ("refund", "references_resolve"), ("payment", "row_count_matches_source"),
    }  # fmt: skip


PERSONAL = {
    "please write to jane.roe@example.co.uk instead": "email",
    "ring back on 07700 900123 after six": "phone",
    "moved to 14 Acacia Road, Leeds LS6 2AB": "postcode",
    "NI number AB123456C on file": "national_insurance",
    "paid with 4111 1111 1111 1111": "card",
    "refund to GB29 NWBK 6016 1331 9268 19": "iban",
}


def test_personal_data_in_free_text_and_new_columns_is_told_without_its_value(estate: Estate) -> None:
    names = ("sales.refund", "contactcentre.call")
    assert estate.failing(*names) == set()
    for n, text in enumerate(PERSONAL):
        which = f"(SELECT RefundId FROM Refund ORDER BY RefundId LIMIT 1 OFFSET {n})"
        estate.run("sales", f"UPDATE Refund SET Reason = ?, ModifiedAt = '{TOUCHED}' WHERE RefundId = {which}", text)
    mail = f"Notes = 'mail jane.roe@example.com', ModifiedAt = '{TOUCHED}'"  # declared, but for something else
    estate.run("contactcentre", f"UPDATE Call SET {mail} WHERE CallId = (SELECT min(CallId) FROM Call)")
    told = {("refund", "no_undeclared_personal_data"), ("call", "no_undeclared_personal_data")}
    assert estate.failing(*names) == told
    result = estate.results["landing/sales/refund", "no_undeclared_personal_data"]
    for text, kind in PERSONAL.items():
        assert f"Reason ({kind}" in result.sentence
        assert text not in str(result)
    assert "Notes (email" in estate.sentence("contactcentre/call", "no_undeclared_personal_data")


def test_a_thinned_day_is_told_by_volume(estate: Estate) -> None:
    rows = []
    for weeks_back in range(9):
        day = dt.date(2026, 11, 18) - dt.timedelta(weeks=weeks_back)
        for n in range(60 if weeks_back else 6):
            at = f"{day} {8 + n % 10:02d}:{n % 60:02d}:{n % 50:02d}.000"
            rows.append((9_000_000 + len(rows), round(19.99 + n, 2), at, at))
    rows.append((9_900_000, 5.99, TOUCHED, TOUCHED))
    for row in rows:
        an_order = "(SELECT min(OrderId) FROM OrderHeader)"
        estate.run(
            "sales",
            f"INSERT INTO Refund (RefundId, OrderId, Amount, Reason, RefundedAt, ModifiedAt) VALUES (?, {an_order}, ?, 'Faulty', ?, ?)",
            *row,
        )
    failing = estate.failing("sales.refund")
    assert failing == {("refund", "volume_as_usual")}, {c: estate.sentence("sales/refund", c) for _, c in failing}


def test_who_writes_while_checks_look_gives_no_alarm(estate: Estate) -> None:
    names = ("sales.orderheader", "sales.payment", "sales.refund", "sales.orderline")
    assert estate.failing(*names) == set()
    stop, draw = threading.Event(), random.Random(7)
    (version,) = estate.rows("sales", "SELECT max(RowVer) FROM OrderLine")[0]
    (order,) = estate.rows("sales", "SELECT max(OrderId) FROM OrderHeader")[0]
    written = 0

    def write() -> None:
        nonlocal written
        with closing(sqlite3.connect(estate.folder / "sales.sqlite", timeout=30)) as database:
            while not stop.wait(0.02):
                written += 1
                now = dt.datetime.now().isoformat(" ", "milliseconds")  # noqa: DTZ005 (as the legacy system writes it)
                a_row = f"= (SELECT OrderId FROM OrderHeader LIMIT 1 OFFSET {draw.randrange(300)})"
                with database:
                    database.execute(
                        f"UPDATE OrderHeader SET Status = 'delivered', ModifiedAt = '{now}' WHERE OrderId {a_row}"
                    )
                    database.execute(
                        f"UPDATE Payment SET Status = 'settled', ModifiedAt = '{now}' WHERE OrderId {a_row}"
                    )
                    raised = (int.from_bytes(version) + written).to_bytes(8)
                    database.execute(
                        f"UPDATE OrderLine SET RowVer = ? WHERE LineNumber = 1 AND OrderId {a_row}", (raised,)
                    )
                    new = (written + 5_000_000, order, 3.99, "Faulty", now, now)
                    database.execute(f"INSERT INTO Refund ({REFUND}) VALUES (?, ?, ?, ?, ?, ?)", new)
                    if written % 9 == 0:
                        database.execute("DELETE FROM Refund WHERE RefundId = (SELECT min(RefundId) FROM Refund)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        failing = {(r.asset, r.check): r.sentence for r in estate.check(*names) if not r.passed}
    finally:
        stop.set()
        writer.join()
    assert written > 3
    assert failing == {}
