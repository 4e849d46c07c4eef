"""The code location: it loads anywhere, it is what the snapshot says, and YAML alone makes it grow."""

import difflib
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.test_utils import create_run_for_test

from sv_assets.settings import PROJECT_ROOT
from sv_assets_tests.components.conftest import TinyEstate

SNAPSHOT = Path(__file__).with_name("definitions.txt")
UPDATE = "SV_UPDATE_SNAPSHOT"

LOAD_WITHOUT_A_NETWORK = """
import socket, time
def refuse(*_): raise AssertionError("definitions opened a connection while they loaded")
socket.socket.connect = socket.socket.connect_ex = refuse
started = time.monotonic()
from sv_assets.definitions import defs
definitions = defs()
definitions.get_repository_def()
print(f"{len(list(definitions.resolve_asset_graph().get_all_asset_keys()))} {time.monotonic() - started:.1f}")
"""

MATERIALIZE_THE_NEWCOMER = """
import json
import dagster as dg
from sv_assets.definitions import defs
definitions = defs()
keys = ["landing/crm/loyaltycard", "identity/party_records", "identity/links", "identity/clusters", "single_view/customers"]
job = definitions.resolve_job_def("incremental_now")
subset = job.get_subset(asset_selection={dg.AssetKey(key.split("/")) for key in keys})
with dg.DagsterInstance.ephemeral() as instance:
    result = subset.execute_in_process(instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}})
    checks = {e.check_name: e.passed for e in result.get_asset_check_evaluations() if e.asset_key.path[0] == "landing"}
print(json.dumps({"success": result.success, "checks": checks}))
"""

LOYALTY_CARD = """
    - name: dbo.LoyaltyCard
      description: Loyalty cards, as they were filled in at the till.
      key: [CardNumber]
      capture: {mode: modified_at, column: ModifiedAt, lag: 5m}
      pii: {FirstName: name, Surname: name, Email: contact, Mobile: contact}
      feeds:
        party:
          name: {first: FirstName, last: Surname}
          email: Email
          phone: Mobile
          address: {kind: {const: home}, postcode: Postcode}
          observed_at: ModifiedAt
"""


