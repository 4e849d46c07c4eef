"""`sv catalogue` as a person or a script uses it."""

import json
from pathlib import Path

import pytest

from sv_assets.settings import PROJECT_ROOT
from sv_assets_tests.command_line import run_sv


@pytest.fixture(autouse=True)
def _own_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SV_CATALOGUE_DIR", raising=False)
    monkeypatch.chdir(PROJECT_ROOT)


def test_a_customer_field_is_followed_back_and_a_column_forward() -> None:
    (emails,) = json.loads(run_sv("catalogue", "lineage", "emails", "--json").stdout)
    assert "crm.customer.Email" in emails["legacy_columns"]
    shown = run_sv("catalogue", "lineage", "crm.customer.Email")
    assert shown.returncode == 0
    assert "single_view/customers.emails" in shown.stdout


def test_a_source_is_shown_and_an_unknown_one_is_answered_with_the_nearest() -> None:
    shown = json.loads(run_sv("catalogue", "show", "crm.customer", "--json").stdout)
    assert shown["facts"]["Key"] == "CustomerId"
    (email,) = [column for column in shown["columns"] if column["name"] == "Email"]
    assert email["personal"] == "contact" and "single_view/customers.email" in email["becomes"]
    wrong = run_sv("catalogue", "show", "crm.custmer")
    assert wrong.returncode == 2 and "Did you mean crm.customer?" in wrong.stderr
    nothing = run_sv("catalogue", "lineage", "emials")
    assert nothing.returncode == 1 and "Did you mean emails" in nothing.stderr


def test_docs_are_written_with_the_checks_of_every_source(tmp_path: Path) -> None:
    written = run_sv("catalogue", "docs", "--out", str(tmp_path / "site"), "--json")
    assert written.returncode == 0, written.stderr
    assert json.loads(written.stdout)["index"] == str(tmp_path / "site" / "index.html")
    page = (tmp_path / "site" / "source" / "crm.customer.html").read_text()
    assert "schema_as_declared" in page and "http://127.0.0.1:3000/assets/landing/crm/customer" in page
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    assert run_sv("catalogue", "docs", "--out", str(tmp_path / "other")).returncode == 2
