"""`sv customer`: one customer whole, as it is or was, and what changed."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.find import display_name, golden
from sv_assets.cli.output import JsonOption, console, lines, print_json, safe, table
from sv_assets.errors import ConfigurationError, SvError

if TYPE_CHECKING:
    from sv_assets.mongo import Document, Store

app = typer.Typer(
    no_args_is_help=True, help="One customer: the whole document with provenance, as it is or was, and its history."
)
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Customer id, also one that was merged.")]
UnmaskedOption = Annotated[bool, typer.Option("--unmasked", help="Show personal data as it is.")]


@app.command()
def show(
    customer_id: IdArgument,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="What was known then: 2026-03-03 (the end of that day, UTC) or 2026-03-03T09:00."),
    ] = None,
    unmasked: UnmaskedOption = False,
    json: JsonOption = False,
) -> None:
    """Show a customer with where every value came from; with --as-of, what was known then."""
    from sv_assets.customers import find, history
    from sv_assets.customers.masking import masked
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    document = history.as_of(store, customer_id, _moment(as_of)) if as_of else find.by_id(store, customer_id)
    if document is None:
        _nobody(store, customer_id, as_of)
    document = {name: value for name, value in (document or {}).items() if name != "_sv"}
    document = document if unmasked else masked(document)
    if json:
        print_json(document)
    else:
        _show(document)


@app.command("history")
def show_history(customer_id: IdArgument, unmasked: UnmaskedOption = False, json: JsonOption = False) -> None:
    """What changed of a customer, version by version, the newest first: what, from, to, and why."""
    from sv_assets.customers import history
    from sv_assets.customers.masking import masked_entry
    from sv_assets.identity.customer_ids import resolve
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    entries = history.entries_of(store, customer_id)
    if (
        not entries
        and store.single_view["customers"].find_one({"_id": resolve(store, customer_id)}, {"_id": 1}) is None
    ):
        _nobody(store, customer_id, None)
    entries = entries if unmasked else [masked_entry(entry) for entry in entries]
    if json:
        print_json(entries)
        return
    rows = [[e["version"], f"{e['at']:%Y-%m-%d %H:%M:%S}", *_entry_in_words(e)] for e in entries]
    if rows:
        table(f"{customer_id}: {len(entries)} changes", ["version", "at", "why", "what"], rows)
    else:
        console.print(f"{customer_id} has not changed since it was first composed.")


def _moment(text: str) -> dt.datetime:
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"--as-of {text}: give a day (2026-03-03) or a moment (2026-03-03T09:00).") from None
    if len(text) <= len("2026-03-03"):
        at += dt.timedelta(days=1, microseconds=-1)
    return at if at.tzinfo else at.replace(tzinfo=dt.timezone.utc)


def _nobody(store: "Store", customer_id: str, as_of: str | None) -> None:
    then = f" as of {as_of}" if as_of else ""
    raise SvError(f"There is no customer {customer_id}{then}. `sv find` finds customers by what they say.")


def _show(customer: "Document") -> None:
    orders, quality = customer["orders"], customer["quality"]
    household = customer["household"]
    table(
        f"{customer['_id']}, version {customer['version']} of {customer['composed_at']:%Y-%m-%d %H:%M:%S} UTC",
        ["", "value", "from", "decided by"],
        [
            [label, safe(display_name(customer) if field == "name" else golden(customer, field)), *_origin(customer[field])]
            for label, field in (("name", "name"), ("born", "date_of_birth"), ("e-mail", "email"), ("phone", "phone"), ("address", "address"))
        ],
    )  # fmt: skip
    others = [
        [kind, safe(_text(known["value"])), known["status"], known["said_by"], f"{known['last_seen']:%Y-%m-%d}" if known["last_seen"] else ""]
        for kind, name in (("name", "names"), ("born", "dates_of_birth"), ("e-mail", "emails"), ("phone", "phones"), ("address", "addresses"))
        for known in customer[name]
        if known["status"] != "preferred"
    ]  # fmt: skip
    if others:
        table("Other values", ["", "value", "status", "said by", "last seen"], others)
    if customer["consents"]:
        rows = [
            [c["purpose"], c["channel"], c["granted"], len(c["answers"]), _origin(c)[0]] for c in customer["consents"]
        ]
        table(
            "Consents",
            ["purpose", "channel", "granted", "answers", "by"],
            [[safe(str(r[0])), safe(str(r[1])), *r[2:]] for r in rows],
        )
    if customer["open_issues"]["latest"]:
        issues = customer["open_issues"]["latest"]
        table(f"Open issues: {customer['open_issues']['count']}", ["", "since", "status", "order"], [[safe(i["kind"]), i["since"], safe(str(i["status"])), safe(str(i["order_number"] or ""))] for i in issues])  # fmt: skip
    totals = "; ".join(
        f"{t['spend'].to_decimal():,.2f} {t['currency']} less {t['refunds'].to_decimal():,.2f}"
        for t in orders["totals"]
    )
    table(
        "And",
        ["", ""],
        [
            ["orders", f"{orders['count']} ({totals})"],
            ["interactions", str(customer["interactions"]["count"])],
            ["accounts", lines(account["record"] for account in customer["accounts"])],
            ["records", f"{customer['sources']['count']} of {', '.join(customer['sources']['systems'])}"],
            ["household", lines(household["members"]) if household else ""],
            ["rights", _rights(customer.get("rights"))],
            ["quality", f"{quality['score']} % (complete {quality['completeness']:.0%}, fresh {quality['freshness']:.0%}, agreeing {quality['agreement']:.0%})"],
            ["conflicts", lines(quality["conflicts"])],
            ["enrichments", lines(customer["enrichments"])],
        ],
    )  # fmt: skip
    console.print(
        "[bold]sv customer history ID[/] says what changed; [bold]sv identity explain ID[/] why its records are one person."
    )


def _rights(rights: "Document | None") -> str:
    """What everybody who works with the customer must know."""
    if not rights:
        return ""
    told = (
        [f"[red]restricted since {rights['restricted_since']:%Y-%m-%d}: only stored[/]"] if rights["restricted"] else []
    )
    told += [f"objects to {safe(purpose)}" for purpose in rights["objections"]]
    return "; ".join([*told, *(f"{field} put right" for field in rights["rectified"])])


def _origin(value: "Document | None") -> list[str]:
    if not value:
        return ["", ""]
    return [f"{value['system']} {value['table']} {value['key']}", value["rule"].replace("_", " ")]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        shown = [str(v) for name, v in value.items() if name not in ("kind", "valid_from", "valid_to", "country")]
        return " ".join(shown)
    return str(value)


def _entry_in_words(entry: "Document") -> list[str]:
    if entry["kind"] == "ended":
        return [
            "merged" if entry["into"] else "closed",
            f"became {entry['into']}" if entry["into"] else "all its records are gone",
        ]
    if entry["kind"] == "revived":
        return ["the merge was undone", "composed anew"]
    why = lines(_reason(reason) for reason in entry["why"])
    return [why, lines(sorted({change["path"] for change in entry["changes"]}))]


def _reason(reason: "Document") -> str:
    if reason["kind"] == "record":
        verb = "new" if reason["from"] is None else "gone" if reason["to"] is None else "changed"
        return f"{reason['record']} {verb}"
    if reason["kind"] == "rules":
        return "other rules of composition"
    return f"{reason['kind']} ({reason['event']})" if "event" in reason else f"{reason['kind']} changed"
