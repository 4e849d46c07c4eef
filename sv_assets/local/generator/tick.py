"""Lets the estate live on: a number of changes to rows and messages, as the departments would make them."""

import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from sv_assets.errors import ConfigurationError, SvError
from sv_assets.local.generator.calendar import LONDON
from sv_assets.local.generator.legacy_schema import load_rowversions, store_rowversions
from sv_assets.local.generator.people import draws
from sv_assets.local.generator.rows import Ids
from sv_assets.local.generator.seed import Progress
from sv_assets.local.generator.state import FILE, MEMORY, SeedState, database_paths, load_state, save_state
from sv_assets.local.generator.tick_changes import CHANGES
from sv_assets.local.generator.tick_work import Counts, Tick
from sv_assets.local.generator.truth import FILE as TRUTH
from sv_assets.local.generator.truth import change_truth
from sv_assets.local.queues import send, sqs_client

_STEP = timedelta(minutes=1)
_MARGIN = timedelta(minutes=2)


def tick(
    local_dir: Path,
    urls: Mapping[str, str],
    changes: int = 50,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Makes exactly `changes` row changes and messages; returns {source: {inserted, updated, deleted, messages}}.

    The same estate, number of ticks and seed (default: the estate's own) give the same changes. The estate's clock
    moves on by a minute (less if that came within two minutes of the real one); every change is later than all before.
    Raises ConfigurationError when there is no complete seed, SvError when the clock has no room.
    """
    tell = progress or (lambda step, done, total: None)
    state = load_state(local_dir)
    if state is None:
        raise ConfigurationError(f"Nothing is seeded in {local_dir} ({FILE} is missing); run `sv estate seed`.")
    if not state.complete:
        raise ConfigurationError(f"The last seed or tick in {local_dir} did not finish; run `sv estate seed`.")
    if changes < 1:
        raise ConfigurationError(f"A tick of {changes} changes cannot be made; give at least 1.")
    begin, step = next_span(state.clock_instant, datetime.now(UTC), changes)
    state = replace(state, ticks=state.ticks + 1)
    paths = database_paths(urls)
    client = sqs_client(urls)
    with ExitStack() as stack:
        databases = {system: stack.enter_context(closing(_open(path))) for system, path in paths.items()}
        memory = stack.enter_context(closing(_open(local_dir / MEMORY)))
        work = _work(state, databases, memory, seed, changes, begin)
        for database in (*databases.values(), memory):
            database.execute("BEGIN IMMEDIATE")
        made = 0
        while work.left:
            work.moment = begin + step * (made + 1) / changes
            made += _one_change(work)
            work.left = changes - made
            tell("changes", made, changes)
        save_state(local_dir, replace(state, complete=False))
        for system, database in databases.items():
            store_rowversions(database, work.ids.rowversions[system])
        for database in (*databases.values(), memory):
            database.execute("COMMIT")
    change_truth(local_dir / TRUTH, work.truth_added, work.truth_removed)
    send(
        client,
        work.messages,
        nonce=uuid4().hex,
        senders=1,
        sent=lambda count: tell("messages", count, len(work.messages)),
    )
    save_state(
        local_dir,
        replace(
            state,
            next_person=work.next_person,
            clock=(begin + step).isoformat(),
            rowversions={system: counter.value for system, counter in work.ids.rowversions.items()},
            next_ids={name: value + 1 for name, value in asdict(work.ids).items() if name != "rowversions"},
            last_tick=work.counts,
        ),
    )
    return work.counts


def next_span(clock: datetime, now: datetime, changes: int) -> tuple[datetime, timedelta]:
    """From where, and for how long, the estate's clock runs in this tick: a minute, or half of what is left.

    London's repeated hour in autumn is left out, since there a later instant has an earlier local time.
    """
    local = (clock + _STEP).astimezone(LONDON)
    if local.fold:
        clock = local.replace(hour=2, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)
    room = now - _MARGIN - clock
    step = min(_STEP, room / 2)
    if step < timedelta(milliseconds=2 * changes) and step < _STEP:
        raise SvError("The estate's clock has caught up with the real one; wait two minutes, then tick again.")
    return clock, step


def _work(
    state: SeedState,
    databases: Mapping[str, sqlite3.Connection],
    memory: sqlite3.Connection,
    seed: int | None,
    changes: int,
    begin: datetime,
) -> Tick:
    ids = Ids(rowversions={system: load_rowversions(database) for system, database in databases.items()})
    for name, value in state.next_ids.items():
        setattr(ids, name, value - 1)
    draw = draws(state.seed if seed is None else seed, 3, state.ticks)
    return Tick(state, databases, memory, draw, ids, moment=begin, left=changes, next_person=state.next_person)


def _one_change(work: Tick) -> int:
    """Draws a change until one finds something to do. There always is one: somebody registers, somebody calls."""
    total = sum(weight for _, weight in CHANGES)
    while True:
        place = work.draw() * total
        for change, weight in CHANGES:
            place -= weight
            if place < 0:
                if made := change(work):
                    return made
                break


def _open(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise ConfigurationError(f"{path} is missing; run `sv estate seed`.")
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.row_factory = sqlite3.Row
    return connection
