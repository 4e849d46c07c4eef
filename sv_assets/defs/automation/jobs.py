"""The jobs that people and schedules start."""

from collections.abc import Iterable

import dagster as dg

from sv_assets.catalogue import load_catalogue
from sv_assets.catalogue.source import needs_reconciliation
from sv_assets.components.asset_job import job_for_no_day
from sv_assets.components.keys import (
    CONSUMERS,
    DELETES_CHECK,
    STATIONS,
    audit_checks,
    checks_after_landing,
    landing_key,
    reconciliation_key,
)

CATALOGUE = load_catalogue()
LANDINGS = dg.AssetSelection.assets(*(landing_key(s) for s in CATALOGUE.sources))
RECONCILIATIONS = [reconciliation_key(s) for s in CATALOGUE.sources if needs_reconciliation(s)]
EVERYTHING = LANDINGS | dg.AssetSelection.assets(*RECONCILIATIONS, *STATIONS) | dg.AssetSelection.groups(*CONSUMERS)
"""Every station once. Archives are landed again by the day, and customers rebuilt by the bucket, only when somebody asks for it."""
STEPS = (
    "identity__party_records",
    "identity__resolution",
    *(f"single_view__{n}" for n in ("orders", "interactions", "consents", "flags", "customers")),
    *(f"fraud__{n}" for n in ("signals", "scores", "cases")),
    *(f"contact_centre__{n}" for n in ("customer_card", "calls", "metrics")),
)


def _steps(keys: Iterable[dg.AssetKey], **config: bool) -> dict[str, object]:
    return {key.to_python_identifier(): {"config": config} for key in keys}


TABLES = [landing_key(s) for s in CATALOGUE.sources if not s.is_queue]
incremental_now = job_for_no_day(
    "incremental_now",
    EVERYTHING,
    "Everything that changed since the last run: every source from its bookmark, and what follows from it.",
)

full_rebuild = job_for_no_day(
    "full_rebuild",
    EVERYTHING,
    "Everything again: every table from its first row, every customer composed anew. Unchanged documents are not written.",
    {
        "ops": {
            **_steps(TABLES, full=True),
            **_steps(RECONCILIATIONS, compare_all=True),
            **{step: {"config": {"full": True}} for step in STEPS},
        }
    },
)

read_tables = job_for_no_day(
    "read_tables",
    dg.AssetSelection.assets(*TABLES, *RECONCILIATIONS).without_checks()
    | dg.AssetSelection.checks(
        *(check for s in CATALOGUE.sources if not s.is_queue for check in checks_after_landing(s)),
        *(dg.AssetCheckKey(key, DELETES_CHECK) for key in RECONCILIATIONS),
    ),
    "Every table from its bookmark, whether or not it seems to have something new, and its deleted rows.",
)

audits = dg.define_asset_job(
    "audits",
    selection=dg.AssetSelection.checks(*(check for s in CATALOGUE.sources for check in audit_checks(s))),
    description="The checks that read the sources: whether what has landed is what they have, and as declared.",
)

fraud_retraining = dg.define_asset_job(
    "fraud_retraining",
    selection=dg.AssetSelection.groups("fraud"),
    description="Trains the fraud model on the orders of today that are not known to be fraud, and judges all orders by it.",
    config={"ops": {"fraud__model": {"config": {"again": True}}}},
)
