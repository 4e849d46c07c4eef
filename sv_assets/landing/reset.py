"""Starting a table over, after its capture mode changed: versions of two modes do not compare."""

from sv_assets.catalogue.source import Source
from sv_assets.mongo import Store


def forget(store: Store, source: Source) -> int:
    """Forget the bookmark, and take from the landed rows the version that guards them, so that any new one is newer.

    The rows stay, tombstones too, until they are read again or found to be gone. Returns their number.
    """
    store.control["bookmarks"].delete_one({"_id": source.key})
    lowest = {"_sv.version": None, "_sv.hash": ""}  # null sorts below every version
    changed = store.landing[source.key].update_many({}, {"$set": lowest})
    return changed.modified_count
