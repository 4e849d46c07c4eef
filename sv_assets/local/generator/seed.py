"""Seeds the estate: writes the legacy databases, fills the queues, and keeps the truth apart."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from uuid import uuid4

from sv_assets.errors import ConfigurationError
from sv_assets.local.generator.calendar import LONDON, Calendar
from sv_assets.local.generator.contactcentre import add_contactcentre, spoil_two_calls
from sv_assets.local.generator.crm import add_crm
from sv_assets.local.generator.flags import add_flags
from sv_assets.local.generator.fraud import add_fraud
from sv_assets.local.generator.fraud_truth import FILE as FRAUD_TRUTH
from sv_assets.local.generator.fraud_truth import write_fraud_truth
from sv_assets.local.generator.legacy_schema import (
    TABLES,
    create_indexes,
    create_tables,
    insert_statement,
    open_for_loading,
    store_rowversions,
)
from sv_assets.local.generator.people import CHUNK, draws, people
from sv_assets.local.generator.rows import Batch, Ids, Message
from sv_assets.local.generator.sales import add_sales
from sv_assets.local.generator.state import MEMORY, SeedState, create_memory, database_paths, remember, save_state
from sv_assets.local.generator.truth import FILE as TRUTH
from sv_assets.local.generator.truth import write_truth
from sv_assets.local.generator.web import add_unreadable, add_web
from sv_assets.local.queues import empty_queues, send, sqs_client

SPOOL = "messages.tsv"
Progress = Callable[[str, int, int], None]
"""Called with a step's name, how much of it is done, and of how much."""


@dataclass(frozen=True)
class SeedReport:
    people: int
    rows: dict[str, int]
    """By `<system>.<table>`, as the catalogue spells them, lower case."""
    messages: dict[str, int]
    """By queue."""
    truth: int
    sql_seconds: float
    queue_seconds: float


def seed(
    local_dir: Path,
    urls: Mapping[str, str],
    people: int = 5_000,
    seed: int = 7,
    until: date | None = None,
    progress: Progress | None = None,
) -> SeedReport:
    """Makes the estate anew: the same people, seed and until (default: today in London) give the same estate.

    New database files replace the old ones only when all are finished. `seed.json` says `complete: false` from the
    start until the last message is sent, so that a killed seed is seen, and seeding again puts it right.
    Raises ConfigurationError for an impossible size or date.
    """
    tell = progress or (lambda step, done, total: None)
    today = datetime.now(LONDON).date()
    until = until or today
    if people < 1:
        raise ConfigurationError(f"An estate of {people} people cannot be seeded; give at least 1.")
    if until > today:
        raise ConfigurationError(f"until={until} is in the future; give today ({today}) or an earlier date.")
    paths = database_paths(urls)
    local_dir.mkdir(parents=True, exist_ok=True)
    state = SeedState(people=people, seed=seed, until=until.isoformat(), complete=False)
    save_state(local_dir, state)
    client = sqs_client(urls)
    empty_queues(client)

    started = time.monotonic()
    finished = {**paths, "generator": local_dir / MEMORY, "truth": local_dir / TRUTH, "fraud": local_dir / FRAUD_TRUTH}
    new = {name: path.with_name(f"{path.name}.new") for name, path in finished.items()}
    ids, rows, messages, truth = _load(new, local_dir / SPOOL, people, seed, Calendar(until), tell)
    for name, path in finished.items():
        for leftover in ("-wal", "-shm"):
            path.with_name(path.name + leftover).unlink(missing_ok=True)
        new[name].replace(path)
    loaded = time.monotonic()

    done = 0

    def count(sent: int) -> None:
        nonlocal done
        done += sent
        tell("messages", done, messages)

    sent = send(client, _spooled(local_dir / SPOOL), nonce=uuid4().hex, sent=count)
    (local_dir / SPOOL).unlink()
    state = replace(
        state,
        complete=True,
        next_person=people + 1,
        clock=Calendar(until).closing.isoformat(),
        rowversions={system: counter.value for system, counter in ids.rowversions.items()},
        next_ids={name: value + 1 for name, value in asdict(ids).items() if name != "rowversions"},
    )
    save_state(local_dir, state)
    return SeedReport(people, rows, sent, truth, loaded - started, time.monotonic() - loaded)


