"""`type: sv_assets.components.SqlServerSystem`: a SQL Server instance and the tables we read from it."""

from typing import Any, cast

import dagster as dg
from pydantic import BaseModel

from sv_assets.catalogue.load import sources_of
from sv_assets.catalogue.model import SqlServerSystemModel
from sv_assets.catalogue.source import needs_reconciliation
from sv_assets.components.landing_assets import foreign_key_lineage, landing_asset, legacy_asset
from sv_assets.components.lineage import source_metadata
from sv_assets.components.origin import WithOrigin, origin_of
from sv_assets.components.reconciliation_assets import reconciliation_asset
from sv_assets.components.source_checks import audits_of
from sv_assets.components.table_sensor import table_sensor


class SqlServerSystem(dg.Component):
    """One legacy SQL Server instance. Each table becomes an external asset, its landing, the landing's checks, and the
    reconciliation of its deleted rows where the capture mode cannot see them. One sensor looks what is new in all of them."""

    def __init__(self, declared: SqlServerSystemModel) -> None:
        self.declared = declared

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return SqlServerSystemModel

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "SqlServerSystem":
        return cls(cast(SqlServerSystemModel, attributes))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        sources = sources_of(self.declared)
        referred = foreign_key_lineage(sources)
        origin = origin_of(self, context)
        said = {s.key: {**source_metadata(s), **origin} for s in sources}
        return WithOrigin(
            assets=[
                *(legacy_asset(s, referred[s.key], said[s.key]) for s in sources),
                *(landing_asset(s, said[s.key]) for s in sources),
                *(reconciliation_asset(s, origin) for s in sources if needs_reconciliation(s)),
            ],
            asset_checks=[audits_of(sources)],
            sensors=[table_sensor(sources).with_attributes(metadata=origin)],
        )
