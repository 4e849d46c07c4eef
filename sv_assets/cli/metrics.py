"""`sv metrics`: figures for Prometheus, served or shown once."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.output import JsonOption, console, errors, print_json, table

if TYPE_CHECKING:
    from sv_assets.metrics.figures import Sample

app = typer.Typer(no_args_is_help=True, help="Rows, lags, latencies, failures: for Prometheus, and docs/dashboards.")
PORT = 9464


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = PORT,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for other machines.")] = "127.0.0.1",
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True, help="End with who started it.")] = False,
    json: JsonOption = False,
) -> None:
    """Serve metrics under /metrics until Ctrl-C. They come from MongoDB alone, so any machine that reaches it will do."""
    from sv_assets.catalogue import load_catalogue
    from sv_assets.metrics.exposition import figures_of, serve
    from sv_assets.mongo import store_from_environment

    parent = os.getppid()
    server, thread = serve(figures_of(store_from_environment(), load_catalogue()), port, host)
    url = f"http://{host}:{server.server_port}/metrics"
    if json:
        print_json({"url": url})
    else:
        errors.print(f"Metrics are at [bold]{url}[/]. Ctrl-C stops.")
    try:
        while thread.is_alive() and (not with_parent or os.getppid() == parent):
            thread.join(2.0)
    finally:
        server.shutdown()


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Only metrics whose name holds this.")] = "",
    json: JsonOption = False,
) -> None:
    """All figures of this moment, as one scrape gets them."""
    import datetime as dt

    from sv_assets.catalogue import load_catalogue
    from sv_assets.metrics.figures import read_figures
    from sv_assets.mongo import explained_mongo_errors, store_from_environment

    with explained_mongo_errors():
        found = read_figures(store_from_environment(), load_catalogue(), dt.datetime.now(dt.timezone.utc))
    samples = [sample for sample in found if name in sample.metric.name]
    if json:
        print_json(
            [
                {
                    "name": s.metric.name,
                    "type": s.metric.type,
                    "labels": dict(zip(s.metric.labels, s.labels, strict=True)),
                    "value": s.value,
                    **_spread(s),
                }
                for s in samples
            ]
        )
    else:
        rows = [[s.metric.name, ", ".join(s.labels), float(s.value), _shown(s)] for s in samples]
        table(f"{len(samples)} figures", ["metric", "of", "value", ""], rows)
    if not samples:
        console.print("There is no such metric.") if not json else None
        raise typer.Exit(1)


def _spread(sample: "Sample") -> dict[str, Any]:
    """Of a histogram: its buckets, how many there are, and the seconds below which half and 95 of 100 stayed."""
    from sv_assets.metrics.latency import quantile

    if not sample.buckets:
        return {}
    counts = [count for _, count in sample.buckets]
    return {
        "count": sum(counts),
        "p50": quantile(counts, 0.5),
        "p95": quantile(counts, 0.95),
        "buckets": [[str(bound), count] for bound, count in sample.buckets],
    }


def _shown(sample: "Sample") -> str:
    found = _spread(sample)
    return f"{found['count']} in all, p50 {found['p50']:.1f} s, p95 {found['p95']:.1f} s" if found.get("count") else ""


@app.command()
def dashboard() -> None:
    """The Grafana dashboard as JSON, to import; docs/dashboards/single-view.json is this."""
    from sv_assets.metrics.dashboard import dashboard as made

    print_json(made())
