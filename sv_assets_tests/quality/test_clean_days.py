"""A retailer who does everything right for thirty days: orders come, change and are paid, and no check complains."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sv_assets_tests.quality.conftest import CLOSING, Estate


@dataclass(frozen=True)
class Life:
    """How a row of a table comes to be and changes: `before` is what its columns held before it was `modified`."""

    moment: str
    modified: str | None = None
    before: dict[str, str | None] = field(default_factory=dict)


LIVES = {
    ("crm", "Customer"): Life("CreatedAt", "ModifiedAt", {"ModifiedAt": "CreatedAt"}),
    ("crm", "CustomerAddress"): Life("ModifiedAt"),
    ("crm", "ContactPreference"): Life("RecordedAt"),
    ("sales", "Account"): Life("CreatedAt", "ModifiedAt", {"ModifiedAt": "CreatedAt"}),
    ("sales", "OrderHeader"): Life("OrderDate", "ModifiedAt", {"ModifiedAt": "OrderDate", "Status": "=placed"}),
    ("sales", "OrderLine"): Life("OrderDate"),
    ("sales", "Payment"): Life("PaidAt"),
    ("sales", "Refund"): Life("RefundedAt"),
    ("contactcentre", "Call"): Life("StartedAt", "ModifiedAt", {"ModifiedAt": "StartedAt"}),
    ("contactcentre", "Complaint"): Life("OpenedAt", "ClosedAt", {"ClosedAt": None, "Status": "=open"}),
}


class Days:
    """The databases as they were on a day, made from those that know the end."""

    def __init__(self, estate: Estate) -> None:
        self.estate, self.version = estate, 10_000
        self.ends = {system: estate.folder / f"{system}.end" for system, _ in LIVES}
        for system, path in self.ends.items():
            path.write_bytes((estate.folder / f"{system}.sqlite").read_bytes())
        for system, table in LIVES:
            estate.run(system, f'DELETE FROM "{table}"')
        self.through = "0000"

    def live_until(self, moment: dt.datetime) -> None:
        """Let everything happen up to this moment."""
        until = moment.strftime("%Y-%m-%d %H:%M:%S.000")
        for (system, table), life in LIVES.items():
            rows = self._happened(self.ends[system], table, life, until)
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                with closing(sqlite3.connect(self.estate.folder / f"{system}.sqlite")) as database, database:
                    database.executemany(f'INSERT OR REPLACE INTO "{table}" VALUES ({marks})', rows)
        self.through, self.estate.now = until, moment

    def _happened(self, path: Path, table: str, life: Life, until: str) -> list[Sequence[Any]]:
        moment = life.moment
        if table == "OrderLine":
            moment = "(SELECT OrderDate FROM OrderHeader h WHERE h.OrderId = OrderLine.OrderId)"
        came = f"({moment} > ? AND {moment} <= ?)"
        changed = f"({moment} <= ? AND {life.modified} > ? AND {life.modified} <= ?)" if life.modified else "0"
        bounds = [self.through, until, *([until, self.through, until] if life.modified else [])]
        with closing(sqlite3.connect(path)) as database:
            database.row_factory = sqlite3.Row
            query = f'SELECT * FROM "{table}" WHERE {came} OR {changed} ORDER BY {moment}'
            found = [dict(row) for row in database.execute(query, bounds)]
        if path.stem == "contactcentre":  # where a call names an order that the generator lets come later
            orders = {number for (number,) in self.estate.rows("sales", "SELECT OrderNumber FROM OrderHeader")}
            found = [
                row | {"OrderNumber": row["OrderNumber"] if row["OrderNumber"] in orders else None} for row in found
            ]
        return [self._as_it_was(row, life, until) for row in found]

    def _as_it_was(self, row: dict[str, Any], life: Life, until: str) -> Sequence[Any]:
        if life.modified and (row[life.modified] or "") > until:
            was = {
                name: value[1:] if value and value[0] == "=" else value and row[value]
                for name, value in life.before.items()
            }
            row |= was
        if "RowVer" in row:
            self.version += 1
            row["RowVer"] = self.version.to_bytes(8)
        return tuple(row.values())


def live(estate: Estate, days: int) -> None:
    simulated = Days(estate)
    for day in range(days, -1, -1):
        simulated.live_until(CLOSING - dt.timedelta(days=day))
        failing = estate.failing()
        told = {found: r.sentence for found, r in estate.results.items() if not r.passed}
        assert failing == set(), f"{days - day} days on: {told}"


def test_days_without_a_fault_give_no_alarm(estate: Estate) -> None:
    live(estate, 1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_thirty_days_without_a_fault_give_no_alarm(estate: Estate) -> None:
    live(estate, 30)
