"""`sv customer`: one customer whole, as it is or was, and what changed."""

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.actor import AsOption, PurposeOption, ReasonOption, actor
from sv_assets.cli.find import display_name, golden
from sv_assets.cli.output import JsonOption, console, lines, print_json, safe, table
from sv_assets.errors import ConfigurationError, SvError

if TYPE_CHECKING:
    from sv_assets.mongo import Document

app = typer.Typer(
    no_args_is_help=True, help="One customer: the whole document with provenance, as it is or was, and its history."
)
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Customer id, also one that was merged.")]


@app.command()
def show(
    customer_id: IdArgument,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="What was known then: 2026-03-03 (the end of that day, UTC) or 2026-03-03T09:00."),
    ] = None,
    role: AsOption = None,
    purpose: PurposeOption = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
) -> None:
    """Show a customer with where every value came from; with --as-of, what was known then. The role says what is shown."""
    from sv_assets.customers import find, history
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    who = actor("customer show", role, purpose, reason)
    if as_of:
        document = history.as_of(store, customer_id, _moment(as_of), actor=who)
    else:
        document = find.by_id(store, customer_id, actor=who)
    if document is None:
        raise _nobody(customer_id, as_of)
    if json:
        print_json(document)
    else:
        _show(document)


@app.command("history")
def show_history(
    customer_id: IdArgument,
    role: AsOption = None,
    purpose: PurposeOption = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
) -> None:
    """What changed of a customer, version by version, the newest first: what, from, to, and why."""
    from sv_assets.customers import history
    from sv_assets.identity.customer_ids import resolve
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    who = actor("customer history", role, purpose, reason)
    entries = history.entries_of(store, customer_id, actor=who)
    if (
        not entries
        and store.single_view["customers"].find_one({"_id": resolve(store, customer_id)}, {"_id": 1}) is None
    ):
        raise _nobody(customer_id, None)
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


def _nobody(customer_id: str, as_of: str | None) -> SvError:
    then = f" as of {as_of}" if as_of else ""
    return SvError(f"There is no customer {customer_id}{then}. `sv find` finds customers by what they say.")


def _show(customer: "Document") -> None:
    version, at = customer.get("version"), customer.get("composed_at")
    since = f", version {version} of {at:%Y-%m-%d %H:%M:%S} UTC" if version is not None and at else ""
    fields = (
        ("name", "name"),
        ("born", "date_of_birth"),
        ("e-mail", "email"),
        ("phone", "phone"),
        ("address", "address"),
    )
    table(
        f"{customer.get('_id', '')}{since}",
        ["", "value", "from", "decided by"],
        [
            [label, safe(display_name(customer) if field == "name" else golden(customer, field)), *_origin(customer[field])]
            for label, field in fields
            if field in customer
        ],
    )  # fmt: skip
    others = [
        [kind, safe(_text(known["value"])), known.get("status"), known.get("said_by"), f"{known['last_seen']:%Y-%m-%d}" if known.get("last_seen") else ""]
        for kind, name in (("name", "names"), ("born", "dates_of_birth"), ("e-mail", "emails"), ("phone", "phones"), ("address", "addresses"))
        for known in customer.get(name, ())
        if known.get("status") != "preferred" and "value" in known
    ]  # fmt: skip
    if others:
        table("Other values", ["", "value", "status", "said by", "last seen"], others)
    if customer.get("consents"):
        table(
            "Consents",
            ["purpose", "channel", "granted", "answers", "by"],
            [
                [safe(str(c.get("purpose"))), safe(str(c.get("channel"))), c.get("granted"), len(c.get("answers", ())), _origin(c)[0]]
                for c in customer["consents"]
            ],
        )  # fmt: skip
    issues = customer.get("open_issues", {})
    if issues.get("latest"):
        table(f"Open issues: {issues.get('count', '')}", ["", "since", "status", "order"], [[safe(str(i.get("kind"))), i.get("since"), safe(str(i.get("status"))), safe(str(i.get("order_number") or ""))] for i in issues["latest"]])  # fmt: skip
    table("And", ["", ""], list(_rest(customer)))
    console.print(
        "[bold]sv customer history ID[/] says what changed; [bold]sv identity explain ID[/] why its records are one person."
    )


def _rest(customer: "Document") -> Iterator[list[str]]:
    """What else there is, as far as the role sees it."""
    if orders := customer.get("orders"):
        totals = "; ".join(
            f"{t['spend'].to_decimal():,.2f} {safe(t['currency'])} less {t['refunds'].to_decimal():,.2f}"
            for t in orders.get("totals", ())
            if t.keys() >= {"spend", "refunds", "currency"}
        )
        yield ["orders", f"{orders.get('count', '')} ({totals})"]
    if interactions := customer.get("interactions"):
        yield ["interactions", str(interactions.get("count", ""))]
    if "accounts" in customer:
        yield ["accounts", lines(str(account.get("record", "")) for account in customer["accounts"])]
    if sources := customer.get("sources"):
        yield ["records", f"{sources.get('count', '')} of {', '.join(sources.get('systems', ()))}"]
    if "household" in customer:
        yield ["household", lines((customer["household"] or {}).get("members", ()))]
    if "rights" in customer:
        yield ["rights", _rights(customer["rights"])]
    quality = customer.get("quality", {})
    if quality.keys() >= {"score", "completeness", "freshness", "agreement"}:
        yield ["quality", f"{quality['score']} % (complete {quality['completeness']:.0%}, fresh {quality['freshness']:.0%}, agreeing {quality['agreement']:.0%})"]  # fmt: skip
        yield ["conflicts", lines(quality.get("conflicts", ()))]
    if "enrichments" in customer:
        yield ["enrichments", lines(customer["enrichments"])]


def _rights(rights: "Document | None") -> str:
    """What everybody who works with the customer must know."""
    if not rights:
        return ""
    told = (
        [f"[red]restricted since {rights['restricted_since']:%Y-%m-%d}: only stored[/]"]
        if rights.get("restricted")
        else []
    )
    told += [f"objects to {safe(purpose)}" for purpose in rights.get("objections", ())]
    return "; ".join([*told, *(f"{field} put right" for field in rights.get("rectified", ()))])


def _origin(value: "Document | None") -> list[str | None]:
    if not value or "system" not in value:
        return ["", ""]
    origin = " ".join(str(value.get(part, "")) for part in ("system", "table", "key"))
    return [safe(origin), str(value.get("rule", "")).replace("_", " ")]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        shown = [str(v) for name, v in value.items() if name not in ("kind", "valid_from", "valid_to", "country")]
        return " ".join(shown)
    return str(value)


def _entry_in_words(entry: "Document") -> list[str]:
    if entry.get("kind") == "ended":
        into = entry.get("into")
        return ["merged" if into else "closed", f"became {into}" if into else "all its records are gone"]
    if entry.get("kind") == "revived":
        return ["the merge was undone", "composed anew"]
    why = lines(_reason(reason) for reason in entry.get("why", ()))
    return [why, lines(sorted({change["path"] for change in entry.get("changes", ())}))]


def _reason(reason: "Document") -> str:
    if reason["kind"] == "record":
        verb = "new" if reason["from"] is None else "gone" if reason["to"] is None else "changed"
        return f"{reason['record']} {verb}"
    if reason["kind"] == "rules":
        return "other rules of composition"
    return f"{reason['kind']} ({reason['event']})" if "event" in reason else f"{reason['kind']} changed"
