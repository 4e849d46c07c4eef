"""`sv dev`: the embedded estate and the Dagster UI, with schedules, sensors and metrics."""

import os
import signal
import socket
import subprocess
import sys
from typing import Annotated

import typer

from sv_assets.cli.metrics import PORT as METRICS_PORT
from sv_assets.cli.output import errors
from sv_assets.settings import PROJECT_ROOT, local_dir

UI_PORT = 3000


def dev(
    port: Annotated[
        int | None, typer.Option(help="Port of the UI. Default: 3000, or a free one where that is taken.")
    ] = None,
    no_estate: Annotated[bool, typer.Option("--no-estate", help="Use the servers that the environment names.")] = False,
) -> None:
    """Start the embedded estate, the Dagster UI on it and metrics; Ctrl-C stops the latter, `make down` the estate."""
    if not no_estate:
        from sv_assets import local

        estate = local.up(local_dir())
        for note in estate.notes:
            errors.print(note)
        if estate.seeded is None:
            errors.print("Nothing is seeded yet: `make demo` seeds a retailer and materialises everything.")
    chosen = port or (UI_PORT if _is_free(UI_PORT) else _free_port())
    import dagster as dg

    from sv_assets.cli.execution import limit_pools

    if _is_free(METRICS_PORT):
        arguments = ["-c", "from sv_assets.cli import main; main()", "metrics", "serve", "--with-parent"]
        subprocess.Popen([sys.executable, *arguments], stdin=subprocess.DEVNULL)
    errors.print(f"The Dagster UI will be at [bold]http://127.0.0.1:{chosen}[/] in some 15 seconds. Ctrl-C stops it.")
    os.chdir(PROJECT_ROOT)
    os.environ["DAGSTER_HOME"] = str(PROJECT_ROOT)
    with dg.DagsterInstance.get() as instance:
        limit_pools(instance)
    # A shell that starts us in the background makes us ignore SIGINT, and Dagster would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    arguments = ["-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(chosen)]
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - our own interpreter, no shell


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
