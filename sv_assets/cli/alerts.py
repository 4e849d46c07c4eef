"""`sv alerts`: what is wrong, whose it is, who was told; mute it, try a channel."""

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.output import JsonOption, complain, console, print_json, safe, table
from sv_assets.errors import ConfigurationError, SvError

if TYPE_CHECKING:
    from sv_assets.alerts.alert import Alert
    from sv_assets.alerts.settings import AlertSettings

app = typer.Typer(
    no_args_is_help=True,
    help="What is wrong, whose it is and who was told. Declared in sv_assets/defs/automation/alerts.yaml.",
)
AlertId = Annotated[
    str, typer.Argument(help="Its id, as `sv alerts list` shows it; a part of it will do if it fits one.")
]


@app.command("list")
def list_alerts(
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    owner: Annotated[str | None, typer.Option(help="Only those of this owner, as team:crm.")] = None,
    json: JsonOption = False,
) -> None:
    """The alerts that are open, the worst first. Exit code 1 if one is an error."""
    from sv_assets.alerts.channels import health_of, missing_variables
    from sv_assets.alerts.settings import load_alert_settings
    from sv_assets.alerts.storage import read_alerts
    from sv_assets.mongo import store_from_environment

    settings, store = load_alert_settings(), store_from_environment()
    alerts = [a for a in read_alerts(store, also_over=every) if owner is None or owner in a.condition.owners]
    health = health_of(store, settings)
    off = {name: missing for name, channel in settings.channels.items() if (missing := missing_variables(channel))}
    if json:
        print_json(
            {
                "open": sum(a.state == "open" for a in alerts),
                "alerts": [shown(a, settings) for a in alerts],
                "channels": [vars(channel) for channel in health],
                "off": off,
            }
        )
    else:
        _show(alerts)
        _show_channels(health, off)
    if any(a.state == "open" and a.condition.severity == "error" for a in alerts):
        raise typer.Exit(1)


def _show(alerts: "list[Alert]") -> None:
    if not alerts:
        console.print("Nothing is wrong.")
        return
    colours = {"error": "red", "warning": "yellow"}
    for alert in alerts:
        condition = alert.condition
        word, colour = (
            ("recovered", "green") if alert.state == "recovered" else (condition.severity, colours[condition.severity])
        )
        owners = ", ".join(condition.owners) or "nobody owns it"
        console.print(f"[{colour}]{word}[/]  [bold]{safe(condition.id)}[/]", soft_wrap=True)
        console.print(f"  {safe(condition.sentence)}", soft_wrap=True)
        console.print(f"  since {alert.since:%Y-%m-%d %H:%M} UTC · {safe(owners)} · {_told(alert)}", soft_wrap=True)
        if condition.mend:
            console.print(f"  next: [bold]{safe(condition.mend)}[/]", soft_wrap=True)
        console.print()


def _told(alert: "Alert") -> str:
    if alert.is_muted(dt.datetime.now(dt.timezone.utc)):
        return f"muted until {alert.muted_until:%Y-%m-%d %H:%M}"
    if alert.state == "waiting":
        return "not yet: it may pass"
    parts = [
        f"{name}: {d.told or 'nothing'}{f', owed {d.owes}' if d.owes else ''}" for name, d in alert.deliveries.items()
    ]
    return "; ".join(sorted(parts)) or "nobody"


def _show_channels(health: "list[Any]", off: dict[str, list[str]]) -> None:
    rows = [[h.name, "[red]fails[/]" if h.failing_since else "[green]well[/]", h.sent, safe(h.error)] for h in health]
    rows += [[name, "off", 0, f"not set: {', '.join(missing)}"] for name, missing in off.items()]
    if rows:
        table("Channels", ["", "", "messages", ""], rows)


@app.command()
def show(alert: AlertId, json: JsonOption = False) -> None:
    """One alert with everything that is known of it. Exit code 1 if there is none."""
    from sv_assets.alerts.settings import load_alert_settings
    from sv_assets.mongo import store_from_environment

    settings = load_alert_settings()
    found = shown(_find(store_from_environment(), alert), settings)
    if json:
        print_json(found)
        return
    deliveries = found.pop("deliveries")
    figures = found.pop("figures")
    rows = [*found.items(), *((f"figure: {name}", value) for name, value in figures.items())]
    table(
        found["title"],
        ["", ""],
        [[name.replace("_", " "), safe(_text(value))] for name, value in rows if value not in (None, "", [])],
    )
    if deliveries:
        wanted = ("route", "told", "told_at", "owes", "not_before", "attempts")
        table(
            "Told",
            ["channel", *wanted],
            [[name, *(safe(_text(d[field])) for field in wanted)] for name, d in deliveries.items()],
        )


@app.command()
def mute(
    alert: AlertId,
    reason: Annotated[str, typer.Option(help="Why; no personal data.")],
    for_: Annotated[str, typer.Option("--for", help="For how long: 30m, 2h, 3d.")] = "8h",
    json: JsonOption = False,
) -> None:
    """Send nothing of an alert for a while. What was told as open is still told as recovered."""
    from pydantic import TypeAdapter, ValidationError

    from sv_assets.alerts import storage
    from sv_assets.alerts.settings import load_alert_settings
    from sv_assets.catalogue.entry import Duration
    from sv_assets.mongo import now_in_milliseconds, store_from_environment

    try:
        span: dt.timedelta = TypeAdapter(Duration).validate_python(for_)
    except ValidationError:
        raise ConfigurationError(
            f"--for {for_}: a duration is a whole number and one of s, m, h, d: 30m, 2h."
        ) from None
    settings, store = load_alert_settings(), store_from_environment()
    identifier = _find(store, alert).condition.id
    muted = storage.mute(store, identifier, now_in_milliseconds() + span, reason, settings)
    if json:
        print_json(shown(muted, settings))
    else:
        console.print(f"{safe(identifier)} is muted until {muted.muted_until:%Y-%m-%d %H:%M} UTC.")


