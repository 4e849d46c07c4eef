"""A source in words: its key, how it is captured, what its bookmark means, and what is known of each of its columns."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sv_assets.catalogue.capture import ModifiedAtCapture, RowversionCapture
from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source, needs_reconciliation
from sv_assets.customers.lineage import CUSTOMERS
from sv_assets.dictionary.lineage import Field, LineageGraph, known_columns, lineage_graph

Fact = tuple[str, str]
"""A label, and what there is to say."""
_CAPTURE = {
    "snapshot": "snapshot: the whole table is read each time, in the order of its key; unchanged rows are skipped.",
    "modified_at": "modified_at: rows whose {column} lies after the bookmark, less {lag}, up to {margin} before the server's clock.",
    "rowversion": "rowversion: rows whose {column} lies above the bookmark and below that of the oldest open transaction.",
    "change_tracking": "change_tracking: what SQL Server's change tracking names since the bookmark, with the values of now.",
    "cdc": "cdc: every change that SQL Server's change data capture logged since the bookmark, in the order of the log.",
}
_BOOKMARK = {
    "snapshot": "The last key of a read that was stopped; none after one that came to its end.",
    "modified_at": "The latest {column} that has landed, and the key it stood at.",
    "rowversion": "The highest {column} that has landed.",
    "change_tracking": "The version of the database up to which changes have landed.",
    "cdc": "The log sequence number (LSN) up to which changes have landed.",
}


@dataclass(frozen=True)
class ColumnFacts:
    """A column, or a path into a message. `becomes` are the fields made from it, the nearest first."""

    name: str
    type: str
    personal: str
    roles: tuple[str, ...]
    becomes: tuple[Field, ...]

    @property
    def customer_fields(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.becomes if field.place == CUSTOMERS)

    @property
    def on_the_way(self) -> tuple[Field, ...]:
        """What it becomes before, or beside, the customer document."""
        return tuple(field for field in self.becomes if field.place != CUSTOMERS)


def graph_of(source: Source) -> LineageGraph:
    """The lineage of one source by itself, for those who know no other."""
    if not source.stations:
        return LineageGraph({Field(source.key, column): () for column in known_columns(source)})
    return lineage_graph(Catalogue((source,)))


def columns_of(source: Source, graph: LineageGraph, names: Sequence[str] = ()) -> list[ColumnFacts]:
    """What is known of the columns: of those that the catalogue knows, and of `names` (those that have landed)."""
    found = []
    for name in dict.fromkeys([*known_columns(source), *names]):
        becomes = tuple(graph.downstream(Field(source.key, name)))
        found.append(
            ColumnFacts(name, _type(source, name), source.entry.pii.get(name, ""), tuple(_roles(source, name)), becomes)
        )
    return found


def _type(source: Source, column: str) -> str:
    if source.is_queue:
        return "path"
    kind = source.table.columns.get(column)
    return kind if isinstance(kind, str) else ""


def _roles(source: Source, column: str) -> list[str]:
    if source.is_queue:
        queue = source.queue
        said = [("business key", queue.key), ("version", queue.version), ("event type", queue.event_type)]
        return [role for role, path in said if path == column]
    table = source.table
    roles = ["key"] if column in table.key else []
    if column == getattr(table.capture, "column", None):
        roles.append("what is captured by")
    if column == table.partition_column:
        roles.append("what partitions are by")
    roles += [f"refers to {key.table}" for key in table.foreign_keys if column in key.columns]
    return roles


def facts_of(source: Source) -> list[Fact]:
    """What a source is, in the order in which one asks."""
    return [
        ("System", source.system),
        ("Its name there", source.name),
        *(_of_queue(source) if source.is_queue else _of_table(source)),
        ("Lands in", f"landing.{source.key}"),
        ("Owners", ", ".join(source.declared_in.owners)),
    ]


def _of_table(source: Source) -> list[Fact]:
    table, capture = source.table, source.table.capture
    words = {"column": getattr(capture, "column", "")}
    if isinstance(capture, ModifiedAtCapture):
        words |= {"lag": spoken(capture.lag), "margin": spoken(capture.margin)}
    facts = [
        ("Key", ", ".join(table.key)),
        ("Capture", _CAPTURE[capture.mode].format(**words)),
        ("Bookmark", _BOOKMARK[capture.mode].format(**words)),
    ]
    if isinstance(capture, RowversionCapture):
        facts.append(
            ("Held back", f"A check warns when a transaction holds rows back for {spoken(capture.stuck_after)}.")
        )
    facts.append(("Deleted rows", _deletes(source)))
    if table.partitions:
        column = table.partition_column or "the time of commit"
        facts.append(("Partitions", f"By {table.partitions.by} of {column}, from {table.partitions.start}."))
    if table.rows is not None:
        facts.append(("Rows when introspected", f"{table.rows:,}"))
    if table.vanished:
        facts.append(("Vanished", f"No longer read: it was gone on {table.vanished}."))
    return facts


def _deletes(source: Source) -> str:
    share = f"no more than {source.table.max_delete_share:.0%} at once"
    if source.table.deletes == "ignore":
        return "Ignored: a row that is gone from the source stays."
    if needs_reconciliation(source):
        return f"Found by comparing keys, in landing/{source.system}/{source.slug}/deletes; {share}."
    return f"Told by the capture mode; {share}."


def _of_queue(source: Source) -> list[Fact]:
    queue = source.queue
    envelope = queue.envelope if isinstance(queue.envelope, str) else ", then ".join(queue.envelope)
    schemas = ", ".join(f"{schema.event or 'any event'} from version {schema.version}" for schema in queue.schemas)
    return [
        ("Business key", queue.key),
        ("Version", f"{queue.version}: what orders the versions of a key; the newest wins."),
        (
            "Order",
            "FIFO: a message group lands in order." if queue.is_fifo else "None: messages come as SQS gives them.",
        ),
        ("Envelope", "detected: plain JSON, SNS, EventBridge, gzip" if envelope == "detect" else envelope),
        ("Schemas", schemas or "none declared"),
        ("Bookmark", "None: SQS keeps what has not been deleted, and a message is deleted once MongoDB has it."),
        ("Dead letters", queue.dead_letters or "none declared"),
        ("Archive", f"Every message whole for {queue.archive.keep.days} days, from {queue.archive.start}."),
        ("Freshness", f"Late when no run has looked into it for {spoken(queue.freshness)}."),
    ]


def spoken(span: dt.timedelta) -> str:
    """`5 minutes`, `1 hour`, `90 seconds`."""
    seconds = int(span.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}{'' if seconds == size else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
