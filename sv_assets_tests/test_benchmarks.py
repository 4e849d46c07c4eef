"""The benchmarks measure what they say, and memory is flat: figures of speed are for `sv bench`, and never asserted."""

import json
from typing import Any

import pytest

from benchmarks.landing import measure_landing
from benchmarks.queue import measure_queue
from benchmarks.serving import measure_serving
from benchmarks.startup import measure_startup
from sv_assets_tests.command_line import run_sv


def bench(*arguments: str) -> dict[str, Any]:
    ended = run_sv("bench", *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("mode", ["initial", "upsert"])
def test_landing_is_measured_beside_its_limit(mode: str) -> None:
    found = bench("landing", "--rows", "1200", "--mode", mode)
    assert (found["rows"], found["mode"]) == (1200, mode)
    assert found["ratio"] == pytest.approx(found["rows_per_s"] / found["limit_rows_per_s"], rel=0.01)
    assert 20 < found["peak_rss_mb"] < 500
    assert found["idle_ms"] > 0


@pytest.mark.soak
def test_memory_does_not_grow_with_the_number_of_rows() -> None:
    for mode in ("initial", "upsert"):
        few, many = (measure_landing(rows, mode)["peak_rss_mb"] for rows in (100_000, 1_000_000))  # type: ignore[arg-type]
        assert float(many) <= 1.1 * float(few), f"{mode}: {few} MB at 100,000 rows, {many} MB at 1,000,000"


@pytest.mark.parametrize("how", [("--depth", "0", "--fifo"), pytest.param(("--depth", "1500"), marks=pytest.mark.soak)])
def test_a_drained_queue_is_measured_beside_its_limit_and_reconciled(how: tuple[str, ...]) -> None:
    messages = 2000 if "--fifo" not in how else 600
    found = bench("queue", "--messages", str(messages), "--receivers", "3", *how)
    assert (found["messages"], found["receivers"], found["fifo"]) == (messages, 3, "--fifo" in how)
    assert (found["duplicates_sent"], found["lost"], found["doubled"]) == (messages // 20, 0, 0)
    assert found["ratio"] == pytest.approx(found["messages_per_s"] / found["limit_messages_per_s"], rel=0.01)
    assert 20 < found["peak_rss_mb"] < 500


@pytest.mark.soak
def test_memory_does_not_grow_with_the_number_of_messages() -> None:
    few, many = (measure_queue(messages, depth=5000)["peak_rss_mb"] for messages in (20_000, 100_000))
    assert many <= 1.1 * few, f"{few} MB at 20,000 messages, {many} MB at 100,000"


def test_identity_is_measured_from_scratch() -> None:
    found = bench("identity", "--records", "1500")
    assert found["records"] == 1500
    assert found["records_per_s"] == pytest.approx(1500 / found["seconds"]["total"], abs=1)
    assert found["clusters"]["precision"] > 0.98
    assert 100 < found["peak_rss_mb"] < 1000


def test_serving_is_measured_beside_a_bare_find() -> None:
    found = bench("serving", "--customers", "120")
    assert (found["customers"], found["changed"]) == (120, 120)
    for measured in (found, found["eight_clients"]):
        assert measured["lookups"].keys() > {
            "id",
            "email",
            "phone_end",
            "postcode_surname",
            "name_town",
            "order",
            "delivery",
        }
        for percentiles in (measured["bare_find"], measured["write"], *measured["lookups"].values()):
            assert 0 < percentiles["p50_ms"] <= percentiles["p95_ms"] <= percentiles["p99_ms"]
    assert found["compose_per_s"] > 0
    assert 50 < found["peak_rss_mb"] < 1000


def test_privacy_is_measured_with_keys_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SV_ENCRYPTION_KEY", "SV_ERASURE_KEY", "SV_MONGO_URL"):
        monkeypatch.delenv(variable, raising=False)
    found = bench("privacy", "--customers", "100", "--rows", "1000", "--erased", "10")
    assert (found["customers"], found["rows"], found["erased"]) == (100, 1000, 10)
    assert found["documents"] > 0 and found["access_seconds"] > 0
    assert found["ratio_nobody_erased"] > 0 and found["ratio_many_erased"] > 0


@pytest.mark.soak
def test_memory_does_not_grow_with_the_number_of_customers() -> None:
    few, many = (measure_serving(customers)["peak_rss_mb"] for customers in (20_000, 100_000))
    assert many <= 1.1 * few, f"{few} MB at 20,000 customers, {many} MB at 100,000"


def test_definitions_of_generated_systems_load_without_a_connection() -> None:
    figures = measure_startup(12, rounds=1)
    assert figures["connections_opened"] == 0
    assert figures["assets"] > 3 * 12, "a legacy table, its landing, and more"
    assert figures["seconds"] > figures["import_dagster_seconds"] > 0
