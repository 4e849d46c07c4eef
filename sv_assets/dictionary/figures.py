"""Figures beside the declaration: how much has landed, when last, and how full each column is. Never a value."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.dictionary.lineage import known_columns
from sv_assets.landing.documents import field_value
from sv_assets.mongo import Store

SAMPLE = 1_000


@dataclass(frozen=True)
class SourceFigures:
    """`rows` that have landed, about; when the bookmark moved last; and by column the share of `sampled` documents in
    which it is null, empty or not there."""

    rows: int
    landed_at: dt.datetime | None
    sampled: int
    null_share: Mapping[str, float] = field(default_factory=dict)


def figures_of(store: Store, catalogue: Catalogue) -> dict[str, SourceFigures]:
    """By source key. Looks at no more than a thousand documents of each collection."""
    moved = {d["_id"]: d["moved_at"] for d in store.control["bookmarks"].find({}, {"moved_at": 1})}
    return {source.key: _figures(store, source, moved.get(source.key)) for source in catalogue.sources}


def _figures(store: Store, source: Source, landed_at: dt.datetime | None) -> SourceFigures:
    collection = store.landing[source.key]
    sampled = 0
    empty = dict.fromkeys(known_columns(source), 0)
    for document in collection.find({}).limit(SAMPLE):
        if document.get("_sv", {}).get("deleted"):
            continue
        sampled += 1
        for name in empty:
            empty[name] += field_value(source, document, name) is None
    shares = {name: count / sampled for name, count in empty.items()} if sampled else {}
    return SourceFigures(collection.estimated_document_count(), landed_at, sampled, shares)
