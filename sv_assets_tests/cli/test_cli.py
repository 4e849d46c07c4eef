"""`sv` as a person or a script uses it: a process of its own, its output, its exit code."""

import contextlib
import datetime as dt
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sv_assets.mongo import open_store
from sv_assets.settings import PROJECT_ROOT
from sv_assets_tests.command_line import run_sv

pytestmark = pytest.mark.timeout(900)  # a demo that shares the machine with much else
PEOPLE = 80
OWN_PROCESS = ("demo",)
"""What is run in a process of its own, from the start of Python to its exit code; the rest in that of the tests."""
AGENT = ("--as", "contact_centre", "--purpose", "service")
SHAPE = {
    "sources",
    "party_records",
    "customers",
    "orders",
    "interactions",
    "checks",
    "seconds",
    "identity",
    "fraud",
    "changed",
}


@dataclass(frozen=True)
class Estate:
    """An embedded estate of the tests' own, and `sv` on it."""

    directory: Path

    def sv(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("SV_", "AWS_", "DAGSTER"))
        }
        given = {
            **inherited,
            "SV_LOCAL_DIR": str(self.directory),
            "DAGSTER_HOME": str(self.directory / "dagster"),
            "COLUMNS": "200",
            **environment,
        }
        if arguments[0] not in OWN_PROCESS:
            with contextlib.chdir(PROJECT_ROOT):
                return run_sv(*arguments, environment=given)
        return subprocess.run(
            [sys.executable, "-c", "from sv_assets.cli import main; main()", *arguments],
            env=given,
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )

    def json(self, *arguments: str, **environment: str) -> Any:
        result = self.sv(*arguments, "--json", **environment)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def legacy(self, system: str) -> sqlite3.Connection:
        return sqlite3.connect(self.directory / f"{system}.sqlite")


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """An estate with a few people, on which the demo has run once; its summary is in `demo.json`."""
    directory = tmp_path_factory.mktemp("estate")
    (directory / "dagster").mkdir()
    (directory / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    estate = Estate(directory)
    demo = estate.sv("demo", "--people", str(PEOPLE))
    try:
        assert demo.returncode == 0, demo.stderr
        yield estate
    finally:
        estate.sv("estate", "down")


def test_demo_lands_every_source_and_accounts_for_every_row(estate: Estate) -> None:
    summary = json.loads((estate.directory / "demo.json").read_text())
    assert set(summary) == SHAPE
    by_key = {source["key"]: source for source in summary["sources"]}
    with estate.legacy("sales") as sales:
        (orders,) = sales.execute("SELECT COUNT(*) FROM OrderHeader").fetchone()
    assert by_key["sales.orderheader"]["read"] == by_key["sales.orderheader"]["landed"] == orders == summary["orders"]
    tables = [s for s in summary["sources"] if not s["key"].startswith(("web.", "delivery."))]
    assert all(s["read"] == s["landed"] + s["quarantined"] > 0 for s in tables)
    assert by_key["contactcentre.call"]["quarantined"] == 2
    assert by_key["web.web_account_events"]["quarantined"] == 4
    assert summary["checks"]["failed"] == 0
    assert summary["checks"]["warned"] == 2
    assert summary["identity"]["precision"] > 0.95  # one person in a small estate is two percent
    assert summary["identity"]["recall"] > 0.8
    assert summary["changed"] > summary["customers"] > 0


def test_demo_run_again_changes_nothing_says_so_and_shows_no_personal_data(estate: Estate) -> None:
    before = json.loads((estate.directory / "demo.json").read_text())
    again = estate.sv("demo")
    assert again.returncode == 0, again.stderr
    summary = json.loads((estate.directory / "demo.json").read_text())
    assert summary["changed"] == 0
    assert "Nothing had changed" in again.stdout
    same = ("party_records", "customers", "orders", "interactions", "checks", "identity")
    assert {name: summary[name] for name in same} == {name: before[name] for name in same}
    with estate.legacy("crm") as crm:
        people = crm.execute("SELECT FirstName, Surname, Email, Mobile FROM Customer").fetchall()
    shown = again.stdout + again.stderr
    for value in {v for person in people for v in person[2:] if v and len(v) > 6}:
        assert value not in shown


def test_a_tick_is_found_by_the_next_run_and_nothing_else_is_written(estate: Estate) -> None:
    counts = estate.json("estate", "tick", "--changes", "30")
    changed = {
        source: sum(kinds.get(k, 0) for k in ("inserted", "updated", "deleted")) for source, kinds in counts.items()
    }
    written = estate.json("run")["written"]
    landed = {
        asset.removeprefix("landing/").replace("/", "."): n
        for asset, n in written.items()
        if asset.startswith("landing/")
    }
    assert {source: n for source, n in changed.items() if n} == {
        source: n for source, n in landed.items() if n and not source.startswith(("web.", "delivery."))
    }


def test_find_gives_the_customer_of_an_order_masked_or_as_the_role_sees_it(estate: Estate) -> None:
    with estate.legacy("sales") as sales:
        number, email = sales.execute(
            "SELECT OrderNumber, GuestEmail FROM OrderHeader WHERE GuestEmail LIKE '%@%' AND GuestEmail NOT LIKE 'no%' LIMIT 1"
        ).fetchone()
    masked = estate.json("find", "--order", number)
    plain = estate.json("find", "--order", number, *AGENT)
    assert masked[0]["customer_id"] == plain[0]["customer_id"]
    assert email.strip().lower() in json.dumps(plain).lower()
    assert email.strip().lower() not in json.dumps(masked).lower()


def test_find_says_when_nobody_is_found_and_what_is_wrong_with_a_question(estate: Estate) -> None:
    assert estate.sv("find", "--email", "nobody.at.all@example.org").returncode == 1
    wrong = estate.sv("find", "--phone", "not a number")
    assert wrong.returncode == 2
    assert "07700 900123" in wrong.stderr
    assert estate.sv("find").returncode == 2


def test_a_customer_is_shown_as_it_is_and_was_with_what_changed(estate: Estate) -> None:
    url = next(
        line.removeprefix("SV_MONGO_URL=")
        for line in (estate.directory / "estate.env").read_text().splitlines()
        if line.startswith("SV_MONGO_URL=")
    )
    store = open_store(url)
    changed = store.single_view["customers"].find_one({"version": 2})
    store.close()
    assert changed is not None, "the tick changed somebody"
    identifier = changed["_id"]
    shown = estate.json("customer", "show", identifier, *AGENT)
    assert (shown["_id"], shown["version"], "_sv" in shown) == (identifier, 2, False)
    (entry,) = estate.json("customer", "history", identifier)
    assert (entry["kind"], entry["version"]) == ("changed", 2)
    assert entry["changes"]
    assert entry["why"]
    before = changed["composed_at"] - dt.timedelta(milliseconds=1)
    then = estate.json("customer", "show", identifier, "--as-of", before.isoformat(), *AGENT)
    assert then["version"] == 1
    table = estate.sv("customer", "show", identifier)
    assert table.returncode == 0
    assert "quality" in table.stdout
    if changed["email"]:
        assert changed["email"]["value"] not in table.stdout + estate.sv("customer", "history", identifier).stdout
    for wrong, code in (
        (("show", "C0"), 1),
        (("show", identifier, "--as-of", "2020-01-01"), 1),
        (("show", identifier, "--as-of", "x"), 2),
    ):
        assert estate.sv("customer", *wrong).returncode == code


def test_doctor_tries_everything(estate: Estate) -> None:
    report = estate.json("doctor")
    assert report["healthy"]
    assert len(report["findings"]) == 5 + 3 + 13, "catalogue, MongoDB, roles, sealing, driver; alert channels; sources"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SV_MONGO_URL": "mongodb://user:secret@127.0.0.1:1/"}, "MongoDB does not answer"),
        ({"SV_MONGO_URL": "nonsense"}, "SV_MONGO_URL is not a MongoDB connection string"),
        ({"CRM_SQLSERVER_URL": "sqlite:////nowhere/crm.sqlite"}, "there is no SQLite file"),
        ({"CRM_SQLSERVER_URL": "nonsense"}, "not a database URL"),
        ({"SQS_ENDPOINT_URL": "http://127.0.0.1:1"}, "SQS does not answer"),
    ],
)
def test_doctor_says_what_is_wrong(estate: Estate, environment: dict[str, str], sentence: str) -> None:
    result = estate.sv("doctor", **environment)
    assert result.returncode == 2
    assert sentence in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert "secret" not in result.stdout + result.stderr


