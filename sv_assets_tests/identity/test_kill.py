"""Kill the stations at any write and run again: the same result as an undisturbed run, customer ids included."""

import json
import os
import subprocess
import sys

import pytest

from sv_assets.mongo import Store


@pytest.mark.parametrize(("what", "at_least"), [("run", 40), ("rerun", 10)])
def test_what_is_killed_at_any_write_ends_as_if_undisturbed(store: Store, what: str, at_least: int) -> None:
    command = [sys.executable, "-m", "sv_assets_tests.killed", os.environ["SV_MONGO_URL"], store.prefix, what]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert ended.returncode == 0, ended.stderr[-3000:]
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result["different"] == []
    assert result["writes"] > at_least