@app.command()
def unmute(alert: AlertId, json: JsonOption = False) -> None:
    """Let a muted alert be heard again; if it is still open it is told at the next look."""
    from sv_assets.alerts import storage
    from sv_assets.alerts.settings import load_alert_settings
    from sv_assets.mongo import store_from_environment

    settings, store = load_alert_settings(), store_from_environment()
    heard = storage.unmute(store, _find(store, alert).condition.id, settings)
    if json:
        print_json(shown(heard, settings))
    else:
        console.print(f"{safe(heard.condition.id)} is heard again.")


@app.command("test")
def try_channel(
    channel: Annotated[str, typer.Option(help="The channel, as alerts.yaml names it.")],
    json: JsonOption = False,
) -> None:
    """Send a test message. Exit code 1 if it does not get through, 2 if the channel is not declared or is off."""
    from sv_assets.alerts.channels import live_channels, missing_variables, send
    from sv_assets.alerts.settings import load_alert_settings
    from sv_assets.alerts.trial import trial_message

    settings = load_alert_settings()
    if channel not in settings.channels:
        raise ConfigurationError(f"There is no channel {channel}. There are: {', '.join(settings.channels) or 'none'}.")
    if channel not in live_channels(settings):
        missing = ", ".join(missing_variables(settings.channels[channel]))
        raise ConfigurationError(f"The channel {channel} is off. Set {missing}.")
    problem = ""
    try:
        send(channel, settings.channels[channel], trial_message(channel, settings))
    except ConfigurationError:
        raise
    except SvError as error:
        problem = str(error)
    if json:
        print_json({"channel": channel, "sent": not problem, "problem": problem})
    elif problem:
        complain(f"{channel}: {problem}")
    else:
        console.print(f"{channel} took a test message.")
    if problem:
        raise typer.Exit(1)


@app.command()
def look(json: JsonOption = False) -> None:
    """Look at everything now and tell who is owed something, as the sensor `alerts` does every half minute."""
    from sv_assets.alerts.settings import load_alert_settings
    from sv_assets.components.watching import Watched
    from sv_assets.components.watching import look as look_once
    from sv_assets.mongo import store_from_environment

    settings, store = load_alert_settings(), store_from_environment()
    with _instance_and_repository() as (instance, repository):
        found = look_once(instance, Watched(repository), store, settings)
    if json:
        print_json(
            {"alerts": [shown(a, settings) for a in found.alerts], "told": found.told.told, "failed": found.told.failed}
        )
        return
    _show(found.alerts)
    for name, count in sorted(found.told.told.items()):
        console.print(f"{name} was told of {count}.")
    for name, sentence in sorted(found.told.failed.items()):
        complain(f"{name}: {sentence}")


@contextmanager
def _instance_and_repository() -> Iterator[tuple[Any, Any]]:
    """Dagster's history as the UI shows it, and what is defined."""
    import dagster as dg

    from sv_assets.settings import PROJECT_ROOT

    os.chdir(PROJECT_ROOT)  # dagster.yaml names its folders from here
    os.environ.setdefault("DAGSTER_HOME", str(PROJECT_ROOT))
    (PROJECT_ROOT / ".local" / "dagster").mkdir(parents=True, exist_ok=True)
    from sv_assets.definitions import defs

    with dg.DagsterInstance.get() as instance:
        yield instance, defs().get_repository_def()


def shown(alert: "Alert", settings: "AlertSettings") -> dict[str, Any]:
    """An alert as JSON."""
    from dataclasses import asdict

    from sv_assets.alerts.message import link

    condition = alert.condition
    return {
        "id": condition.id,
        "state": alert.state,
        "severity": condition.severity,
        "kind": condition.kind,
        "title": condition.title,
        "sentence": condition.sentence,
        "owners": list(condition.owners),
        "figures": dict(condition.figures),
        "link": link(settings.ui, condition.page),
        "next": condition.mend,
        "since": alert.since,
        "first_seen": alert.first_seen,
        "last_seen": alert.last_seen,
        "recovered_at": alert.recovered_at,
        "times_seen": alert.count,
        "times_opened": alert.episode,
        "came_and_went": alert.flaps,
        "muted_until": alert.muted_until,
        "mute_reason": alert.mute_reason,
        "deliveries": {
            name: {k: v for k, v in asdict(d).items() if k != "claim"} for name, d in sorted(alert.deliveries.items())
        },
    }


def _find(store: Any, wanted: str) -> "Alert":
    """The alert with this id, else the one that is not over and whose id holds this text."""
    from sv_assets.alerts.storage import read_alert, read_alerts

    fitting = [a for a in read_alerts(store) if wanted in a.condition.id]
    exact = [a for a in fitting if a.condition.id == wanted]
    if not exact and len(fitting) > 1:
        raise SvError(
            f"{len(fitting)} alerts fit {wanted}: {'; '.join(a.condition.id for a in fitting[:5])}. Say which."
        )
    found = exact or fitting
    return found[0] if found else read_alert(store, wanted)


def _text(value: Any) -> str:
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
