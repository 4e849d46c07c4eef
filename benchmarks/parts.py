"""The parts of a benchmark: each runs in a process of its own, so that its peak memory is its own."""

import base64
import json
import logging
import resource
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from sv_assets import ledger
from sv_assets.sealing import master
from sv_assets.sealing.aead import KEY_BYTES

ROOT = Path(__file__).parent.parent


def run_part(module: str, environment: dict[str, str], *arguments: str | int, folder: Path = ROOT) -> dict[str, Any]:
    """The figures that a part, started in `folder`, prints as its last line; on standard error it tells how far it is.

    Raises RuntimeError where it fails.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} {arguments[0]} ended with {done.returncode}; it says why above")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def keys_of_its_own() -> dict[str, str]:
    """The secrets of a benchmark, nobody else's: of the ledger of erased people, and the master key of sealed fields."""
    return {
        master.KMS_VARIABLE: "",
        ledger.VARIABLE: f"bench:{secrets.token_hex(32)}",
        master.VARIABLE: f"bench:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}",
    }


def tell_progress() -> None:
    """Let this part tell how far it is, as it would in a run."""
    progress = logging.getLogger("sv_assets.progress")
    progress.addHandler(logging.StreamHandler())
    progress.setLevel(logging.INFO)


def print_figures(figures: dict[str, Any]) -> None:
    """What a part has measured, and its peak memory in megabytes as `peak_rss_mb`."""
    print(json.dumps({**figures, "peak_rss_mb": _peak_rss_mb()}))


def _peak_rss_mb() -> float:
    """The most memory of this process. `getrusage` says the most of the parent too, where that was more (Linux)."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
