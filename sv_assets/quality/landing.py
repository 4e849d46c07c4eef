"""All checks of one source, in their two groups: those after each landing, and the audit."""

from collections.abc import Iterator

from sv_assets.catalogue.checks import DeclaredCheck
from sv_assets.catalogue.source import Source
from sv_assets.landing.shapes import shape_of
from sv_assets.landing.skip import why_not_now
from sv_assets.quality import (
    backlog,
    completeness,
    distribution,
    doubles,
    freshness,
    keys,
    lateness,
    personal_data,
    references,
    schema,
    types,
    volume,
)
from sv_assets.quality.declared import evaluate
from sv_assets.quality.distribution import Distribution
from sv_assets.quality.doubles import DoubledRows
from sv_assets.quality.personal_data import PersonalData
from sv_assets.quality.references import References
from sv_assets.quality.result import Result
from sv_assets.quality.scan import Audited, scan
from sv_assets.quality.subject import Subject
from sv_assets.quality.types import Types
from sv_assets.sources.database import LegacyDatabase, open_database
from sv_assets.sources.schema import read_table

WHAT: dict[str, str] = {
    keys.LANDED: "Every row has a key, and no two the same.",
    backlog.QUARANTINE: "No row or message of this source waits in quarantine.",
    freshness.CHECK: "The newest row is no older than the feed's own rhythm, or its declaration, lets expect.",
    volume.CHECK: "The last whole day has as many rows as such weekdays had before.",
    backlog.DRAINED: "No message waits in the queue after a run.",
    backlog.DEAD_LETTERS: "No message of this queue is a dead letter.",
    completeness.COUNT: "As many live rows have landed as the source has, seen from the same low-water mark.",
    completeness.CONTENT: "Landed rows have the content that the source has under the same version.",
    keys.SOURCE: "The declared key tells the rows of the source apart.",
    schema.CHECK: "Columns, key and foreign keys are those declared, or agreed to at the first look.",
    backlog.BOOKMARK: "The source was read to its end not long ago.",
    lateness.CHECK: "Hardly any rows come days after they happened.",
    doubles.CHECK: "No row stands there twice under different keys.",
    distribution.CHECK: "Money, currencies and states are spread as before.",
    personal_data.CHECK: "No personal data stands where none is declared.",
    references.CHECK: "The people and orders that rows refer to have landed.",
    types.CHECK: "Values landed as the types that their columns have.",
}
"""What each check of a source looks at, in one sentence."""


def names_after_landing(source: Source) -> list[str]:
    """The cheap checks: they look at MongoDB and at the depth of queues."""
    names = [keys.LANDED, backlog.QUARANTINE, freshness.CHECK, volume.CHECK]
    if source.is_queue:
        names.append(backlog.DRAINED)
        names += [backlog.DEAD_LETTERS] if source.queue.dead_letters else []
    return names + [check.title for check in after_landing(source)]


def names_of_audit(source: Source) -> list[str]:
    """The checks that read the source, or all that has landed of it."""
    names = [schema.CHECK, lateness.CHECK, doubles.CHECK, distribution.CHECK, personal_data.CHECK, references.CHECK]
    if not source.is_queue:
        names += [completeness.COUNT, completeness.CONTENT, keys.SOURCE, backlog.BOOKMARK, types.CHECK]
    return names + [check.title for check in audited(source)]


def after_landing(source: Source) -> list[DeclaredCheck]:
    """The declared checks that block what comes after."""
    return [check for check in source.entry.checks if check.blocking]


def audited(source: Source) -> list[DeclaredCheck]:
    """The other declared checks; a `distribution` is part of the one that every source has."""
    return [check for check in source.entry.checks if not check.blocking and check.check != "distribution"]


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
