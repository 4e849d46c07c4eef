"""The parts of a benchmark: each runs in a process of its own, so that its peak memory is its own."""

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def run_part(module: str, environment: dict[str, str], *arguments: str | int, folder: Path = ROOT) -> dict[str, Any]:
    """The figures that a part, started in `folder`, prints as its last line. Raises RuntimeError with the end of what it said where it fails."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def print_figures(figures: dict[str, Any]) -> None:
    """What a part has measured, and its peak memory in megabytes as `peak_rss_mb`."""
    print(json.dumps({**figures, "peak_rss_mb": _peak_rss_mb()}))


def _peak_rss_mb() -> float:
    """The most memory of this process. `getrusage` says the most of the parent too, where that was more (Linux)."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
