"""`sv doctor`: tries every connection, says what is wrong and how to mend it."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import typer

from sv_assets.cli.output import JsonOption, console, print_json, table
from sv_assets.errors import ConfigurationError, SvError

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
    """Try MongoDB, every legacy table, every queue and every alert channel (nothing is sent). Exit code 2 if anything is wrong."""
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
    findings.append(_try("roles in MongoDB", _roles))
    findings.append(_try("sealed fields", _sealed))
    findings.append(_driver([source for source in catalogue.sources if not source.is_queue]))
    for source in catalogue.sources:
        what = f"{source.system}: {source.name}"
        findings.append(_try(what, partial(_queue if source.is_queue else _table, source)))
    return [*findings, *_alert_channels()]


def _alert_channels() -> list[Finding]:
    """Every declared alert channel; one whose variables are not set is off, which is no fault."""
    from sv_assets.alerts.channels import missing_variables, named_variables, reach
    from sv_assets.alerts.settings import load_alert_settings

    try:
        settings = load_alert_settings()
    except SvError as error:
        return [Finding("alerts", False, "", str(error), 0)]
    findings = []
    for name, channel in settings.channels.items():
        if missing := missing_variables(channel):
            half = named_variables(channel) - {*missing}
            problem = (
                f"{', '.join(sorted(half))} is set, but not {', '.join(missing)}: the channel is off." if half else ""
            )
            findings.append(Finding(f"alerts: {name}", not half, f"off: {', '.join(missing)} not set", problem, 0))
        else:
            findings.append(_try(f"alerts: {name}", partial(reach, name, channel)))
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


def _roles() -> str:
    """Whether the server keeps a role to its collections. Without that the platform works, but log-ins see too much."""
    from sv_assets.access.mongo_roles import enforces_roles
    from sv_assets.cli.roles import ENFORCED, NOT_ENFORCED
    from sv_assets.mongo import explained_mongo_errors, store_from_environment

    store = store_from_environment()
    try:
        with explained_mongo_errors():
            return ENFORCED if enforces_roles(store) else NOT_ENFORCED
    except ConfigurationError:
        return "not tried: our user may not make users and roles"
    finally:
        store.close()


def _sealed() -> str:
    """Whether what is declared can be sealed: the master key is there, and opens the keys of customers."""
    from sv_assets.catalogue import load_catalogue
    from sv_assets.customers.sealed import check_declaration, unsealed
    from sv_assets.mongo import explained_mongo_errors, store_from_environment
    from sv_assets.sealing import load_declaration
    from sv_assets.sealing.keys import COLLECTION, keyring, status
    from sv_assets.sealing.master import SWITCH, is_off

    declared = load_declaration()
    check_declaration(declared)
    if missing := unsealed(load_catalogue(), declared):
        raise ConfigurationError(
            f"Neither sealed nor left in the clear for a reason: {'; '.join(missing)}. Add them to defs/privacy/encryption.yaml."
        )
    if is_off():
        return f"OFF ({SWITCH}=off): birth dates, flags and corrections are kept in the clear"
    store = store_from_environment()
    try:
        with explained_mongo_errors():
            ring, found = keyring(store), status(store)
            for master in found.by_master:  # one of each is opened
                some = store.control[COLLECTION].find_one({"masterKey.provider": f"local:{master}"}, {"_id": 1})
                ring.by_id([some["_id"]] if some else [])
            return f"{found.keys:,} keys of customers under {', '.join(found.by_master) or ring.masters.current}, kept in {ring.masters.kept}"
    finally:
        store.close()


def _driver(tables: "list[Source]") -> Finding:
    """Which ODBC driver reaches SQL Server, and why that one. It matters only where a connection is to SQL Server."""
    from sv_assets.settings import resolve_optional
    from sv_assets.sources.driver import driver_of, find_driver

    what = "ODBC driver"
    urls = sorted({url for source in tables if (url := resolve_optional(source.sql_system.connection))})
    needed = [url for url in urls if url.startswith("mssql")]
    try:
        drivers = {driver_of(url) for url in needed} or {find_driver()}
    except SvError as error:
        if needed:
            return Finding(what, False, "", str(error), 0)
        return Finding(what, True, "none, and none is needed: no connection is to SQL Server", "", 0)
    detail = "; ".join(f"{d.name} ({d.reason}){f'. {d.warning}' if d.warning else ''}" for d in drivers)
    return Finding(what, True, detail, "", 0)


def _table(source: "Source") -> str:
    from sv_assets.landing.skip import why_not_now
    from sv_assets.sources.capture import open_reader
    from sv_assets.sources.database import open_database
    from sv_assets.sources.table import count_rows, describe

    if reason := why_not_now(source):
        return f"not tried: {reason}"
    database = open_database(source.sql_system, source)
    try:
        shape = describe(database, source)
        open_reader(database, shape)  # refuses what the database is not set up for
        rows = count_rows(database, shape)
        name = database.engine.dialect.name
        return f"{name}, {len(shape.columns)} columns, {rows:,} rows, key {', '.join(source.table.key)}, {source.table.capture.mode}"
    finally:
        database.close()


def _queue(source: "Source") -> str:
    from sv_assets.sources.messages.schema import schemas_of
    from sv_assets.sources.sqs.queue import Queue

    schemas_of(source.queue)
    queue = Queue(source)
    queue.check_place()
    depth, redrive, declared = queue.depth(), queue.redrive, source.queue.dead_letters
    found = redrive.dead_letters if redrive else None
    if declared and found != declared:
        raise ConfigurationError(
            f"SQS moves what was received too often to {found or 'no queue'}, and the declaration says "
            f"`dead_letters: {declared}`. Correct it in the defs.yaml of {source.system}."
        )
    dead = f", {Queue(source, declared).depth().total:,} dead letters" if declared else ""
    if found and not declared:
        dead = f"; SQS moves what was received too often to {found}: declare it as `dead_letters`"
    return f"{depth.visible:,} messages wait, {depth.in_flight:,} in work{dead}"
