"""The catalogue as something to read: which column becomes what, and a page on every source, station and customer field."""

from sv_assets.dictionary.lineage import Field, LineageGraph, lineage_graph
from sv_assets.dictionary.said import AssetSaid, CheckSaid

__all__ = ["AssetSaid", "CheckSaid", "Field", "LineageGraph", "lineage_graph"]
