"""How long all definitions take to load for an estate of hundreds of tables, and that no connection is opened meanwhile.

The project is copied without its legacy systems, and given generated ones in their place: several systems, every capture
mode, columns, foreign keys, feeds, daily and hourly partitions. It is then loaded in fresh processes, one after the other:
the code location as a whole, the implicit asset job and all other jobs resolved, as the code server does it.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.parts import ROOT, print_figures, run_part

TABLES_A_SYSTEM = 50
ROUNDS = 3
_COLUMNS = ("varchar(40)", "datetime2(3)", "int", "decimal(19, 4)", "nvarchar(120)", "bit", "date", "bigint")
_CAPTURES = (
    "{mode: modified_at, column: ModifiedAt, lag: 5m}",
    "{mode: rowversion, column: RowVer}",
    "{mode: snapshot}",
    "{mode: change_tracking}",
    "{mode: cdc}",
)


def measure_startup(tables: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """{tables, assets, checks, seconds, best_seconds, import_dagster_seconds, connections_opened}; `seconds` is the median."""
    with tempfile.TemporaryDirectory(prefix="sv-startup-") as folder:
        project = Path(folder)
        _copy_project(project)
        for system in range(-(-tables // TABLES_A_SYSTEM)):
            left = min(TABLES_A_SYSTEM, tables - system * TABLES_A_SYSTEM)
            place = project / "sv_assets" / "defs" / "legacy" / f"shop{system}"
            place.mkdir()
            (place / "defs.yaml").write_text("".join(_declaration(f"shop{system}", left)))
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
        environment = {
            **kept,
            "PYTHONPATH": os.pathsep.join((str(project), str(ROOT))),
            "SV_LOCAL_DIR": f"{folder}/none",
        }
        subprocess.run([sys.executable, "-m", "compileall", "-q", "sv_assets"], cwd=project, check=True)
        figures = [run_part("benchmarks.startup", environment, "load", folder=project) for _ in range(rounds)]
    seconds = [part["seconds"] for part in figures]
    return {
        "tables": tables,
        "assets": figures[0]["assets"],
        "checks": figures[0]["checks"],
        "seconds": round(statistics.median(seconds), 2),
        "best_seconds": round(min(seconds), 2),
        "cpu_seconds": round(min(part["cpu_seconds"] for part in figures), 2),
        "import_dagster_seconds": round(statistics.median(part["import_dagster"] for part in figures), 2),
        "connections_opened": max(part["connections_opened"] for part in figures),
        "peak_rss_mb": round(max(part["peak_rss_mb"] for part in figures)),
    }


def _copy_project(project: Path) -> None:
    shutil.copytree(ROOT / "sv_assets", project / "sv_assets", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", project)
    legacy = project / "sv_assets" / "defs" / "legacy"
    for system in legacy.iterdir():
        if system.is_dir():
            shutil.rmtree(system)


def _declaration(system: str, tables: int) -> Iterator[str]:
    yield "type: sv_assets.components.SqlServerSystem\nattributes:\n"
    yield f'  system: {system}\n  connection: "{{{{ env.SHOP_SQLSERVER_URL }}}}"\n  owners: ["team:{system}"]\n'
    yield '  max_connections: 2\n  quiet_hours: ["01:00-03:00"]\n  tables:\n'
    for n in range(tables):
        yield f"    - name: dbo.Table{n}\n      description: Table {n} of {system}.\n      key: [Id]\n      rows: 1000\n"
        yield f"      capture: {_CAPTURES[n % len(_CAPTURES)]}\n"
        yield "      columns: {Id: int, First: nvarchar(100), Last: nvarchar(100), Email: nvarchar(254), Phone: varchar(40),"
        yield " ModifiedAt: datetime2(3), RowVer: rowversion, PlacedAt: datetime2(3), Total: money,"
        yield ", ".join(f" C{c}: {_quoted(_COLUMNS[c % len(_COLUMNS)])}" for c in range(12)) + "}\n"
        if n % 4 == 0:
            yield f"      partitions: {{by: {'hour' if n % 8 else 'day'}, column: PlacedAt, start: 2025-01-{1 + n % 28:02}}}\n"
        if n:
            yield f"      foreign_keys: [{{columns: [C2], table: dbo.Table{n // 2}, key: [Id]}}]\n"
        yield "      pii: {First: name, Last: name, Email: contact, Phone: contact}\n"
        if n == 1:
            yield "      feeds:\n        order: {number: Id, party: {table: dbo.Table0, key: C2}, placed_at: PlacedAt, total: Total}\n"
        elif n % 3 == 0:
            yield "      feeds:\n        party: {name: {first: First, last: Last}, email: Email, phone: Phone, observed_at: ModifiedAt}\n"
        elif n % 3 == 1:
            yield "      feeds:\n        interaction: {kind: {const: visit}, at: PlacedAt, party: {table: dbo.Table0, key: C2}}\n"


def _quoted(text: str) -> str:
    return f"'{text}'" if "," in text else text


def _load() -> None:
    """One load in this process, of which nothing of ours or Dagster's is imported yet."""
    opened: list[str] = []
    sys.addaudithook(lambda event, _: opened.append(event) if event in ("socket.connect", "sqlite3.connect") else None)
    started, cpu = time.monotonic(), time.process_time()
    import dagster

    imported = time.monotonic()
    from sv_assets.definitions import defs

    repository = defs().get_repository_def()
    repository.load_all_definitions()
    seconds = time.monotonic() - started
    graph = repository.asset_graph
    print_figures(
        {
            "seconds": seconds,
            "cpu_seconds": time.process_time() - cpu,
            "import_dagster": imported - started,
            "assets": len(list(graph.get_all_asset_keys())),
            "checks": len(graph.asset_check_keys),
            "connections_opened": len(opened) + _odbc_connections(),
            "dagster": dagster.__version__,
        }
    )


def _odbc_connections() -> int:
    """The driver tells no audit hook; it is imported when the first connection to SQL Server is prepared."""
    return int("pyodbc" in sys.modules)


if __name__ == "__main__":
    _load()
