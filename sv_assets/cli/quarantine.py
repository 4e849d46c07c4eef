"""`sv quarantine`: what could not be converted and why, and another try for it. `sv queues quarantine` is the same."""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.actor import AsOption, PurposeOption, actor
from sv_assets.cli.output import JsonOption, console, errors, print_json, safe, table
from sv_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from sv_assets.landing.retry import RetryReport
    from sv_assets.mongo import Document

app = typer.Typer(no_args_is_help=True, help="Messages and rows that could not be converted.")


class Status(StrEnum):
    open = "open"
    resolved = "resolved"


def moment(text: str) -> dt.datetime:
    """A date or date-time in ISO 8601; in UTC where it does not say."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text} is no date-time; write it as 2026-11-24 or 2026-11-24T18:00:00+00:00"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=dt.timezone.utc)


Moment = dt.datetime | None
UnmaskedOption = Annotated[
    bool, typer.Option("--unmasked", help="Show the bodies, personal data and all, to a role that may see them (--as).")
]
BecauseOption = Annotated[
    str | None,
    typer.Option("--because", help="The reason to look: a ticket number. It is kept in the log of accesses."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
_ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only where the reason holds this text.")]
_SinceOption = Annotated[Moment, typer.Option("--since", parser=moment, help="Only what was first seen then or later (ISO 8601).")]  # fmt: skip


@app.command("list")
def list_entries(
    source: Annotated[str | None, typer.Argument(help="The queue or table, as web.web_account_events.")] = None,
    reason: _ReasonOption = None,
    since: _SinceOption = None,
    status: Annotated[Status, typer.Option(help="Still here, or landed after all.")] = Status.open,
    limit: Annotated[int, typer.Option(min=1, help="How many entries to show; the counts are of all.")] = 50,
    unmasked: UnmaskedOption = False,
    role: AsOption = None,
    purpose: PurposeOption = None,
    because: BecauseOption = None,
    json: JsonOption = False,
) -> None:
    """What could not be converted and why, the newest first."""
    from sv_assets.catalogue import load_catalogue
    from sv_assets.landing.quarantine import Chosen, count_by_reason, newest_entries, shown_key
    from sv_assets.mongo import store_from_environment

    catalogue = load_catalogue()
    sources = (catalogue.source(source).key,) if source else tuple(s.key for s in catalogue.sources)
    chosen = Chosen(sources, status.value, reason=reason, since=since)
    store = store_from_environment()
    counts = count_by_reason(store, chosen)
    who = actor("quarantine list", role, purpose, because) if unmasked else None
    found = newest_entries(store, chosen, limit, actor=who)
    if who is None:
        found = [{**entry, "key": shown_key(entry)} for entry in found]
    if json:
        print_json(
            {
                "count": sum(count for _, _, count in counts),
                "reasons": [{"source": key, "reason": why, "count": count} for key, why, count in counts],
                "entries": [_entry(entry) for entry in found],
            }
        )
        return
    show_counts(f"{sum(count for _, _, count in counts):,} {status.value} entries", counts)
    _show_entries(found, unmasked)


@app.command()
def show(
    source: Annotated[str, typer.Argument(help="The queue or table, as web.web_account_events.")],
    identifier: Annotated[list[str] | None, typer.Option("--id", help="Only this entry, by the id that `list` shows; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many entries to show.")] = 10,
    unmasked: UnmaskedOption = False,
    role: AsOption = None,
    purpose: PurposeOption = None,
    because: BecauseOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """The newest entries whole: every column, or part of a message, as it was read. Exit code 1 if there is none."""
    from sv_assets.catalogue import load_catalogue
    from sv_assets.landing.quarantine import Chosen, newest_entries, outlines, shown_key
    from sv_assets.mongo import store_from_environment

    chosen = Chosen((load_catalogue().source(source).key,), ids=tuple(identifier or ()))
    store = store_from_environment()
    if unmasked:
        found = newest_entries(store, chosen, limit, actor=actor("quarantine show", role, purpose, because))
    else:
        found = [{**entry, "key": shown_key(entry)} for entry in outlines(store, chosen, limit)]
    shown = [_entry(entry) for entry in found]
    if json:
        print_json(shown)
    else:
        for entry in shown:
            title = f"{safe(entry['id'])}: {safe(entry['reason'])}, first seen {entry['first_seen']:%Y-%m-%d %H:%M:%S}"
            raw = entry.get("raw", {})
            table(title, ["column", "as it was read"], [[safe(n), safe(str(v))] for n, v in raw.items()])
        console.print(f"`sv quarantine retry {source}` tries them again once the cause is mended.", markup=False)
    if not found:
        raise typer.Exit(1)


@app.command()
def retry(
    source: Annotated[str | None, typer.Argument(help="The queue or table, as web.web_account_events. Default: all.")] = None,
    identifier: Annotated[list[str] | None, typer.Option("--id", help="Only this entry, by the id that `list` shows; may be repeated.")] = None,
    reason: _ReasonOption = None,
    since: _SinceOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Try so many of each source at most.")] = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Try again what is in quarantine, after it was mended: what is a record now lands, the rest stays.

    Messages are opened again; rows of tables are read again, by their keys. It does not ask, because nothing is lost by it: a newer version that has landed stays. Exit code 2 if a named entry is not there.
    """
    from sv_assets.catalogue import load_catalogue
    from sv_assets.landing.quarantine import Chosen, count_by_reason
    from sv_assets.landing.retry import retry_quarantined
    from sv_assets.mongo import store_from_environment

    catalogue = load_catalogue()
    sources = [catalogue.source(source)] if source else list(catalogue.sources)
    chosen = Chosen(tuple(s.key for s in sources), ids=tuple(identifier or ()), reason=reason, since=since)
    store = store_from_environment()
    if source is None:  # a system without entries need not answer
        waiting = {key for key, _, _ in count_by_reason(store, chosen)}
        sources = [one for one in sources if one.key in waiting]
    run_id = str(uuid.uuid4())
    reports: list[RetryReport] = []
    with errors.status("quarantine") as status:

        def advance(report: "RetryReport") -> None:
            status.update(f"{report.source_key}: {report.tried:,} entries tried, {report.landable:,} land")

        for one in sources:
            reports.append(
                retry_quarantined(store, catalogue, one, chosen, run_id, limit=limit, dry_run=dry_run, advance=advance)
            )
    tried = sum(report.tried for report in reports)
    if json:
        print_json({"run_id": run_id, "dry_run": dry_run, "queues": [_retried(report) for report in reports]})
    else:
        _show_retry(reports, dry_run)
    if missing := len(chosen.ids) - tried if chosen.ids and limit is None else 0:
        raise ConfigurationError(
            f"{missing:,} of the named entries are not open entries of these sources, or are left out by the other conditions: "
            "`sv quarantine list` shows what is open."
        )


