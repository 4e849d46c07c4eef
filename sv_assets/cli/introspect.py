"""`sv introspect`: writes the declaration of a legacy system, or tells where it and the database have come apart."""

import difflib
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.output import JsonOption, console, errors, print_json, table
from sv_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sv_assets.catalogue.model import SqlServerSystemModel, TableEntry
    from sv_assets.sources.introspect.drift import Drift
    from sv_assets.sources.introspect.found import DatabaseFound
    from sv_assets.sources.introspect.profile import ColumnProfile
    from sv_assets.sources.introspect.propose import Proposal, TableProposal

_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True)
class Target:
    """The system to look at: as it is declared or is to be, the file that declares it, and how the file connects."""

    system: "SqlServerSystemModel"
    file: Path
    connection: str
    is_declared: bool


def introspect(
    system: Annotated[str | None, typer.Argument(help="The system, as crm; with --diff it may be left out.")] = None,
    connection: Annotated[
        str | None,
        typer.Option(help="`{{ env.NAME }}`, a NAME of an environment variable, or a URL, which is not written down."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only tables like this (Sales.*, cust*); may be repeated.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="No tables like this; may be repeated.")] = None,
    sample: Annotated[
        int, typer.Option(help="Also profile this many rows of each table; no value is shown.", min=0)
    ] = 0,
    diff: Annotated[
        bool, typer.Option("--diff", help="Write nothing: tell where catalogue and database differ.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="The file to write, if not the system's own defs.yaml.")] = None,
    owner: Annotated[str | None, typer.Option(help="Who owns a new system: team:crm, or an e-mail address.")] = None,
    time_zone: Annotated[str, typer.Option(help="The time zone of a new system's date-times.")] = "Europe/London",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """Look at a legacy database and write its declaration: tables, keys, capture modes, personal data, feeds.

    Run again, it keeps what a person wrote, adds what is new and marks what vanished. Exit code 1: --diff found drift;
    2: wrong usage, declaration or connection.
    """
    from sv_assets.sources.introspect.propose import is_selected

    def select(name: str) -> bool:
        return is_selected(name, only or [], exclude or [])

    if diff:
        _diff(system, connection, select, json)
        return
    if system is None:
        raise ConfigurationError("Which system? Name one, as `sv introspect crm`; only --diff looks at all of them.")
    target = _target(system, connection, output, owner, time_zone)
    proposal, found, profiles = _look(target, select, sample)
    changes, before, after = _write(target, proposal, found, select, dry_run)
    if json:
        print_json(_as_json(target, proposal, profiles, changes, after if dry_run else None))
        return
    _show(target, proposal)
    for name, profiled in profiles.items():
        _show_profile(name, profiled)
    _show_outcome(target, proposal, changes, dry_run)
    if dry_run:
        lines = difflib.unified_diff(
            before.splitlines(), after.splitlines(), str(target.file), str(target.file), lineterm=""
        )
        console.print("\n".join(lines), markup=False, soft_wrap=True)


def _target(
    system: str, connection: str | None, output: Path | None, owner: str | None = None, time_zone: str = "Europe/London"
) -> Target:
    from pydantic import ValidationError

    from sv_assets.catalogue.model import SqlServerSystemModel, System
    from sv_assets.settings import catalogue_dir

    declared = _declared_systems()
    given = f"{{{{ env.{connection} }}}}" if connection and _VARIABLE.fullmatch(connection) else connection
    if system in declared:
        model, path = declared[system]
        kept = model.model_copy(update={"connection": given or model.connection, "replica": None})
        return Target(kept, output or path, model.connection, output is None or output.resolve() == path.resolve())
    try:
        System.model_validate({"system": system, "owners": ["team:x"]})
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{system!r} cannot be the name of a system: {message}.") from None
    written = given if given and "{{" in given else f"{{{{ env.{system.upper()}_SQLSERVER_URL }}}}"
    model = SqlServerSystemModel.model_construct(
        system=system,
        owners=[owner or f"team:{system}"],
        connection=given or written,
        max_connections=1,
        time_zone=time_zone,
        tables=[],
    )
    return Target(model, output or catalogue_dir() / system / "defs.yaml", written, False)


def _declared_systems() -> "dict[str, tuple[SqlServerSystemModel, Path]]":
    """Every declared SQL system, and the file it stands in."""
    from sv_assets.catalogue.load import read_sources
    from sv_assets.settings import catalogue_dir

    return {
        source.system: (source.sql_system, path)
        for path in sorted(catalogue_dir().glob("*/defs.yaml"))
        for source in read_sources(path)
        if not source.is_queue
    }


def _look(
    target: Target, select: "Callable[[str], bool]", sample: int
) -> "tuple[Proposal, DatabaseFound, dict[str, tuple[ColumnProfile, ...]]]":
    from contextlib import closing

    from sv_assets.sources.database import open_database
    from sv_assets.sources.introspect.profile import profile
    from sv_assets.sources.introspect.propose import propose
    from sv_assets.sources.schema import read_database

    profiles: dict[str, tuple[ColumnProfile, ...]] = {}
    with (
        closing(open_database(target.system)) as database,
        errors.status(f"{target.system.system}: which tables") as status,
    ):

        def progress(what: str) -> None:
            status.update(f"{target.system.system}: {what}")

        found = read_database(database)
        proposal = propose(database, found, _declared(target, found), select, progress)
        for table_ in proposal.tables if sample else ():
            progress(f"{table_.found.full_name}: profile")
            personal = {**table_.pii, **(table_.declared.pii if table_.declared else {})}
            profiles[table_.found.full_name] = profile(database, table_.found, personal, sample)
    return proposal, found, profiles


def _declared(target: Target, found: "DatabaseFound") -> "dict[str, TableEntry]":
    """The declared tables by the name that the database knows them by."""
    entries = target.system.tables if target.is_declared else []
    return {(table_.full_name if (table_ := found.table(e.name)) else e.name): e for e in entries}


def _write(
    target: Target, proposal: "Proposal", found: "DatabaseFound", select: "Callable[[str], bool]", dry_run: bool
) -> tuple[list[str], str, str]:
    """(what changed, the text before, the text after). Nothing is written where nothing changed."""
    import datetime as dt

    from sv_assets.settings import catalogue_dir
    from sv_assets.sources.introspect import render
    from sv_assets.sources.introspect.merge import merged
    from sv_assets.sources.introspect.write import write

    system = target.system
    before = target.file.read_bytes().decode("utf-8") if target.file.exists() else ""
    result = None
    if target.is_declared or before:
        result = merged(
            before,
            system.system,
            proposal,
            lambda name: found.table(name) is None and select(name),
            dt.datetime.now().astimezone().date(),
        )
    if result is not None:
        after, changes = result.text, list(result.changes)
    else:
        if not proposal.tables:
            raise ConfigurationError(f"system {system.system}: there is no table to declare. {_why_nothing(proposal)}")
        new = render.document(system.system, target.connection, system.owners[0], system.time_zone, proposal)
        after = f"{before.rstrip()}\n---\n{new}" if before.strip() else new
        changes = [f"{len(proposal.tables):,} tables were declared."]
    if after != before:
        write(target.file, after, catalogue_dir(), dry_run)
    return changes, before, after


def _why_nothing(proposal: "Proposal") -> str:
    if proposal.left_out:
        first = proposal.left_out[0]
        return f"{len(proposal.left_out):,} were left out; the first, {first.name}: {first.reason}."
    return "Our log-in may see none, or --only and --exclude leave none: check both."


def _show(target: Target, proposal: "Proposal") -> None:
    table(
        f"{target.system.system}: {len(proposal.tables):,} tables",
        ["table", "rows", "key", "capture", "feeds", "personal data"],
        [
            [
                t.found.full_name,
                "" if t.found.rows is None else f"{t.found.rows:,}",
                _key(t),
                _capture(t),
                _feeds(t),
                ", ".join(t.declared.pii if t.declared else t.pii),
            ]
            for t in proposal.tables
        ],
    )
    for left in proposal.left_out:
        console.print(f"Left out: {left.name}: {left.reason}.", style="yellow", markup=False, soft_wrap=True)


def _key(proposed: "TableProposal") -> str:
    how = "" if proposed.key.found_as in ("primary key", "declared") else f" ({proposed.key.found_as})"
    return f"{', '.join(proposed.key.columns)}{how}"


def _capture(proposed: "TableProposal") -> str:
    if proposed.declared is not None:
        capture = proposed.declared.capture
        return f"{capture.mode} {getattr(capture, 'column', None) or ''}".rstrip() + " (declared)"
    column = f" {proposed.capture.column}" if proposed.capture.column else ""
    return f"{proposed.capture.mode}{column}: {re.split('[:;]', proposed.capture.reason)[0]}"


def _feeds(proposed: "TableProposal") -> str:
    if proposed.declared is not None:
        feeds = proposed.declared.feeds
        return ", ".join(name for name in type(feeds).model_fields if getattr(feeds, name))
    return ", ".join(f"{c.feed} {c.confidence:.2f}{'' if c.active else '?'}" for c in proposed.feeds)


def _show_profile(name: str, profiled: "tuple[ColumnProfile, ...]") -> None:
    from rich.markup import escape

    from sv_assets.sources.introspect.profile import lines

    table(
        f"{name}: profile",
        ["column", "type", "null", "distinct", "shortest", "longest", "patterns"],
        [[escape(cell) for cell in line] for line in lines(profiled)],
    )


def _show_outcome(target: Target, proposal: "Proposal", changes: list[str], dry_run: bool) -> None:
    for note in proposal.notes:
        console.print(note, markup=False, soft_wrap=True)
    if proposal.views:
        console.print(f"{len(proposal.views):,} views were left alone.")
    shown = changes[:40] + ([f"… and {len(changes) - 40:,} more."] if len(changes) > 40 else [])
    for change in shown:
        console.print(change, markup=False, soft_wrap=True)
    active = sum(c.active for t in proposal.tables if not t.declared for c in t.feeds)
    doubtful = sum(not c.active for t in proposal.tables if not t.declared for c in t.feeds)
    personal = sum(len(t.pii) for t in proposal.tables if not t.declared)
    if active or doubtful or personal:
        console.print(
            f"{active:,} feeds are declared, {doubtful:,} stand as comments to decide on; {personal:,} columns are "
            "marked as personal data."
        )
    if not changes:
        console.print(f"Nothing had changed: {target.file} is as it was.", markup=False, soft_wrap=True)
        return
    console.print(f"{'Would write' if dry_run else 'Wrote'} {target.file}.", markup=False, soft_wrap=True)
    for step in _next_steps(target):
        console.print(step, markup=False, soft_wrap=True)


def _next_steps(target: Target) -> list[str]:
    from sv_assets.settings import resolve_optional

    steps = []
    if resolve_optional(target.connection) is None:
        name = re.sub(r"^\{\{\s*env\.|\s*\}\}$", "", target.connection)
        steps.append(f"Next: set the environment variable {name} to the connection string, then: sv doctor, sv run.")
    else:
        steps.append("Next: look through the file, then: sv doctor, sv run.")
    return steps


def _as_json(
    target: Target,
    proposal: "Proposal",
    profiles: "Mapping[str, tuple[ColumnProfile, ...]]",
    changes: list[str],
    text: str | None,
) -> dict[str, Any]:
    return {
        "system": target.system.system,
        "file": str(target.file),
        "written": bool(changes) and text is None,
        "tables": [_table_as_json(t, profiles.get(t.found.full_name, ())) for t in proposal.tables],
        "left_out": [asdict(left) for left in proposal.left_out],
        "views": list(proposal.views),
        "notes": list(proposal.notes),
        "changes": changes,
        **({} if text is None else {"text": text}),
    }


def _table_as_json(proposed: "TableProposal", profiled: "tuple[ColumnProfile, ...]") -> dict[str, Any]:
    found = proposed.found
    return {
        "name": found.full_name,
        "declared": proposed.declared is not None,
        "rows": found.rows,
        "key": {"columns": proposed.key.columns, "found_as": proposed.key.found_as, "caution": proposed.key.caution},
        "capture": {**proposed.capture.declaration, "reason": proposed.capture.reason},
        "columns": [
            {"name": c.name, "type": c.declaration, "nullable": c.nullable, "computed": c.computed}
            for c in found.columns
        ],
        "foreign_keys": [asdict(key) for key in found.foreign_keys],
        "pii": dict(proposed.pii),
        "feeds": [{**asdict(c), "active": c.active} for c in proposed.feeds],
        **({"profile": [asdict(p) for p in profiled]} if profiled else {}),
    }


def _diff(system: str | None, connection: str | None, select: "Callable[[str], bool]", json: bool) -> None:
    """Tell the drift of one system, or of all. Exit code 1 where there is any."""
    if connection and system is None:
        raise ConfigurationError("--connection is one system's: name the system before it.")
    declared = _declared_systems()
    if system is not None and system not in declared:
        raise ConfigurationError(
            f"There is no declared system {system} to compare with. Declared: {', '.join(sorted(declared)) or 'none'}. "
            f"To declare it: sv introspect {system}"
        )
    found: dict[str, list[Drift]] = {
        name: _drift(_target(name, connection, None), select) for name in ([system] if system else sorted(declared))
    }
    every = [(name, drift) for name, of_system in found.items() for drift in of_system]
    if json:
        print_json({"drift": [{"system": name, **asdict(drift)} for name, drift in every], "systems": list(found)})
    elif every:
        table(
            f"{len(every):,} differences between catalogue and database",
            ["system", "table", "what", "finding"],
            [[name, drift.table, drift.kind.replace("_", " "), drift.sentence] for name, drift in every],
        )
        console.print("Next: sv introspect SYSTEM takes over what is new, and marks what vanished.", markup=False)
    else:
        console.print(f"The catalogue is as the database is: {', '.join(found) or 'no SQL system is declared'}.")
    if every:
        raise typer.Exit(1)


def _drift(target: Target, select: "Callable[[str], bool]") -> "list[Drift]":
    from contextlib import closing

    from sv_assets.sources.database import open_database
    from sv_assets.sources.introspect.drift import drift_of_system
    from sv_assets.sources.schema import read_database

    with closing(open_database(target.system)) as database, errors.status(f"{target.system.system}: compared"):
        found = read_database(database)
    return drift_of_system({entry.name: entry for entry in target.system.tables}, found, select)
