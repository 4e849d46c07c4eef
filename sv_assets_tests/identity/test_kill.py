"""Kill the stations at any write and run again: the same result as an undisturbed run, customer ids included."""

import json
import os
import subprocess
import sys

from sv_assets.mongo import Store


def test_stations_killed_at_any_write_end_as_if_undisturbed(store: Store) -> None:
    command = [sys.executable, "-m", "sv_assets_tests.killed", os.environ["SV_MONGO_URL"], store.prefix]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr[-3000:]
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result["different"] == []
    assert result["writes"] > 40
