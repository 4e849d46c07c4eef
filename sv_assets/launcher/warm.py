"""A run launcher for one machine: runs are forked from a process that has everything imported already.

Dagster's own launcher starts an interpreter for each run, which takes some four seconds of CPU before the first row is read;
a fork of a warm process takes half of one. Each run is still a process of its own. What it imported is thrown away, and
imported anew, once a Python file of ours is newer; declarations are read by each run itself.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from dagster import DagsterRun
from dagster._config.config_schema import UserConfigSchema
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._serdes import ConfigurableClass, serialize_value
from dagster._serdes.config_class import ConfigurableClassData

PROCESS_TAG = "sv/process"
"""Process id and start time of the process in which a run is executed, on the machine of the daemon."""
_PROCESS = [sys.executable, "-m", "sv_assets.launcher.process"]
_PACKAGE = Path(__file__).resolve().parent.parent


class WarmRunLauncher(RunLauncher, ConfigurableClass):
    """Launches runs as forks of a warm process (on Linux; elsewhere as processes of their own).

    Which process executes a run stands in its tags, so that any process can end it, and the monitoring of the daemon
    notices one that died, also after a restart.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._lock = threading.Lock()
        self._warm: subprocess.Popen[str] | None = None
        self._warm_since = 0.0
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> "WarmRunLauncher":
        return cls(inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        asked = json.dumps({"run_id": run.run_id, "instance": serialize_value(self._instance.get_ref())})
        with self._lock:
            pid = self._ask(asked)
        self._instance.add_run_tags(run.run_id, {PROCESS_TAG: f"{pid}:{psutil.Process(pid).create_time()}"})

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        process = process_of(run) if run and not run.is_finished else None
        if run is None or process is None:
            return False
        self._instance.report_run_canceling(run)
        process.send_signal(signal.SIGINT)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        if PROCESS_TAG not in run.tags or process_of(run) is not None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "the process of this run was ended from outside")

    def dispose(self) -> None:
        with self._lock:
            self._let_go()

    def _ask(self, asked: str) -> int:
        """The process id of the process that executes a run. A warm process that has died is replaced once."""
        if sys.platform != "linux":
            return subprocess.Popen([*_PROCESS, asked]).pid
        for attempt in (1, 2):
            warm = self._warm_process()
            assert warm.stdin is not None and warm.stdout is not None
            try:
                warm.stdin.write(asked + "\n")
                warm.stdin.flush()
                answer = warm.stdout.readline()
                return int(answer)
            except (OSError, ValueError):
                self._let_go()
                if attempt == 2:
                    raise RuntimeError("The process that starts runs ends at once; its error stands above.") from None
        raise AssertionError("the second attempt returns or raises")

    def _warm_process(self) -> subprocess.Popen[str]:
        newest = max(path.stat().st_mtime for path in _PACKAGE.rglob("*.py"))
        if self._warm is not None and (self._warm.poll() is not None or newest != self._warm_since):
            self._let_go()
        if self._warm is None:
            self._warm = subprocess.Popen(
                _PROCESS,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._warm_since = newest
            atexit.register(self._let_go)
        return self._warm

    def _let_go(self) -> None:
        """Its runs go on to their end; it starts no further ones."""
        if self._warm is not None and self._warm.stdin is not None:
            self._warm.stdin.close()
        self._warm = None


def process_of(run: DagsterRun) -> psutil.Process | None:
    """The process that executes a run; None where it is gone, or another has its number by now."""
    pid, _, created = run.tags.get(PROCESS_TAG, "").partition(":")
    try:
        process = psutil.Process(int(pid))
        alive = process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - float(created)) < 1.0
    except (ValueError, psutil.NoSuchProcess):
        return None
    return process if alive and process.pid != os.getpid() else None
