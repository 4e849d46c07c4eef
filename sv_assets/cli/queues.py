"""`sv queues`: what waits, what SQS gave up on, and what we could not understand; and another try for both."""

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli import quarantine
from sv_assets.cli.actor import AsOption, PurposeOption, actor
from sv_assets.cli.output import JsonOption, complain, console, errors, print_json, safe, table
from sv_assets.cli.quarantine import (
    BecauseOption,
    DryRunOption,
    Moment,
    UnmaskedOption,
    moment,
    show_bodies,
    show_counts,
)
from sv_assets.errors import ConfigurationError, SvError

if TYPE_CHECKING:
    from sv_assets.access import Permission
    from sv_assets.catalogue import Catalogue, Source
    from sv_assets.landing.redrive import DeadLetter, RedriveReport
    from sv_assets.mongo import Store

app = typer.Typer(
    no_args_is_help=True, help="Queues: what waits, what SQS gave up on, and what went to quarantine; and another try."
)
app.add_typer(quarantine.app, name="quarantine")


@dataclass(frozen=True)
class QueueState:
    """A queue at a glance, as SQS approximates it; ages in seconds."""

    source: str
    queue: str
    waiting: int
    in_flight: int
    delayed: int
    oldest_age: float | None
    redrive_limit: int | None
    dead_letter_queue: str | None
    dead_letters: int | None
    quarantined: int
    archived: int
    archived_from: dt.date | None
    archived_to: dt.date | None


@app.command()
def inspect(
    source: Annotated[str | None, typer.Argument(help="The queue, as web.web_account_events. Default: all.")] = None,
    dead_letters: Annotated[bool, typer.Option("--dead-letters", help="Look at its dead letters, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many dead letters to look at.")] = 10,
    unmasked: UnmaskedOption = False,
    role: AsOption = None,
    purpose: PurposeOption = None,
    because: BecauseOption = None,
    json: JsonOption = False,
) -> None:
    """How full the queues are, and why dead letters would or would not land now.

    Looking at dead letters leaves them where they are, and counts as a receive of each. Of a FIFO queue SQS shows the
    first of each message group.
    """
    from sv_assets.access import permission
    from sv_assets.catalogue import load_catalogue
    from sv_assets.landing.redrive import look
    from sv_assets.mongo import store_from_environment

    if dead_letters and source is None:
        raise ConfigurationError(
            "Name the queue whose dead letters to look at: sv queues inspect SOURCE --dead-letters."
        )
    catalogue = load_catalogue()
    chosen = [_queue(catalogue, source)] if source else [s for s in catalogue.sources if s.is_queue]
    store = store_from_environment()
    allowed: Permission | None = None
    if dead_letters and unmasked:
        allowed = permission(store, actor("queues inspect", role, purpose, because), "queues.dead_letters")
        allowed.log(store, ())
    states: list[QueueState] = []
    problems: list[SvError] = []
    for one in chosen:
        try:
            states.append(_state(store, one))
        except SvError as error:
            problems.append(error)
    letters = look(chosen[0], limit) if dead_letters and not problems else []
    if json:
        shown: dict[str, Any] = {"queues": [asdict(state) for state in states], "problems": [str(p) for p in problems]}
        print_json(shown | ({"dead_letters": [_letter(one, allowed) for one in letters]} if dead_letters else {}))
    else:
        _show_states(states)
        if dead_letters:
            _show_letters(chosen[0], letters, allowed)
    for problem in problems:
        complain(str(problem))
    if problems:
        raise typer.Exit(2 if any(isinstance(p, ConfigurationError) for p in problems) else 1)


