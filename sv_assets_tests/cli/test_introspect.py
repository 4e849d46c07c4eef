"""`sv introspect` as a person or a script runs it: its output, and its exit code."""

import json
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest
from typer.testing import CliRunner

from sv_assets.cli import app
from sv_assets.errors import TransientError
from sv_assets_tests.command_line import run_sv
from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.sources.introspect.samples import CHINOOK


@pytest.fixture
def music(catalogued: Catalogued) -> Catalogued:
    """A database behind the system `shop`, which is not declared yet."""
    change(catalogued, CHINOOK)
    catalogued.directory.mkdir()
    return catalogued


def change(catalogued: Catalogued, statements: str) -> None:
    with closing(sqlite3.connect(catalogued.database)) as connection, connection:
        connection.executescript(statements)


def sv(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_sv("introspect", *arguments)


def test_it_writes_says_what_it_wrote_and_what_comes_next(music: Catalogued) -> None:
    result = sv("shop", "--owner", "team:music", "--time-zone", "Europe/Berlin")
    assert result.returncode == 0, result.stderr
    file = music.directory / "shop" / "defs.yaml"
    assert 'owners: ["team:music"]' in file.read_text()
    assert "time_zone: Europe/Berlin" in file.read_text()
    for words in (
        "dbo.InvoiceLine",
        "order_line 0.95",
        "party 0.40?",
        "snapshot: nothing says",
        f"Wrote {file}",
        "sv doctor, sv run",
    ):
        assert words in result.stdout
    again = sv("shop")
    assert (again.returncode, "Nothing had changed" in again.stdout) == (0, True)


def test_diff_exits_with_1_where_there_is_drift_and_0_where_there_is_none(music: Catalogued) -> None:
    assert sv("shop").returncode == 0
    same = sv("--diff")
    assert (same.returncode, "as the database is: shop" in same.stdout) == (0, True)
    change(music, "ALTER TABLE Track ADD COLUMN Composer NVARCHAR(220); CREATE TABLE New (Id INT NOT NULL PRIMARY KEY)")
    drifted = sv("shop", "--diff")
    assert drifted.returncode == 1
    assert "dbo.Track: Composer is new: nvarchar(220)." in drifted.stdout
    assert "dbo.New is in the database and is not declared." in drifted.stdout
    assert sv("shop", "--diff", "--exclude", "new", "--exclude", "track").returncode == 0
    as_json = sv("--diff", "--json")
    assert as_json.returncode == 1
    assert [(d["system"], d["kind"], d["table"]) for d in json.loads(as_json.stdout)["drift"]] == [
        ("shop", "column_added", "dbo.Track"),
        ("shop", "table_undeclared", "dbo.New"),
    ]
    assert sv("shop").returncode == 0
    assert sv("shop", "--diff").returncode == 0, "introspecting again takes the drift over"


def test_tables_left_out_on_purpose_are_no_drift(music: Catalogued) -> None:
    change(music, "CREATE TABLE Log (Line NVARCHAR(9)); INSERT INTO Log VALUES ('a'), ('a')")
    first = sv("shop")
    assert "Left out: dbo.Log: it has no key" in first.stdout
    assert sv("shop", "--diff").returncode == 0
    change(music, "CREATE TABLE Log2 (Line NVARCHAR(9)); INSERT INTO Log2 VALUES ('a'), ('a')")
    assert sv("shop", "--diff").returncode == 1
    assert "dbo.Log2 was left out" in sv("shop").stdout
    assert sv("shop", "--diff").returncode == 0
    assert "Nothing had changed" in sv("shop").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Which system?"),
        (("Shop!",), "cannot be the name of a system"),
        (("nowhere",), "NOWHERE_SQLSERVER_URL is not set"),
        (("shop", "--connection", "sqlite:////no/such/file.sqlite"), "there is no SQLite file"),
        (("shop", "--connection", "nosuch://sa:hunter2@/x"), "not a database URL we know"),
        (("shop", "--only", "nothing*"), "there is no table to declare"),
        (("nowhere", "--diff"), "no declared system nowhere"),
        (("--diff", "--connection", "X"), "name the system"),
    ],
)
def test_wrong_usage_and_connections_exit_with_2_and_say_what_to_do(
    music: Catalogued, arguments: tuple[str, ...], words: str
) -> None:
    result = sv(*arguments)
    assert result.returncode == 2, result.stdout + result.stderr
    assert words in result.stderr
    assert "hunter2" not in result.stderr
    assert "Traceback" not in result.stderr
    assert not (music.directory / "shop").exists()


def test_a_server_that_does_not_answer_is_not_taken_for_drift(
    music: Catalogued, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sv("shop").returncode == 0

    def away(_: object) -> None:
        raise TransientError("system shop: the database does not answer.")

    monkeypatch.setattr("sv_assets.sources.schema.read_database", away)
    for arguments in (["shop"], ["shop", "--diff"]):
        result = CliRunner().invoke(app, ["introspect", *arguments])
        assert result.exit_code == 2
        assert "does not answer" in result.stderr


def test_another_variable_is_written_as_the_connection_and_a_url_is_not(
    music: Catalogued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSIC_DB", f"sqlite:///{music.database}")
    assert sv("tunes", "--connection", "MUSIC_DB").returncode == 0
    assert 'connection: "{{ env.MUSIC_DB }}"' in (music.directory / "tunes" / "defs.yaml").read_text()
    assert sv("hits", "--connection", f"sqlite:///{music.database}").returncode == 0
    assert 'connection: "{{ env.HITS_SQLSERVER_URL }}"' in (music.directory / "hits" / "defs.yaml").read_text()


def test_another_file_can_be_written_and_written_again(music: Catalogued) -> None:
    file = music.directory.parent / "draft.yaml"
    assert sv("shop", "--output", str(file)).returncode == 0
    assert not (music.directory / "shop").exists()
    before = file.read_bytes()
    assert "Nothing had changed" in sv("shop", "--output", str(file)).stdout
    assert file.read_bytes() == before


def test_json_has_the_whole_finding_and_nothing_else_on_standard_output(music: Catalogued) -> None:
    found = json.loads(sv("shop", "--json", "--sample", "10").stdout)
    assert set(found) == {"system", "file", "written", "tables", "left_out", "views", "notes", "changes"}
    invoice = next(table for table in found["tables"] if table["name"] == "dbo.Invoice")
    assert invoice["key"] == {"columns": ["InvoiceId"], "found_as": "primary key", "caution": ""}
    assert invoice["feeds"][0]["feed"] == "order"
    assert invoice["feeds"][0]["active"] is True
    assert {p["column"] for p in invoice["profile"]} == {c["name"] for c in invoice["columns"]}


def test_five_hundred_tables_take_seconds(music: Catalogued) -> None:
    change(music, "".join(f"CREATE TABLE T{n} (Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(9));" for n in range(500)))
    started = time.process_time()
    assert sv("shop").returncode == 0
    assert time.process_time() - started < 30
