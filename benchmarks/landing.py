"""How fast a table lands, beside how fast a bare loop sends the same operations to the same server.

Every measured part runs in a process of its own, so that its peak memory is its own:

- `land`: one `land_table` of a SQLite table with 21 columns, end to end;
- `limit`: the operations that landing would send are prepared batch by batch (not timed), and sent by a bare
  `bulk_write` with the same write concern (timed), before and after the landing: half of the rows each time.
"""

import os
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, cast

from pymongo.collection import Collection

from benchmarks.parts import print_figures, run_part
from sv_assets.catalogue import Catalogue, Source, load_catalogue
from sv_assets.landing.documents import Origin, first_pending, landing_document, landing_indexes
from sv_assets.landing.land import land_table
from sv_assets.landing.statements import upsert
from sv_assets.local import start_mongo
from sv_assets.mongo import Store, ensure_indexes, in_batches, store_from_environment
from sv_assets.sources.capture import open_reader
from sv_assets.sources.database import open_database
from sv_assets.sources.records import Batch
from sv_assets.sources.table import describe

Mode = Literal["initial", "upsert"]
FIRST, CHANGED = 1, 2
IDLE_RUNS = 20
_COLUMNS = """
    Id INT NOT NULL PRIMARY KEY, CustomerNumber VARCHAR(12) NOT NULL, Title NVARCHAR(10), FirstName NVARCHAR(50),
    LastName NVARCHAR(50), Email NVARCHAR(254), Phone VARCHAR(20), DateOfBirth DATE, Line1 NVARCHAR(100),
    Town NVARCHAR(60), Postcode VARCHAR(10), Country CHAR(2), IsActive BIT, Points INT, Visits BIGINT,
    Balance DECIMAL(19,4), CreditLimit MONEY, Score FLOAT, Reference UNIQUEIDENTIFIER, ModifiedAt DATETIME2(3),
    RowVer ROWVERSION NOT NULL"""
_DECLARATION = """\
type: sv_assets.components.SqlServerSystem
attributes:
  system: bench
  connection: "{{ env.BENCH_SQLSERVER_URL }}"
  owners: ["team:bench"]
  tables:
    - name: dbo.Person
      key: [Id]
      capture: {mode: rowversion, column: RowVer}
      feeds: {party: {name: {first: FirstName, last: LastName}, email: Email, phone: Phone}}
"""


def measure_landing(rows: int, mode: Mode) -> dict[str, float | int | str]:
    """Land `rows` rows into an empty collection (`initial`), or over older versions of them (`upsert`).

    Returns `rows_per_s` end to end, `limit_rows_per_s` of the bare loop, their `ratio`, `peak_rss_mb` of the landing
    process, and `idle_ms`: what a further run costs that finds nothing (the median of some).
    """
    with tempfile.TemporaryDirectory(prefix="sv-bench-") as folder:
        server = start_mongo(Path(folder) / "mongo")
        try:
            environment = _prepared(Path(folder), server.url)

            def run(part: str) -> dict[str, float]:
                return run_part("benchmarks.landing", environment, part, rows)

            _fill(Path(folder), rows, FIRST)
            if mode == "upsert":
                run("land")
                for half in (0, 1):
                    run(f"load{half}")
                _fill(Path(folder), rows, CHANGED)
            before = run(f"limit0:{mode}")
            landed = run("land")
            after = run(f"limit1:{mode}")
            idle = run("idle")
        finally:
            server.stop()
    assert landed["rows"] == rows, f"{landed['rows']} of {rows} rows landed"
    limit = rows / (before["seconds"] + after["seconds"])
    rate = rows / landed["seconds"]
    return {
        "mode": mode,
        "rows": rows,
        "rows_per_s": round(rate),
        "limit_rows_per_s": round(limit),
        "ratio": round(rate / limit, 3),
        "peak_rss_mb": round(landed["peak_rss_mb"], 1),
        "idle_ms": round(idle["milliseconds"], 1),
    }


def _prepared(folder: Path, mongo_url: str) -> dict[str, str]:
    declared = folder / "legacy" / "bench" / "defs.yaml"
    declared.parent.mkdir(parents=True)
    declared.write_text(_DECLARATION)
    return {
        **os.environ,
        "SV_CATALOGUE_DIR": str(folder / "legacy"),
        "SV_MONGO_URL": mongo_url,
        "SV_MONGO_PREFIX": "bench_",
        "BENCH_SQLSERVER_URL": f"sqlite:///{folder / 'bench.sqlite'}",
    }


