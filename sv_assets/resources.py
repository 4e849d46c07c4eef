"""Connections as Dagster resources. Legacy systems name theirs in the catalogue; MongoDB is ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from sv_assets import settings
from sv_assets.mongo import Store, open_store


class MongoResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The MongoDB server that holds landing, identity, single_view and control."""

    url: str = "{{ env.SV_MONGO_URL }}"
    prefix: str = ""

    @contextmanager
    def store(self) -> Iterator[Store]:
        """An open store, closed again afterwards."""
        prefix = self.prefix or settings.variable("SV_MONGO_PREFIX") or ""
        store = open_store(settings.resolve(self.url, "MongoDB"), prefix)
        try:
            yield store
        finally:
            store.close()
