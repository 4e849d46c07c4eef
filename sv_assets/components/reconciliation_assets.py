"""The asset that finds the deleted rows of a table whose capture mode cannot see them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from sv_assets.catalogue.source import Source
from sv_assets.components.keys import DELETES_CHECK, landing_key, pool_of, reconciliation_key
from sv_assets.components.lineage import located
from sv_assets.components.recording import recorded
from sv_assets.components.station import WRITTEN, explained_failures
from sv_assets.components.steps import asset_step
from sv_assets.quality.result import Result
from sv_assets.resources import MongoResource

if TYPE_CHECKING:
    from sv_assets.landing.reconcile import Reconciliation


class ReconciliationConfig(dg.Config):
    """How deleted rows are looked for.

    `compare_all`: compare all keys, even where no more rows have landed than the source has. `allow_deletes`: believe
    the source although more rows are gone than the table's `max_delete_share`.
    """

    compare_all: bool = False
    allow_deletes: bool = False


def reconciliation_asset(source: Source, origin: Mapping[str, Any] | None = None) -> dg.AssetsDefinition:
    """Compares the keys of a table with what has landed of it, after each landing. `origin` says where it is declared."""
    key = reconciliation_key(source)

    spec = dg.AssetSpec(
        key,
        deps=[landing_key(source)],
        description=f"Tombstones for the rows of {source.name} that have landed and are no longer in {source.system}.",
        group_name=f"landing_{source.system}",
        owners=source.declared_in.owners,
        kinds={"sqlserver", "mongodb"},
        metadata={
            **located(f"landing/{source.key}"),
            "max_delete_share": source.table.max_delete_share,
            **(origin or {}),
        },
    )
    check = dg.AssetCheckSpec(
        DELETES_CHECK,
        asset=key,
        description=f"No more than {source.table.max_delete_share:.0%} of the landed rows are gone at once.",
    )

    def reconciliation(context: dg.AssetExecutionContext, config: ReconciliationConfig) -> dg.MaterializeResult[Any]:
        from sv_assets.landing.reconcile import reconcile_table

        mongo: MongoResource = context.resources.mongo
        with explained_failures(), mongo.store() as store:
            found = reconcile_table(
                store,
                source,
                context.run.run_id,
                compare_all=config.compare_all,
                allow_deletes=config.allow_deletes,
            )
            checked = recorded(store, [_check(source, found)], context.run.run_id, source.declared_in.owners)
        return dg.MaterializeResult(metadata=_metadata(found), check_results=checked)

    return asset_step(spec, check, ReconciliationConfig, pool_of(source), reconciliation)


def _metadata(found: "Reconciliation") -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "dagster/row_count": found.landed - found.deleted,
        "rows_in_source": found.in_source,
        "rows_landed": found.landed,
        "keys_compared": found.compared,
        "gone": found.gone,
        "deleted": found.deleted,
        "deletes_refused": found.refused,
        WRITTEN: found.deleted,
        "seconds": round(found.seconds, 3),
    }
    return metadata | ({"stopped": found.skipped} if found.skipped else {})


def _check(source: Source, found: "Reconciliation") -> Result:
    if found.refused:
        sentence = (
            f"{found.refused:,} of {found.landed:,} landed rows are gone from the source, more than "
            f"{source.table.max_delete_share:.0%}: none was deleted. If it is true, run this asset with `allow_deletes: true`."
        )
    elif found.compared:
        sentence = f"{found.gone:,} of {found.landed:,} landed rows are gone from the source and were deleted."
    else:
        sentence = found.skipped or (
            f"No key was compared: {found.landed:,} rows have landed and the source has {found.in_source:,}."
        )
    figures = {"gone": found.gone, "deleted": found.deleted, "refused": found.refused}
    return Result(DELETES_CHECK, reconciliation_key(source).to_user_string(), not found.refused, sentence, figures)
