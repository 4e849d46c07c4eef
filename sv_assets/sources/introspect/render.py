"""A table's entry as the text of a `defs.yaml`, the way a person would write it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from sv_assets.sources.introspect.candidates import Candidate
from sv_assets.sources.introspect.found import ForeignKeyFound, TableFound
from sv_assets.sources.introspect.propose import LeftOut, Proposal, TableProposal

WIDTH = 120
_PLAIN = re.compile(r"[A-Za-z_$][\w ()./$@-]*(?<! )|\d+[smhd]", re.ASCII)


def scalar(value: Any) -> str:
    """A value on one line, quoted only where YAML would take it for something else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    if _PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    return '"' + "".join(_escaped(letter) for letter in value) + '"'


def flow(value: Any) -> str:
    """A value on one line: `{name: Email, phone: [Mobile, Phone]}`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(_pair(name, item) for name, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return scalar(value)


def wrapped(word: str, value: Any, indent: int) -> list[str]:
    """`word: {…}` in lines of at most 120 letters, the further ones two deeper. Indented by `indent`."""
    margin = " " * indent
    line = f"{margin}{word}: {flow(value)}"
    if len(line) <= WIDTH or not isinstance(value, (Mapping, list, tuple)):
        return [line]
    is_mapping = isinstance(value, Mapping)
    items = [_pair(n, v) for n, v in value.items()] if isinstance(value, Mapping) else [flow(v) for v in value]
    lines = filled(f"{margin}{word}: {'{' if is_mapping else '['}", items, indent + 2)
    lines[-1] += "}" if is_mapping else "]"
    return lines


def filled(begin: str, items: Sequence[str], indent: int) -> list[str]:
    """Items with commas between them, in lines as full as they can be; the first line begins with `begin`."""
    lines = [begin]
    for n, item in enumerate(items):
        text = item + ("," if n < len(items) - 1 else "")
        separator = "" if lines[-1].endswith(("{", "[")) and n == 0 else " "
        if len(lines[-1]) + len(separator) + len(text) >= WIDTH and lines[-1].strip():
            lines.append(" " * indent + text)
        else:
            lines[-1] += separator + text
    return lines


def comment(text: str) -> str:
    """Text that may stand in a comment: on one line, and printable."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def entry(proposal: TableProposal, indent: int) -> list[str]:
    """The lines of a table's entry in `tables:`, its dash indented by `indent`."""
    found, at = proposal.found, indent + 2
    margin = " " * at
    lines = [f"{' ' * indent}- name: {scalar(found.full_name)}"]
    lines += remarked(wrapped("key", list(proposal.key.columns), at), proposal.key.caution, at)
    lines += remarked([f"{margin}capture: {flow(proposal.capture.declaration)}"], proposal.capture.reason, at)
    if proposal.pii:
        lines += wrapped("pii", proposal.pii, at)
    lines += feeds(proposal.feeds, at)
    lines += wrapped("columns", columns_of(found), at)
    if found.rows is not None:
        lines.append(f"{margin}rows: {found.rows}")
    if found.foreign_keys:
        lines += [f"{margin}foreign_keys:", *(f"{margin}  - {foreign_key(key)}" for key in found.foreign_keys)]
    return lines


def columns_of(found: TableFound) -> dict[str, str]:
    """Name and type of each column, as they are declared."""
    return {column.name: column.declaration for column in found.columns}


def foreign_key(key: ForeignKeyFound) -> str:
    return flow({"columns": list(key.columns), "table": key.table, "key": list(key.key)})


def feeds(found: Sequence[Candidate], indent: int) -> list[str]:
    """`feeds:` with what is declared; below it, as comments, what a person must decide, best first."""
    declared = [candidate for candidate in found if candidate.active]
    doubtful = sorted((c for c in found if not c.active), key=lambda c: -c.confidence)
    margin = " " * indent
    lines = [f"{margin}feeds:"] if declared else []
    for candidate in declared:
        lines += _feed(candidate, indent + 2)
    below = [] if declared or not doubtful else ["feeds:"]
    for candidate in doubtful:
        below += _feed(candidate, 2)
    return lines + [f"{margin}# {line}" for line in below]


def left_out(found: Sequence[LeftOut], indent: int) -> list[str]:
    """What is not declared, as comments with the reason."""
    return [f"{' ' * indent}{_left_out(table.name)}{comment(f': {table.reason}')}" for table in found]


def says_left_out(text: str, name: str) -> bool:
    """True where a comment of the file says that this table was left out on purpose."""
    begin = _left_out(name)
    return any(line.strip() == begin or line.lstrip().startswith(f"{begin}:") for line in text.splitlines())


def document(system: str, connection: str, owner: str, time_zone: str, proposal: Proposal, newline: str = "\n") -> str:
    """A whole `defs.yaml` for a system that has none."""
    lines = [
        f"# Written by `sv introspect {system}`, and yours to edit: it never changes what you wrote, only adds what is new.",
        "# A feed with a confidence below 0.8 is a comment: remove the `# ` before its lines where it is right.",
        "type: sv_assets.components.SqlServerSystem",
        "attributes:",
        f"  system: {system}",
        f"  connection: {scalar(connection)}",
        f"  owners: [{scalar(owner)}]",
        "  max_connections: 2",
        f"  time_zone: {scalar(time_zone)}  # of its date-times without an offset: correct it if they are elsewhere",
        "  tables:",
    ]
    for n, table in enumerate(proposal.tables):
        lines += [*([""] if n else []), *entry(table, 4)]
    if proposal.left_out:
        lines += ["", *left_out(proposal.left_out, 4)]
    return newline.join(lines) + newline


def remarked(lines: list[str], remark: str, indent: int) -> list[str]:
    """The lines with a remark at the end of the last one, or above them where it does not fit."""
    if not remark:
        return lines
    text = comment(remark)
    if len(lines) == 1 and len(lines[0]) + len(text) + 4 <= WIDTH:
        return [f"{lines[0]}  # {text}"]
    return [f"{' ' * indent}# {text}", *lines]


def _left_out(name: str) -> str:
    return f"# Left out: {comment(name)}"


def _feed(candidate: Candidate, indent: int) -> list[str]:
    reasons = ", ".join(candidate.because)
    if candidate.missing:
        reasons += f"; to be found: {', '.join(candidate.missing)}"
    lines = remarked([f"{' ' * indent}{candidate.feed}:"], f"{candidate.confidence:.2f}: {reasons}", indent)
    for name, value in candidate.fields.items():
        lines += wrapped(name, value, indent + 2)
    return lines


def _pair(name: Any, value: Any) -> str:
    return f"{scalar(name)}: {flow(value)}"


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02X}" if code < 256 else f"\\u{code:04X}" if code < 65536 else f"\\U{code:08X}"


def items_of(value: Mapping[str, Any]) -> Iterator[str]:
    """`name: value` for each item, to be put into a mapping that is there already."""
    return (_pair(name, item) for name, item in value.items())
