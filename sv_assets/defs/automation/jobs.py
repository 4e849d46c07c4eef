"""The jobs that people and schedules start."""

import dagster as dg

from sv_assets.catalogue import load_catalogue
from sv_assets.components.landing_assets import landing_key

FULL = {"config": {"full": True}}


def _full_rebuild_config() -> dict[str, object]:
    tables = {landing_key(s).to_python_identifier(): FULL for s in load_catalogue().sources if not s.is_queue}
    stations = (
        "identity__party_records",
        *(f"single_view__{name}" for name in ("orders", "interactions", "consents", "customers")),
    )
    return {"ops": {**tables, **dict.fromkeys(stations, FULL)}}


incremental_now = dg.define_asset_job(
    "incremental_now",
    selection=dg.AssetSelection.all()
    - dg.AssetSelection.groups(*{f"legacy_{s.system}" for s in load_catalogue().sources}),
    description="Everything that changed since the last run: every source from its bookmark, and what follows from it.",
)

full_rebuild = dg.define_asset_job(
    "full_rebuild",
    selection=dg.AssetSelection.all()
    - dg.AssetSelection.groups(*{f"legacy_{s.system}" for s in load_catalogue().sources}),
    description="Everything again: every table from its first row, every customer composed anew. Unchanged documents are not written.",
    config=_full_rebuild_config(),
)
