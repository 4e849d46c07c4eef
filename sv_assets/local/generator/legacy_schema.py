"""The legacy tables as SQLite carries them: SQL Server's type names declared, one rowversion counter a database."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TABLES: Mapping[str, Mapping[str, str]] = {
    "crm": {
        "Customer": """
            CustomerId INT NOT NULL PRIMARY KEY, Title NVARCHAR(20), FirstName NVARCHAR(100), Surname NVARCHAR(100),
            Email NVARCHAR(254), Phone VARCHAR(40), Mobile VARCHAR(40), DateOfBirth DATE, LoyaltyPoints INT,
            CreditLimit MONEY, IsActive BIT, CreatedAt DATETIME2(3), ModifiedAt DATETIME2(3),
            RowVer ROWVERSION NOT NULL""",
        "CustomerAddress": """
            AddressId INT NOT NULL PRIMARY KEY, CustomerId INT NOT NULL, AddressType VARCHAR(20), Line1 NVARCHAR(120),
            Line2 NVARCHAR(120), Town NVARCHAR(80), County NVARCHAR(80), Postcode VARCHAR(10), Country CHAR(2),
            ValidFrom DATE, ValidTo DATE, ModifiedAt DATETIME2(3) NOT NULL""",
        "ContactPreference": """
            CustomerId INT NOT NULL, Purpose VARCHAR(30) NOT NULL, Channel VARCHAR(20) NOT NULL, OptedIn BIT NOT NULL,
            RecordedAt DATETIME NOT NULL, PRIMARY KEY (CustomerId, Purpose, Channel)""",
        "CustomerFlag": """
            CustomerId INT NOT NULL, FlagCode VARCHAR(30) NOT NULL, RaisedAt DATETIME2(3) NOT NULL, EndedAt DATETIME2(3),
            ModifiedAt DATETIME2(3) NOT NULL, PRIMARY KEY (CustomerId, FlagCode)""",
        "LoyaltyCard": """
            CardNumber VARCHAR(16) NOT NULL PRIMARY KEY, FirstName NVARCHAR(100), Surname NVARCHAR(100),
            Email NVARCHAR(254), Mobile VARCHAR(40), Postcode VARCHAR(10), IssuedAt DATE,
            ModifiedAt DATETIME2(3) NOT NULL""",
    },
    "sales": {
        "Account": """
            AccountId INT NOT NULL PRIMARY KEY, AccountNumber VARCHAR(12) NOT NULL UNIQUE, CrmCustomerId INT,
            FirstName NVARCHAR(100), LastName NVARCHAR(100), EmailAddress NVARCHAR(254), Telephone VARCHAR(40),
            CreatedAt DATETIME2(3), ModifiedAt DATETIME2(3) NOT NULL""",
        "OrderHeader": """
            OrderId INT NOT NULL PRIMARY KEY, OrderNumber VARCHAR(20) NOT NULL UNIQUE, AccountId INT,
            GuestFirstName NVARCHAR(100), GuestLastName NVARCHAR(100), GuestEmail NVARCHAR(254), GuestPhone VARCHAR(40),
            DeliveryLine1 NVARCHAR(120), DeliveryTown NVARCHAR(80), DeliveryPostcode VARCHAR(10),
            OrderDate DATETIME2(3) NOT NULL, Status VARCHAR(20), CurrencyCode CHAR(3), GrandTotal DECIMAL(19,4),
            Channel VARCHAR(20), ModifiedAt DATETIME2(3) NOT NULL, DeviceId VARCHAR(40), BillingLine1 NVARCHAR(120),
            BillingTown NVARCHAR(80), BillingPostcode VARCHAR(10)""",
        "OrderLine": """
            OrderId INT NOT NULL, LineNumber SMALLINT NOT NULL, Sku VARCHAR(30), Description NVARCHAR(200),
            Quantity INT, UnitPrice MONEY, LineTotal MONEY, RowVer ROWVERSION NOT NULL,
            PRIMARY KEY (OrderId, LineNumber)""",
        "Payment": """
            PaymentId UNIQUEIDENTIFIER NOT NULL PRIMARY KEY, OrderId INT NOT NULL, Method VARCHAR(20),
            CardFingerprint VARCHAR(64), Amount MONEY, Status VARCHAR(20), PaidAt DATETIME,
            ModifiedAt DATETIME2(3) NOT NULL""",
        "Refund": """
            RefundId INT NOT NULL PRIMARY KEY, OrderId INT, Amount MONEY, Reason NVARCHAR(100), RefundedAt DATETIME,
            ModifiedAt DATETIME2(3) NOT NULL, Kind VARCHAR(20)""",
    },
    "contactcentre": {
        "Call": """
            CallId BIGINT NOT NULL PRIMARY KEY, CustomerNumber INT, CallerName NVARCHAR(200), CallerNumber VARCHAR(40),
            OrderNumber VARCHAR(20), StartedAt DATETIME NOT NULL, DurationSeconds INT, Reason VARCHAR(40),
            Agent VARCHAR(40), Notes NVARCHAR(1000), ModifiedAt DATETIME2(3) NOT NULL""",
        "Complaint": """
            ComplaintId INT NOT NULL PRIMARY KEY, FirstName NVARCHAR(100), Surname NVARCHAR(100), Email NVARCHAR(254),
            Phone VARCHAR(40), OrderNumber VARCHAR(20), Category VARCHAR(40), Severity TINYINT, Status VARCHAR(20),
            OpenedAt DATETIME NOT NULL, ClosedAt DATETIME, Description "NVARCHAR(MAX)", RowVer ROWVERSION NOT NULL""",
    },
}
INDEXES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "crm": (
        ("Customer", "RowVer"),
        ("CustomerAddress", "ModifiedAt"),
        ("CustomerAddress", "CustomerId"),
        ("CustomerFlag", "ModifiedAt"),
        ("LoyaltyCard", "ModifiedAt"),
    ),
    "sales": (
        ("Account", "ModifiedAt"),
        ("OrderHeader", "ModifiedAt"),
        ("OrderHeader", "OrderDate"),
        ("OrderHeader", "AccountId"),
        ("OrderLine", "RowVer"),
        ("Payment", "ModifiedAt"),
        ("Payment", "OrderId"),
        ("Refund", "ModifiedAt"),
    ),
    "contactcentre": (("Call", "ModifiedAt"), ("Complaint", "RowVer")),
}


@dataclass
class Rowversions:
    """The next values of one database's rowversion counter."""

    value: int = 2_000

    def next(self) -> bytes:
        self.value += 1
        return self.value.to_bytes(8, "big")