def _entry(entry: "Document") -> dict[str, Any]:
    shown = {
        "id": entry["_id"],
        **{name: entry.get(name) for name in ("source", "key", "reason", "status", "first_seen", "run_id")},
    }
    return shown | ({"raw": _plain_raw(entry["raw"])} if "raw" in entry else {})


def _plain_raw(value: Any) -> Any:
    """A raw row or message for JSON: what JSON has no form for becomes text."""
    if isinstance(value, dict):
        return {name: _plain_raw(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain_raw(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, dt.datetime, bytes)) else str(value)


def _show_entries(found: list["Document"], unmasked: bool) -> None:
    if not found:
        console.print("Nothing is in quarantine that meets these conditions.")
        return
    table(
        "The newest",
        ["first seen", "reason", "id and key"],
        [
            [f"{e['first_seen']:%Y-%m-%d %H:%M:%S}", safe(e["reason"]), f"{safe(e['_id'])}\n{safe(e['key'])}"]
            for e in found
        ],
    )
    if unmasked:
        show_bodies((e["_id"], e["raw"].get("body", _plain_raw(e["raw"]))) for e in found if "raw" in e)
    console.print("`sv quarantine retry` tries them again once the cause is mended.", markup=False)


def show_bodies(bodies: Iterable[tuple[str, Any]]) -> None:
    """Bodies as they are, each under its id, but for control characters."""
    for identifier, body in bodies:
        console.print(identifier, style="bold", markup=False)
        text = body.decode(errors="backslashreplace") if isinstance(body, bytes) else str(body)
        console.print("".join(c if c.isprintable() else repr(c)[1:-1] for c in text), markup=False, soft_wrap=True)


def show_counts(title: str, counts: list[tuple[str, str, int]]) -> None:
    """A table of (source, reason, count), if there is any."""
    if counts:
        table(title, ["source", "reason", "count"], [[key, safe(why), count] for key, why, count in counts])


def _retried(report: "RetryReport") -> dict[str, Any]:
    return {
        "source": report.source_key,
        "tried": report.tried,
        "landable": report.landable,
        "stay": report.tried - report.landable,
        "outlines": report.outlines,
        "reasons": dict(report.reasons),
        "landed": asdict(report.outcome),
    }


def _show_retry(reports: list["RetryReport"], dry_run: bool) -> None:
    tried = [report for report in reports if report.tried]
    if not tried:
        console.print("Nothing is in quarantine that meets these conditions.")
        return
    landed = "would land" if dry_run else "landed"
    table(
        f"Tried again{', and nothing changed' if dry_run else ''}",
        ["source", "tried", landed, "stay", "older than what had landed"],
        [[r.source_key, r.tried, r.landable - r.outcome.quarantined, r.tried - r.landable + r.outcome.quarantined, r.outcome.stale] for r in tried],
    )  # fmt: skip
    reasons = Counter({(r.source_key, why): count for r in tried for why, count in r.reasons.items()})
    show_counts("Why the others stay", [(key, why, count) for (key, why), count in reasons.most_common()])
    if outlines := sum(r.outlines for r in tried):
        console.print(
            f"{outlines:,} entries hold only the outline of their message: land their day again from the archive."
        )
    if any(r.outcome.landed for r in tried):
        console.print("Next: [bold]sv run[/] brings the view up to date.")
