"""The names of the assets of a source: the way of its records."""

import dagster as dg

from sv_assets.catalogue.source import Source, needs_reconciliation
from sv_assets.quality.names import names_after_landing, names_of_audit

STATIONS = tuple(
    dg.AssetKey(path)
    for path in (
        *(["identity", name] for name in ("party_records", "links", "clusters", "households", "review")),
        *(["single_view", name] for name in ("orders", "interactions", "consents", "flags", "customers")),
    )
)
"""What works off landed records, in order; each follows what is before it by itself."""
CAPTURE_CHECK, RECEIVES_CHECK = "capture_sees_every_change", "far_from_dead_letters"
"""The checks that the landing of a table, and of a queue, evaluates itself."""
DELETES_CHECK = "deletes_believed"
"""That of the reconciliation of a table."""
CONSUMERS = ("contact_centre", "fraud", "marketing", "privacy")
"""Groups of the assets that are made of customers and orders for one team each."""


def legacy_key(source: Source) -> dg.AssetKey:
    """The external asset that stands for the source itself."""
    return dg.AssetKey(["legacy", source.system, source.slug])


def dead_letters_key(source: Source) -> dg.AssetKey:
    """The external asset of the queue that takes what was received too often."""
    return dg.AssetKey([*legacy_key(source).path, "dead_letters"])


def landing_key(source: Source) -> dg.AssetKey:
    """The asset of its landing collection."""
    return dg.AssetKey(["landing", source.system, source.slug])


def path_of(source: Source) -> str:
    """The same as text: `landing/crm/customer`."""
    return landing_key(source).to_user_string()


def reconciliation_key(source: Source) -> dg.AssetKey:
    """The asset that finds the deleted rows of a table, where its landing cannot."""
    return dg.AssetKey([*landing_key(source).path, "deletes"])


def archive_key(source: Source) -> dg.AssetKey:
    """The asset of a queue's archive, a partition a day, whose days can be landed again."""
    return dg.AssetKey([*landing_key(source).path, "archive"])


def pool_of(source: Source) -> str:
    """The pool of what reads its system: no more steps at once than `max_connections`."""
    return f"legacy_{source.system}"


def landed_keys(source: Source) -> list[dg.AssetKey]:
    """What writes to the landing collection of a source, and so what a station that reads it waits for."""
    beside = [archive_key(source)] if source.is_queue else []
    if needs_reconciliation(source):
        beside.append(reconciliation_key(source))
    return [landing_key(source), *beside]


def checks_after_landing(source: Source) -> list[dg.AssetCheckKey]:
    """The checks that a run requested by a sensor evaluates: those that do not read the source again."""
    seen = RECEIVES_CHECK if source.is_queue else CAPTURE_CHECK
    return [dg.AssetCheckKey(landing_key(source), name) for name in (seen, *names_after_landing(source))]


def audit_checks(source: Source) -> list[dg.AssetCheckKey]:
    """The checks that read the source, or all that has landed of it: for a schedule of their own."""
    return [dg.AssetCheckKey(landing_key(source), name) for name in names_of_audit(source)]
