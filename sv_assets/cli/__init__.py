"""`sv`: the platform from the command line. Thin commands; what they do lives in the stations."""

import sys
from functools import cache
from typing import Annotated, Any

import typer

from sv_assets.cli import (
    alerts,
    bench,
    catalogue,
    checks,
    contact_centre,
    customer,
    demo,
    dev,
    doctor,
    estate,
    find,
    fraud,
    identity,
    introspect,
    metrics,
    privacy,
    quarantine,
    queues,
    roles,
    run,
)
from sv_assets.cli.output import complain
from sv_assets.errors import ConfigurationError, SvError

app = typer.Typer(
    name="sv",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The single customer view: one true document per customer. Every command takes --json for scripts.",
)
app.add_typer(estate.app, name="estate")
app.add_typer(bench.app, name="bench")
app.add_typer(queues.app, name="queues")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(identity.app, name="identity")
app.add_typer(customer.app, name="customer")
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(checks.app, name="checks")
app.add_typer(alerts.app, name="alerts")
app.add_typer(metrics.app, name="metrics")
app.add_typer(fraud.app, name="fraud")
app.add_typer(privacy.app, name="privacy")
app.add_typer(roles.app, name="roles")
app.add_typer(contact_centre.app, name="contact-centre")
app.command("demo")(demo.demo)
app.command("dev")(dev.dev)
app.command("run")(run.run)
app.command("reset")(run.reset)
app.command("introspect")(introspect.introspect)
app.command("doctor")(doctor.doctor)
app.command("find")(find.find)
app.command("card")(contact_centre.card)


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"sv {installed('sv-assets')}")
        raise typer.Exit


@cache
def command() -> Any:
    """All commands as one of Click's. Typer makes them anew for every call of `app`, which takes a tenth of a second."""
    return typer.main.get_command(app)


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed or nothing found, 2 wrong declaration, environment or usage."""
    from sv_assets.mongo import explained_mongo_errors

    try:
        with explained_mongo_errors():
            command()()
    except SvError as error:
        complain(str(error))
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)
    except KeyboardInterrupt:
        complain("Stopped. What has landed stays; run the same command again to go on.")
        sys.exit(130)
