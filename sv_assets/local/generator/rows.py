"""What a chunk of people becomes: rows for each legacy table, messages for each queue, and the truth about both."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from sv_assets.local.generator.calendar import Draw
from sv_assets.local.generator.fraud_truth import Planted
from sv_assets.local.generator.legacy_schema import TABLES, Rowversions

Row = tuple[Any, ...]
Truth = tuple[str, str, int]
"""Source, key, person's number."""


class Message(NamedTuple):
    """A message as it is sent. `group` and `once` (the de-duplication id) are None on a standard queue."""

    queue: str
    body: str
    group: str | None = None
    once: str | None = None


@dataclass
class Ids:
    """The last numbers given out, which go on from chunk to chunk and from seed to tick."""

    customer: int = 100_000
    address: int = 500_000
    account: int = 20_000
    order: int = 3_000_000
    payment: int = 0
    refund: int = 70_000
    call: int = 9_000_000_000
    complaint: int = 4_000
    web_account: int = 100
    parcel: int = 600_000
    contact: int = 0  # new e-mails and mobiles of people who change theirs
    rowversions: dict[str, Rowversions] = field(default_factory=lambda: {system: Rowversions() for system in TABLES})

    def next(self, name: str) -> int:
        value: int = getattr(self, name) + 1
        setattr(self, name, value)
        return value


@dataclass
class Batch:
    """Rows by (system, table), messages, truth about people and fraud, and what ticks must know: web accounts and duplicates in crm."""

    rows: dict[tuple[str, str], list[Row]] = field(
        default_factory=lambda: {(system, table): [] for system in TABLES for table in TABLES[system]}
    )
    messages: list[Message] = field(default_factory=list)
    truth: list[Truth] = field(default_factory=list)
    planted: list[Planted] = field(default_factory=list)
    web_accounts: list[tuple[str, int, str]] = field(default_factory=list)
    spare_customers: list[int] = field(default_factory=list)

    def counts(self) -> Iterator[tuple[str, int]]:
        for (system, table), rows in self.rows.items():
            yield f"{system}.{table}", len(rows)


def uuid_of(draw: Draw) -> str:
    return str(UUID(int=int(draw() * 2**53) << 75 | int(draw() * 2**53) << 22 | int(draw() * 2**22), version=4))


def payment_uuid(number: int) -> str:
    """Rising with the number, as NEWSEQUENTIALID() gives them on one machine."""
    return f"{number:08X}-5E1F-EE11-A3C2-0050568D3F7B"
