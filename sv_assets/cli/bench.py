"""`sv bench`: speed and memory on the embedded servers, beside the limit measured in the same run."""

from enum import StrEnum
from typing import Annotated

import typer

from sv_assets.cli.output import JsonOption, console, errors, print_json
from sv_assets.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True, help="Measure speed and memory on embedded servers of the benchmark's own.")


class Mode(StrEnum):
    initial = "initial"
    upsert = "upsert"


@app.command()
def landing(
    rows: Annotated[int, typer.Option(min=100, help="How many rows of 21 columns.")] = 100_000,
    mode: Annotated[Mode, typer.Option(help="Into an empty collection, or over older versions.")] = Mode.initial,
    json: JsonOption = False,
) -> None:
    """Land a table end to end, beside a bare pymongo loop that sends the same operations to the same server."""
    try:
        from benchmarks.landing import measure_landing
    except ModuleNotFoundError:
        raise ConfigurationError(
            "The benchmarks come with the source and not with the installed package: run this from a checkout after `make install`."
        ) from None
    errors.print(f"Landing {rows:,} rows ({mode}) on a server of its own; some {max(rows // 4000, 5)} seconds or more")
    figures = measure_landing(rows, mode.value)
    if json:
        print_json(figures)
        return
    console.print(
        f"{figures['rows_per_s']:,} rows/s end to end, {figures['limit_rows_per_s']:,} rows/s for the bare loop: "
        f"ratio [bold]{figures['ratio']}[/]. Peak memory {figures['peak_rss_mb']:,} MB. "
        f"A run that finds nothing costs {figures['idle_ms']} ms."
    )
