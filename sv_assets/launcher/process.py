"""The warm process: imports everything once, then forks for each run it is asked for, a line of JSON on its standard input.

Answers with the process id of the fork. When its standard input ends, because whoever asked is gone, it waits for the
runs under way, and ends. With an argument it executes that one run itself, for systems on which forking is not safe.
"""

import json
import os
import select
import signal
import sys
import traceback
import warnings
from importlib import import_module
from typing import Any, NoReturn

AT_WORK = (
    "sv_assets.dictionary.preview",
    "sv_assets.landing.land",
    "sv_assets.landing.land_queue",
    "sv_assets.quality.clock",
    "sv_assets.quality.landing",
    "boto3",
    "duckdb",
    "splink",
)
"""What definitions do without."""


def main() -> None:
    if len(sys.argv) > 1:
        _execute(json.loads(sys.argv[1]))
        return
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what runs print is not an answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    _import_everything()
    runs: set[int] = set()
    unread = b""
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], 1.0)
        while runs and (ended := os.waitpid(-1, os.WNOHANG)[0]):
            runs.discard(ended)
        if not readable:
            continue
        read = os.read(sys.stdin.fileno(), 65_536)
        if not read:
            break
        *lines, unread = (unread + read).split(b"\n")
        for line in lines:
            pid = os.fork()
            if pid == 0:
                answers.close()
                _run_and_exit(json.loads(line))
            runs.add(pid)
            print(pid, file=answers, flush=True)
    while runs:
        runs.discard(os.waitpid(-1, 0)[0])


def _import_everything() -> None:
    """Definitions are loaded for what they import, and what only runs need; nothing opens a connection or starts a thread."""
    from sv_assets.definitions import defs

    try:
        defs().get_repository_def()
        for module in AT_WORK:
            import_module(module)
    except Exception as error:  # a run says what is wrong, where people look for it
        print(f"Definitions do not load: {error}", file=sys.stderr)


def _run_and_exit(asked: dict[str, Any]) -> NoReturn:
    status = 1
    try:
        os.close(sys.stdin.fileno())
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _execute(asked)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _execute(asked: dict[str, Any]) -> None:
    from dagster import DagsterInstance
    from dagster._cli.api import _execute_run_command_body
    from dagster._core.instance.ref import InstanceRef
    from dagster._serdes import deserialize_value
    from dagster._utils.interrupts import capture_interrupts

    with capture_interrupts(), DagsterInstance.from_ref(deserialize_value(asked["instance"], InstanceRef)) as instance:
        _execute_run_command_body(asked["run_id"], instance, lambda _: None, set_exit_code_on_failure=False)


if __name__ == "__main__":
    main()
