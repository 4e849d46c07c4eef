"""As whom a command reads customer data."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sv_assets.access import Actor

AsOption = Annotated[
    str | None,
    typer.Option("--as", metavar="ROLE", help="In which role: `sv roles show` lists them. Default: SV_ROLE."),
]
PurposeOption = Annotated[str | None, typer.Option("--purpose", help="What for, as declared. Default: SV_PURPOSE.")]
ReasonOption = Annotated[
    str | None,
    typer.Option("--reason", help="A case or call number; it is kept in the log, so write no personal data."),
]


def actor(command: str, role: str | None, purpose: str | None, reason: str | None) -> "Actor":
    """Who gives this command; what is not said is of the environment, or the declared default."""
    from sv_assets.access import actor_from_environment

    return actor_from_environment(role, purpose, reason, f"sv {command}")
