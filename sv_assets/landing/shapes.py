"""The columns of each table as they were when somebody last agreed to them: what a change is told against.

The first look is agreed to by itself. `control.shapes` keeps, by source, the agreed columns, those of the last look, and
the unique keys that the database had then.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sv_assets.catalogue.source import Source
from sv_assets.mongo import Document, Store

Columns = dict[str, str]
"""By name, the type as it is declared."""


@dataclass(frozen=True)
class Shape:
    """`agreed` and `latest` columns; `unique_keys` as the database has them, where somebody asked."""

    agreed: Columns
    latest: Columns
    unique_keys: tuple[tuple[str, ...], ...] = ()
    agreed_at: dt.datetime | None = None

    @property
    def drifted(self) -> set[str]:
        """The columns that are not as agreed: added, vanished or retyped."""
        return {
            name for name in self.agreed.keys() | self.latest.keys() if self.agreed.get(name) != self.latest.get(name)
        }


def shape_of(store: Store, source: Source) -> Shape | None:
    """What is known of the columns of a source; None before the first look."""
    found = store.control["shapes"].find_one({"_id": source.key})
    if found is None:
        return None
    keys = tuple(tuple(key) for key in found.get("unique_keys", []))
    return Shape(dict(found["agreed"]), dict(found["latest"]), keys, found["agreed_at"])


def look(
    store: Store,
    source: Source,
    columns: Iterable[tuple[str, str]],
    unique_keys: Sequence[Sequence[str]] | None = None,
) -> Shape:
    """Keep what a look at the source showed. Writes only where something is new."""
    known = shape_of(store, source)
    latest = [[name, kind] for name, kind in columns]
    now = dt.datetime.now(dt.timezone.utc)
    changes: Document = {}
    if known is None:
        changes |= {"agreed": latest, "agreed_at": now}
    if known is None or known.latest != dict(latest):
        changes |= {"latest": latest, "latest_at": now}
    if unique_keys is not None and (known is None or known.unique_keys != tuple(map(tuple, unique_keys))):
        changes["unique_keys"] = [list(key) for key in unique_keys]
    if changes:
        store.control["shapes"].update_one({"_id": source.key}, {"$set": changes}, upsert=True)
    found = shape_of(store, source)
    assert found is not None
    return found


def agree(store: Store, source: Source) -> list[str]:
    """Take the columns of the last look as they are from now on; returns those that were not as agreed."""
    known = shape_of(store, source)
    if known is None or not known.drifted:
        return []
    latest = [[name, kind] for name, kind in known.latest.items()]
    changes = {"agreed": latest, "agreed_at": dt.datetime.now(dt.timezone.utc)}
    store.control["shapes"].update_one({"_id": source.key}, {"$set": changes})
    return sorted(known.drifted)
