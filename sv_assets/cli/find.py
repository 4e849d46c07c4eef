"""`sv find`: a customer from what a caller says."""

from typing import TYPE_CHECKING, Annotated

import typer

from sv_assets.cli.actor import AsOption, PurposeOption, ReasonOption, actor
from sv_assets.cli.output import JsonOption, console, print_json, safe, table

if TYPE_CHECKING:
    from sv_assets.mongo import Document


def find(
    email: Annotated[str | None, typer.Option(help="E-mail address.")] = None,
    phone: Annotated[str | None, typer.Option(help="Phone number in any usual form, or its last six digits.")] = None,
    order: Annotated[str | None, typer.Option(help="Order number.")] = None,
    delivery: Annotated[str | None, typer.Option(help="Delivery reference, as the carrier's card says.")] = None,
    account: Annotated[
        str | None, typer.Option(help="Customer or account number in any system, or a record: crm.customer:100001.")
    ] = None,
    customer: Annotated[str | None, typer.Option(help="Customer id, also one that was merged.")] = None,
    postcode: Annotated[str | None, typer.Option(help="Postcode; narrow it with --surname or --house.")] = None,
    house: Annotated[str | None, typer.Option(help="House number or name, together with --postcode.")] = None,
    surname: Annotated[str | None, typer.Option(help="Surname, together with --postcode.")] = None,
    name: Annotated[
        str | None,
        typer.Option(help="First name and surname, together with --town, --postcode, --born or anything else."),
    ] = None,
    town: Annotated[str | None, typer.Option(help="Town, together with --name.")] = None,
    born: Annotated[str | None, typer.Option(help="Date of birth (1980-03-07), together with --name.")] = None,
    role: AsOption = None,
    purpose: PurposeOption = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
) -> None:
    """Find customers by what a caller says; say as much as you know. The likeliest come first. Exit code 1 if nobody is found.

    What is shown depends on the role, and that it was shown is written to control.access_log.
    """
    from sv_assets.customers import find as finding
    from sv_assets.mongo import store_from_environment

    question = finding.Question(
        customer=customer, email=email, phone=phone, order=order, delivery=delivery, account=account,
        postcode=postcode, house=house, surname=surname, name=name, town=town, born=born,
    )  # fmt: skip
    who = actor("find", role, purpose, reason)
    found = finding.customers(store_from_environment(), question, actor=who)
    shown = [(item.customer, item) for item in found]
    if json:
        print_json(
            [
                {"customer_id": c.get("_id"), "found_by": item.reasons, "strength": item.strength, "customer": c}
                for c, item in shown
            ]
        )
    elif found:
        rows = [
            [c.get("_id"), safe(display_name(c)), safe(golden(c, "email")), safe(golden(c, "phone")), c.get("orders", {}).get("count"), c.get("open_issues", {}).get("count"), item.reason]
            for c, item in shown
        ]  # fmt: skip
        title = (
            f"The first {len(found)}; say more to find fewer" if len(found) >= finding.MOST else f"{len(found)} found"
        )
        table(title, ["customer", "name", "e-mail", "phone", "orders", "open issues", "found by"], rows)
        console.print("[bold]sv customer show ID[/] shows one whole, with where every value came from.")
    else:
        console.print("Nobody found. Is everything landed? `sv run` brings the view up to date.")
    if not found:
        raise typer.Exit(1)


def display_name(customer: "Document") -> str:
    """A customer's name in one line."""
    parts = (customer.get("name") or {}).get("value") or {}
    return str(
        parts.get("full") or " ".join(str(parts[p]) for p in ("title", "first", "middle", "last") if parts.get(p))
    )


def golden(customer: "Document", field: str) -> str:
    """The golden value of a field in one line; empty where there is none, or the role sees none."""
    value = (customer.get(field) or {}).get("value")
    if isinstance(value, dict):
        return ", ".join(str(value[p]) for p in ("line_1", "line_2", "town", "county", "postcode") if value.get(p))
    return str(value or "")