def create_tables(connection: sqlite3.Connection, system: str) -> None:
    """Empty tables without secondary indexes, clustered on the primary key as in SQL Server, and the counter."""
    for table, columns in TABLES[system].items():
        connection.execute(f"CREATE TABLE {quoted(table)} ({columns}) WITHOUT ROWID")
    connection.execute("CREATE TABLE _rowversion (value INTEGER NOT NULL)")
    connection.execute("INSERT INTO _rowversion VALUES (?)", (Rowversions().value,))


def create_indexes(connection: sqlite3.Connection, system: str) -> None:
    for table, column in INDEXES[system]:
        connection.execute(f"CREATE INDEX IX_{table}_{column} ON {quoted(table)} ({column})")


def insert_statement(connection: sqlite3.Connection, table: str) -> str:
    columns = connection.execute(f"SELECT count(*) FROM pragma_table_info('{table}')").fetchone()[0]
    return f"INSERT INTO {quoted(table)} VALUES ({', '.join('?' * columns)})"


def quoted(table: str) -> str:
    """Double-quoted, though no name here but _rowversion's own needs care."""
    return f'"{table}"'


def open_for_loading(path: Path) -> sqlite3.Connection:
    """A new database file, written as fast as SQLite can: it is thrown away if loading does not finish."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in (
        "journal_mode=OFF",
        "synchronous=OFF",
        "locking_mode=EXCLUSIVE",
        "cache_size=-32000",
        "temp_store=FILE",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def load_rowversions(connection: sqlite3.Connection) -> Rowversions:
    return Rowversions(int(connection.execute("SELECT value FROM _rowversion").fetchone()[0]))


def store_rowversions(connection: sqlite3.Connection, rowversions: Rowversions) -> None:
    connection.execute("UPDATE _rowversion SET value = ?", (rowversions.value,))
