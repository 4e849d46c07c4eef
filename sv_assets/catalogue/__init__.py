"""What this retailer has: the declared legacy systems, as data."""

from sv_assets.catalogue.load import Catalogue, load_catalogue, read_sources, sources_of
from sv_assets.catalogue.source import Source

__all__ = ["Catalogue", "Source", "load_catalogue", "read_sources", "sources_of"]
