"""How the queue does: by day on which cases opened, by rule, by model version, and over all of them.

Every figure follows from the cases alone; days are made again when a case of theirs changes, and what comes out the same is
not written. So a decision made today about a case of last week changes last week's figures, as it should.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from sv_assets.fraud.collections import CASES, METRICS, prepare
from sv_assets.fraud.settings import FraudSettings, load_settings
from sv_assets.identity.party import StationReport
from sv_assets.lease import lease
from sv_assets.mongo import Document, Store, content_hash, find_many, in_batches, put

ALL = "all"
_FIELDS = ("state", "verdict", "opened_at", "ordered_at", "opened_by", "model", "risk", "reopened", "decided_at")


@dataclass
class Tally:
    """Cases of one kind, counted."""

    opened: int = 0
    states: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    verdicts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    reopened: int = 0
    lead_hours: list[float] = field(default_factory=list)
    wait_hours: list[float] = field(default_factory=list)
    ranked: list[tuple[float, str, bool]] = field(default_factory=list)
    """Of those decided as fraud or innocent: minus the risk, the id, and whether it was fraud."""

    def add(self, case: Document) -> None:
        self.opened += 1
        self.states[case["state"]] += 1
        self.reopened += case["reopened"]
        self.lead_hours.append((case["opened_at"] - case["ordered_at"]).total_seconds() / 3600)
        verdict = case.get("verdict")
        if case["state"] != "decided" or verdict is None:
            return
        self.verdicts[verdict] += 1
        self.wait_hours.append((case["decided_at"] - case["opened_at"]).total_seconds() / 3600)
        if verdict in ("fraud", "innocent"):
            self.ranked.append((-case["risk"], case["_id"], verdict == "fraud"))

    def figures(self, precision_at: Sequence[int]) -> Document:
        """`rejection_rate`: the share of the decided that were fraud; `false_positive_rate`: that were innocent.

        `precision_at` k: the share of fraud among the k riskiest that were decided as one or the other; None below k.
        """
        decided = sum(self.verdicts.values())
        self.ranked.sort()
        return {
            "opened": self.opened,
            "open": self.states["open"],
            "withdrawn": self.states["withdrawn"],
            "reopened": self.reopened,
            "decided": decided,
            "fraud": self.verdicts["fraud"],
            "innocent": self.verdicts["innocent"],
            "unclear": self.verdicts["unclear"],
            "rejection_rate": _share(self.verdicts["fraud"], decided),
            "false_positive_rate": _share(self.verdicts["innocent"], decided),
            "lead_hours": _median(self.lead_hours),
            "hours_to_decision": _median(self.wait_hours),
            "precision_at": {
                str(k): _share(sum(fraud for *_, fraud in self.ranked[:k]), k) if len(self.ranked) >= k else None
                for k in precision_at
            },
        }


def refresh_metrics(store: Store, settings: FraudSettings | None = None) -> StationReport:
    """Work the figures out again, and write those that changed."""
    settings = settings or load_settings()
    report = StationReport()
    prepare(store)
    with lease(store, "fraud.metrics"):
        tallies: dict[tuple[str, str, str], Tally] = defaultdict(Tally)
        for case in store.fraud[CASES].find({}, dict.fromkeys(_FIELDS, 1)).batch_size(5_000):
            report.read += 1
            day = f"{case['opened_at']:%Y-%m-%d}"
            for by, name in _kinds_of(case):
                for when in (day, ALL):
                    tallies[when, by, name].add(case)
        made = [
            {"_id": f"{day}|{by}|{name}", "day": day, "by": by, "name": name, **tally.figures(settings.precision_at)}
            for (day, by, name), tally in sorted(tallies.items())
        ]
        _write(store, made, report)
    return report


def figures(store: Store, by: str = "total", day: str = ALL) -> list[Document]:
    """The figures of a day (or over all): by `total`, `rule` or `model`."""
    found = store.fraud[METRICS].find({"day": day})
    return sorted(
        ({k: v for k, v in d.items() if k != "_sv"} for d in found if d["by"] == by), key=lambda d: str(d["name"])
    )


def history(store: Store) -> list[Document]:
    """The totals of each day, the earliest first."""
    days = store.fraud[METRICS].find({"by": "total"})
    return sorted((d for d in days if d["day"] != ALL), key=lambda d: str(d["day"]))


def _kinds_of(case: Document) -> Iterator[tuple[str, str]]:
    yield "total", ALL
    for rule in case["opened_by"]:
        yield "rule", rule
    yield "model", case["model"] or "none"


def _write(store: Store, made: Iterable[Document], report: StationReport) -> None:
    collection = store.fraud[METRICS]
    ids: set[str] = set()
    for batch in in_batches(made):
        ids.update(document["_id"] for document in batch)
        stored = {
            d["_id"]: d["_sv"]["hash"] for d in find_many(collection, "_id", [d["_id"] for d in batch], {"_sv": 1})
        }
        hashed = [{**document, "_sv": {"hash": content_hash(document)}} for document in batch]
        changed = [document for document in hashed if stored.get(document["_id"]) != document["_sv"]["hash"]]
        inserted, updated = put(collection, changed, stored)
        report.inserted += inserted
        report.updated += updated
    left = [d["_id"] for d in collection.find({}, {"_id": 1}) if d["_id"] not in ids]
    for some in in_batches(left):
        report.deleted += collection.delete_many({"_id": {"$in": some}}).deleted_count


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _median(values: Sequence[float]) -> float | None:
    return round(median(values), 2) if values else None
