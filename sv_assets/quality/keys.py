"""Whether every row has a key of its own: in landing by its `_id`, in the source by asking it."""

from sv_assets.errors import ConfigurationError
from sv_assets.quality import names
from sv_assets.quality.result import Result
from sv_assets.quality.subject import Subject
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.table import TableShape, describe

LANDED = names.LANDED
SOURCE = names.SOURCE_KEYS


def keys_unique_and_present(subject: Subject) -> Result:
    """No landed document without a key. MongoDB holds `_id` unique, so that no two have the same."""
    empty = subject.landed.count_documents({"_id": {"$in": ["", None]}})
    live = subject.landed.estimated_document_count()
    key = subject.source.queue.key if subject.source.is_queue else ", ".join(subject.source.table.key)
    sentence = (
        f"{empty:,} of {live:,} landed documents have no key ({key})."
        if empty
        else f"All {live:,} landed documents have a key of their own ({key})."
    )
    found = subject.result(LANDED, empty == 0, sentence, documents=live, without_key=empty)
    return Result(found.check, found.asset, found.passed, found.sentence, found.figures, severity="ERROR")


def source_keys_unique(subject: Subject, database: LegacyDatabase, seen: set[str]) -> tuple[Result, TableShape | None]:
    """Whether the declared key still tells the rows of the source apart, and the table as it is; None if it does not."""
    try:
        shape = describe(database, subject.source, seen=seen)
    except ConfigurationError as error:
        return subject.result(SOURCE, False, str(error), "sv doctor", columns=0), None
    key = ", ".join(subject.source.table.key)
    sentence = f"The {len(shape.columns)} columns have a key in which no two rows agree ({key})."
    return subject.result(SOURCE, True, sentence, columns=len(shape.columns)), shape
