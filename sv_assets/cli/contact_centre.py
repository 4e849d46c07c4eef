"""`sv card`: what an agent needs on one screen; `sv contact-centre`: how well calls are answered."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.actor import AsOption, PurposeOption, ReasonOption, actor
from sv_assets.cli.output import JsonOption, console, lines, print_json, safe, table
from sv_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from sv_assets.contact_centre.metrics import Figures
    from sv_assets.mongo import Document

app = typer.Typer(no_args_is_help=True, help="The contact centre: how well calls are answered.")


def card(
    customer: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Customer id, also one that was merged.")
    ] = None,
    email: Annotated[str | None, typer.Option(help="E-mail address.")] = None,
    phone: Annotated[str | None, typer.Option(help="Phone number in any usual form, or its last six digits.")] = None,
    order: Annotated[str | None, typer.Option(help="Order number.")] = None,
    account: Annotated[str | None, typer.Option(help="Customer or account number in any system.")] = None,
    postcode: Annotated[str | None, typer.Option(help="Postcode; narrow it with --surname or --house.")] = None,
    house: Annotated[str | None, typer.Option(help="House number or name, together with --postcode.")] = None,
    surname: Annotated[str | None, typer.Option(help="Surname, together with --postcode.")] = None,
    name: Annotated[
        str | None, typer.Option(help="First name and surname, together with --born or anything else.")
    ] = None,
    born: Annotated[str | None, typer.Option(help="Date of birth (1980-03-07), together with --name.")] = None,
    call: Annotated[
        str | None, typer.Option(help="Reference of the call, to measure whether the card was found at first try.")
    ] = None,
    role: AsOption = None,
    purpose: PurposeOption = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
) -> None:
    """The card of a customer: who, how to reach them, what is under way, why they may call. Exit code 1 if nobody is found.

    Of several whom it may be, the likeliest is shown and the others are named.
    """
    from sv_assets.contact_centre import look_up
    from sv_assets.customers.find import Question
    from sv_assets.mongo import store_from_environment

    who, store = actor("card", role, purpose, reason), store_from_environment()
    if customer is not None:
        if any((email, phone, order, account, postcode, house, surname, name, born)):
            raise ConfigurationError("Give a customer id, or what the caller says, not both.")
        one = look_up.by_id(store, customer, actor=who, call=call)
        found = [one] if one else []
    else:
        question = Question(
            email=email, phone=phone, order=order, account=account, postcode=postcode, house=house, surname=surname,
            name=name, born=born,
        )  # fmt: skip
        found = look_up.cards(store, question, actor=who, call=call)
    if json:
        print_json(found)
    elif found:
        _show(found[0])
        if len(found) > 1:
            others = [[o.get("_id"), safe(_name(o)), safe(str(_reach(o).get("email") or ""))] for o in found[1:]]
            table(f"It may also be one of {len(others)} others", ["customer", "name", "e-mail"], others)
    else:
        console.print("Nobody found. Is everything landed? `sv run` brings the view up to date.")
    if not found:
        raise typer.Exit(1)


@app.command()
def metrics(
    change: Annotated[str | None, typer.Option(help="Compare before and after this day: 2026-03-01.")] = None,
    days: Annotated[int, typer.Option(min=1, max=36_500, help="So many days, on each side of a change.")] = 28,
    json: JsonOption = False,
) -> None:
    """Repeat calls, handling time, and how often the card was found at first try: the last days, or before and after a change.

    `sv run` brings the figures up to date. They are counts of calls, of nobody in particular.
    """
    from sv_assets.contact_centre import metrics as measuring
    from sv_assets.contact_centre.settings import load_settings
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    if change is not None:
        found = measuring.around(store, _day(change), days)
        if json:
            print_json(found.shown())
        else:
            _show_figures(f"Before and after {change}", [("before", found.before), ("after", found.after)])
            _show_difference(found.shown()["difference"])
        return
    before = dt.datetime.now(load_settings().zone).date() + dt.timedelta(days=1)
    first = before - dt.timedelta(days=days)
    total, reasons = measuring.figures(store, first, before), measuring.by_reason(store, first, before)
    if json:
        by_day = [day.shown() for day in measuring.by_day(store, first, before)]
        print_json({"total": total.shown(), "days": by_day, "reasons": reasons})
        return
    _show_figures(f"The last {days} days", [("", total)])
    if reasons:
        table(
            "By reason",
            ["reason", "calls", "repeats"],
            [[safe(r["reason"]), r["calls"], r["repeats"]] for r in reasons],
        )


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"--change {text}: give a day, as 2026-03-01.") from None


def _show_figures(title: str, columns: "list[tuple[str, Figures]]") -> None:
    rows: list[list[Any]] = [
        ["days", *(f"{f.first} to before {f.before}" for _, f in columns)],
        ["calls", *(f"{f.calls:,}" for _, f in columns)],
        ["repeat another", *(_share(f.repeat_share) for _, f in columns)],
        ["handling time", *(_minutes(f.handling_seconds) for _, f in columns)],
        ["calls with a look-up", *(f"{f.lookups:,}" for _, f in columns)],
        ["found at first try", *(_share(f.found_share) for _, f in columns)],
    ]
    table(title, ["", *(name for name, _ in columns)], rows)


def _show_difference(found: "Document") -> None:
    for name, says in (("repeat_share", "Repeat calls"), ("found_at_first_try", "Found at first try")):
        if one := found[name]:
            sure = "" if one["from"] <= 0 <= one["to"] else ", more than chance would"
            console.print(f"{says}: {100 * one['value']:+.1f} points ({100 * one['from']:+.1f} to {100 * one['to']:+.1f}){sure}.")  # fmt: skip
    if one := found["handling_seconds"]:
        console.print(f"Handling time: {one['value']:+.0f} s.")


def _share(share: float | None) -> str:
    return "not measured" if share is None else f"{share:.1%}"


def _minutes(seconds: float | None) -> str:
    return "not measured" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02} min"


def _name(card: "Document") -> str:
    name = card.get("who", {}).get("name") or {}
    return str(name.get("full") or " ".join(str(name[p]) for p in ("title", "first", "middle", "last") if name.get(p)))


def _reach(card: "Document") -> "Document":
    found: Document = card.get("reach", {})
    return found


def _show(card: "Document") -> None:
    if restricted := card.get("restricted"):
        console.print(f"[bold red]restricted[/]: {safe(restricted.get('says', ''))}")
    for name, warning in card.get("warnings", {}).items():
        console.print(f"[bold red]{safe(name.replace('_', ' '))}[/]: {safe(warning.get('says', ''))}")
    reach, address = _reach(card), _reach(card).get("address") or {}
    others = [*reach.get("other_phones", ()), *reach.get("other_emails", ())]
    place = ", ".join(str(address[p]) for p in ("line_1", "line_2", "town", "county", "postcode") if address.get(p))
    table(
        str(card.get("_id", "")),
        ["", ""],
        [
            ["name", safe(_name(card))],
            ["born", safe(str(card.get("who", {}).get("date_of_birth") or ""))],
            ["phone", safe(str(reach.get("phone") or ""))],
            ["e-mail", safe(str(reach.get("email") or ""))],
            ["address", safe(place)],
            ["also", lines(str(other) for other in others)],
        ],
    )
    if reasons := card.get("reasons"):
        table("Likely to call because", ["score", ""], [[r.get("score"), safe(r.get("says"))] for r in reasons])
    under_way = card.get("open", {})
    rows: list[list[Any]] = [
        *(["parcel", safe(str(d.get("order_number") or "")), safe(str(d.get("status"))), _date(d.get("since"))] for d in under_way.get("deliveries", ())),
        *([safe(str(c.get("kind"))), safe(str(c.get("order_number") or "")), safe(str(c.get("status"))), _date(c.get("since"))] for c in under_way.get("complaints", ())),
    ]  # fmt: skip
    if rows:
        table("Under way", ["", "order", "status", "since"], rows)
    orders = card.get("orders", {}).get("latest", ())
    if orders:
        table("Last orders", ["order", "on", "status", "total", "parcel"], [[safe(str(o.get("number"))), _date(o.get("placed_at")), safe(str(o.get("status"))), f"{o['total'].to_decimal():,.2f} {safe(str(o.get('currency') or ''))}" if o.get("total") else "", safe(str(o.get("delivery") or ""))] for o in orders])  # fmt: skip
    contacts = card.get("contacts", {}).get("latest", ())
    if contacts:
        table("Last contacts", ["", "at", "about", "status"], [[safe(str(c.get("kind"))), _date(c.get("at")), safe(str(c.get("reason") or "")), safe(str(c.get("status") or ""))] for c in contacts])  # fmt: skip
    preferences = [
        f"{p.get('purpose')} by {p.get('channel')}: {'yes' if p.get('granted') else 'no'}"
        for p in card.get("preferences", ())
    ]
    if preferences:
        table("May be contacted for", ["preference"], [[safe(text)] for text in preferences])


def _date(at: dt.datetime | None) -> str:
    """The day by the clock of the retailer, as the reasons on the card have it."""
    from sv_assets.contact_centre.calls import day_of
    from sv_assets.contact_centre.settings import load_settings

    return day_of(at, load_settings().zone) if at else ""
