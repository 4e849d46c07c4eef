"""One declared table or queue, and the names that follow from its declaration."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

from sv_assets.catalogue.capture import ModifiedAtCapture
from sv_assets.catalogue.entry import Const
from sv_assets.catalogue.feeds import AddressFields, OrderReference, Reference, paths_of
from sv_assets.catalogue.model import SqlServerSystemModel, SqsQueuesModel, TableEntry
from sv_assets.catalogue.queue import QueueEntry

STATION_OF_FEED = {
    "party": "identity",
    "address": "identity",
    "order": "orders",
    "order_line": "orders",
    "payment": "orders",
    "refund": "orders",
    "delivery": "orders",
    "interaction": "interactions",
    "consent": "consents",
    "flag": "flags",
}
"""Which station works off the landed rows of a feed; the names that stand in `_sv.pending`."""


@dataclass(frozen=True)
class Source:
    """A table or queue of a legacy system."""

    declared_in: SqlServerSystemModel | SqsQueuesModel
    entry: TableEntry | QueueEntry
    declared_at: str = field(default="", compare=False, repr=False)
    """The file and line of its entry, to begin a message with; empty where it was not read from a file."""

    @property
    def system(self) -> str:
        return self.declared_in.system

    @property
    def name(self) -> str:
        """As the legacy system spells it: `dbo.Customer`, `web-account-events`."""
        return self.entry.name

    @property
    def quoted_name(self) -> str:
        """As T-SQL writes it: `[dbo].[Order Details]`."""
        schema, _, table = self.name.rpartition(".")
        return ".".join(f"[{part.replace(']', ']]')}]" for part in (schema or "dbo", table))

    @cached_property
    def slug(self) -> str:
        """As we spell it: `customer`, `web_account_events`. The schema `dbo` goes without saying."""
        bare = re.sub(r"^dbo\.", "", self.name, flags=re.IGNORECASE).removesuffix(".fifo")
        return re.sub(r"[^a-z0-9]+", "_", bare.lower()).strip("_")

    @cached_property
    def key(self) -> str:
        """`crm.customer`: the name in bookmarks and reports, and of the landing collection."""
        return f"{self.system}.{self.slug}"

    @cached_property
    def is_queue(self) -> bool:
        return isinstance(self.entry, QueueEntry)

    @property
    def table(self) -> TableEntry:
        return cast(TableEntry, self.entry)

    @property
    def queue(self) -> QueueEntry:
        return cast(QueueEntry, self.entry)

    @property
    def sql_system(self) -> SqlServerSystemModel:
        return cast(SqlServerSystemModel, self.declared_in)

    @property
    def sqs_system(self) -> SqsQueuesModel:
        return cast(SqsQueuesModel, self.declared_in)

    @cached_property
    def stations(self) -> list[str]:
        """The stations that must work off each landed row: what landing writes to `_sv.pending`."""
        return sorted({station for feed, station in STATION_OF_FEED.items() if self.feeds_into(feed)})

    def feeds_into(self, feed: str) -> bool:
        return bool(getattr(self.entry.feeds, feed))

    def record_id(self, key_text: str) -> str:
        """The id of a record of this source wherever all sources meet: `crm.customer:1234`."""
        return f"{self.key}:{key_text}"

    def party_references(self) -> Iterator[Reference]:
        """Every reference of this source to a row that describes a person."""
        feeds = self.entry.feeds
        if feeds.party:
            yield from feeds.party.same_as
        if feeds.address:
            yield feeds.address.party
        for feed in (feeds.order, feeds.interaction, feeds.flag, *feeds.consent):
            if feed is not None and isinstance(feed.party, Reference):
                yield feed.party

    def order_references(self) -> Iterator[OrderReference]:
        """Every reference of this source to an order."""
        feeds = self.entry.feeds
        for feed in (feeds.order_line, feeds.payment, feeds.refund, feeds.delivery, feeds.interaction):
            if feed is not None and feed.order is not None:
                yield feed.order
        if feeds.party is not None:
            yield from feeds.party.quotes

    @cached_property
    def happened_at(self) -> str | None:
        """The column or path that says when a row happened, and never changes: declared, or known by what it feeds."""
        feeds = self.entry.feeds
        moments = (
            self.entry.expect.happened_at,
            None if self.is_queue else self.table.partition_column,
            feeds.order and feeds.order.placed_at,
            feeds.payment and feeds.payment.paid_at,
            feeds.refund and feeds.refund.refunded_at,
            feeds.delivery and feeds.delivery.at,
            feeds.interaction and feeds.interaction.at,
        )
        return next((path for path in moments if path), None)

    @cached_property
    def told_at(self) -> str | None:
        """As `happened_at`, else what says when a row was last told: it moves when the row changes."""
        feeds = self.entry.feeds
        capture = None if self.is_queue else self.table.capture
        moments = (
            self.happened_at,
            feeds.party and feeds.party.observed_at,
            *(consent.observed_at for consent in feeds.consent),
            capture.column if isinstance(capture, ModifiedAtCapture) else None,
        )
        return next((path for path in moments if path), None)

    def columns_used(self) -> set[str]:
        """The columns of a table that its declaration names; each must exist in the legacy table."""
        table = self.table
        checked = {path for check in table.checks for path in check.subject}
        happened = {table.expect.happened_at} - {None}
        return self.columns_needed() | self.paths_used() | checked | {str(path) for path in happened}

    def columns_needed(self) -> set[str]:
        """The columns without which a table cannot be read: those of its key, its capture mode and its partitions."""
        table = self.table
        named = (getattr(table.capture, "column", None), table.partition_column)
        return {*table.key, *(column for column in named if column)}

    @cached_property
    def columns_known(self) -> tuple[str, ...]:
        """The columns, or the paths into a message, that the declaration tells; the key first where it names none."""
        if self.is_queue:
            return tuple(dict.fromkeys([self.queue.key, self.queue.version, *sorted(self.paths_used())]))
        table = self.table
        named = [*table.key, *sorted(self.columns_used() - {*table.key})]
        declared = [name for name, kind in table.columns.items() if isinstance(kind, str)]
        return tuple(dict.fromkeys([*declared, *named]))

    def paths_used(self) -> set[str]:
        """The columns, or paths into a message, that `feeds` and `pii` name."""
        return set(self._paths)

    @cached_property
    def _paths(self) -> frozenset[str]:
        return frozenset({*self.entry.pii, *paths_of(self.entry.feeds)})


def address_fields(entry: AddressFields) -> dict[str, str | Const]:
    """The declared parts of an address, without the reference to its person."""
    return {name: value for name in AddressFields.model_fields if (value := getattr(entry, name)) is not None}


def needs_reconciliation(source: Source) -> bool:
    """True for tables that land without seeing deletes: those read from a bookmark by a column."""
    return (
        not source.is_queue
        and source.table.capture.mode in ("modified_at", "rowversion")
        and source.table.deletes == "reconcile"
    )
