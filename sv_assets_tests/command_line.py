"""`sv` in the process of a test: its output and its exit code, without the seconds that a process of its own takes to start."""

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from unittest import mock

from sv_assets.cli import main, output

WIDTH = 250


def run_sv(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs `sv` with nothing on its standard input; `environment` takes the place of that of the tests."""
    out, err = io.StringIO(), io.StringIO()
    with ExitStack() as stack:
        if environment is not None:
            stack.enter_context(mock.patch.dict(os.environ, environment, clear=True))
        for console in (output.console, output.errors):
            stack.enter_context(mock.patch.object(console, "_width", WIDTH))  # COLUMNS counts when a console is made
        stack.enter_context(mock.patch.dict(os.environ, {"TERM": "xterm"}))  # a dumb terminal has 80 columns
        stack.enter_context(mock.patch.object(sys, "argv", ["sv", *arguments]))
        stack.enter_context(mock.patch.object(sys, "stdin", io.StringIO()))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(["sv", *arguments], code, out.getvalue(), err.getvalue())
