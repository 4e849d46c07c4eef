"""The benchmarks measure what they say, and memory is flat: figures of speed are for `sv bench`, and never asserted."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.landing import measure_landing


def bench(*arguments: str) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("sv")), "bench", "landing", *arguments, "--json"]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


@pytest.mark.parametrize("mode", ["initial", "upsert"])
def test_landing_is_measured_beside_its_limit(mode: str) -> None:
    found = bench("--rows", "2000", "--mode", mode)
    assert (found["rows"], found["mode"]) == (2000, mode)
    assert found["ratio"] == pytest.approx(found["rows_per_s"] / found["limit_rows_per_s"], rel=0.01)
    assert 20 < found["peak_rss_mb"] < 500
    assert found["idle_ms"] > 0


@pytest.mark.soak
def test_memory_does_not_grow_with_the_number_of_rows() -> None:
    for mode in ("initial", "upsert"):
        few, many = (measure_landing(rows, mode)["peak_rss_mb"] for rows in (100_000, 1_000_000))  # type: ignore[arg-type]
        assert float(many) <= 1.1 * float(few), f"{mode}: {few} MB at 100,000 rows, {many} MB at 1,000,000"
