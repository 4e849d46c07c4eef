"""`sv bench`: speed and memory on the embedded servers, beside the limit measured in the same run."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer

from sv_assets.cli.output import JsonOption, console, errors, print_json, table
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
    with _of_a_checkout():
        from benchmarks.landing import measure_landing
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


@app.command()
def queue(
    messages: Annotated[int, typer.Option(min=100, help="How many messages of some 600 bytes.")] = 100_000,
    depth: Annotated[
        int,
        typer.Option(min=0, help="How many of them the queue holds at once; 0: all. SQS's stand-in slows with depth."),
    ] = 10_000,
    receivers: Annotated[int, typer.Option(min=1, max=64, help="How many threads receive and delete.")] = 4,
    fifo: Annotated[bool, typer.Option("--fifo", help="A FIFO queue, each account a group.")] = False,
    json: JsonOption = False,
) -> None:
    """Drain a queue end to end, beside a bare boto3 loop that receives and deletes as many messages of the same server."""
    with _of_a_checkout():
        from benchmarks.queue import measure_queue
    errors.print(
        f"Draining {messages:,} messages three times, on servers of its own; some {20 + messages // 300} seconds or more"
    )
    figures = measure_queue(messages, depth=depth, receivers=receivers, fifo=fifo)
    if json:
        print_json(figures)
        return
    console.print(
        f"{figures['messages_per_s']:,} messages/s end to end, {figures['limit_messages_per_s']:,} messages/s for the bare "
        f"loop: ratio [bold]{figures['ratio']}[/]. {figures['lost']:,} lost, {figures['doubled']:,} doubled. "
        f"Peak memory {figures['peak_rss_mb']:,} MB."
    )


@app.command()
def identity(
    records: Annotated[int, typer.Option(min=100, help="How many party records.")] = 100_000,
    landed: Annotated[
        bool,
        typer.Option(
            "--landed", help="In MongoDB, from landed party records to customers, and then a few that change."
        ),
    ] = False,
    changed: Annotated[int, typer.Option(min=1, help="With --landed: how many records change.")] = 1_000,
    json: JsonOption = False,
) -> None:
    """Find the persons among records of the seed generator from scratch, and measure how well and how fast."""
    if landed:
        _landed_identity(records, changed, json)
        return
    with _of_a_checkout():
        from benchmarks.identity import measure_identity
    errors.print(f"Evaluating {records:,} records; some {20 + records // 1500} seconds or more")
    figures = measure_identity(records)
    if json:
        print_json(figures)
        return
    pairs, clusters = figures["pairs"], figures["clusters"]
    phases = ", ".join(f"{name} {seconds:,.1f}" for name, seconds in figures["seconds"].items())
    console.print(
        f"{figures['records_per_s']:,} records/s from scratch. Peak memory {figures['peak_rss_mb']:,} MB.\nSeconds: {phases}.\n"
        f"Pairs: precision [bold]{pairs['precision']:.5f}[/], recall [bold]{pairs['recall']:.5f}[/]. Within clusters: precision "
        f"[bold]{clusters['precision']:.5f}[/], recall [bold]{clusters['recall']:.5f}[/]."
    )


def _landed_identity(records: int, changed: int, json: bool) -> None:
    with _of_a_checkout():
        from benchmarks.landed_identity import measure_landed_identity
    errors.print(
        f"Filling a MongoDB of its own with {records:,} party records; some {60 + records // 300} seconds or more"
    )
    figures = measure_landed_identity(records, changed)
    if json:
        print_json(figures)
        return
    console.print(
        f"{records:,} party records from scratch in [bold]{figures['scratch_seconds']:,} s[/] ({figures['records_per_s']:,} a "
        f"second), {figures['customers']:,} customers, peak memory {figures['peak_rss_mb']:,} MB.\n"
        f"{changed:,} changed ones among them in [bold]{figures['changed_seconds']:,} s[/], peak memory "
        f"{figures['changed_peak_rss_mb']:,} MB."
    )


@app.command()
def serving(
    customers: Annotated[int, typer.Option(min=100, help="How many customers, with an order each.")] = 10_000,
    json: JsonOption = False,
) -> None:
    """Build customers from landing on, then measure every look-up and a write, beside a bare find by _id; one client and eight."""
    with _of_a_checkout():
        from benchmarks.serving import measure_serving
    errors.print(
        f"Building {customers:,} customers on a server of its own; some {60 + customers // 150} seconds or more"
    )
    figures = measure_serving(customers)
    if json:
        print_json(figures)
        return
    for who, measured in (("One client", figures), ("Eight clients", figures["eight_clients"])):
        told = {"bare find_one": measured["bare_find"], **measured["lookups"], "write": measured["write"]}
        rows = [[name, *(float(ms) for ms in percentiles.values())] for name, percentiles in told.items()]
        table(f"{who}, milliseconds", ["", "p50", "p95", "p99"], rows)
    console.print(
        f"{figures['customers']:,} customers, composed at [bold]{figures['compose_per_s']:,} a second[/] from scratch; "
        f"{figures['changed']:,} changed ones in [bold]{figures['changed_seconds']} s[/]. Peak memory "
        f"{figures['peak_rss_mb']:,} MB."
    )


@app.command()
def freshness(
    changes: Annotated[int, typer.Option(min=1, help="How many changes are made, one after the other.")] = 50,
    people: Annotated[int, typer.Option(min=100, help="How many people the retailer knows.")] = 300,
    json: JsonOption = False,
) -> None:
    """How long a change at a source takes to its customer's document, with Dagster at its default settings. Exit code 1 if one is lost."""
    with _of_a_checkout():
        from benchmarks.freshness import measure_freshness
    errors.print(f"An estate and a Dagster daemon of the benchmark's own; some {120 + changes * 4} seconds")
    figures = measure_freshness(changes, people, tell=lambda step: errors.print(f"  {step}"))
    if json:
        print_json(figures)
    else:
        stations = [
            ("landed", figures["by_station"]["landing"]),
            ("composed after that", figures["by_station"]["single_view"]),
        ]
        told = [("readable in single_view.customers", figures), *stations, *figures["by_source"].items()]
        rows = [[name, *(seconds[key] for key in ("p50_s", "p95_s", "max_s"))] for name, seconds in told]
        table(f"{figures['changes']:,} changes, seconds", ["", "p50", "p95", "max"], rows)
        console.print(f"{figures['lost']:,} lost; {figures['runs']:,} runs.")
    if figures["lost"]:
        raise typer.Exit(1)


