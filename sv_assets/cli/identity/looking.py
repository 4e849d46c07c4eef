"""`sv identity status, review`: what decides who is who, how many there are, and what guards stopped."""

from collections import Counter
from enum import StrEnum
from typing import Annotated, Any

import typer

from sv_assets.cli.actor import AsOption, PurposeOption, ReasonOption, actor
from sv_assets.cli.output import JsonOption, console, lines, print_json, table


class Guard(StrEnum):
    conflict = "conflict"
    name_alone = "name_alone"
    ambiguous = "ambiguous"
    bridge = "bridge"
    size = "size"
    density = "density"


def review(
    guard: Annotated[Guard | None, typer.Option(help="Only what this guard stopped.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to show; the counts are of all.")] = 50,
    role: AsOption = None,
    purpose: PurposeOption = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
) -> None:
    """What guards kept from being one person, the heaviest first. `sv identity explain A B` shows the evidence of a pair."""
    from sv_assets.access import permission
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    allowed = permission(store, actor("identity review", role, purpose, reason), "identity.review")
    collection = store.identity["review"]
    counts = Counter(item["guard"] for item in collection.find({}, {"guard": 1}))
    fields = ("guard", "records", "customer_ids", "weight", "reason", "detail", "since")
    cursor = collection.find({"guard": guard.value} if guard else {}).sort([("weight", -1), ("_id", 1)]).limit(limit)
    found = [{name: item[name] for name in fields} for item in cursor]
    allowed.log(store, [customer for item in found for customer in item["customer_ids"] if customer])
    items = [allowed.seen(item) for item in found]
    if json:
        print_json({"count": sum(counts.values()), "guards": dict(sorted(counts.items())), "items": items})
        return
    _show_guards(counts)
    if items:
        rows = [
            [i.get("guard"), i.get("detail"), i.get("weight"), i.get("reason"), lines(i.get("records", ())), "\n".join(i.get("customer_ids", ()))]
            for i in items
        ]  # fmt: skip
        table("The heaviest", ["guard", "it saw", "bits or density", "linked by", "records", "customers"], rows)
        console.print(
            "[bold]sv identity explain A B[/] shows the evidence; [bold]merge[/] and [bold]split[/] decide for good."
        )
    else:
        console.print("Nothing stands for review.")


def status(json: JsonOption = False) -> None:
    """What decides who is who now, how many there are, and what waits."""
    from sv_assets.identity.customer_ids import STATION
    from sv_assets.identity.decisions import list_decisions
    from sv_assets.identity.resolution import applied_now
    from sv_assets.identity.settings import DEFAULT, load_settings
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    identity = store.identity
    applied = applied_now(store)
    state = identity["state"].find_one({"_id": "applied"}) or {}
    on_disk = load_settings().model_dump()
    differs = [] if applied is None else [n for n, v in applied.settings.model_dump().items() if on_disk[n] != v]
    found: dict[str, Any] = {
        "model": applied.model.version if applied else None,
        "applied_at": state.get("at"),
        "carried_out": state.get("carried_out", True) if applied else None,
        "settings_file": str(DEFAULT),
        "settings_differ": differs,
        "records": identity["party_records"].count_documents({"deleted": False}),
        "pending": identity["party_records"].count_documents({"_sv.pending": STATION}),
        "customers": identity["clusters"].count_documents({"state": "active"}),
        "links": identity["links"].estimated_document_count(),
        "links_by_rule": _links_by_rule(identity["links"]),
        "review": dict(sorted(Counter(item["guard"] for item in identity["review"].find({}, {"guard": 1})).items())),
        "decisions_in_force": sum(decided.in_force for decided in list_decisions(store)),
        "households": identity["households"].estimated_document_count(),
    }
    if json:
        print_json(found)
        return
    names = ("records", "pending", "customers", "links", "households", "decisions_in_force")
    table("Identity", ["", "count"], [[name.replace("_", " "), found[name]] for name in names])
    if found["links_by_rule"]:
        table("What links", ["rule", "links"], [[rule, count] for rule, count in found["links_by_rule"].items()])
    _show_guards(Counter(found["review"]))
    if applied is None:
        console.print("Nothing has been decided yet: [bold]sv run[/].")
        return
    console.print(f"Model {applied.model.version} decides, since {state['at']:%Y-%m-%d %H:%M}.")
    if not found["carried_out"]:
        console.print("It has not been carried out to the end: the next run does it.")
    if differs:
        console.print(
            f"{DEFAULT.name} says otherwise than what is applied ({', '.join(differs)}): [bold]sv identity rerun[/] shows what "
            "that would change."
        )


def _links_by_rule(links: Any) -> dict[str, int]:
    """How many links each rule holds up, alone or with others."""
    counts: Counter[str] = Counter()
    for link in links.find({}, {"_id": 0, "rules": 1}).batch_size(10_000):
        counts.update(link["rules"])
    return dict(counts.most_common())


def _show_guards(counts: "Counter[str]") -> None:
    if counts:
        table(f"{sum(counts.values()):,} for review", ["guard", "stopped"], [[g, n] for g, n in sorted(counts.items())])