MOST_MESSAGES = 50_000
"""The SQS stand-in slows down with the depth of its queues; tables grow without such a limit."""


def generate(people_count: int, seed: int, calendar: Calendar, ids: Ids) -> Iterator[Batch]:
    """The whole estate, a chunk of people at a time. Once there are `MOST_MESSAGES`, people have no web accounts and parcels."""
    messages = 0
    for chunk, first in enumerate(range(1, people_count + 1, CHUNK)):
        batch = Batch()
        members = people(seed, chunk, first, min(CHUNK, people_count + 1 - first), calendar)
        draw = draws(seed, 2, chunk)
        known = add_crm(batch, members, calendar, draw, ids)
        orders = add_sales(batch, members, known, calendar, draw, ids)
        add_fraud(batch, members, seed, chunk, calendar, draws(seed, 4, chunk), ids)
        add_flags(batch, known, calendar, draws(seed, 5, chunk))
        add_contactcentre(batch, members, known, orders, calendar, draw, ids)
        if messages < MOST_MESSAGES:
            add_web(batch, members, known, calendar, draw, ids)
        else:
            batch.messages.clear()
        messages += len(batch.messages)
        if chunk == 0:
            spoil_two_calls(batch, calendar.until)
            add_unreadable(batch)
        yield batch


def _load(
    new: Mapping[str, Path], spool: Path, people_count: int, seed: int, calendar: Calendar, tell: Progress
) -> tuple[Ids, dict[str, int], int, int]:
    """Writes all files; returns the last ids, the rows by table, and how many messages and lines of truth there are."""
    ids, rows, messages, truth, done = Ids(), dict[str, int](), 0, 0, 0
    for path in new.values():
        path.unlink(missing_ok=True)
    with ExitStack() as stack:
        databases = {system: stack.enter_context(closing(open_for_loading(new[system]))) for system in TABLES}
        memory = stack.enter_context(closing(open_for_loading(new["generator"])))
        truth_file = stack.enter_context(new["truth"].open("w", encoding="utf-8", newline=""))
        fraud_file = stack.enter_context(new["fraud"].open("w", encoding="utf-8", newline=""))
        spool_file = stack.enter_context(spool.open("w", encoding="utf-8"))
        for system, database in databases.items():
            create_tables(database, system)
        create_memory(memory)
        write_truth(truth_file, (), header=True)
        write_fraud_truth(fraud_file, (), header=True)
        statements = {
            (system, table): insert_statement(databases[system], table) for system in TABLES for table in TABLES[system]
        }
        for batch in generate(people_count, seed, calendar, ids):
            for database in (*databases.values(), memory):
                database.execute("BEGIN")
            for (system, table), new_rows in batch.rows.items():
                databases[system].executemany(statements[system, table], new_rows)
                name = f"{system}.{table}".lower()
                rows[name] = rows.get(name, 0) + len(new_rows)
            remember(memory, batch)
            for database in (*databases.values(), memory):
                database.execute("COMMIT")
            write_truth(truth_file, batch.truth)
            write_fraud_truth(fraud_file, batch.planted)
            spool_file.writelines(
                "\t".join((m.queue, m.group or "", m.once or "", m.body)) + "\n" for m in batch.messages
            )
            messages += len(batch.messages)
            truth += len(batch.truth)
            done = min(done + CHUNK, people_count)
            tell("people", done, people_count)
        for n, (system, database) in enumerate(databases.items(), start=1):
            create_indexes(database, system)
            store_rowversions(database, ids.rowversions[system])
            _finish(database)
            tell("indexes", n, len(databases))
        _finish(memory)
    return ids, rows, messages, truth


def _finish(database: sqlite3.Connection) -> None:
    """From now on the file is shared: readers do not wait for a tick, and a killed tick is rolled back."""
    database.execute("PRAGMA locking_mode=NORMAL")
    database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    database.execute("PRAGMA journal_mode=WAL")


def _spooled(path: Path) -> Iterator[Message]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            queue, group, once, body = line.rstrip("\n").split("\t", 3)
            yield Message(queue, body, group or None, once or None)
