"""The file of a system, written for the first time or brought up to what its database has."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from sv_assets.errors import ConfigurationError
from sv_assets.settings import catalogue_dir
from sv_assets.sources.introspect.found import DatabaseFound
from sv_assets.sources.introspect.merge import merged
from sv_assets.sources.introspect.propose import Proposal
from sv_assets.sources.introspect.render import document
from sv_assets.sources.introspect.target import Target
from sv_assets.sources.introspect.write import write


@dataclass(frozen=True)
class Outcome:
    """What became of the file: its text before and after, and each change in a sentence. No change: not written."""

    before: str
    after: str
    changes: tuple[str, ...]


def declare(
    target: Target, proposal: Proposal, found: DatabaseFound, select: Callable[[str], bool], dry_run: bool = False
) -> Outcome:
    """Write the proposal to the target's file; with `dry_run` only find out what would be written.

    Raises ConfigurationError, and writes nothing, where there is no table, where no declared table is in this database
    (then it is another one), and where the catalogue would not load.
    """
    before = target.file.read_bytes().decode("utf-8") if target.file.exists() else ""
    if target.system.tables:
        outcome = _merge(target, proposal, found, select, before)
    else:
        outcome = _begin(target, proposal, before)
    if outcome.after != before:
        write(target.file, outcome.after, catalogue_dir(), dry_run)
    return outcome


def _merge(
    target: Target, proposal: Proposal, found: DatabaseFound, select: Callable[[str], bool], before: str
) -> Outcome:
    declared = [entry for entry in target.system.tables if select(entry.name) and entry.vanished is None]
    if declared and all(found.table(entry.name) is None for entry in declared):
        raise ConfigurationError(
            f"system {target.system.system}: none of its {len(declared)} declared tables is in this database, or our log-in "
            "may see none. Check its connection with `sv doctor`. Nothing was written."
        )

    def is_gone(name: str) -> bool:
        return select(name) and found.table(name) is None

    today = dt.datetime.now().astimezone().date()
    result = merged(before, target.system.system, proposal, is_gone, today)
    return Outcome(before, result.text, result.changes)


def _begin(target: Target, proposal: Proposal, before: str) -> Outcome:
    system = target.system
    if not proposal.tables:
        raise ConfigurationError(f"system {system.system}: there is no table to declare. {_why_nothing(proposal)}")
    text = document(system.system, target.connection, system.owners[0], system.time_zone, proposal)
    after = f"{before.rstrip()}\n---\n{text}" if before.strip() else text
    return Outcome(before, after, (f"{len(proposal.tables):,} tables were declared.",))


def _why_nothing(proposal: Proposal) -> str:
    if proposal.left_out:
        first = proposal.left_out[0]
        return f"{len(proposal.left_out):,} were left out; the first, {first.name}: {first.reason}."
    return "Our log-in may see none, or --only and --exclude leave none: check both."
