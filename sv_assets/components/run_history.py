"""What a materialisation shows beside its own figures: those of the last runs as a picture, and a few masked rows."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from sv_assets import run_figures
from sv_assets.catalogue.source import Source
from sv_assets.mongo import Store
from sv_assets.pictures import Panel, as_markdown, history

if TYPE_CHECKING:
    from sv_assets.dictionary.preview import Row
    from sv_assets.landing.land import LandingReport

LAG = "bookmark_lag_seconds"
OF_LANDING = ("read", "inserted", "updated", "stale", "deleted", "quarantined", "seconds", LAG, "row_count")
OF_STATION = ("documents_read", "inserted", "updated", "deleted", "seconds", "row_count")
_IN_SECONDS = {"seconds", LAG}
_BAD = {"quarantined"}
_CALLED = {LAG: "bookmark lag", "row_count": "rows in the collection", "documents_read": "documents read"}


def history_of_landing(
    store: Store, context: dg.AssetExecutionContext, source: Source, report: "LandingReport", row_count: int
) -> dict[str, Any]:
    """Notes the figures of a landing, and shows them with those of the last runs, the bookmark's lag, and masked rows."""
    from sv_assets.dictionary.preview import landed_rows
    from sv_assets.landing.bookmarks import lag_seconds

    lag = lag_seconds(store, source, dict(report.columns))
    figures: dict[str, float] = {
        name: getattr(report.outcome, name) for name in OF_LANDING if hasattr(report.outcome, name)
    }
    figures |= {"seconds": round(report.seconds, 3), "row_count": row_count}
    shown: dict[str, Any] = {}
    if lag is not None and not source.is_queue:
        figures[LAG] = shown[LAG] = round(lag, 1)
    names = [name for name in OF_LANDING if name != LAG or not source.is_queue]
    key = context.asset_key.to_user_string()
    shown |= _noted(store, key, context.run.run_id, figures, names)
    return shown | _preview(landed_rows(store, source))


def history_of_station(store: Store, place: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """As `history_of_landing`, for the station that writes the collection `place`; figures come from its metadata."""
    from sv_assets.dictionary.preview import station_rows

    figures = {name: metadata[name] for name in OF_STATION if isinstance(metadata.get(name), (int, float))}
    figures["row_count"] = metadata["dagster/row_count"]
    context = dg.AssetExecutionContext.get()
    keys = context.selected_asset_keys
    key = next(iter(keys)).to_user_string() if len(keys) == 1 else place
    names = [name for name in OF_STATION if name in figures]
    return _noted(store, key, context.run.run_id, figures, names) | _preview(station_rows(store, place))


def _noted(
    store: Store, asset: str, run_id: str, figures: Mapping[str, float], names: list[str]
) -> dict[str, dg.MarkdownMetadataValue]:
    run_figures.note(store, asset, run_id, figures)
    runs = run_figures.latest(store, asset)
    panels = [
        Panel(
            _CALLED.get(name, name),
            [run.figures.get(name) for run in runs],
            "s" if name in _IN_SECONDS else "",
            name in _BAD,
        )
        for name in names
    ]
    span = f"{len(runs)} run{'' if len(runs) == 1 else 's'}, {runs[0].at:%Y-%m-%d %H:%M} to {runs[-1].at:%Y-%m-%d %H:%M} UTC."
    title = f"The last runs of {asset}"
    return {"history": dg.MetadataValue.md(as_markdown(history("history", title, span, panels), title))}


def _preview(rows: "list[Row]") -> dict[str, dg.TableMetadataValue]:
    if not rows:
        return {}
    schema = dg.TableSchema([dg.TableColumn(name) for name in rows[0]])  # without it the columns come in no order
    return {"preview": dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows], schema)}