@app.command()
def redrive(
    source: Annotated[str, typer.Argument(help="The queue, as web.web_account_events.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Move so many at most.")] = None,
    message: Annotated[
        list[str] | None, typer.Option("--message", help="Only this message id; may be repeated.")
    ] = None,
    event: Annotated[str | None, typer.Option(help="Only messages of this event type.")] = None,
    sent_after: Annotated[
        Moment, typer.Option(parser=moment, help="Only what was sent then or later (ISO 8601).")
    ] = None,
    sent_before: Annotated[Moment, typer.Option(parser=moment, help="Only what was sent before.")] = None,
    only_landable: Annotated[bool, typer.Option("--only-landable", help="Only what would land now.")] = False,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Move dead letters back to their queue, where the next run lands them. Exit code 1 if some could not be moved.

    Each is sent to the queue and only then deleted from the dead letters: nothing is lost, and what comes twice changes
    nothing. The order within a message group is kept.
    """
    from sv_assets.catalogue import load_catalogue
    from sv_assets.landing import redrive as moving

    declared = _queue(load_catalogue(), source)
    wanted = moving.Wanted(frozenset(message or ()), event, sent_after, sent_before, only_landable)
    if not dry_run and not yes:
        typer.confirm(f"Move {_some(limit, wanted != moving.Wanted())} dead letters of {source} back to {declared.name}?", abort=True, err=True)  # fmt: skip
    with errors.status(f"{source}: looking at its dead letters") as status:

        def advance(report: "RedriveReport") -> None:
            status.update(f"{source}: {report.seen:,} of {report.there:,} dead letters seen, {report.moved:,} moved")

        report = moving.redrive(declared, wanted, limit=limit, dry_run=dry_run, advance=advance)
    if json:
        print_json(asdict(report) | {"unseen": report.unseen, "dry_run": dry_run})
    else:
        _show_redrive(report, dry_run)
    missing = len(wanted.messages) - report.matched if wanted.messages and report.matched != limit else 0
    if missing:
        complain(f"{missing:,} of the named messages were not found, or not wanted: `sv queues inspect {source} --dead-letters` lists them.")  # fmt: skip
    if report.refused or report.undeleted or missing:
        raise typer.Exit(1)


def _queue(catalogue: "Catalogue", key: str) -> "Source":
    source = catalogue.source(key)
    if not source.is_queue:
        queues = ", ".join(s.key for s in catalogue.sources if s.is_queue)
        raise ConfigurationError(f"{key} is a table. The queues are: {queues or 'none'}.")
    return source


def _state(store: "Store", source: "Source") -> QueueState:
    from sv_assets.landing.archive import Archive
    from sv_assets.landing.quarantine import Quarantine
    from sv_assets.landing.redrive import dead_letters_of
    from sv_assets.sources.sqs.queue import Queue

    queue = Queue(source)
    depth, policy = queue.depth(), queue.redrive
    dead = dead_letters_of(queue) if source.queue.dead_letters or policy else None
    archive = Archive(store, source).collection
    days = [
        document["sent_at"].date()
        for way in (1, -1)
        for document in archive.find({}, {"sent_at": 1}).sort([("sent_at", way)]).limit(1)
    ]
    return QueueState(
        source=source.key,
        queue=source.name,
        waiting=depth.visible,
        in_flight=depth.in_flight,
        delayed=depth.delayed,
        oldest_age=queue.oldest_age(),
        redrive_limit=policy.limit if policy else None,
        dead_letter_queue=dead,
        dead_letters=Queue(source, dead).depth().total if dead else None,
        quarantined=Quarantine(store, source.key).count(),
        archived=archive.estimated_document_count(),
        archived_from=days[0] if days else None,
        archived_to=days[-1] if days else None,
    )


def _show_states(states: list[QueueState]) -> None:
    if len(states) == 1:
        (s,) = states
        days = f"{s.archived_from} to {s.archived_to}" if s.archived_from else None
        table(
            s.source,
            ["", "value"],
            [
                ["waiting", f"{s.waiting:,}"], ["in flight", f"{s.in_flight:,}"], ["delayed", f"{s.delayed:,}"],
                ["oldest", _age(s.oldest_age) or "not known"], ["dead letters after", f"{s.redrive_limit or 'no'} receives"],
                ["dead letters", f"{s.dead_letters or 0:,} in {s.dead_letter_queue}" if s.dead_letter_queue else "not kept"],
                ["in quarantine", f"{s.quarantined:,}"], ["in the archive", f"{s.archived:,}"], ["days archived", days],
            ],
        )  # fmt: skip
        return
    table(
        "Queues",
        ["queue", "waiting", "in flight", "oldest", "dead", "quarantine", "archived"],
        [
            [s.source, s.waiting, s.in_flight, _age(s.oldest_age), s.dead_letters, s.quarantined, s.archived]
            for s in states
        ],
    )


def _age(seconds: float | None) -> str | None:
    return None if seconds is None else str(dt.timedelta(seconds=round(seconds)))


def _letter(letter: "DeadLetter", allowed: "Permission | None") -> dict[str, Any]:
    message = letter.message
    seen = allowed.seen({"group": message.group, "body": _writable(message.body)}) if allowed else {}
    shown: dict[str, Any] = {
        "message_id": message.message_id,
        "sent_at": message.sent_at,
        "receives": letter.received.times_received,
        "group": seen.get("group", "***" if message.group else None),
        "event": letter.event,
        "bytes": len(message.body.encode(errors="surrogatepass")),
        "lands": not letter.reason,
        "reason": letter.reason,
    }
    return shown | ({"body": seen["body"]} if "body" in seen else {})


def _show_letters(source: "Source", letters: list["DeadLetter"], allowed: "Permission | None") -> None:
    table(
        f"{len(letters):,} dead letters of {source.key}",
        ["message", "sent", "receives", "group", "event", "bytes", "now"],
        [
            [
                safe(shown["message_id"]), f"{shown['sent_at']:%Y-%m-%d %H:%M:%S}", shown["receives"], safe(shown["group"]),
                safe(shown["event"]), shown["bytes"], "[green]lands[/]" if shown["lands"] else safe(shown["reason"]),
            ]
            for shown in (_letter(letter, None) for letter in letters)
        ],
    )  # fmt: skip
    if allowed:
        seen = ((letter.message.message_id, allowed.fields.below("body", letter.message.body)) for letter in letters)
        show_bodies((identifier, body) for identifier, body in seen if body is not None)
    if letters:
        console.print(f"`sv queues redrive {source.key} --dry-run` says what would be moved back.", markup=False)


def _some(limit: int | None, is_filtered: bool) -> str:
    wanted = "those wanted of the" if is_filtered else "all"
    return wanted if limit is None else f"at most {limit:,}"


def _show_redrive(report: "RedriveReport", dry_run: bool) -> None:
    if dry_run:
        console.print(
            f"{report.seen:,} dead letters of {report.source_key} looked at. [bold]{report.matched:,}[/] would be moved, "
            f"of which {report.landable:,} would land now."
        )
        show_counts(
            "Why the others would not", [(report.source_key, why, n) for why, n in report.reasons.most_common()]
        )
    else:
        console.print(
            f"{report.seen:,} dead letters of {report.source_key} looked at, [bold]{report.moved:,}[/] moved back. "
            + ("Next: [bold]sv run[/]." if report.moved else "")
        )
    for sentence in _left(report):
        console.print(sentence, style="yellow", markup=False, soft_wrap=True)


def _left(report: "RedriveReport") -> list[str]:
    """What was not done, and why."""
    sentences: list[str] = []
    if report.refused:
        sentences.append(f"{report.refused:,} stay: SQS did not take them, or one before them in their message group.")
    if report.undeleted:
        sentences.append(f"{report.undeleted:,} were moved and could not be deleted: they are moved again next time, and change nothing.")  # fmt: skip
    if report.stopped:
        sentences.append(f"Not all were looked at: {report.stopped}.")
    elif report.unseen:
        sentences.append(f"About {report.unseen:,} were not looked at: beyond the limit, or in a FIFO queue behind others that stay.")  # fmt: skip
    return sentences


def _writable(text: str) -> str:
    """Text as UTF-8 can hold it: halves of surrogate pairs as their escapes."""
    return text.encode(errors="backslashreplace").decode()
