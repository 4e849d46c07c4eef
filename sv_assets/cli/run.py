"""`sv run`: a Dagster job from the command line; `sv reset`: forget the landed copy of one source."""

from typing import Annotated

import typer

from sv_assets.cli.output import JsonOption, complain, console, print_json, table


def run(
    job: Annotated[str, typer.Argument(help="incremental_now, full_rebuild, or another job.")] = "incremental_now",
    select: Annotated[
        list[str] | None, typer.Option("--select", help="Only this asset (landing/crm/customer); may be repeated.")
    ] = None,
    partitions: Annotated[
        str | None,
        typer.Option(
            "--partitions", help="With --select: only these days (2026-11-22..2026-11-24), or buckets; a backfill."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run a job here and now; it shows in the Dagster UI like any other. Exit code 2 if a declaration is wrong, else 1."""
    from sv_assets.cli.execution import execute
    from sv_assets.components.station import WRITTEN

    result = execute(job, select, partitions)
    written = {asset: metadata.get(WRITTEN, 0) for asset, metadata in result.assets.items()}
    if json:
        print_json(
            {
                "run_id": result.run_id,
                "success": result.success,
                "seconds": round(result.seconds, 2),
                "written": written,
                "changed": sum(written.values()),
                "failures": [{"step": step, "reason": reason} for step, reason in result.failures],
                "checks_failed": [
                    {"asset": asset, "check": check, "reason": sentence}
                    for asset, check, passed, _, sentence in result.checks
                    if not passed
                ],
            }
        )
    else:
        what = f"{partitions} of {', '.join(select)}" if partitions and select else job
        table(
            f"{what}: {sum(written.values()):,} documents written in {result.seconds:.1f} s",
            ["asset", "written", "seconds"],
            [[asset, written[asset], result.asset_seconds.get(asset, 0.0)] for asset in sorted(written)],
        )
        show_failed_checks(result.checks)
        if result.success and not sum(written.values()):
            console.print("Nothing had changed.")
    for step, reason in result.failures:
        complain(f"{step.replace('__', '/')}: {reason}")
    if not result.success:
        raise typer.Exit(2 if result.configuration_is_wrong else 1)


def show_failed_checks(checks: list[tuple[str, str, bool, bool, str]]) -> None:
    """The checks that did not pass, each with its sentence."""
    failed = [(asset, check, is_error, sentence) for asset, check, passed, is_error, sentence in checks if not passed]
    if failed:
        table(
            "Checks that did not pass",
            ["", "asset", "check", "finding"],
            [
                ["[red]failed[/]" if is_error else "[yellow]warned[/]", asset, check, text]
                for asset, check, is_error, text in failed
            ],
        )


def reset(
    source: Annotated[str, typer.Argument(help="The source, as crm.customer.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Start a source over; needed after a change of its capture mode, key or version.

    A table is read again from its first row at the next run; customers are not touched until then. A queue delivers nothing
    twice: what it delivered is marked as missing until days of its archive are landed again.
    """
    from sv_assets.catalogue import load_catalogue
    from sv_assets.landing.reset import forget
    from sv_assets.mongo import store_from_environment

    declared = load_catalogue().source(source)
    archive = f"landing/{declared.system}/{declared.slug}/archive"
    if not yes:
        again = f"Mark all of {source} as missing until it lands again from {archive}?"
        typer.confirm(
            again if declared.is_queue else f"Read {source} again from its first row at the next run?", abort=True
        )
    rows = forget(store_from_environment(), declared)
    if json:
        print_json({"source": source, "rows": rows})
    else:
        following = f"materialise days of [bold]{archive}[/]" if declared.is_queue else "[bold]sv run[/]"
        console.print(f"{rows:,} landed documents of {source} wait to be read again. Next: {following}.")
