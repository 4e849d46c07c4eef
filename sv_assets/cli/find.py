"""`sv find`: a customer from what a caller says."""

from typing import TYPE_CHECKING, Annotated

import typer

from sv_assets.cli.output import JsonOption, console, print_json, table
from sv_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from sv_assets.mongo import Document


def find(
    email: Annotated[str | None, typer.Option(help="E-mail address.")] = None,
    phone: Annotated[str | None, typer.Option(help="Phone number, in any usual form.")] = None,
    order: Annotated[str | None, typer.Option(help="Order number.")] = None,
    postcode: Annotated[str | None, typer.Option(help="Postcode; narrow it with --surname.")] = None,
    surname: Annotated[str | None, typer.Option(help="Surname, together with --postcode.")] = None,
    unmasked: Annotated[bool, typer.Option("--unmasked", help="Show personal data as it is.")] = False,
    json: JsonOption = False,
) -> None:
    """Find customers by e-mail address, phone number, order number or postcode. Exit code 1 if nobody is found."""
    from sv_assets.customers import find as finding
    from sv_assets.customers.masking import masked
    from sv_assets.mongo import store_from_environment

    given = [
        name
        for name, value in (("--email", email), ("--phone", phone), ("--order", order), ("--postcode", postcode))
        if value
    ]
    if len(given) != 1:
        raise ConfigurationError(
            "Give exactly one of --email, --phone, --order and --postcode (with --surname if you like)."
        )
    store = store_from_environment()
    if email:
        found = finding.by_email(store, email)
    elif phone:
        found = finding.by_phone(store, phone)
    elif order:
        found = finding.by_order(store, order)
    else:
        found = finding.by_postcode(store, postcode or "", surname)
    shown = [(item.customer if unmasked else masked(item.customer), item.reason) for item in found]
    if json:
        print_json([{"customer_id": c["_id"], "found_by": reason, "customer": c} for c, reason in shown])
    elif found:
        rows = [
            [c["_id"], display_name(c), _first(c["emails"]), _first(c["phones"]), c["orders"]["count"], reason]
            for c, reason in shown
        ]
        table(f"{len(found)} found", ["customer", "name", "e-mail", "phone", "orders", "found by"], rows)
    else:
        console.print("Nobody found. Is everything landed? `sv run` brings the view up to date.")
    if not found:
        raise typer.Exit(1)


def display_name(customer: "Document") -> str:
    """A customer's name in one line."""
    if not customer["name"]:
        return ""
    parts = customer["name"]["value"]
    return str(
        parts.get("full") or " ".join(str(parts[p]) for p in ("title", "first", "middle", "last") if parts.get(p))
    )


def _first(points: "list[Document]") -> str:
    return str(points[0]["value"]) if points else ""
