"""`sv estate`: the embedded estate, real servers and a made-up retailer on this machine."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sv_assets.cli.output import JsonOption, console, errors, print_json, table
from sv_assets.settings import local_dir

app = typer.Typer(no_args_is_help=True, help="The embedded estate: MongoDB and SQS stand-ins, SQLite legacy databases.")


@app.command()
def up(json: JsonOption = False) -> None:
    """Start the servers on loopback and free ports; what runs already is left alone."""
    from sv_assets import local

    estate = local.up(local_dir())
    _show(estate, json)


@app.command()
def down(json: JsonOption = False) -> None:
    """Stop the servers. Data stays; `sv estate up` goes on with it."""
    from sv_assets import local

    stopped = local.down(local_dir())
    if json:
        print_json({"stopped": stopped})
    else:
        console.print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running.")


@app.command()
def status(json: JsonOption = False) -> None:
    """What runs, where, and what is seeded. Exit code 1 unless everything is up."""
    from sv_assets import local

    estate = local.status(local_dir())
    _show(estate, json)
    if not estate.is_up:
        raise typer.Exit(1)


@app.command()
def shred(json: JsonOption = False) -> None:
    """Give the embedded MongoDB new files: in the old ones stands what was deleted. Nothing may run on it meanwhile."""
    from sv_assets import local

    with console.status("Copying every collection into new files …") if not json else nullcontext():
        estate, documents = local.shred(local_dir().absolute())
    if not json:
        console.print(f"{documents:,} documents stand in new files; the old ones are gone.")
    _show(estate, json)


@app.command()
def seed(
    people: Annotated[int, typer.Option(min=1, help="How many people the retailer knows.")] = 5000,
    seed: Annotated[int, typer.Option(help="The same number makes the same people.")] = 7,
    until: Annotated[
        dt.datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Data covers two years up to the day before. Default: today."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make the legacy databases and queues anew, with a believable UK retailer in them."""
    from sv_assets import local

    estate = local.up(local_dir())
    with progress_bar() as progress:
        report = local.seed(
            local_dir(), estate.urls, people=people, seed=seed, until=until.date() if until else None, progress=progress
        )
    counts = {**report.rows, **report.messages}
    if json:
        print_json({"people": report.people, "rows": report.rows, "messages": report.messages})
        return
    table(f"Seeded {report.people:,} people", ["source", "rows or messages"], sorted(counts.items()))
    console.print(
        "Next: [bold]sv run[/] lands it and composes the customers; [bold]sv doctor[/] tries every connection."
    )


@app.command()
def tick(
    changes: Annotated[int, typer.Option(min=1, help="How many rows and messages change.")] = 50,
    json: JsonOption = False,
) -> None:
    """Let the retailer live on a little: inserts, updates, deletes and messages, for an incremental run to find."""
    from sv_assets import local

    estate = local.up(local_dir())
    with progress_bar() as progress:
        counts = local.tick(local_dir(), estate.urls, changes=changes, progress=progress)
    if json:
        print_json(counts)
        return
    kinds = ("inserted", "updated", "deleted", "messages")
    table(
        f"{changes:,} changes",
        ["source", *kinds],
        [[source, *(found.get(kind, 0) for kind in kinds)] for source, found in sorted(counts.items())],
    )
    console.print("Next: [bold]sv run[/] finds them.")


@contextmanager
def progress_bar() -> Iterator[Any]:
    """A `progress(step, done, total)` that shows one bar a step on a terminal, and is silent elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield progress


def _show(estate: Any, json: bool) -> None:
    servers = [{"name": s.name, "url": s.url, "pid": s.pid, "up": s.is_alive} for s in estate.servers]
    if json:
        print_json(
            {
                "up": estate.is_up,
                "servers": servers,
                "urls": estate.urls,
                "seeded": estate.seeded,
                "notes": estate.notes,
            }
        )
        return
    table(
        "Embedded estate",
        ["server", "url", "pid", "up"],
        [[s["name"], s["url"], str(s["pid"]), s["up"]] for s in servers],
    )
    for note in estate.notes:
        console.print(note)
    if not estate.is_up:
        console.print("Next: [bold]sv estate up[/] starts what is missing.")
    elif not estate.seeded:
        console.print("Nothing is seeded yet. Next: [bold]sv estate seed[/].")
    else:
        console.print(f"Seeded with {estate.seeded['people']:,} people. Next: [bold]sv run[/].")
