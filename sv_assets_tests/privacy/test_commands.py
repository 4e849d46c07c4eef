"""The commands and the jobs: proof before anything else, a dry run first, and nobody's data in a run."""

import json
import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sv_assets.defs.privacy import assets, checks, jobs
from sv_assets.privacy import erase as erasing
from sv_assets.privacy.bundle import faults_of
from sv_assets.privacy.requests import list_requests
from sv_assets.privacy.rights import restrict
from sv_assets.resources import MongoResource
from sv_assets_tests.command_line import run_sv
from sv_assets_tests.privacy.jane import IDENTIFIERS, Estate, found_anywhere

PROVEN = ("--email", "jane.smith77@example.org", "--phone", "07700 900123")


def sv(*arguments: str, code: int = 0) -> Any:
    result = run_sv("privacy", *arguments, "--json", environment=dict(os.environ))
    assert result.returncode == code, result.stderr
    return json.loads(result.stdout) if result.stdout.strip() else None


def test_a_person_is_handed_over_and_erased_from_the_command_line(estate: Estate, tmp_path: Path) -> None:
    store, jane = estate.store, estate.id_of("crm.customer:1001")
    refused = sv("access", "--email", "jane.smith77@example.org", "--out", str(tmp_path / "no"), code=1)
    assert refused["candidates"] == [{"customer_id": jane, "fits": ["email"], "against": []}]
    assert not (tmp_path / "no").exists()
    told = sv("access", *PROVEN, "--out", str(tmp_path / "jane"))
    assert told["documents"] > 20 and told["undeclared"] == []
    assert faults_of(tmp_path / "jane") == []
    sv(
        "access",
        "--email",
        "jane.smith77@example.org",
        "--confirmed-by",
        "Ann",
        "--reason",
        "passport seen",
        "--out",
        str(tmp_path / "b"),
    )
    before = store.landing["crm.customer"].find_one({"_id": 1001})
    assert sv("erase", *PROVEN)["dry_run"] is True
    assert store.landing["crm.customer"].find_one({"_id": 1001}) == before
    done = sv("erase", *PROVEN, "--reason", "asked", "--yes")
    assert done["found"] == {} and done["counts"]["landing.crm.customer"] == 1
    assert found_anywhere(store, (*IDENTIFIERS, jane), allowed=("control.legacy_actions",)) == []
    assert [(r["kind"], r["state"]) for r in list_requests(store)] == [
        ("access", "done"),
        ("access", "done"),
        ("erasure", "done"),
    ]
    actions = sv("actions", "--out", str(tmp_path / "actions.csv"))
    assert {(a["system"], a["key"]) for a in actions} >= {
        ("crm", "1001"),
        ("sales", "2001"),
        ("sales", "3001"),
        ("web", "W-1"),
    }
    assert ("sales", "00000000-0000-0000-0000-000000000bb9") not in {(a["system"], a["key"]) for a in actions}, (
        "a payment names nobody"
    )
    assert "crm" in (tmp_path / "actions.csv").read_text()
    assert sv("actions", "--done", "crm")["done"] > 0
    assert sv("erase", *PROVEN, code=1)["candidates"] == [], "nobody is there any more"
    assert sv("retention")["undeclared"] == []


def test_an_erasure_that_is_gone_on_with_says_what_it_still_finds(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(erasing.STEPS, "files", lambda work: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert run_sv("privacy", "erase", *PROVEN, "--yes", environment=dict(os.environ)).returncode == 130
    monkeypatch.setitem(erasing.STEPS, "files", lambda work: None)
    estate.store.control["bookmarks"].insert_one({"_id": "x", "position": {"key": "jane.smith77@example.org"}})
    (told,) = sv("erase", "--resume", code=1)
    assert told["found"] == {"control.bookmarks": 1}
    assert [r["kind"] for r in list_requests(estate.store, only_open=True)] == ["erasure"], "it is not done"
    estate.store.control["bookmarks"].delete_one({"_id": "x"})
    (told,) = sv("erase", "--resume")
    assert told["found"] == {} and told["done"][-1] == "finish"
    assert list_requests(estate.store, only_open=True) == [] and sv("erase", "--resume") == []


def test_jobs_get_the_id_of_a_request_and_nothing_else(estate: Estate, folder: Path) -> None:
    store = estate.store
    request = sv("access", *PROVEN)["request"]
    with dg.instance_for_test() as instance:
        config = {"ops": {"answer_subject_access": {"config": {"request": request}}}}
        ran = jobs.subject_access.execute_in_process(
            run_config=config, instance=instance, resources={"mongo": MongoResource()}
        )
        assert ran.success
        assert faults_of(folder / "privacy" / request) == []
        said = json.dumps([str(event) for event in instance.all_logs(ran.run_id)]) + json.dumps(config)
        assert not [text for text in IDENTIFIERS if len(text) > 6 and text.casefold() in said.casefold()]
    assert store.control["requests"].find_one({"_id": request})["state"] == "done"  # type: ignore[index]


def test_assets_and_checks_say_how_things_stand(estate: Estate) -> None:
    store = estate.store
    everything = [assets.audience, assets.requests, assets.erasures]
    all_checks = [
        checks.nobody_without_consent, checks.requests_answered_in_time, checks.erasures_finished, checks.everything_held_is_declared,
        checks.nothing_is_kept_too_long,
    ]  # fmt: skip
    result = dg.materialize([*everything, *all_checks], resources={"mongo": MongoResource()})
    assert result.success
    assert {e.check_name: e.passed for e in result.get_asset_check_evaluations()} == {
        "nobody_without_consent": True, "requests_answered_in_time": True, "erasures_finished": True, "everything_held_is_declared": True,
        "nothing_is_kept_too_long": True,
    }  # fmt: skip
    restrict(store, estate.id_of("crm.customer:1003"), actor="Ann", evidence="letter")
    store.control["who_knows"].insert_one({"_id": 1})
    keys = [key for check in all_checks for key in check.check_keys]
    definitions = dg.Definitions(
        assets=everything,
        asset_checks=all_checks,
        jobs=[dg.define_asset_job("looks", selection=dg.AssetSelection.checks(*keys))],
        resources={"mongo": MongoResource()},
    )
    again = definitions.resolve_job_def("looks").execute_in_process(raise_on_error=False)
    found = {e.check_name: e for e in again.get_asset_check_evaluations()}
    assert {name for name, e in found.items() if not e.passed} == {
        "nobody_without_consent",
        "everything_held_is_declared",
    }
    assert "control.who_knows" in str(found["everything_held_is_declared"].description)
