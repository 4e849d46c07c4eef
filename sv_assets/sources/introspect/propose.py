"""What a system's tables are to be declared as: each with its key, capture mode, personal data and feeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from sv_assets.catalogue.entry import Sensitivity
from sv_assets.catalogue.model import SqlServerSystemModel, TableEntry
from sv_assets.catalogue.source import Source
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.introspect.candidates import Candidate
from sv_assets.sources.introspect.capture import CaptureChoice, capture_of
from sv_assets.sources.introspect.feeds import Estate, candidates
from sv_assets.sources.introspect.found import DatabaseFound, TableFound
from sv_assets.sources.introspect.keys import Key, key_of
from sv_assets.sources.introspect.pii import pii_of
from sv_assets.sources.introspect.references import references
from sv_assets.sources.schema import count_rows

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TableProposal:
    """One table, and the parts of its entry. `declared`: it has an entry already, of which only the facts are kept."""

    found: TableFound
    key: Key
    capture: CaptureChoice
    pii: Mapping[str, Sensitivity]
    feeds: tuple[Candidate, ...]
    declared: TableEntry | None = None


@dataclass(frozen=True)
class LeftOut:
    """A table that cannot be landed as it is, and why."""

    name: str
    reason: str
    rows: int | None


@dataclass(frozen=True)
class Proposal:
    """A whole system."""

    tables: tuple[TableProposal, ...]
    left_out: tuple[LeftOut, ...]
    views: tuple[str, ...]
    notes: tuple[str, ...]


def is_selected(name: str, only: Sequence[str], exclude: Sequence[str]) -> bool:
    """By globs on `schema.name` and on the bare name, in any case. Without `only`, all but the excluded ones."""
    folded = name.casefold()
    names = (folded, folded.partition(".")[2])

    def matches(globs: Sequence[str]) -> bool:
        return any(fnmatchcase(spelt, glob.casefold()) for glob in globs for spelt in names)

    return (not only or matches(only)) and not matches(exclude)


def propose(
    database: LegacyDatabase,
    found: DatabaseFound,
    declared: Mapping[str, TableEntry],
    select: Callable[[str], bool],
    progress: Progress = lambda _: None,
) -> Proposal:
    """The proposal for the selected tables, and for every view that is declared already. `declared` goes by full name."""
    chosen = [t for t in found.tables if select(t.full_name) and (not t.is_view or t.full_name in declared)]
    views = [t.full_name for t in found.tables if select(t.full_name) and t.is_view and t.full_name not in declared]
    counted = {
        table.full_name: table
        for table in count_rows(database, chosen, lambda done: progress(f"{done:,} tables counted"))
    }
    tables = [counted[table.full_name] for table in chosen]
    keys: dict[str, Key] = {}
    left_out: list[LeftOut] = []
    slugs = {_slug(database.system, name): name for name in declared}
    for table in tables:
        name = table.full_name
        if name in declared:
            keys[name] = Key(tuple(declared[name].key), "declared")
            continue
        reason = _obstacle(table) or _collision(database.system, name, slugs)
        if not reason:
            progress(f"{name}: which key")
            keys[name] = key_of(database, table)
            reason = "" if keys[name].columns else keys[name].caution
        if reason:
            left_out.append(LeftOut(name, reason, table.rows))
        else:
            slugs[_slug(database.system, name)] = name
    landable = [table for table in tables if table.full_name in keys and keys[table.full_name].columns]
    return Proposal(tuple(_proposals(found, landable, keys, declared)), tuple(left_out), tuple(views), found.notes)


def _proposals(
    found: DatabaseFound, tables: Sequence[TableFound], keys: Mapping[str, Key], declared: Mapping[str, TableEntry]
) -> list[TableProposal]:
    columns = {name: key.columns for name, key in keys.items()}
    captures = {table.full_name: capture_of(found, table, keys[table.full_name]) for table in tables}
    read = [_as_captured(table, captures[table.full_name]) for table in tables]
    feeds = candidates(Estate(read, columns, declared))
    parties = {n for n, entry in declared.items() if entry.feeds.party}
    parties |= {n for n, of_table in feeds.items() if any(c.feed == "party" and c.active for c in of_table)}
    refer = references(read, columns)
    return [
        TableProposal(
            table,
            keys[table.full_name],
            captures[table.full_name],
            pii_of(shown, any(r.table in parties for r in refer[table.full_name])),
            tuple(feeds.get(table.full_name, ())),
            declared.get(table.full_name),
        )
        for table, shown in zip(tables, read, strict=True)
    ]


def _as_captured(table: TableFound, capture: CaptureChoice) -> TableFound:
    """CDC gives null for computed columns, so nothing may be made of them there."""
    if capture.mode != "cdc":
        return table
    return replace(table, columns=tuple(column for column in table.columns if not column.computed))


def _obstacle(table: TableFound) -> str:
    """Why the table cannot be read or landed, whatever its key; empty where it can."""
    if table.unreadable:
        return f"it cannot be read: {table.unreadable}"
    if not table.columns:
        return "it has no columns that our log-in may see"
    if "." in table.name or "." in table.schema:
        return "a dot in its name; read it through a view"
    reserved = next((n for n in table.column_names if n in ("_id", "_sv") or "." in n or n.startswith("$")), None)
    if reserved is not None:
        return f"landing keeps names like its column {reserved} for itself; read it through a view that renames it"
    return ""


def _collision(system: SqlServerSystemModel, name: str, slugs: Mapping[str, str]) -> str:
    slug = _slug(system, name)
    if not slug:
        return "nothing of its name can be part of an asset's name; read it through a view"
    return f"it would land in the same place as {slugs[slug]}; read it through a view" if slug in slugs else ""


def _slug(system: SqlServerSystemModel, name: str) -> str:
    return Source(system, TableEntry.model_construct(name=name)).slug
