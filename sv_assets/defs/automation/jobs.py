"""The jobs that people and schedules start."""

import dagster as dg

from sv_assets.catalogue import load_catalogue
from sv_assets.components.keys import archive_key, landing_key, reconciliation_key
from sv_assets.landing.reconcile import needs_reconciliation

STATIONS = (
    "identity__party_records",
    "identity__resolution",
    *(f"single_view__{n}" for n in ("orders", "interactions", "consents", "customers")),
)
EVERYTHING = (
    dg.AssetSelection.all()
    - dg.AssetSelection.groups(*{f"legacy_{s.system}" for s in load_catalogue().sources})
    - dg.AssetSelection.assets(*(archive_key(s) for s in load_catalogue().sources if s.is_queue))
    - dg.AssetSelection.assets(["single_view", "customers", "rebuild"])
)
"""Every station once. Archives are landed again by the day, and customers rebuilt by the bucket, only when somebody asks for it."""


def _reconciliations(config: dict[str, bool]) -> dict[str, object]:
    return {
        reconciliation_key(s).to_python_identifier(): {"config": config}
        for s in load_catalogue().sources
        if needs_reconciliation(s)
    }


def _tables(config: dict[str, bool]) -> dict[str, object]:
    return {
        landing_key(s).to_python_identifier(): {"config": config} for s in load_catalogue().sources if not s.is_queue
    }


RUN_CONFIG = {
    "incremental_now": {"ops": _tables({"from_bookmark": True})},
    "full_rebuild": {
        "ops": {
            **_tables({"full": True}),
            **_reconciliations({"compare_all": True}),
            **{name: {"config": {"full": True}} for name in STATIONS},
        },
    },
}
"""By job. A job with a partitioned asset in it uses its own config for partitions alone, so whoever starts one of these
without a partition (a schedule, `sv run`) passes its config along."""

incremental_now = dg.define_asset_job(
    "incremental_now",
    selection=EVERYTHING,
    description="Everything that changed since the last run: every source from its bookmark, and what follows from it.",
    config=RUN_CONFIG["incremental_now"],
)

full_rebuild = dg.define_asset_job(
    "full_rebuild",
    selection=EVERYTHING,
    description="Everything again: every table from its first row, every customer composed anew. Unchanged documents are not written.",
    config=RUN_CONFIG["full_rebuild"],
)
