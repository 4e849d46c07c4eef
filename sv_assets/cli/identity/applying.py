"""`sv identity models, train, rerun`: which model and settings decide, and what others would change."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.output import JsonOption, complain, console, errors, print_json, safe, table

if TYPE_CHECKING:
    from sv_assets.identity.full import Preview
    from sv_assets.identity.model import Model
    from sv_assets.identity.settings import IdentitySettings
    from sv_assets.mongo import Store

MOVED = 10
"""So many levels are shown of those whose bits moved most."""
_Settings = Annotated[Path | None, typer.Option("--settings", help="Other settings than the retailer's, as YAML.")]


def models(json: JsonOption = False) -> None:
    """The stored models, the newest first, and which one decides."""
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    state = store.identity["state"].find_one({"_id": "applied"}) or {}
    stored = store.identity["models"].find({}, {"levels": 0, "frequencies": 0})
    found = [
        {
            "model": model["_id"],
            "applied": model["_id"] == state.get("model"),
            "built_in": model["created_at"] is None,
            "created_at": model["created_at"],
            "records": model["trained_on"].get("records"),
            "candidate_pairs": model["trained_on"].get("candidate_pairs"),
            "matches": model["matches"],
            "households": model["households"],
            "identifiers": model["identifiers"],
        }
        for model in stored
    ]
    found.sort(key=lambda model: (model["created_at"] is not None, model["created_at"] or 0), reverse=True)
    if json:
        print_json(found)
    elif found:
        rows = [
            [m["model"], m["applied"], "built in" if m["built_in"] else f"{m['created_at']:%Y-%m-%d %H:%M}", f"{m['records']:,}" if m["records"] else "", m["households"] is not None, ", ".join(m["identifiers"])]
            for m in found
        ]  # fmt: skip
        table("Models", ["model", "applied", "trained", "on records", "households", "identifiers"], rows)
    else:
        console.print("There is no model yet: the first run of identity takes one.")


def train(settings: _Settings = None, json: JsonOption = False) -> None:
    """Train a model on the records that have landed, and keep it. It decides nothing until `sv identity rerun` applies it."""
    from sv_assets.identity.full import train_model
    from sv_assets.identity.resolution import applied_now
    from sv_assets.identity.settings import load_settings
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    wanted = load_settings(settings)
    with errors.status("training"):
        model = train_model(store, wanted)
    applied = applied_now(store)
    moved = _moved(applied.model, model) if applied else []
    records = model.trained_on.get("records", 0)
    if json:
        print_json(
            {
                "model": model.version,
                "records": records,
                "households": model.households,
                "matches": model.matches,
                "applied": applied.model.version if applied else None,
                "is_applied": applied is not None and applied.model.version == model.version,
                "moved": moved,
            }
        )
        return
    if model.created_at is None:
        console.print("There are too few records to learn from: it is the built-in model.")
    seen = "households seen" if model.households is not None else "no households seen"
    console.print(f"Model {model.version}, trained on {records:,} records; {seen}.")
    if applied is not None and applied.model.version == model.version:
        console.print("It is the one that is applied.")
        return
    if moved:
        _show_moved(moved)
    console.print(f"Next: [bold]sv identity rerun --model {model.version}[/] shows what it would change.")


def rerun(
    model: Annotated[
        str, typer.Option(help="latest, train (a new one), built_in, or the id of a stored one.")
    ] = "latest",
    settings: _Settings = None,
    apply: Annotated[bool, typer.Option("--apply", help="Carry it out.")] = False,
    json: JsonOption = False,
) -> None:
    """Decide anew about everybody, with another model or other settings: what that would change, and with --apply do it."""
    from sv_assets.identity.full import preview
    from sv_assets.identity.resolution import applied_now
    from sv_assets.identity.settings import load_settings
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    wanted = load_settings(settings)
    if apply:
        _apply(store, wanted, model, json)
        return
    with errors.status("deciding about everybody"):
        found = preview(store, wanted, model)
    applied = applied_now(store)
    if applied is not None and applied.settings.placeholders != wanted.placeholders:
        complain(
            "The placeholders differ as well. Records are made anew by --apply; what that changes is not in the numbers."
        )
    if json:
        print_json({"applied": False, **asdict(found)})
    else:
        _show_preview(found)


def _apply(store: "Store", settings: "IdentitySettings", model: str, json: bool) -> None:
    from sv_assets.catalogue import load_catalogue
    from sv_assets.identity import full
    from sv_assets.identity.party import refresh_party_records
    from sv_assets.identity.resolution import IdentityReport

    report = IdentityReport()
    with errors.status("deciding about everybody"):
        # Other blocking or placeholders make other records, which must be there first.
        made = store.identity["state"].find_one({"_id": "normalisation"})
        if made is not None and made["hash"] != settings.normalisation:
            refresh_party_records(store, load_catalogue(), settings)
        full.rerun(store, settings, model, report)
    if json:
        print_json(
            {
                "applied": True,
                "model": report.model,
                "records": report.read,
                "links": sum(report.weights.values()),
                **{
                    name: report.details.get(name, 0)
                    for name in ("customers_merged", "customers_split", "records_assigned")
                },
            }
        )
        return
    console.print(
        f"Model {report.model} decides now. {report.read:,} records, {sum(report.weights.values()):,} links; "
        f"{report.details.get('customers_merged', 0):,} customers merged, {report.details.get('customers_split', 0):,} split."
    )
    console.print("Next: [bold]sv run[/] brings customers and orders up to date.")


def _show_preview(found: "Preview") -> None:
    console.print(f"With model {found.model} this would change; nothing has been changed.", style="bold")
    table(
        "",
        ["", "count"],
        [
            ["records", found.records],
            ["customers now", found.customers_before],
            ["customers then", found.customers_after],
            ["links more", found.links_added],
            ["links less", found.links_removed],
            ["customers merged into others", found.customers_merged],
            ["customers split off", found.customers_split],
            ["records that move", found.records_moved],
        ],
    )
    for title, examples in (("Would be one", found.merges), ("Would fall apart", found.splits)):
        if examples:
            table(f"{title}: the first {len(examples)}", ["records"], [[safe(", ".join(group))] for group in examples])
    if found.links_added or found.links_removed or found.customers_merged or found.customers_split:
        console.print("[bold]sv identity rerun --apply[/] with the same options carries it out.")
    else:
        console.print("Nobody would be anybody else.")


def _moved(before: "Model", after: "Model") -> list[dict[str, Any]]:
    """The levels whose bits against strangers differ most between two models."""
    known = {comparison.name: comparison for comparison in before.comparisons}
    moved: list[dict[str, Any]] = [
        {
            "comparison": comparison.name,
            "level": level.name,
            "before": round(old.against_strangers, 3),
            "after": round(new.against_strangers, 3),
        }
        for comparison in after.comparisons
        if comparison.name in known
        for level, old, new in zip(
            comparison.observed, before.levels[comparison.name], after.levels[comparison.name], strict=True
        )
    ]
    moved = [level for level in moved if level["before"] != level["after"]]
    return sorted(moved, key=lambda level: -abs(level["after"] - level["before"]))[:MOVED]


def _show_moved(moved: list[dict[str, Any]]) -> None:
    from sv_assets.identity.pictures import comparison_in_words, level_in_words

    table(
        "What says most else than in the applied model",
        ["comparison", "agreement", "bits there", "bits now"],
        [
            [comparison_in_words(m["comparison"]), level_in_words(m["comparison"], m["level"]), f"{m['before']:+.2f}", f"{m['after']:+.2f}"]
            for m in moved
        ],
    )  # fmt: skip
