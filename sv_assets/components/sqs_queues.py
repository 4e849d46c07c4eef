"""`type: sv_assets.components.SqsQueues`: the SQS queues of one system."""

from typing import Any, cast

import dagster as dg
from pydantic import BaseModel

from sv_assets.catalogue.load import sources_of
from sv_assets.catalogue.model import SqsQueuesModel
from sv_assets.components.landing_assets import legacy_asset
from sv_assets.components.lineage import source_metadata
from sv_assets.components.origin import WithOrigin, origin_of
from sv_assets.components.queue_assets import dead_letters_asset, queue_assets
from sv_assets.components.queue_sensor import queue_sensor
from sv_assets.components.source_checks import audits_of


class SqsQueues(dg.Component):
    """SQS queues. Each becomes an external asset (and one for its dead letters), its landing with checks, its archive by
    day, and a sensor that watches its depth."""

    def __init__(self, declared: SqsQueuesModel) -> None:
        self.declared = declared

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return SqsQueuesModel

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "SqsQueues":
        return cls(cast(SqsQueuesModel, attributes))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        sources = sources_of(self.declared)
        origin = origin_of(self, context)
        said = {s.key: {**source_metadata(s), **origin} for s in sources}
        return WithOrigin(
            assets=[
                *(legacy_asset(s, (), said[s.key]) for s in sources),
                *(dead_letters_asset(s, origin) for s in sources if s.queue.dead_letters),
                *(asset for s in sources for asset in queue_assets(s, said[s.key], origin)),
            ],
            asset_checks=[audits_of(sources)],
            sensors=[queue_sensor(s).with_attributes(metadata=origin) for s in sources],
        )
