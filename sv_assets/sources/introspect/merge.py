"""A `defs.yaml` brought up to what its database has: a person's words stay, facts are refreshed, what is new is added."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from sv_assets.catalogue.model import ForeignKey, TableEntry, VanishedColumn
from sv_assets.errors import ConfigurationError
from sv_assets.sources.introspect.drift import canonical_type, foreign_key_text, same_foreign_key
from sv_assets.sources.introspect.edits import Edits, child, end_of
from sv_assets.sources.introspect.found import ForeignKeyFound
from sv_assets.sources.introspect.propose import LeftOut, Proposal, TableProposal
from sv_assets.sources.introspect.render import columns_of, entry, flow, foreign_key, left_out, says_left_out


@dataclass(frozen=True)
class Merged:
    """The new text of a file, and what changed in it: a sentence each."""

    text: str
    changes: tuple[str, ...]


def merged(text: str, system: str, proposal: Proposal, gone: Callable[[str], bool], today: dt.date) -> Merged:
    """The file, which declares the system, with the proposal in it.

    `gone`: whether a declared table is no longer there (and was looked for). Raises ConfigurationError where its
    `tables` are written in a way that nothing can be added to.
    """
    tables = child(_attributes(text, system), "tables")
    if not isinstance(tables, yaml.SequenceNode) or tables.flow_style or not tables.value:
        raise ConfigurationError(
            f"system {system}: its `tables:` are written in one line, where nothing can be added. Write one `- name:` a line."
        )
    edits = Edits(text)
    changes: list[str] = []
    proposed = {table.declared.name: table for table in proposal.tables if table.declared is not None}
    for node in tables.value:
        name = str(getattr(child(node, "name"), "value", ""))
        if name in proposed:
            changes += _refresh(edits, node, proposed[name], today)
        elif gone(name) and child(node, "vanished") is None:
            edits.set_word(node, "vanished", today)
            changes.append(f"{name} is no longer there: marked as vanished.")
    new = [table for table in proposal.tables if table.declared is None]
    left = [table for table in proposal.left_out if not says_left_out(text, table.name)]
    _append(edits, tables, new, left)
    changes += [f"{table.name} was left out: {table.reason}." for table in left]
    changes += [f"{table.found.full_name} was added." for table in new]
    return Merged(edits.applied(), tuple(changes))


def _attributes(text: str, system: str) -> yaml.Node | None:
    for document in yaml.compose_all(text, Loader=yaml.SafeLoader):
        attributes = child(document, "attributes")
        if getattr(child(attributes, "system"), "value", None) == system and child(attributes, "tables") is not None:
            return attributes
    return None


def _append(edits: Edits, tables: yaml.SequenceNode, new: Sequence[TableProposal], left: Sequence[LeftOut]) -> None:
    column = tables.start_mark.column
    lines: list[str] = []
    for table in new:
        lines += ["", *entry(table, column)]
    if left:
        lines += ["", *left_out(left, column)]
    edits.insert_lines(edits.end_of_block(tables, column), lines)


def _refresh(edits: Edits, node: yaml.MappingNode, table: TableProposal, today: dt.date) -> list[str]:
    """Facts of a table that is declared already: rows, columns, foreign keys, and that it is there."""
    declared, found = table.declared, table.found
    assert declared is not None
    name, changes = declared.name, []
    if declared.vanished is not None:
        edits.remove_word(node, "vanished")
        changes.append(f"{name} is there again.")
    added: dict[str, Any] = {}
    if declared.columns:
        changes += _refresh_columns(edits, node, table, today)
    else:
        added["columns"] = columns_of(found)
        changes.append(f"{name}: its {len(found.columns)} columns were added.")
    if found.rows is not None and found.rows != declared.rows:
        if declared.rows is None:
            added["rows"] = found.rows
            changes.append(f"{name}: it has {found.rows:,} rows.")
        else:
            edits.set_word(node, "rows", found.rows)
            changes.append(f"{name}: it has {found.rows:,} rows, and had {declared.rows:,}.")
    changes += _refresh_foreign_keys(edits, node, declared, found.foreign_keys)
    for word, value in added.items():
        edits.set_word(node, word, value)
    return changes


def _refresh_columns(edits: Edits, node: yaml.MappingNode, table: TableProposal, today: dt.date) -> list[str]:
    declared, found = table.declared, table.found
    assert declared is not None
    columns = child(node, "columns")
    assert isinstance(columns, yaml.MappingNode)
    present = columns_of(found)
    changes: list[str] = []
    for key, value in columns.value:
        name = str(key.value)
        before = declared.columns[name]
        where = f"{declared.name}: {name}"
        if isinstance(before, VanishedColumn):
            if name in present:
                edits.replace(value, flow(present[name]))
                changes.append(f"{where} is there again.")
        elif name not in present:
            edits.replace(value, flow({"type": before, "vanished": today}))
            changes.append(f"{where} is no longer there: marked as vanished.")
        elif canonical_type(before) != canonical_type(present[name]):
            edits.replace(value, flow(present[name]))
            changes.append(f"{where} was {before} and is {present[name]}.")
    new = {name: kind for name, kind in present.items() if name not in declared.columns}
    edits.add_to_mapping(columns, new)
    changes += [f"{declared.name}: {name} was added." for name in new]
    return changes + _mark_new_personal_data(edits, node, table, new)


def _mark_new_personal_data(
    edits: Edits, node: yaml.MappingNode, table: TableProposal, new: Mapping[str, str]
) -> list[str]:
    """A new column that seems to be personal is masked from the start; those that a person has seen stay as they are."""
    declared = table.declared
    assert declared is not None
    personal = {name: kind for name, kind in table.pii.items() if name in new and name not in declared.pii}
    marked = child(node, "pii")
    if isinstance(marked, yaml.MappingNode):
        edits.add_to_mapping(marked, personal)
    elif personal:
        edits.set_word(node, "pii", personal)
    return [f"{declared.name}: {name} is taken for personal data ({kind})." for name, kind in personal.items()]


def _refresh_foreign_keys(
    edits: Edits, node: yaml.MappingNode, declared: TableEntry, found: Sequence[ForeignKeyFound]
) -> list[str]:
    """New ones are added. One that is gone stays, because its table may still be read by it; `--diff` tells of it."""
    new = [key for key in found if not any(same_foreign_key(key, known) for known in declared.foreign_keys)]
    if not new:
        return []
    known = child(node, "foreign_keys")
    if isinstance(known, yaml.SequenceNode) and known.value and not known.flow_style:
        margin = " " * known.start_mark.column
        edits.insert_lines(end_of(known), [f"{margin}- {foreign_key(key)}" for key in new])
    else:
        every: list[ForeignKey | ForeignKeyFound] = [*declared.foreign_keys, *new]
        value = [{"columns": list(k.columns), "table": k.table, "key": list(k.key)} for k in every]
        if known is None and not node.flow_style:
            margin = " " * node.value[0][0].start_mark.column
            edits.insert_lines(
                end_of(node), [f"{margin}foreign_keys:", *(f"{margin}  - {foreign_key(k)}" for k in new)]
            )
        else:
            edits.set_word(node, "foreign_keys", value)
    return [f"{declared.name}: the foreign key {foreign_key_text(key)} was added." for key in new]
