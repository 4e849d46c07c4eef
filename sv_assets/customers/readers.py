"""Who reads the single view further on, and so must hear of each document that changes."""

READERS: dict[str, tuple[str, ...]] = {"orders": ("fraud",), "customers": ("fraud",)}
"""By collection of the single view, the stations whose work list (`_sv.pending`) a changed document goes on."""
GONE = "gone"
"""The collection that says which documents were deleted, for the readers of theirs: their ids, and nothing of what they held.

The note is made before the document is deleted, so that no crash can lose it; a reader looks whether it is gone indeed.
"""
