"""What the commands print: tables for people on the terminal, JSON for scripts."""

import datetime as dt
import json
import sys
import uuid
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated, Any

import typer
from bson import Decimal128
from rich.console import Console
from rich.markup import escape
from rich.table import Table

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def complain(sentence: str) -> None:
    """One clear sentence on standard error."""
    errors.print(sentence, style="red", soft_wrap=True, markup=False)


def print_json(value: Any) -> None:
    """`value` as JSON on standard output."""
    sys.stdout.write(json.dumps(value, default=_plain, indent=2, ensure_ascii=False) + "\n")


def safe(text: str | None) -> str | None:
    """What others wrote, fit for a terminal: no markup, no control characters."""
    return None if text is None else escape("".join(c if c.isprintable() else "·" for c in text))


def lines(texts: Iterable[str]) -> str:
    """Such texts below each other in one cell of a table."""
    return "\n".join(str(safe(text)) for text in texts)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table. Numbers are right-aligned with thousands separators; rows may carry rich markup."""
    rows = [list(row) for row in rows]
    numeric = [bool(rows) and all(isinstance(row[n], (int, float)) for row in rows) for n in range(len(columns))]
    shown = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, is_numeric in zip(columns, numeric, strict=True):
        shown.add_column(name, justify="right" if is_numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*[_cell(value) for value in row])
    console.print(shown)
    console.print()


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    if isinstance(value, Decimal128):
        return str(value.to_decimal())
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (Decimal, uuid.UUID)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
