"""`sv doctor`: tries every connection, says what is wrong and how to mend it."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import typer

from sv_assets.cli.output import JsonOption, console, print_json, table
from sv_assets.errors import SvError

if TYPE_CHECKING:
    from sv_assets.catalogue import Source


@dataclass(frozen=True)
class Finding:
    """One thing tried. `problem` is empty where it works, and says what to do where it does not."""

    what: str
    works: bool
    detail: str
    problem: str
    milliseconds: int


def doctor(json: JsonOption = False) -> None:
    """Try MongoDB, every legacy table and every queue. Exit code 2 if anything is wrong."""
    findings = list(examine())
    if json:
        print_json({"healthy": all(f.works for f in findings), "findings": [asdict(f) for f in findings]})
    else:
        table(
            "Connections",
            ["", "what", "found", "ms"],
            [
                ["[green]ok[/]" if f.works else "[red]no[/]", f.what, f.detail if f.works else "", f.milliseconds]
                for f in findings
            ],
        )
        for finding in findings:
            if not finding.works:
                console.print(f"[red]{finding.what}[/]: ", end="")
                console.print(finding.problem, markup=False, soft_wrap=True)
        if all(f.works for f in findings):
            console.print("Everything answers. Next: [bold]sv run[/].")
    if not all(f.works for f in findings):
        raise typer.Exit(2)


def examine() -> list[Finding]:
    """Everything that can be tried, in the order of the way of a record."""
    from sv_assets.catalogue import load_catalogue

    findings: list[Finding] = []
    try:
        catalogue = load_catalogue()
    except SvError as error:
        return [Finding("catalogue", False, "", str(error), 0)]
    findings.append(Finding("catalogue", True, f"{len(catalogue.sources)} sources declared", "", 0))
    findings.append(_try("MongoDB", _mongo))
    for source in catalogue.sources:
        what = f"{source.system}: {source.name}"
        findings.append(_try(what, partial(_queue if source.is_queue else _table, source)))
    return findings


def _try(what: str, attempt: Callable[[], str]) -> Finding:
    started = time.monotonic()
    try:
        detail, problem = attempt(), ""
    except SvError as error:
        detail, problem = "", str(error)
    return Finding(what, not problem, detail, problem, round((time.monotonic() - started) * 1000))


def _mongo() -> str:
    from sv_assets.mongo import explained_mongo_errors, store_from_environment

    with explained_mongo_errors():
        store = store_from_environment()
        hello = store.client.admin.command("hello")
        store.control["doctor"].replace_one({"_id": "doctor"}, {"_id": "doctor", "tried": time.time()}, upsert=True)
        version = store.client.server_info()["version"]
        store.close()
    kind = f"replica set {hello['setName']}" if hello.get("setName") else "a single server"
    return f"version {version}, {kind}, writes acknowledged by a majority"


def _table(source: "Source") -> str:
    from sv_assets.sources.database import open_database
    from sv_assets.sources.table import count_rows, describe

    database = open_database(source.sql_system)
    try:
        shape = describe(database, source)
        return f"{database.engine.dialect.name}, {len(shape.columns)} columns, {count_rows(database, shape):,} rows, key {', '.join(source.table.key)}"
    finally:
        database.close()


def _queue(source: "Source") -> str:
    from sv_assets.sources.queue import Queue

    depth = Queue(source).depth()
    return f"{depth.visible:,} messages wait, {depth.in_flight:,} in work"
