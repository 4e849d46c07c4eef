"""What a failed check shows of what waits in quarantine or among dead letters, and how to get on from there."""

from typing import Any

import dagster as dg

from sv_assets.catalogue.source import Source
from sv_assets.components.keys import legacy_key
from sv_assets.components.lineage import asset_link
from sv_assets.mongo import Store
from sv_assets.quality.names import DEAD_LETTERS, QUARANTINE
from sv_assets.quality.result import Result

SHOWN = 10


def shown_beside(store: Store, source: Source, result: Result) -> dict[str, Any]:
    """For the result of a check of this source: what helps to mend it."""
    if result.check == QUARANTINE:
        return quarantine_metadata(store, source)
    return dead_letters_next(source) if result.check == DEAD_LETTERS and not result.passed else {}


def quarantine_metadata(store: Store, source: Source) -> dict[str, Any]:
    """For the result of a check: the newest entries without their keys and values, the reasons counted, and the next
    step. Nothing where nothing waits."""
    from sv_assets.landing.quarantine import Chosen, count_by_reason, newest_entries

    chosen = Chosen((source.key,))
    counts = count_by_reason(store, chosen)
    if not counts:
        return {}
    entries = [
        dg.TableRecord(
            {
                "first seen": f"{entry['first_seen']:%Y-%m-%d %H:%M:%S}",
                "reason": entry["reason"],
                "key": "***",
                "entry": entry["_id"].rpartition(":")[2],
                "run": str(entry.get("run_id", ""))[:8],
            }
        )
        for entry in newest_entries(store, chosen, SHOWN)
    ]
    reasons = [dg.TableRecord({"reason": reason, "entries": count}) for _, reason, count in counts[:SHOWN]]
    columns = [dg.TableColumn(name) for name in ("first seen", "reason", "key", "entry", "run")]
    return {
        "reasons": dg.MetadataValue.table(
            reasons, dg.TableSchema([dg.TableColumn("reason"), dg.TableColumn("entries", "int")])
        ),
        "newest": dg.MetadataValue.table(entries, dg.TableSchema(columns)),
        "look": f"sv quarantine show {source.key}",
        "retry": f"sv quarantine retry {source.key} --dry-run",
        "next": dg.MetadataValue.md(_next(source)),
        "source": dg.MetadataValue.asset(legacy_key(source)),
    }


def dead_letters_next(source: Source) -> dict[str, Any]:
    """For the result of a check: what to do about dead letters."""
    return {
        "look": f"sv queues inspect {source.key} --dead-letters",
        "source": dg.MetadataValue.asset(legacy_key(source)),
        "next": dg.MetadataValue.md(
            f"- `sv queues inspect {source.key} --dead-letters` says of each whether it would land now, and why not.\n"
            f"- `sv queues redrive {source.key} --dry-run`, and without it, moves them back to their queue.\n"
            f"- {asset_link(f'legacy/{source.system}/{source.slug}/dead_letters')} plots how many there are."
        ),
    }


def capture_next(source: Source) -> dict[str, Any]:
    """For the result of a check that found rows which the capture mode did not, or cannot, see."""
    return {
        "next": dg.MetadataValue.md(
            f"- `sv doctor` tries the declaration against the table, and says what is missing.\n"
            f"- {asset_link(f'landing/{source.system}/{source.slug}')}: *Materialize* with `full: true` reads the whole table once.\n"
            f"- {asset_link(f'legacy/{source.system}/{source.slug}')} says what the source is and whose."
        )
    }


def _next(source: Source) -> str:
    mend = "in its `defs.yaml`" if source.is_queue else f"at the source, in {source.system}, or in its `defs.yaml`"
    return (
        f"- `sv quarantine show {source.key}` shows the entries column by column; `--unmasked` as they are, to who may see them.\n"
        f"- Mend the cause {mend}.\n"
        f"- `sv quarantine retry {source.key} --dry-run`, and without it, lands what can land now and closes its entries.\n"
        f"- {asset_link(f'landing/{source.system}/{source.slug}')} has the run that found them; {asset_link(f'legacy/{source.system}/{source.slug}')} says whose the source is."
    )
