"""`sv privacy keys`, and what `sv find` and `sv doctor` say of what is sealed."""

import base64
import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest

from sv_assets.cli.doctor import _sealed
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Store
from sv_assets.sealing import master
from sv_assets_tests.command_line import run_sv
from sv_assets_tests.retailer import Retailer, day

NEW = f"t2:{base64.b64encode(bytes(96)).decode()}"
LEAD = ("--as", "contact_centre_lead", "--purpose", "service")


def sv(*arguments: str, code: int = 0) -> Any:
    result = run_sv(*arguments, "--json", environment=dict(os.environ))
    assert result.returncode == code, result.stderr
    return json.loads(result.stdout) if result.stdout.strip() else result.stderr


@pytest.fixture
def shop(store: Store) -> Retailer:
    shop = Retailer(store)
    born = dt.datetime(1980, 3, 7, tzinfo=dt.timezone.utc)
    shop.customer(1, "Jane", "Smith", Email="jane@x.com", DateOfBirth=born, ModifiedAt=day(1))
    shop.customer(2, "Peter", "Jones", Email="peter@x.com", ModifiedAt=day(1))
    shop.run()
    return shop


def test_keys_are_told_rotated_and_people_are_found_all_the_while(
    shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = sv("privacy", "keys", "status")
    assert (told["by_master_key"], told["customers_without"], told["unsealed"]) == ({"t1": 1}, 1, [])
    asked = ("find", *LEAD, "--name", "Jane Smith", "--born", "1980-03-07")
    assert [one["found_by"] for one in sv(*asked)] == [["name and date of birth"]]
    (card,) = sv("card", *asked[1:])
    assert card["who"]["date_of_birth"] == "1980-03-07"
    assert "does not see" in sv("find", "--name", "Jane Smith", "--born", "1980-03-07", code=1)

    monkeypatch.setenv(master.VARIABLE, f"{NEW},{os.environ[master.VARIABLE]}")
    assert sv("privacy", "keys", "init")["current"] == "t2"
    assert len(sv(*asked)) == 1, "its key is still hashed with the secret of the old one"
    assert sv("privacy", "keys", "rotate") == {"current": "t2", "rewrapped": 1, "left": {}}
    shop.run()
    monkeypatch.setenv(master.VARIABLE, NEW)
    assert len(sv(*asked)) == 1
    assert "for a KMS" in sv("privacy", "keys", "rotate", "--new", code=2)


def test_a_sensitive_column_that_nobody_sealed_is_told(
    shop: Retailer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = tmp_path / "encryption.yaml"
    declared.write_text("collections: {single_view.flags: {flag: why}}\n")
    monkeypatch.setenv("SV_ENCRYPTION_FILE", str(declared))
    told = sv("privacy", "keys", "status", code=1)
    assert "crm.customer.DateOfBirth → single_view.customers.date_of_birth" in told["unsealed"]


def test_the_doctor_says_under_which_key_fields_are_sealed_and_that_sealing_is_off(
    shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _sealed() == f"1 keys of customers under t1, kept in the environment ({master.VARIABLE})"
    monkeypatch.setenv(master.VARIABLE, NEW)
    with pytest.raises(ConfigurationError, match="master key t1, which is not configured"):
        _sealed()
    monkeypatch.setenv(master.SWITCH, "off")
    assert _sealed().startswith("OFF")
