"""Starting a source over, after its capture mode, key or version changed: what was landed before does not compare."""

import datetime as dt

from sv_assets.catalogue.source import Source
from sv_assets.landing.documents import MISSING
from sv_assets.landing.figures import forget_the_end
from sv_assets.mongo import Document, Store


def forget(store: Store, source: Source) -> int:
    """Forget the bookmark, and take from what has landed the version that guards it, so that anything new is newer.

    The rows of a table stay, tombstones too, until they are read again or found to be gone. What a queue delivered is
    marked as missing, until it lands again from the archive: under another key it would stand twice. Returns how many
    documents that were.
    """
    store.control["bookmarks"].delete_one({"_id": source.key})
    forget_the_end(store, source.key)
    lowest: Document = {"_sv.version": None, "_sv.hash": ""}  # null sorts below every version
    if source.is_queue:
        lowest |= {"_sv.op": MISSING, "_sv.deleted": True, "_sv.extracted_at": dt.datetime.now(dt.timezone.utc)}
        lowest |= {"_sv.pending": source.stations} if source.stations else {}
    changed = store.landing[source.key].update_many({"_sv.erased": None}, {"$set": lowest})
    return changed.modified_count
