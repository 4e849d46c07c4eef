"""Who reads the single view further on, and so must hear of each document that changes."""

import datetime as dt

from sv_assets.mongo import Document

READERS: dict[str, tuple[str, ...]] = {
    "orders": ("fraud",),
    "customers": ("cards", "fraud"),
    "customer_history": ("cards",),
}
"""By collection of the single view, the stations whose work list (`_sv.pending`) a changed document goes on.

Of the history it is the entry by which a customer ended.
"""
GONE = "gone"
"""The collection that says which documents were deleted, for the readers of theirs: their ids, and nothing of what they held.

The note is made before the document is deleted, so that no crash can lose it; a reader looks whether it is gone indeed.
"""


def waiting(collection: str, now: dt.datetime) -> Document:
    """Bookkeeping that puts a document on the work lists of the readers; the revision is one that it never had."""
    readers = READERS.get(collection)
    return {"pending": list(readers), "revision": int(now.timestamp() * 1_000_000)} if readers else {}
