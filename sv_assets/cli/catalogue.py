"""`sv catalogue`: the data dictionary, as a site and in the terminal: what there is, and what becomes of each column."""

import webbrowser
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.output import JsonOption, console, lines, print_json, safe, table

if TYPE_CHECKING:
    from sv_assets.dictionary import AssetSaid, Field, LineageGraph

app = typer.Typer(no_args_is_help=True, help="The data dictionary: sources, columns, and what becomes of them.")


@app.command()
def docs(
    out: Annotated[Path, typer.Option("--out", help="The folder to write to; empty, or an earlier one of ours.")],
    with_figures: Annotated[
        bool,
        typer.Option("--with-figures", help="Rows landed, the last landing and how full columns are, from MongoDB."),
    ] = False,
    ui: Annotated[
        str, typer.Option("--ui", help="The address of the Dagster UI that pages link to; empty for no links.")
    ] = "http://127.0.0.1:3000",
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    json: JsonOption = False,
) -> None:
    """Write the data dictionary as a static site: it needs no server and no network, and prints well."""
    from sv_assets.catalogue import load_catalogue
    from sv_assets.dictionary.figures import figures_of
    from sv_assets.dictionary.site import Dictionary, pages, write_site
    from sv_assets.mongo import store_from_environment

    catalogue = load_catalogue()
    figures = figures_of(store_from_environment(), catalogue) if with_figures else {}
    written = pages(Dictionary(catalogue, tuple(_assets()), figures, ui.rstrip("/")))
    write_site(written, out)
    index = (out / "index.html").resolve()
    if json:
        print_json({"index": str(index), "pages": len(written) - 1, "sources": len(catalogue.sources)})
    else:
        console.print(f"{len(written) - 1:,} pages. Open {index} in a browser.", soft_wrap=True, markup=False)
    if show:
        webbrowser.open(index.as_uri())


@app.command("show")
def show_source(
    source: Annotated[str, typer.Argument(help="The table or queue, as crm.customer.")], json: JsonOption = False
) -> None:
    """What a source is, how it is captured, and what each of its columns becomes."""
    from sv_assets.catalogue import load_catalogue
    from sv_assets.dictionary import lineage_graph
    from sv_assets.dictionary.facts import columns_of, facts_of

    catalogue = load_catalogue()
    found = catalogue.source(source)
    columns = columns_of(found, lineage_graph(catalogue, _assets()))
    if json:
        print_json(
            {
                "source": found.key,
                "description": found.entry.description,
                "facts": dict(facts_of(found)),
                "columns": [
                    {
                        "name": column.name,
                        "type": column.type or None,
                        "personal": column.personal or None,
                        "roles": list(column.roles),
                        "becomes": [str(field) for field in column.becomes],
                    }
                    for column in columns
                ],
            }
        )
        return
    table(
        f"{found.key}: {safe(found.entry.description or found.name)}",
        ["", ""],
        [[k, safe(v)] for k, v in facts_of(found)],
    )
    table(
        "Columns",
        ["column", "type", "personal data", "role", "becomes", "of a customer"],
        [
            [safe(c.name), safe(c.type), c.personal, safe(", ".join(c.roles)), lines(str(field) for field in c.on_the_way), ", ".join(c.customer_fields)]
            for c in columns
        ],
    )  # fmt: skip


@app.command()
def lineage(
    field: Annotated[str, typer.Argument(help="A customer field (emails), or a column (crm.customer.Email).")],
    json: JsonOption = False,
) -> None:
    """Where a field comes from, back to its legacy columns, and what it becomes, on to who reads it. Exit code 1 for none."""
    from sv_assets.catalogue import load_catalogue
    from sv_assets.dictionary import lineage_graph

    graph = lineage_graph(load_catalogue(), _assets())
    found = graph.find(field)
    if json:
        print_json([_traced(graph, one) for one in found])
        return
    for one in found:
        shown = _traced(graph, one)
        console.print(str(one), style="bold", markup=False)
        for title, name in (("legacy columns", "legacy_columns"), ("by way of", "by_way_of"), ("becomes", "becomes")):
            for number, other in enumerate(shown[name]):
                console.print(f"  {title if number == 0 else '':<15} {other}", markup=False, soft_wrap=True)
        if not shown["legacy_columns"] and not one.is_of_a_source:
            console.print("  composition itself makes it: no legacy column goes into it")
        if not shown["becomes"] and one.is_of_a_source:
            console.print("  lands, and feeds nothing further")
        console.print()


def _traced(graph: "LineageGraph", field: "Field") -> dict[str, Any]:
    return {
        "field": str(field),
        "legacy_columns": [str(found) for found in graph.legacy_columns(field)],
        "by_way_of": [str(found) for found in graph.upstream(field) if not found.is_of_a_source],
        "becomes": [str(found) for found in graph.downstream(field)],
    }


@cache
def _assets() -> list["AssetSaid"]:
    """What the definitions say of stations, checks and consumers."""
    import warnings

    from sv_assets.components.described import described_assets

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dagster's own, about previews
        from sv_assets.definitions import defs

        return described_assets(defs())
