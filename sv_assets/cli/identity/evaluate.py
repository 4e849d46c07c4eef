"""`sv identity evaluate`: how good identity is on records whose truth is known."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sv_assets.cli.output import JsonOption, complain, console, errors, print_json, safe, table

if TYPE_CHECKING:
    from sv_assets.identity.evaluate import Evaluation


def evaluate(
    records: Annotated[Path, typer.Option(help="The records, as CSV: record_id, first_name, last_name, email, …")],
    truth: Annotated[Path, typer.Option(help="Who they are, as CSV: record_id, entity_id.")],
    settings: Annotated[Path | None, typer.Option(help="Other settings than the retailer's, as YAML.")] = None,
    clusters_out: Annotated[Path | None, typer.Option(help="Write the clusters here: record_id, cluster_id.")] = None,
    links_out: Annotated[
        Path | None, typer.Option(help="Write the links here, with their weights and evidence.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """How good identity is on records whose truth is known. Needs no server; the truth is never used for training.

    pairs: links from the threshold on. clusters: pairs within final clusters. b_cubed: the mean over records. False merges:
    of 10,000 records, those in a cluster that mostly is somebody else. Records without truth are left out.
    """
    from sv_assets.identity.evaluate import evaluate as measure
    from sv_assets.identity.settings import load_settings

    told = (lambda phase: errors.print(f"{phase} …")) if errors.is_terminal else (lambda phase: None)
    found = measure(records, truth, load_settings(settings), clusters_out=clusters_out, links_out=links_out, tell=told)
    if found.unknown:
        complain(f"{found.unknown:,} records of the truth are not among the records; they are left out.")
    if found.untold:
        complain(f"{found.untold:,} records have no truth; they are left out of the measures.")
    if json:
        print_json(found.as_document())
    else:
        _show(found)


def _show(measured: "Evaluation") -> None:
    found = measured.found
    table(
        "",
        [f"threshold {measured.threshold:g}", "precision", "recall", "f1"],
        [
            [name, *(f"{value:.5f}" for value in (quality.precision, quality.recall, quality.f1))]
            for name, quality in (
                ("pairs", measured.pairs),
                ("clusters", measured.clusters),
                ("b_cubed", measured.b_cubed),
            )
        ],
    )
    households = "sees none" if found.households is None else f"sees {found.households:.2f} for each pair of one person"
    console.print(
        f"{measured.false_merges_per_10000:.2f} false merges in 10,000 records.\n"
        f"{found.records:,} records, {found.pairs:,} pairs compared, {found.links:,} links, {found.identical:,} records "
        f"that say the very same as another; {found.clusters:,} clusters, the largest of {found.largest:,} records. "
        f"Pairs of people of one household: the model {households}.\n"
    )
    if found.blocks:
        console.print(
            f"{found.capped:,} blocks were left out as too large; {found.dead_values:,} e-mails, phones and identifiers "
            "of too many people are no evidence."
        )
        table("", ["largest left out", "records"], [[safe(name), records] for name, records in found.blocks])
    if found.stopped:
        table("", ["for review", "stopped"], [[guard, count] for guard, count in found.stopped.items()])
    table("", ["phase", "seconds"], [[phase, seconds] for phase, seconds in measured.seconds.items()])
    console.print(f"Peak memory {measured.peak_rss_mb:,.0f} MB, with all processes.")
