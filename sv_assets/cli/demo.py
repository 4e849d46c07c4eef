"""`sv demo`: from an empty machine to customer documents, with a summary of all that happened."""

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.estate import progress_bar
from sv_assets.cli.find import display_name, golden
from sv_assets.cli.output import JsonOption, complain, console, errors, print_json, table
from sv_assets.cli.run import show_failed_checks
from sv_assets.settings import local_dir

if TYPE_CHECKING:
    from sv_assets.cli.execution import RunResult
    from sv_assets.mongo import Store

SUMMARY = "demo.json"
_STATIONS = {
    "identity/party_records": "party_records",
    "identity/links": "identity",
    "single_view/orders": "orders",
    "single_view/interactions": "interactions",
    "single_view/consents": "consents",
    "single_view/flags": "flags",
    "single_view/customers": "customers",
    "fraud/signals": "fraud_signals",
    "fraud/scores": "fraud_scores",
}


def demo(
    people: Annotated[int, typer.Option(min=1, help="How many people the retailer knows, if it is seeded now.")] = 5000,
    json: JsonOption = False,
) -> None:
    """Start the embedded estate, seed it if it is empty, materialise everything, and show what came out.

    Writes the summary to .local/demo.json. Run again, it goes on from the bookmarks and writes only what changed.
    """
    from sv_assets import local
    from sv_assets.cli.execution import execute

    estate = local.up(local_dir())
    for note in estate.notes:
        errors.print(note)
    if estate.seeded is None:
        errors.print(f"Seeding a retailer with {people:,} people")
        with progress_bar() as progress:
            local.seed(local_dir(), estate.urls, people=people, progress=progress)
    errors.print("Materialising everything through Dagster")
    result = execute("incremental_now")
    summary, sample = summarise(result, local_dir())
    (local_dir() / SUMMARY).write_text(json_module.dumps(summary, indent=2) + "\n")
    if json:
        print_json(summary)
    else:
        _show(summary, sample, result)
    for step, reason in result.failures:
        complain(f"{step.replace('__', '/')}: {reason}")
    if not result.success:
        raise typer.Exit(2 if result.configuration_is_wrong else 1)


