"""`type: sv_assets.components.SqsQueues`: the SQS queues of one system."""

from typing import Any, cast

import dagster as dg
from pydantic import BaseModel

from sv_assets.catalogue.load import sources_of
from sv_assets.catalogue.model import SqsQueuesModel
from sv_assets.components.landing_assets import legacy_asset
from sv_assets.components.queue_assets import dead_letters_asset, queue_assets
from sv_assets.components.queue_sensor import queue_sensor
from sv_assets.components.source_checks import source_checks


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
        return dg.Definitions(
            assets=[
                *(legacy_asset(s) for s in sources),
                *(dead_letters_asset(s) for s in sources if s.queue.dead_letters),
                *(asset for s in sources for asset in queue_assets(s)),
            ],
            asset_checks=[check for s in sources for check in source_checks(s)],
            sensors=[queue_sensor(s) for s in sources],
        )
