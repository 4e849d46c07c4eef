"""All checks of one source, in their two groups: those after each landing, and the audit."""

from collections.abc import Iterator

from sv_assets.landing.shapes import shape_of
from sv_assets.landing.skip import why_not_now
from sv_assets.quality import (
    backlog,
    completeness,
    freshness,
    keys,
    lateness,
    schema,
    volume,
)
from sv_assets.quality.declared import evaluate
from sv_assets.quality.distribution import Distribution
from sv_assets.quality.doubles import DoubledRows
from sv_assets.quality.names import after_landing, audited, names_of_audit
from sv_assets.quality.personal_data import PersonalData
from sv_assets.quality.references import References
from sv_assets.quality.result import Result
from sv_assets.quality.scan import Audited, scan
from sv_assets.quality.subject import Subject
from sv_assets.quality.types import Types
from sv_assets.sources.database import LegacyDatabase, open_database
from sv_assets.sources.schema import read_table


def check_landing(subject: Subject) -> Iterator[Result]:
    """Evaluate what is cheap."""
    source = subject.source
    yield keys.keys_unique_and_present(subject)
    yield backlog.quarantine_empty(subject)
    yield freshness.fresh(subject)
    yield volume.volume_as_usual(subject)
    if source.is_queue:
        yield backlog.queue_drained(subject)
        if source.queue.dead_letters:
            yield backlog.dead_letters_empty(subject, source.queue.dead_letters)
    for check in after_landing(source):
        yield evaluate(subject, check)


def audit(subject: Subject) -> Iterator[Result]:
    """Evaluate the rest. Where a table may not be read now, its checks say so and pass."""
    if subject.source.is_queue:
        yield schema.schema_of_queue(subject)
        yield from _audit_landed(subject)
        for check in audited(subject.source):
            yield evaluate(subject, check)
        return
    if reason := why_not_now(subject.source):
        for name in names_of_audit(subject.source):
            yield subject.unseen(name, reason)
        return
    database = open_database(subject.source.sql_system, subject.source)
    try:
        yield from _audit_table(subject, database)
    finally:
        database.close()


def _audit_table(subject: Subject, database: LegacyDatabase) -> Iterator[Result]:
    source = subject.source
    found = schema.schema_of_table(subject, read_table(database, source.name))
    yield found.result
    known = shape_of(subject.store, source)
    unique, shape = keys.source_keys_unique(subject, database, set(known.agreed) if known else set())
    yield unique
    yield backlog.bookmark_keeps_up(subject)
    if shape is None:
        for name in (completeness.COUNT, completeness.CONTENT):
            yield subject.unseen(name, "the table cannot be read as it is declared, 0 rows.")
        yield from _audit_landed(subject)
    else:
        compared = completeness.compare(subject, database, shape, found.drifted)
        doubled = DoubledRows(subject, [record.fields for record in compared.missing])
        yield from _audit_landed(subject, doubled)
        copies = sum(doubled.knows(record.fields) for record in compared.missing)
        yield completeness.row_count_matches_source(subject, compared, copies)
        yield completeness.content_matches_source(subject, compared)
    for check in audited(source):
        yield evaluate(subject, check, database)


def _audit_landed(subject: Subject, doubled: DoubledRows | None = None) -> Iterator[Result]:
    yield lateness.arrives_in_time(subject)
    passes: list[Audited] = [
        doubled or DoubledRows(subject),
        Distribution(subject),
        PersonalData(subject),
        References(subject),
    ]
    if not subject.source.is_queue:
        passes.append(Types(subject))
    yield from scan(subject, passes)
