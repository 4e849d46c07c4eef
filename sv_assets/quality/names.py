"""The checks of one source by name, in their two groups, as far as its declaration gives them something to look at."""

from sv_assets.catalogue.checks import DeclaredCheck
from sv_assets.catalogue.feeds import Reference
from sv_assets.catalogue.source import Source
from sv_assets.quality.watched import watched_of

LANDED = "keys_unique_and_present"
SOURCE_KEYS = "source_keys_unique"
QUARANTINE = "quarantine_empty"
DRAINED = "queue_drained"
DEAD_LETTERS = "dead_letters_empty"
BOOKMARK = "bookmark_keeps_up"
COUNT = "row_count_matches_source"
CONTENT = "content_matches_source"
DISTRIBUTION = "distribution_steady"
DOUBLES = "no_doubled_rows"
FRESH = "fresh"
LATENESS = "arrives_in_time"
PERSONAL_DATA = "no_undeclared_personal_data"
REFERENCES = "references_resolve"
SCHEMA = "schema_as_declared"
TYPES = "types_as_declared"
VOLUME = "volume_as_usual"
WHAT: dict[str, str] = {
    LANDED: "Every row has a key, and no two the same.",
    QUARANTINE: "No row or message of this source waits in quarantine.",
    FRESH: "The newest row is no older than the feed's own rhythm, or its declaration, lets expect.",
    VOLUME: "The last whole day has as many rows as such weekdays had before.",
    DRAINED: "No message waits in the queue after a run.",
    DEAD_LETTERS: "No message of this queue is a dead letter.",
    COUNT: "As many live rows have landed as the source has, seen from the same low-water mark.",
    CONTENT: "Landed rows have the content that the source has under the same version.",
    SOURCE_KEYS: "The declared key tells the rows of the source apart.",
    SCHEMA: "Columns, key and foreign keys are those declared, or agreed to at the first look.",
    BOOKMARK: "The source was read to its end not long ago.",
    LATENESS: "Hardly any rows come days after they happened.",
    DOUBLES: "No row stands there twice under different keys.",
    DISTRIBUTION: "Money, currencies and states are spread as before.",
    PERSONAL_DATA: "No personal data stands where none is declared.",
    REFERENCES: "The people and orders that rows refer to have landed.",
    TYPES: "Values landed as the types that their columns have.",
}
"""What each check of a source looks at, in one sentence."""


def names_after_landing(source: Source) -> list[str]:
    """The cheap checks: they look at MongoDB and at the depth of queues."""
    names = [LANDED, QUARANTINE]
    expect = source.entry.expect
    if expect.freshness != "off" and (source.told_at or any(source.order_references())):
        names.append(FRESH)
    if expect.volume != "off" and source.happened_at:
        names.append(VOLUME)
    if source.is_queue:
        names.append(DRAINED)
        names += [DEAD_LETTERS] if source.queue.dead_letters else []
    return names + [check.title for check in after_landing(source)]


def names_of_audit(source: Source) -> list[str]:
    """The checks that read the source, or all that has landed of it."""
    names = [SCHEMA, DOUBLES, PERSONAL_DATA]
    names += [LATENESS] if source.happened_at else []
    names += [DISTRIBUTION] if watched_of(source) else []
    names += [REFERENCES] if _refers(source) else []
    if not source.is_queue:
        names += [COUNT, CONTENT, SOURCE_KEYS, BOOKMARK, TYPES]
    return names + [check.title for check in audited(source)]


def after_landing(source: Source) -> list[DeclaredCheck]:
    """The declared checks that block what comes after."""
    return [check for check in source.entry.checks if check.blocking]


def audited(source: Source) -> list[DeclaredCheck]:
    """The other declared checks; a `distribution` is part of the one that every source has."""
    return [check for check in source.entry.checks if not check.blocking and check.check != "distribution"]


def _refers(source: Source) -> bool:
    """Whether its feeds refer to people or orders of other sources."""
    people = any(isinstance(reference, Reference) for reference in source.party_references())
    return people or any(source.order_references())
