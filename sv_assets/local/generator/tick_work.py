"""A tick at work: picks rows that nothing touched yet, writes changes as SQL Server would, and counts them."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import cast

from sv_assets.local.generator.calendar import Calendar, Draw, london_stamp
from sv_assets.local.generator.legacy_schema import insert_statement, quoted
from sv_assets.local.generator.people import CHUNK, Person, new_person, people
from sv_assets.local.generator.rows import Batch, Ids, Message, Truth
from sv_assets.local.generator.state import SeedState, remember

Counts = dict[str, dict[str, int]]
"""How many were inserted, updated, deleted, and sent as messages, by source."""


@dataclass
class Tick:
    """A tick at work. `moment` is when the next change happens; `left` is how many may still be made."""

    state: SeedState
    databases: Mapping[str, sqlite3.Connection]
    memory: sqlite3.Connection
    draw: Draw
    ids: Ids
    moment: datetime
    left: int
    next_person: int
    counts: Counts = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    truth_added: list[Truth] = field(default_factory=list)
    truth_removed: set[tuple[str, str]] = field(default_factory=set)
    touched: set[tuple[str, str, object]] = field(default_factory=set)

    @property
    def at(self) -> str:
        return london_stamp(self.moment)

    @property
    def day(self) -> int:
        """Later than any day of the seed's calendar: everybody is as they are now."""
        return Calendar(self.state.until_date).last + 1

    def count(self, source: str, kind: str, number: int = 1) -> int:
        entry = self.counts.setdefault(source, {"inserted": 0, "updated": 0, "deleted": 0, "messages": 0})
        entry[kind] += number
        return number

    def pick(self, system: str, table: str, key: str, where: str = "1", *, touch: bool = True) -> sqlite3.Row | None:
        """A row near a random key that this tick did not change yet; with `touch`, it counts as changed from now on."""
        database, name = self.databases[system], quoted(table)
        low, high = database.execute(f"SELECT min({key}), max({key}) FROM {name}").fetchone()
        if low is None:
            return None
        start = low + int(self.draw() * (high - low + 1))
        for bound in (start, low):
            query = f"SELECT * FROM {name} WHERE {key} >= ? AND {where} ORDER BY {key} LIMIT 50"
            for row in database.execute(query, (bound,)):
                if (system, table, row[key]) not in self.touched:
                    if touch:
                        self.touched.add((system, table, row[key]))
                    return cast(sqlite3.Row, row)
        return None

    def update(self, system: str, table: str, key: Mapping[str, object], changes: Mapping[str, object]) -> int:
        sets = ", ".join(f"{column} = ?" for column in changes)
        self._execute(system, f"UPDATE {quoted(table)} SET {sets}", key, changes.values())
        return self.count(f"{system}.{table}".lower(), "updated")

    def delete(self, system: str, table: str, key: Mapping[str, object]) -> int:
        self._execute(system, f"DELETE FROM {quoted(table)}", key, ())
        return self.count(f"{system}.{table}".lower(), "deleted")

    def _execute(self, system: str, statement: str, key: Mapping[str, object], values: Iterable[object]) -> None:
        where = " AND ".join(f"{column} = ?" for column in key)
        done = self.databases[system].execute(f"{statement} WHERE {where}", (*values, *key.values())).rowcount
        assert done == 1, f"{statement} met {done} rows"

    def insert(self, batch: Batch) -> int:
        """Writes the rows of a batch, keeps its truth and its messages; returns how many changes that was."""
        made = 0
        for (system, table), rows in batch.rows.items():
            if rows:
                self.databases[system].executemany(insert_statement(self.databases[system], table), rows)
                self.touched.update((system, table, row[0]) for row in rows)
                made += self.count(f"{system}.{table}".lower(), "inserted", len(rows))
        remember(self.memory, batch)
        self.truth_added += batch.truth
        for message in batch.messages:
            made += self.count(message.queue, "messages")
        self.messages += batch.messages
        return made

    def somebody(self) -> Person:
        return self.person(1 + int(self.draw() * (self.next_person - 1)))

    def person(self, number: int) -> Person:
        if number > self.state.people:
            return new_person(self.state.seed, number, self.state.until_date)
        chunk = (number - 1) // CHUNK
        return _chunk(self.state.seed, chunk, self.state.people, self.state.until)[(number - 1) % CHUNK]

    def newcomer(self) -> Person:
        person = new_person(self.state.seed, self.next_person, self.state.until_date)
        self.next_person += 1
        return person


@lru_cache(maxsize=3)
def _chunk(seed: int, chunk: int, count: int, until: str) -> list[Person]:
    first = chunk * CHUNK + 1
    return people(seed, chunk, first, min(CHUNK, count + 1 - first), Calendar(datetime.fromisoformat(until).date()))
