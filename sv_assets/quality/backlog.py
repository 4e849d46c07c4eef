"""What waits: in quarantine, in a queue, among its dead letters; and how long ago landing last looked."""

import datetime as dt

from sv_assets.errors import ConfigurationError
from sv_assets.landing.figures import read_to_the_end_at
from sv_assets.landing.quarantine import Quarantine
from sv_assets.quality import names
from sv_assets.quality.result import Result
from sv_assets.quality.subject import Subject
from sv_assets.sources.sqs.queue import Queue

QUARANTINE = names.QUARANTINE
DRAINED = names.DRAINED
DEAD_LETTERS = names.DEAD_LETTERS
BOOKMARK = names.BOOKMARK


def quarantine_empty(subject: Subject) -> Result:
    """How many rows or messages wait in quarantine, since when, and why."""
    quarantine = Quarantine(subject.store, subject.source.key)
    count = quarantine.count()
    allowed = subject.source.entry.expect.in_quarantine
    reasons = quarantine.reasons() if count else []
    oldest = quarantine.oldest() if count else None
    age = (dt.datetime.now(dt.timezone.utc) - oldest).total_seconds() / 3600 if oldest else 0.0
    sentence = f"{count:,} rows or messages wait in quarantine{': ' + '; '.join(reasons) if reasons else ''}."
    return subject.result(
        QUARANTINE, count <= allowed, sentence, quarantined=count, allowed=allowed, oldest_hours=round(age, 1)
    )


def queue_drained(subject: Subject) -> Result:
    """Whether messages wait in the queue."""
    depth = Queue(subject.source).depth()
    sentence = f"{depth.visible:,} messages wait and {depth.in_flight:,} are in work."
    return subject.result(DRAINED, depth.visible == 0, sentence, waiting=depth.visible, in_flight=depth.in_flight)


def dead_letters_empty(subject: Subject, name: str) -> Result:
    """Whether SQS made dead letters of messages."""
    try:
        dead = Queue(subject.source, name).depth().total
    except ConfigurationError as error:
        return subject.result(DEAD_LETTERS, False, f"They could not be looked at: {error}")
    advice = f" Look at them with `sv queues inspect {subject.source.key} --dead-letters`." if dead else ""
    sentence = f"{dead:,} messages are dead letters, in {name}.{advice}"
    return subject.result(DEAD_LETTERS, dead == 0, sentence, dead_letters=dead)


def bookmark_keeps_up(subject: Subject) -> Result:
    """How long ago a run last read the source to its end, whether or not there was anything new."""
    bookmark = subject.store.control["bookmarks"].find_one({"_id": subject.source.key}) or {}
    looked = read_to_the_end_at(subject.store, subject.source.key) or bookmark.get("moved_at")
    allowed = subject.source.entry.expect.unread_for
    if looked is None:
        return subject.unseen(BOOKMARK, f"{subject.source.name} has not landed yet, 0 times.")
    age = dt.datetime.now(dt.timezone.utc) - looked
    hours, limit = age.total_seconds() / 3600, allowed.total_seconds() / 3600
    sentence = f"The source was last read to its end {hours:,.1f} h ago; {limit:,.0f} h are allowed."
    step = f"sv run --select {subject.asset}"
    return subject.result(BOOKMARK, age <= allowed, sentence, step, hours_unread=round(hours, 2), limit_hours=limit)