def summarise(result: "RunResult", directory: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The content of demo.json, and one well-filled customer, as the default role sees it."""
    from sv_assets.access import actor_from_environment
    from sv_assets.catalogue import load_catalogue
    from sv_assets.components.station import WRITTEN
    from sv_assets.customers import find
    from sv_assets.identity.evaluate.estate import quality_of_estate, read_truth
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    sources = []
    for source in load_catalogue().sources:
        metadata = result.assets.get(f"landing/{source.system}/{source.slug}", {})
        sources.append(
            {
                "key": source.key,
                "read": metadata.get("read", 0),
                "landed": metadata.get(WRITTEN, 0),
                "quarantined": metadata.get("quarantined", 0),
            }
        )
    seconds = {"landing": round(sum(s for asset, s in result.asset_seconds.items() if asset.startswith("landing/")), 2)}
    seconds.update({name: round(result.asset_seconds.get(asset, 0.0), 2) for asset, name in _STATIONS.items()})
    seconds["checks"] = round(result.check_seconds, 2)
    seconds["total"] = round(result.seconds, 2)
    quality = quality_of_estate(store, read_truth(directory / "truth.csv"))["clusters"]
    customers = store.single_view["customers"]
    summary = {
        "sources": sources,
        "party_records": store.identity["party_records"].count_documents({"deleted": False}),
        "customers": customers.count_documents({}),
        "orders": store.single_view["orders"].count_documents({}),
        "interactions": store.single_view["interactions"].count_documents({}),
        "checks": {
            "passed": sum(passed for _, _, passed, _, _ in result.checks),
            "warned": sum(not passed and not is_error for _, _, passed, is_error, _ in result.checks),
            "failed": sum(not passed and is_error for _, _, passed, is_error, _ in result.checks),
        },
        "seconds": seconds,
        "identity": {measure: round(value, 5) for measure, value in quality.items()},
        "fraud": _fraud(store, directory),
        "changed": sum(metadata.get(WRITTEN, 0) for metadata in result.assets.values()),
    }
    best = max(customers.find({"orders.count": {"$gte": 3}}).limit(50), key=_filled, default=None)
    sample = find.by_id(store, best["_id"], actor=actor_from_environment(command="sv demo")) if best else None
    store.close()
    return summary, sample


def _fraud(store: "Store", directory: Path) -> dict[str, Any] | None:
    """How much of the planted fraud is found; None where none was planted."""
    from sv_assets.fraud.evaluate import quality_of_store, read_truth
    from sv_assets.local.generator.fraud_truth import FILE

    truth = read_truth(directory / FILE) if (directory / FILE).exists() else {}
    if not any(planted.fraud for planted in truth.values()):
        return None
    found = quality_of_store(store, truth, [10])
    return {name: found[name] for name in ("flagged", "precision", "recall", "incidents", "incidents_found")}


def _filled(customer: dict[str, Any]) -> tuple[int, int]:
    return len(customer["sources"]["systems"]), len(customer["consents"]) + len(customer["addresses"]) + customer[
        "interactions"
    ]["count"]


def _show(summary: dict[str, Any], sample: dict[str, Any] | None, result: "RunResult") -> None:
    table(
        "Landed in this run",
        ["source", "read", "landed", "quarantined"],
        [[s["key"], s["read"], s["landed"], s["quarantined"]] for s in summary["sources"]],
    )
    counts = [
        (name.replace("_", " "), summary[name]) for name in ("party_records", "customers", "orders", "interactions")
    ]
    table("The single view", ["", "documents"], counts)
    table("Seconds", ["station", "seconds"], [[name, float(value)] for name, value in summary["seconds"].items()])
    checks, quality = summary["checks"], summary["identity"]
    console.print(f"Checks: {checks['passed']} passed, {checks['warned']} warned, {checks['failed']} failed.")
    console.print(
        f"Identity against the generator's truth: precision {quality['precision']:.2%}, recall {quality['recall']:.2%}.\n"
    )
    if fraud := summary["fraud"]:
        console.print(
            f"Fraud against the generator's truth: precision {fraud['precision'] or 0:.1%}, recall {fraud['recall'] or 0:.1%}, "
            f"{fraud['incidents_found']} of {fraud['incidents']} incidents found.\n"
        )
    show_failed_checks(result.checks)
    if sample:
        _show_customer(sample)
    if summary["changed"]:
        console.print(f"[bold]{summary['changed']:,} documents written[/] in {summary['seconds']['total']:.1f} s.")
    elif result.success:
        console.print("[bold]Nothing had changed[/]: no document was written.")
    console.print(
        "\nWhat to do next (`sv` is .venv/bin/sv):\n"
        "  make dev                   the Dagster UI, with this run in its history\n"
        "  sv estate tick; sv run     change the estate, and see an incremental run find it\n"
        "  sv find --order NUMBER     look a customer up\n"
        "  make down                  stop the embedded servers",
        soft_wrap=True,
    )


def _show_customer(customer: dict[str, Any]) -> None:
    orders = customer["orders"]
    totals = "; ".join(f"{t['spend'].to_decimal():,.2f} {t['currency']}" for t in orders["totals"])
    consents = [f"{c['channel']} {'yes' if c['granted'] else 'no'}" for c in customer.get("consents", ())]
    table(
        f"One customer, masked: {customer['_id']}",
        ["", "value"],
        [
            ["name", display_name(customer)],
            ["e-mail", golden(customer, "email")],
            ["phone", golden(customer, "phone")],
            ["address", golden(customer, "address")],
            [
                "known to",
                f"{', '.join(customer['sources']['systems'])} ({customer['sources']['count']} records)",
            ],
            ["consents", ", ".join(consents)],
            ["orders", f"{orders['count']} ({totals})"],
            ["open issues", str(customer["open_issues"]["count"])],
            ["interactions", str(customer["interactions"]["count"])],
        ],
    )