def test_a_wrong_declaration_is_one_sentence_and_exit_code_2(estate: Estate, tmp_path: Path) -> None:
    legacy = tmp_path / "legacy"
    shutil.copytree(PROJECT_ROOT / "sv_assets" / "defs" / "legacy", legacy)
    declared = legacy / "crm" / "defs.yaml"
    declared.write_text(declared.read_text().replace("mode: rowversion", "mode: rowversoin"))
    result = estate.sv("run", SV_CATALOGUE_DIR=str(legacy))
    assert result.returncode == 2
    assert re.search(r"crm/defs\.yaml:\d+: .*rowversoin.*allowed: snapshot, modified_at, rowversion", result.stderr)
    assert "Traceback" not in result.stderr


def test_a_source_that_is_away_fails_its_run_in_one_sentence_and_writes_nothing(estate: Estate) -> None:
    result = estate.sv(
        "run", "--select", "landing/crm/customer", "--json", CRM_SQLSERVER_URL="sqlite:////nowhere/crm.sqlite"
    )
    assert result.returncode == 2
    report = json.loads(result.stdout)
    assert report["changed"] == 0
    assert report["failures"][0]["step"] == "landing__crm__customer"
    assert "there is no SQLite file" in report["failures"][0]["reason"]
    assert "Traceback" not in result.stderr


