"""`sv introspect`: writes the declaration of a legacy system, or tells where it and the database have come apart."""

import difflib
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.output import JsonOption, complain, console, errors, print_json, table
from sv_assets.errors import ConfigurationError, SvError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sv_assets.sources.introspect.declare import Outcome
    from sv_assets.sources.introspect.drift import Drift
    from sv_assets.sources.introspect.found import DatabaseFound
    from sv_assets.sources.introspect.profile import ColumnProfile
    from sv_assets.sources.introspect.propose import Proposal, TableProposal
    from sv_assets.sources.introspect.target import Target

_MOST_CHANGES = 40


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
    from sv_assets.sources.introspect.declare import declare
    from sv_assets.sources.introspect.propose import is_selected
    from sv_assets.sources.introspect.target import target_of

    def select(name: str) -> bool:
        return is_selected(name, only or [], exclude or [])

    try:
        if diff:
            _diff(system, connection, select, json)
            return
        if system is None:
            raise ConfigurationError(
                "Which system? Name one, as `sv introspect crm`; only --diff looks at all of them."
            )
        target = target_of(system, connection, output, owner, time_zone)
        proposal, found, profiles = _look(target, select, sample)
        outcome = declare(target, proposal, found, select, dry_run)
    except TransientError as error:  # 1 would say that there is drift
        complain(str(error))
        raise typer.Exit(2) from None
    if json:
        print_json(_as_json(target, proposal, profiles, outcome, dry_run))
        return
    _show(target, proposal)
    for name, profiled in profiles.items():
        _show_profile(name, profiled)
    _show_outcome(target, proposal, outcome, dry_run)


def _look(
    target: "Target", select: "Callable[[str], bool]", sample: int
) -> "tuple[Proposal, DatabaseFound, dict[str, tuple[ColumnProfile, ...]]]":
    from contextlib import closing

    from sv_assets.sources.database import open_database
    from sv_assets.sources.introspect.profile import profile
    from sv_assets.sources.introspect.propose import propose
    from sv_assets.sources.schema import read_database

    name = target.system.system
    profiles: dict[str, tuple[ColumnProfile, ...]] = {}
    with closing(open_database(target.system)) as database, errors.status(f"{name}: which tables") as status:

        def progress(what: str) -> None:
            status.update(f"{name}: {what}")

        found = read_database(database)
        proposal = propose(database, found, target.declared(found), select, progress)
        for proposed in proposal.tables if sample else ():
            progress(f"{proposed.found.full_name}: profile")
            personal = {**proposed.pii, **(proposed.declared.pii if proposed.declared else {})}
            try:
                profiles[proposed.found.full_name] = profile(database, proposed.found, personal, sample)
            except SvError as error:
                complain(f"{proposed.found.full_name} has no profile: {error}")
    return proposal, found, profiles


def _show(target: "Target", proposal: "Proposal") -> None:
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


def _show_outcome(target: "Target", proposal: "Proposal", outcome: "Outcome", dry_run: bool) -> None:
    for note in proposal.notes:
        console.print(note, markup=False, soft_wrap=True)
    if proposal.views:
        console.print(f"{len(proposal.views):,} views were left alone.")
    for change in outcome.changes[:_MOST_CHANGES]:
        console.print(change, markup=False, soft_wrap=True)
    if len(outcome.changes) > _MOST_CHANGES:
        console.print(f"… and {len(outcome.changes) - _MOST_CHANGES:,} more changes.")
    new = [table for table in proposal.tables if table.declared is None]
    if new:
        feeds = [candidate.active for table in new for candidate in table.feeds]
        console.print(
            f"{sum(feeds):,} feeds are declared, {len(feeds) - sum(feeds):,} stand as comments to decide on; "
            f"{sum(len(table.pii) for table in new):,} columns are marked as personal data."
        )
    if outcome.after == outcome.before:
        console.print(f"Nothing had changed: {target.file} is as it was.", markup=False, soft_wrap=True)
        return
    console.print(f"{'Would write' if dry_run else 'Wrote'} {target.file}.", markup=False, soft_wrap=True)
    if dry_run:
        before, after = outcome.before.splitlines(), outcome.after.splitlines()
        lines = difflib.unified_diff(before, after, str(target.file), str(target.file), lineterm="")
        console.print("\n".join(lines), markup=False, soft_wrap=True)
        return
    console.print(_next_step(target), markup=False, soft_wrap=True)


def _next_step(target: "Target") -> str:
    from sv_assets.settings import resolve_optional

    if resolve_optional(target.connection) is not None:
        return "Next: look through the file, then: sv doctor, sv run."
    name = re.sub(r"^\{\{\s*env\.|\s*\}\}$", "", target.connection)
    return f"Next: set the environment variable {name} to the connection string, then: sv doctor, sv run."


def _as_json(
    target: "Target",
    proposal: "Proposal",
    profiles: "Mapping[str, tuple[ColumnProfile, ...]]",
    outcome: "Outcome",
    dry_run: bool,
) -> dict[str, Any]:
    return {
        "system": target.system.system,
        "file": str(target.file),
        "written": outcome.after != outcome.before and not dry_run,
        "tables": [_table_as_json(t, profiles.get(t.found.full_name, ())) for t in proposal.tables],
        "left_out": [asdict(left) for left in proposal.left_out],
        "views": list(proposal.views),
        "notes": list(proposal.notes),
        "changes": list(outcome.changes),
        **({"text": outcome.after} if dry_run else {}),
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
    from sv_assets.sources.introspect.target import declared_systems, target_of

    if connection and system is None:
        raise ConfigurationError("--connection is one system's: name the system before it.")
    declared = declared_systems()
    if system is not None and system not in declared:
        raise ConfigurationError(
            f"There is no declared system {system} to compare with. Declared: {', '.join(declared) or 'none'}. "
            f"To declare it: sv introspect {system}"
        )
    found = {name: _drift(target_of(name, connection), select) for name in ([system] if system else declared)}
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


def _drift(target: "Target", select: "Callable[[str], bool]") -> "list[Drift]":
    from contextlib import closing

    from sv_assets.sources.database import open_database
    from sv_assets.sources.introspect.drift import drift_of_system
    from sv_assets.sources.introspect.render import says_left_out
    from sv_assets.sources.schema import read_database

    with closing(open_database(target.system)) as database, errors.status(f"{target.system.system}: compared"):
        found = read_database(database)
    text = target.file.read_text(encoding="utf-8")
    entries = {entry.name: entry for entry in target.system.tables}
    return drift_of_system(entries, found, select, lambda name: says_left_out(text, name))
