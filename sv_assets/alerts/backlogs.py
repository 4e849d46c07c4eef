"""What piles up: dead letters, queues that nobody looks at, and what waits for a human to decide who is who.

`control.queue_looks` keeps what the queue sensors saw last, one document a queue:
`{_id, waiting, in_flight, oldest_seconds, dead_letters, at, dead_letters_at}`.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from pymongo import UpdateOne

from sv_assets.alerts.channels import Health
from sv_assets.alerts.condition import Condition
from sv_assets.alerts.settings import Limits
from sv_assets.catalogue.source import Source
from sv_assets.mongo import Document, Store, bulk_write

LOOKS = "queue_looks"


@dataclass(frozen=True)
class QueueLook:
    """What somebody saw of a queue, and when. None where it was not seen."""

    source: str
    at: dt.datetime | None = None
    waiting: int | None = None
    in_flight: int | None = None
    oldest_seconds: float | None = None
    dead_letters: int | None = None
    dead_letters_at: dt.datetime | None = None


def record_looks(store: Store, looks: Iterable[QueueLook]) -> None:
    """Remember what was seen."""
    updates = []
    for look in looks:
        seen = {name: value for name, value in vars(look).items() if name != "source" and value is not None}
        if seen:
            updates.append(UpdateOne({"_id": look.source}, {"$set": seen}, upsert=True))
    if updates:
        bulk_write(store.control[LOOKS], updates)


def queue_conditions(store: Store, queues: Iterable[Source], limits: Limits, now: dt.datetime) -> list[Condition]:
    """Dead letters above the declared number, and queues that were looked at once and no longer are."""
    looks = {document["_id"]: document for document in store.control[LOOKS].find({})}
    found: list[Condition] = []
    for source in queues:
        look = looks.get(source.key)
        if look is None:
            continue
        if (look.get("dead_letters") or 0) > limits.dead_letters:
            found.append(_dead_letters(source, look, limits))
        if look.get("at") and now - look["at"] > limits.queue_unseen:
            found.append(_unseen(source, look["at"]))
    return found


def _dead_letters(source: Source, look: Document, limits: Limits) -> Condition:
    count = look["dead_letters"]
    allowed = f", and {limits.dead_letters:,} are allowed" if limits.dead_letters else ""
    return Condition(
        id=f"dead_letters {source.key}",
        kind="dead_letters",
        severity="error",
        title=f"{count:,} dead letters of {source.key}",
        sentence=f"{count:,} messages of {source.name} were received too often and wait in {source.queue.dead_letters}{allowed}.",
        owners=tuple(source.declared_in.owners),
        page=f"/assets/legacy/{source.system}/{source.slug}/dead_letters",
        mend=f"sv queues inspect {source.key} --dead-letters",
        figures={"dead_letters": count},
    )


def _unseen(source: Source, at: dt.datetime) -> Condition:
    return Condition(
        id=f"source {source.key}",
        kind="source",
        severity="error",
        title=f"{source.key} is not being watched",
        sentence=f"Its sensor has not seen the queue {source.name} since {at:%Y-%m-%d %H:%M} UTC: SQS refuses us, or the sensor is "
        "stopped. Its ticks say which.",
        owners=tuple(source.declared_in.owners),
        page=f"/assets/legacy/{source.system}/{source.slug}",
        mend="sv doctor",
        since=at,
    )


def review_conditions(store: Store, owners: tuple[str, ...], limits: Limits, now: dt.datetime) -> list[Condition]:
    """The review list of identity, where it is longer or older than declared."""
    review = store.identity["review"]
    count = review.estimated_document_count()
    if not count:
        return []
    oldest = next(
        (group["oldest"] for group in review.aggregate([{"$group": {"_id": None, "oldest": {"$min": "$since"}}}])), None
    )
    days = (now - oldest).days if oldest else 0
    too_old = oldest is not None and now - oldest > limits.review_age
    if count <= limits.review_items and not too_old:
        return []
    return [
        Condition(
            id="review identity",
            kind="review",
            severity="warning",
            title=f"{count:,} identity decisions wait for a human",
            sentence=f"Guards stopped {count:,} links ({limits.review_items:,} are allowed); the oldest has waited for {days} days "
            f"({limits.review_age.days} are allowed).",
            owners=owners,
            page="/assets/identity/review",
            mend="sv identity review",
            figures={"waiting": count, "oldest_days": days},
        )
    ]


def channel_conditions(health: Iterable[Health]) -> list[Condition]:
    """Channels whose last messages did not go through."""
    return [
        Condition(
            id=f"channel {channel.name}",
            kind="channel",
            severity="error",
            title=f"Alerts do not get through to {channel.name}",
            sentence=f"{channel.attempts} attempts failed, the last one: {channel.error} What it is owed is kept and tried again.",
            mend=f"sv alerts test --channel {channel.name}",
            figures={"attempts": channel.attempts},
            since=channel.failing_since,
        )
        for channel in health
        if channel.failing_since is not None and channel.attempts > 1
    ]