def _fill(folder: Path, rows: int, version: int) -> None:
    """The table anew, every row at `version`; in primary key order, as SQL Server clusters it."""
    path = folder / "bench.sqlite"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(f"CREATE TABLE Person ({_COLUMNS}) WITHOUT ROWID")
        marks = ", ".join("?" * 21)
        connection.executemany(f"INSERT INTO Person VALUES ({marks})", (_row(n, version) for n in range(1, rows + 1)))
        connection.execute("CREATE INDEX IX_Person_RowVer ON Person (RowVer)")


def _row(n: int, version: int) -> tuple[Any, ...]:
    return (
        n, f"C{n:09}", ("Mr", "Mrs", "Ms", None)[n % 4], f"First{n % 977}", f"Last{n % 3989}", f"person{n}@example.com",
        f"07700 900{n % 1000:03}", f"19{50 + n % 50}-{1 + n % 12:02}-{1 + n % 28:02}", f"{1 + n % 200} Station Road",
        ("Leeds", "York", "Bath")[n % 3], f"LS{1 + n % 28} {n % 10}AB", "GB", n % 7 > 0, n % 5000, n * 7, n % 100_000 / 100,
        n % 500, n / 7, str(uuid.UUID(int=n * 2**64 + n)), f"2024-{1 + n % 12:02}-{1 + n % 28:02} {n % 24:02}:30:00.{n % 1000:03}",
        (version * 10**9 + n).to_bytes(8),
    )  # fmt: skip


def _land(store: Store, catalogue: Catalogue, source: Source) -> dict[str, float]:
    report = land_table(store, catalogue, source, "bench")
    return {"seconds": report.seconds, "rows": report.outcome.inserted + report.outcome.updated}


def _idle(store: Store, catalogue: Catalogue, source: Source) -> dict[str, float]:
    reports = [land_table(store, catalogue, source, "bench") for _ in range(IDLE_RUNS)]
    assert not any(report.outcome.landed for report in reports)
    return {"milliseconds": sorted(report.seconds for report in reports)[IDLE_RUNS // 2] * 1000}


def _send(store: Store, catalogue: Catalogue, source: Source, half: int, rows: int, mode: Mode) -> dict[str, float]:
    """Send one half of the operations into a collection of their own; the seconds of sending alone."""
    collection = store.landing[f"limit{half}"]
    ensure_indexes(collection, landing_indexes(catalogue, source))
    seconds = 0.0
    sent = 0
    for batch in _batches(source, half, rows):
        origin = Origin(source, "bench", batch.extracted_at)
        documents = [landing_document(origin, record, first_pending(source, record)) for record in batch.records]
        for some in in_batches(documents):
            raws, updates = [document.raw for document in some], [upsert(document) for document in some]
            started = time.perf_counter()
            if mode == "initial":
                cast(Collection[Any], collection).insert_many(raws, ordered=False)
            else:
                collection.bulk_write(updates, ordered=False)
            seconds += time.perf_counter() - started
            sent += len(some)
    return {"seconds": seconds, "rows": sent}


def _batches(source: Source, half: int, rows: int) -> Iterator[Batch]:
    database = open_database(source.sql_system, source)
    try:
        for batch in open_reader(database, describe(database, source)).read(None):
            wanted = [r for r in batch.records if (r.key > rows // 2) == bool(half)]
            yield Batch(wanted, [], {}, batch.extracted_at)
    finally:
        database.close()


def main(part: str, rows: int) -> None:
    """One part, in this process; prints its figures as a line of JSON."""
    catalogue = load_catalogue()
    source = catalogue.source("bench.person")
    store = store_from_environment()
    store.client.admin.command("ping")
    name, _, mode = part.partition(":")
    if name == "land":
        figures = _land(store, catalogue, source)
    elif name == "idle":
        figures = _idle(store, catalogue, source)
    else:
        figures = _send(store, catalogue, source, int(name[-1]), rows, "upsert" if mode == "upsert" else "initial")
    print_figures(figures)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
