"""How a YAML declaration becomes assets, checks and sensors."""

from sv_assets.components.sql_server_system import SqlServerSystem
from sv_assets.components.sqs_queues import SqsQueues

__all__ = ["SqlServerSystem", "SqsQueues"]
