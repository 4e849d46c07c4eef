"""Kill the stations at any write and run again: the same result as an undisturbed run, customer ids included."""

import json
import os
import subprocess
import sys

import pytest

from sv_assets.mongo import Store

RUNS = [("run", 50), ("rerun", 10)]


@pytest.mark.parametrize(("what", "at_least"), RUNS)
def test_what_is_killed_at_some_write_ends_as_if_undisturbed(store: Store, what: str, at_least: int) -> None:
    kill(store, what, at_least, every=8)


@pytest.mark.soak
@pytest.mark.parametrize(("what", "at_least"), RUNS)
def test_what_is_killed_at_any_write_ends_as_if_undisturbed(store: Store, what: str, at_least: int) -> None:
    kill(store, what, at_least, every=1)


def kill(store: Store, what: str, at_least: int, every: int) -> None:
    """Kill `what` at each `every`-th write, in processes of their own."""
    command = [
        sys.executable,
        "-m",
        "sv_assets_tests.killed",
        os.environ["SV_MONGO_URL"],
        store.prefix,
        what,
        str(every),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    assert ended.returncode == 0, ended.stderr[-3000:]
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result["different"] == []
    assert result["writes"] > at_least