@app.command()
def startup(
    tables: Annotated[int, typer.Option(min=1, help="How many tables are declared, fifty a system.")] = 500,
    rounds: Annotated[int, typer.Option(min=1, help="How many times they are loaded, each in a fresh process.")] = 3,
    json: JsonOption = False,
) -> None:
    """How long all definitions take to load, and whether a connection is opened meanwhile. Exit code 1 if one is."""
    with _of_a_checkout():
        from benchmarks.startup import measure_startup
    figures = measure_startup(tables, rounds)
    if json:
        print_json(figures)
    else:
        console.print(
            f"{figures['tables']:,} tables ({figures['assets']:,} assets, {figures['checks']:,} checks) load in "
            f"[bold]{figures['seconds']} s[/], {figures['import_dagster_seconds']} s of it for Dagster itself. "
            f"{figures['connections_opened']:,} connections were opened."
        )
    if figures["connections_opened"]:
        raise typer.Exit(1)


@app.command()
def privacy(
    customers: Annotated[int, typer.Option(min=100, help="Among so many customers one is handed over.")] = 10_000,
    rows: Annotated[
        int, typer.Option(min=1000, help="So many rows land, to see what asking the ledger costs.")
    ] = 20_000,
    erased: Annotated[int, typer.Option(min=1, help="So many people are in the ledger then.")] = 10_000,
    json: JsonOption = False,
) -> None:
    """What asking the ledger of erased people costs landing, beside landing that does not ask; and how long subject access takes."""
    with _of_a_checkout():
        from benchmarks.privacy import measure_privacy
    errors.print(
        f"Building {customers:,} customers on a server of its own; some {60 + customers // 150} seconds or more"
    )
    figures = measure_privacy(customers, rows, erased)
    print_json(figures) if json else table("Privacy", ["", ""], figures.items())


@contextmanager
def _of_a_checkout() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError:
        raise ConfigurationError(
            "The benchmarks come with the source and not with the installed package: run this from a checkout after `make install`."
        ) from None
