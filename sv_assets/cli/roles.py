"""`sv roles`: who may see what; the same in MongoDB itself; and who did."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.actor import AsOption, PurposeOption, ReasonOption, actor
from sv_assets.cli.output import JsonOption, complain, console, lines, print_json, safe, table

if TYPE_CHECKING:
    from sv_assets.access.mongo_roles import Tried

app = typer.Typer(no_args_is_help=True, help="Roles: who may see what of customers, for what purpose; and who did.")
ENFORCED = "this server keeps a role to its collections"
NOT_ENFORCED = (
    "this server does not enforce roles on collections: a user with any role reads the whole database. The commands and Python "
    "functions of this project keep to the roles all the same. Keep direct log-ins to servers that enforce them (MongoDB does)"
)


@app.command()
def show(
    role: Annotated[str | None, typer.Argument(help="One role, with every path.")] = None, json: JsonOption = False
) -> None:
    """The declared roles: purposes, and what each sees of every collection, as it is or masked. All else it does not see."""
    from sv_assets.access import load_roles

    roles = load_roles()
    chosen = {role: roles.role(role)} if role else roles.roles
    if json:
        print_json(
            {
                name: {
                    "description": one.description,
                    "purposes": one.purposes,
                    "needs_reason": one.needs_reason,
                    "is_default": name == roles.default.role,
                    "collections": {c: grant.model_dump(exclude_none=True) for c, grant in one.collections.items()},
                }
                for name, one in chosen.items()
            }
        )
        return
    for name, one in chosen.items():
        rows = [
            [collection, *(lines(_paths(paths, role is not None)) for paths in (grant.clear, grant.masked))]
            for collection, grant in one.collections.items()
        ]
        default = ", the default" if name == roles.default.role else ""
        needs = f"; a reason for {', '.join(one.needs_reason)}" if one.needs_reason else ""
        console.print(f"[bold]{name}[/]{default}: {one.description} For {', '.join(one.purposes)}{needs}.")
        table("", ["collection", "as it is", "masked"], rows)


def _paths(paths: list[str], whole: bool) -> list[str]:
    return sorted(paths) if whole else [", ".join(sorted({path.partition(".")[0] for path in paths}))]


@app.command()
def apply(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    views_only: Annotated[
        bool,
        typer.Option("--views-only", help="Make the views alone; for MongoDB Atlas, which has roles made elsewhere."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Make the roles in MongoDB: a read-only view for each role and collection, and a role that reads these alone.

    Repeated it changes nothing; what is declared no more is removed. Give people the role sv_<name> of the database admin.
    """
    from sv_assets.access import load_roles, mongo_roles
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    done = mongo_roles.apply(store, load_roles(), dry_run=dry_run, views_only=views_only)
    if json:
        print_json({**asdict(done), "dry_run": dry_run, "roles": mongo_roles.privileges(store, load_roles())})
        return
    rows = [[what, safe(name)] for what in ("created", "changed", "removed") for name in getattr(done, what)]
    if rows:
        table("Would be done" if dry_run else "Done", ["", "view or role"], rows)
    console.print(f"{done.unchanged:,} views and roles are as declared. [bold]sv roles check[/] tries them.")


@app.command()
def check(json: JsonOption = False) -> None:
    """Log in as a user of each role and try to read every collection. Exit code 1 where one could read what it may not."""
    from sv_assets.access import load_roles
    from sv_assets.access.mongo_roles import check as try_all
    from sv_assets.access.mongo_roles import enforces_roles
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    tried = try_all(store, load_roles())
    enforced = enforces_roles(store)
    wrong = [one for one in tried if not one.is_right]
    if json:
        print_json({"enforced": enforced, "tried": len(tried), "wrong": [asdict(one) for one in wrong]})
    else:
        _show_tried(tried, wrong)
    if not enforced:
        complain(f"Not enforced: {NOT_ENFORCED}.")
    if wrong:
        raise typer.Exit(1)


def _show_tried(tried: "list[Tried]", wrong: "list[Tried]") -> None:
    roles = sorted({one.role for one in tried})
    rows: list[list[Any]] = []
    for role in roles:
        own = [one for one in tried if one.role == role]
        views = [one for one in own if one.allowed]
        others = [one for one in own if not one.allowed]
        rows.append([role, f"{sum(o.could for o in views)} of {len(views)}", f"{sum(o.could for o in others)} of {len(others)}"])  # fmt: skip
    table("Tried by log-in", ["role", "own views read", "others read"], rows)
    if not wrong:
        console.print("Every role reads its own views, and nothing else.")


@app.command("log")
def show_log(
    customer: Annotated[str | None, typer.Option("--customer", help="Only reads of this customer.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to show, the newest.")] = 50,
    role: AsOption = None,
    purpose: PurposeOption = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
) -> None:
    """Who read whom, in which role, for what and why, the newest first. For roles that may see it; looking is written down, too."""
    from sv_assets.access.looking import log_entries
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    found = log_entries(store, customer, limit, actor=actor("roles log", role, purpose, reason))
    if json:
        print_json(found)
        return
    rows = [
        [
            f"{e['at']:%Y-%m-%d %H:%M:%S}" if "at" in e else "",
            *(safe(str(e.get(name) or "")) for name in ("actor", "role", "purpose", "reason", "command", "collection", "outcome")),
            f"{len(e.get('customers', ()))}",
        ]
        for e in found
    ]  # fmt: skip
    table("Who read", ["at", "who", "role", "purpose", "reason", "with", "collection", "outcome", "customers"], rows)
