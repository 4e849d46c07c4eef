"""What people say of their own data, from the command line: rectification, restriction, objection, consent; and taking it back."""

import getpass
import json as json_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.output import JsonOption, console, print_json
from sv_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from sv_assets.mongo import Document

By = Annotated[str, typer.Option("--by", help="Who records this.", show_default="you")]
EvidenceOption = Annotated[
    str, typer.Option("--evidence", help="What shows it: a letter, a call, a ticket. No personal data.")
]


def rectify(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Customer id.")],
    field: Annotated[str, typer.Option("--field", help="name, email, phone, date_of_birth or address.")],
    value: Annotated[
        str,
        typer.Option(
            "--value", help='The right value; of a name or address in parts: \'{"first": "Jane", "last": "Smyth"}\'.'
        ),
    ],
    evidence: EvidenceOption,
    by: By = "",
    json: JsonOption = False,
) -> None:
    """Put a value right: it wins over what all sources say, until it is undone."""
    from sv_assets.mongo import store_from_environment
    from sv_assets.privacy import rights

    read: Any = value
    if field in ("name", "address"):
        try:
            read = json_module.loads(value)
        except ValueError:
            raise ConfigurationError(f"--value of a {field} is JSON with its parts.") from None
    if field not in rights.FIELDS:
        raise ConfigurationError(f"--field {field}: allowed are {', '.join(rights.FIELDS)}.")
    made = rights.rectify(store_from_environment(), customer, field, read, actor=actor_of(by), evidence=evidence)
    _recorded(made, json)


def restrict(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Customer id.")],
    evidence: EvidenceOption,
    by: By = "",
    json: JsonOption = False,
) -> None:
    """Only store a customer's data from now on: no marketing, no scoring, marked for the contact centre."""
    from sv_assets.mongo import store_from_environment
    from sv_assets.privacy import rights

    _recorded(rights.restrict(store_from_environment(), customer, actor=actor_of(by), evidence=evidence), json)


def objects(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Customer id.")],
    evidence: EvidenceOption,
    purpose: Annotated[str, typer.Option("--purpose", help="What they object to; `*`: everything.")] = "marketing",
    by: By = "",
    json: JsonOption = False,
) -> None:
    """Record that a customer objects to a purpose."""
    from sv_assets.mongo import store_from_environment
    from sv_assets.privacy import rights

    _recorded(rights.objects(store_from_environment(), customer, purpose, actor=actor_of(by), evidence=evidence), json)


def consent(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Customer id.")],
    channel: Annotated[str, typer.Option("--channel", help="email, sms, phone, post; `*` to withdraw all.")],
    give: Annotated[bool, typer.Option("--give/--withdraw", help="Given or withdrawn.")],
    evidence: EvidenceOption,
    purpose: Annotated[str, typer.Option("--purpose", help="What for.")] = "marketing",
    by: By = "",
    json: JsonOption = False,
) -> None:
    """Record that a customer gives or withdraws consent; it stands over what sources were told before."""
    from sv_assets.mongo import store_from_environment
    from sv_assets.privacy import rights

    made = rights.consents(
        store_from_environment(), customer, purpose, channel, give, actor=actor_of(by), evidence=evidence
    )
    _recorded(made, json)


def undo(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Of a correction or statement: r-…")],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    by: By = "",
    json: JsonOption = False,
) -> None:
    """Take back a correction, restriction, objection or consent; it stays on record."""
    from sv_assets.mongo import store_from_environment
    from sv_assets.privacy import rights

    _recorded(rights.undo(store_from_environment(), identifier, actor=actor_of(by), reason=reason), json)


def _recorded(made: "Document", json: bool) -> None:
    shown = {
        name: made[name]
        for name in ("_id", "customer_id", "kind", "field", "purpose", "channel", "granted", "at", "undone")
        if name in made
    }
    if json:
        print_json(shown)
    else:
        console.print(f"{made['_id']} is recorded and counts from the next run on: [bold]sv run[/].")


def actor_of(by: str) -> str:
    return by or getpass.getuser()