def test_days_are_landed_again_in_one_run_and_a_wrong_range_is_one_sentence(estate: Estate) -> None:
    asset = "landing/sales/orderheader"
    with estate.legacy("sales") as sales:
        days = "SELECT DISTINCT substr(OrderDate, 1, 10) FROM OrderHeader ORDER BY 1 DESC LIMIT 3"
        last, _, first = (day for (day,) in sales.execute(days))
        wanted = "SELECT COUNT(*) FROM OrderHeader WHERE substr(OrderDate, 1, 10) BETWEEN ? AND ?"
        (orders,) = sales.execute(wanted, (first, last)).fetchone()
    store = open_store(estate.json("estate", "status")["urls"]["SV_MONGO_URL"])
    lost = store.landing["sales.orderheader"].delete_many({"OrderDate": {"$gte": dt.datetime.fromisoformat(first)}})
    store.close()
    assert lost.deleted_count >= orders
    run = estate.json("run", "--select", asset, "--partitions", f"{first}..{last}")
    assert run["written"] == {asset: orders}
    assert estate.json("run", "--select", asset, "--partitions", last)["changed"] == 0
    for select, partitions, says in (
        (("--select", asset), f"{last}..{first}", "ends before it begins"),
        (("--select", asset), "yesterday", "has no partition yesterday"),
        (("--select", "landing/crm/customer"), last, "has no partitions"),
        ((), last, "needs --select"),
    ):
        refused = estate.sv("run", *select, "--partitions", partitions)
        assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
        assert says in refused.stderr


def test_an_unknown_job_or_asset_is_one_sentence(estate: Estate) -> None:
    for arguments in (("run", "nonsense"), ("run", "--select", "landing/nonsense")):
        result = estate.sv(*arguments)
        assert result.returncode == 2
        assert "nonsense" in result.stderr
        assert "Traceback" not in result.stderr


def test_a_reset_table_is_read_again_and_changes_no_customer(estate: Estate) -> None:
    assert estate.json("reset", "crm.customer", "--yes")["rows"] > 0
    way = (
        "landing/crm/customer",
        "identity/party_records",
        "identity/links",
        "identity/clusters",
        "single_view/customers",
    )
    written = estate.json("run", *(word for asset in way for word in ("--select", asset)))["written"]
    assert written["landing/crm/customer"] > 0
    assert written["single_view/customers"] == 0


def test_estate_status_has_an_exit_code_for_scripts(estate: Estate, tmp_path: Path) -> None:
    assert estate.json("estate", "status")["up"]
    assert Estate(tmp_path).sv("estate", "status").returncode == 1
