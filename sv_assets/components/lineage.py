"""Column lineage as Dagster shows it: from the legacy column through landing to the field of a customer."""

from collections.abc import Iterable

import dagster as dg

from sv_assets.catalogue.source import Source
from sv_assets.components.keys import landing_key, legacy_key
from sv_assets.customers.lineage import Lineage

COLUMN_LINEAGE = "dagster/column_lineage"


def column_lineage(lineage: Lineage) -> dg.TableColumnLineage:
    """For the metadata of a materialisation of a station."""
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(_key(upstream), column) for upstream, column in upstreams]
            for name, upstreams in lineage.items()
        }
    )


def landing_lineage(source: Source, columns: Iterable[str]) -> dg.TableColumnLineage:
    """Landing copies: each column (or path into a message) is that of the source."""
    return dg.TableColumnLineage({name: [dg.TableColumnDep(legacy_key(source), name)] for name in columns})


def _key(upstream: Source | str) -> dg.AssetKey:
    return landing_key(upstream) if isinstance(upstream, Source) else dg.AssetKey(upstream.split("/"))
