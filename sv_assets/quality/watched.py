"""The columns of a source whose values are watched, as its declaration has them."""

from dataclasses import dataclass

from sv_assets.catalogue.source import Source


@dataclass(frozen=True)
class Watched:
    """A column that is watched. `steady`: its values do not change with the age of a row."""

    path: str
    steady: bool


def watched_of(source: Source) -> list[Watched]:
    """What the feeds of a source declare of money, currency and states, and what is declared to be watched."""
    feeds = source.entry.feeds
    money = [
        spec
        for feed, names in (
            (feeds.order, ("total", "currency")),
            (feeds.order_line, ("unit_price", "total")),
            (feeds.payment, ("amount",)),
            (feeds.refund, ("amount",)),
        )
        if feed is not None
        for name in names
        if isinstance(spec := getattr(feed, name), str)
    ]
    states = [
        spec
        for feed, names in (
            (feeds.order, ("status", "channel")),
            (feeds.payment, ("method", "status")),
            (feeds.refund, ("reason",)),
            (feeds.delivery, ("status", "carrier")),
            (feeds.interaction, ("reason", "status")),
        )
        if feed is not None
        for name in names
        if isinstance(spec := getattr(feed, name), str)
    ]
    declared = [path for c in source.entry.checks if c.check == "distribution" for path in c.subject]
    return [Watched(p, True) for p in dict.fromkeys(money)] + [
        Watched(p, False) for p in dict.fromkeys([*states, *declared]) if p not in money
    ]
