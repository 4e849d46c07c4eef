"""`sv checks`: what every check found last, since when it fails, and what a human agrees to."""

import datetime as dt
from typing import Annotated, Any

import typer

from sv_assets.cli.output import JsonOption, console, print_json, safe, table

app = typer.Typer(invoke_without_command=True, help="What the checks of data found, now and over time.")


@app.callback()
def states(
    context: typer.Context,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that fail.")] = False,
    asset: Annotated[str | None, typer.Option("--asset", help="Only of assets that begin so, as landing/crm.")] = None,
    json: JsonOption = False,
) -> None:
    """The newest result of every check. Exit code 1 where nothing is found."""
    if context.invoked_subcommand:
        return
    from sv_assets.mongo import store_from_environment
    from sv_assets.quality.results import states

    found = [
        state
        for state in states(store_from_environment())
        if (not failed or not state.passed) and (asset is None or state.latest["asset"].startswith(asset))
    ]
    if json:
        print_json([{**_plain(s.latest), "failing_since": s.failing_since, "trend": list(s.trend)} for s in found])
    elif found:
        table(
            f"{len(found):,} checks",
            ["", "asset", "check", "since", "finding"],
            [
                [_verdict(s.latest), s.latest["asset"], s.latest["check"], _day(s.failing_since), _sentence(s.latest)]
                for s in found
            ],
        )
    if not found:
        if not json:
            console.print("No check fails." if failed else "No check has been evaluated. Next: [bold]sv run[/].")
        if not failed:
            raise typer.Exit(1)


@app.command()
def history(
    asset: Annotated[str, typer.Argument(help="The asset, as landing/crm/customer.")],
    check: Annotated[str, typer.Argument(help="The check, as fresh.")],
    last: Annotated[int, typer.Option("--last", min=1, help="How many results.")] = 30,
    json: JsonOption = False,
) -> None:
    """The results of one check, the newest first. Exit code 1 if it was never evaluated."""
    from sv_assets.mongo import store_from_environment
    from sv_assets.quality.results import history as results_of

    found = list(results_of(store_from_environment(), asset, check, last))
    if json:
        print_json([_plain(result) for result in found])
    elif found:
        rows = [[f"{r['at']:%Y-%m-%d %H:%M}", _verdict(r), _sentence(r), r["run_id"][:8]] for r in found]
        table(f"{asset}: {check}", ["at (UTC)", "", "finding", "run"], rows)
    if not found:
        if not json:
            console.print(f"{asset} has no results of {check}. `sv checks` lists what there is.", markup=False)
        raise typer.Exit(1)


@app.command()
def accept(
    source: Annotated[str, typer.Argument(help="The source, as crm.customer.")],
    json: JsonOption = False,
) -> None:
    """Take a source as it is from now on: its columns, how its values are spread, its equal rows.

    For changes that are meant. Exit code 1 where there was nothing to agree to. Where `columns:` are declared, they count,
    and `sv introspect` brings them up to date.
    """
    from sv_assets.catalogue import load_catalogue
    from sv_assets.landing import shapes
    from sv_assets.mongo import store_from_environment
    from sv_assets.quality import distribution, doubles
    from sv_assets.quality.clock import now
    from sv_assets.quality.subject import Subject

    store, catalogue = store_from_environment(), load_catalogue()
    declared = catalogue.source(source)
    subject = Subject(store, catalogue, declared, now(store, catalogue))
    columns = shapes.agree(store, declared)
    spread, equal = distribution.agree(subject), doubles.agree(subject)
    if json:
        print_json({"source": source, "columns": columns, "distribution": spread, "doubled_rows": equal})
    else:
        agreed = [f"the columns {', '.join(columns)}"] if columns else []
        agreed += ["how its values are spread"] if spread else []
        agreed += ["its equal rows"] if equal else []
        console.print(f"Agreed for {source}: {'; '.join(agreed) or 'nothing, there was no change'}.", markup=False)
    if not (columns or spread or equal):
        raise typer.Exit(1)


def _verdict(result: dict[str, Any]) -> str:
    if result["passed"]:
        return "[green]passed[/]"
    return "[red]failed[/]" if result["severity"] == "ERROR" else "[yellow]warned[/]"


def _sentence(result: dict[str, Any]) -> str:
    return safe(result["sentence"]) or ""


def _day(moment: dt.datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "_id"}