def run_python(code: str, environment: dict[str, str], folder: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout.splitlines()[-1]


def test_definitions_load_without_environment_servers_or_network(tmp_path: Path) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = {**kept, "PYTHONPATH": str(PROJECT_ROOT), "SV_LOCAL_DIR": str(tmp_path / "nothing")}
    assets, seconds = run_python(LOAD_WITHOUT_A_NETWORK, environment, PROJECT_ROOT).split()
    print(f"{assets} assets loaded in {seconds} s")
    assert int(assets) > 30


def test_definitions_are_what_the_snapshot_says(definitions: dg.Definitions) -> None:
    now = described(definitions)
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(now, encoding="utf-8")
    stored = SNAPSHOT.read_text(encoding="utf-8") if SNAPSHOT.exists() else ""
    changes = "".join(difflib.unified_diff(stored.splitlines(True), now.splitlines(True), "snapshot", "now"))
    assert not changes, (
        f"The definitions are not what {SNAPSHOT.name} says:\n{changes}\n"
        f"If that is what you want, run `{UPDATE}=1 pytest {Path(__file__).relative_to(PROJECT_ROOT)}` and commit the file."
    )


def test_every_asset_says_what_it_is_and_whose(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for node in graph.asset_nodes:
        assert node.description, node.key
        assert node.owners, node.key
        assert node.group_name != "default", node.key
        assert node.kinds, node.key
        assert node.key.path[0] in (
            "legacy",
            "landing",
            "identity",
            "single_view",
            "contact_centre",
            "fraud",
            "marketing",
            "privacy",
        )


def test_a_newcomer_adds_a_table_with_yaml_alone(tiny_estate: TinyEstate, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT_ROOT / "sv_assets", project / "sv_assets", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT_ROOT / "pyproject.toml", project)
    crm = project / "sv_assets" / "defs" / "legacy" / "crm" / "defs.yaml"
    crm.write_text(crm.read_text() + LOYALTY_CARD)
    environment = {**os.environ, "PYTHONPATH": str(project), "SV_LOCAL_DIR": str(tiny_estate.local_dir)}
    result: dict[str, Any] = json.loads(run_python(MATERIALIZE_THE_NEWCOMER, environment, project))
    assert result["success"]
    assert result["checks"] == dict.fromkeys(
        (
            "bookmark_keeps_up",
            "capture_sees_every_change",
            "content_matches_source",
            "fresh",
            "keys_unique_and_present",
            "no_doubled_rows",
            "no_undeclared_personal_data",
            "quarantine_empty",
            "row_count_matches_source",
            "schema_as_declared",
            "source_keys_unique",
            "types_as_declared",
        ),
        True,
    )
    store = tiny_estate.store
    cards = {card["_id"] for card in store.landing["crm.loyaltycard"].find({}, {"_id": 1})}
    records = {r["key"] for r in store.identity["party_records"].find({"source": "crm.loyaltycard"})}
    shown = {a["key"] for customer in store.single_view["customers"].find({}) for a in customer["accounts"]}
    assert cards
    assert cards == records == shown


# --- the snapshot ----------------------------------------------------------------------------------------------------


def described(definitions: dg.Definitions) -> str:
    """Everything that a user of the UI would miss, as text."""
    graph, repository = definitions.resolve_asset_graph(), definitions.get_repository_def()
    checks: dict[dg.AssetKey, list[str]] = defaultdict(list)
    for key in graph.asset_check_keys:
        blocking = " (blocking)" if graph.get(key).blocking else ""
        checks[key.asset_key].append(key.name + blocking)
    lines = ["# Assets"]
    for node in sorted(graph.asset_nodes, key=lambda n: n.key):
        lines.append(f"\n{node.key.to_user_string()}{'' if node.is_materializable else ' (external)'}")
        facts = {
            "group": node.group_name,
            "kinds": ", ".join(sorted(node.kinds)),
            "owners": ", ".join(node.owners),
            "pools": ", ".join(sorted(node.pools or ())),
            "partitions": str(node.partitions_def) if node.partitions_def else "",
            "backfill": str(node.backfill_policy.policy_type.value) if node.partitions_def else "",
            "from": ", ".join(sorted(key.to_user_string() for key in node.parent_keys)),
            "checks": ", ".join(sorted(checks[node.key])),
        }
        lines += [f"  {name}: {value}" for name, value in facts.items() if value]
    lines.append("\n# Jobs\n")
    for job in sorted(repository.get_all_jobs(), key=lambda j: j.name):
        if not job.name.startswith("__"):
            lines.append(f"{job.name}: {len(job.asset_layer.executable_asset_keys)} assets")
    lines.append("\n# Schedules\n")
    for schedule in sorted(repository.schedule_defs, key=lambda s: s.name):
        zone, status = schedule.execution_timezone, schedule.default_status.value
        lines.append(f"{schedule.name}: {schedule.cron_schedule} {zone}, starts {schedule.job_name}, {status}")
    lines.append("\n# Sensors\n")
    for sensor in sorted(repository.sensor_defs, key=lambda s: s.name):
        lines.append(f"{sensor.name}: every {sensor.minimum_interval_seconds or 30} s, {sensor.default_status.value}")
        if sensor.asset_selection:
            keys = sensor.asset_selection.resolve(graph)
            lines.append("  runs: " + ", ".join(sorted(key.to_user_string() for key in keys)))
        for target in sensor.targets:
            keys = repository.get_job(target.job_name).asset_layer.executable_asset_keys
            lines.append("  runs: " + ", ".join(sorted(key.to_user_string() for key in keys)))
    return "\n".join(lines) + "\n"


def test_a_full_rebuild_reads_every_table_and_every_station_from_its_first_row(definitions: dg.Definitions) -> None:
    steps = (definitions.resolve_job_def("full_rebuild").run_config or {})["ops"]
    assert steps["landing__sales__orderheader"]["config"] == {"full": True}
    assert steps["identity__resolution"]["config"] == {"full": True}
    assert steps["landing__crm__customer__deletes"]["config"] == {"compare_all": True}


def test_a_schedule_skips_while_a_run_of_its_job_is_under_way(definitions: dg.Definitions) -> None:
    found = definitions.get_repository_def().get_schedule_def("full_rebuild_on_sunday_night")
    with dg.instance_for_test() as instance, dg.build_schedule_context(instance=instance) as context:
        create_run_for_test(instance, job_name="full_rebuild", status=dg.DagsterRunStatus.STARTED)
        data = found.evaluate_tick(context)
    assert not data.run_requests
    assert "full_rebuild is under way" in str(data.skip_message)


def test_dagsters_own_yaml_check_accepts_every_declaration() -> None:
    dg_command = Path(sys.executable).with_name("dg")
    found = subprocess.run([dg_command, "check", "yaml"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
