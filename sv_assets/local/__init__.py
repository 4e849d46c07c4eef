"""The embedded estate for laptops and tests: real servers from PyPI, and a made-up retailer that knows the truth."""

from sv_assets.local.estate import Estate, default_local_dir, down, read_urls, status, up
from sv_assets.local.generator.seed import SeedReport, seed
from sv_assets.local.generator.tick import tick
from sv_assets.local.servers import RunningServer, start_mongo, start_sqs
from sv_assets.local.shred import shred

__all__ = [
    "Estate",
    "RunningServer",
    "SeedReport",
    "default_local_dir",
    "down",
    "read_urls",
    "seed",
    "shred",
    "start_mongo",
    "start_sqs",
    "status",
    "tick",
    "up",
]
