"""The station of scores: rules and model over the signals of each order, with their reasons."""

from sv_assets.fraud.collections import LEASE, SCORES, SIGNALS, STATE, prepare
from sv_assets.fraud.contributions import contributions
from sv_assets.fraud.evaluating import SCORE
from sv_assets.fraud.model import Model, applied
from sv_assets.fraud.rules import anomaly_points, because, fired
from sv_assets.fraud.settings import ANOMALY, FraudSettings, load_settings
from sv_assets.identity.party import StationReport
from sv_assets.lease import lease
from sv_assets.mongo import Document, Store, bulk_write, content_hash, find_many, in_batches, put
from sv_assets.progress import Progress
from sv_assets.worklist import clear_pending, mark_pending, work_off

DECIDE = "cases"
"""The work list on the scores."""
BATCH_ORDERS = 500


def refresh_scores(store: Store, settings: FraudSettings | None = None, *, full: bool = False) -> StationReport:
    """Score the orders whose signals changed; all of them (`full`) when rules or model are others than last time."""
    settings = settings or load_settings()
    report = StationReport()
    prepare(store)
    with lease(store, LEASE):
        model = applied(store)
        by = {"rules": settings.judging, "model": model.version if model else None}
        state = store.fraud[STATE]
        known = state.find_one({"_id": SCORES})
        if known is None or {name: known[name] for name in by} != by:
            for batch in in_batches(store.fraud[SIGNALS].find({}, {"_id": 1}).batch_size(10_000)):
                bulk_write(store.fraud[SIGNALS], mark_pending((s["_id"] for s in batch), SCORE))
            state.replace_one({"_id": SCORES}, by, upsert=True)
        _work(store, settings, model, report, full=full)
    return report


def _work(store: Store, settings: FraudSettings, model: Model | None, report: StationReport, *, full: bool) -> None:
    signals = store.fraud[SIGNALS]
    progress = Progress("scores of orders", "orders")

    def write(batch: list[Document], made: list[Document]) -> None:
        _write(store, made, report)
        bulk_write(signals, clear_pending(batch, SCORE, "revision"))
        report.read += len(batch)
        progress.advance(len(batch))

    work_off(signals, SCORE, BATCH_ORDERS, lambda batch: scored(batch, settings, model), write, everything=full)


def scored(batch: list[Document], settings: FraudSettings, model: Model | None) -> list[Document]:
    """The score documents of these signals. A pure function."""
    rarities: list[float | None] = [None] * len(batch)
    tops: list[list[Document]] = [[] for _ in batch]
    if model is not None and batch:
        rows = model.rows(one["signals"] for one in batch)
        scores = model.forest.scores(rows)
        rarities = [round(float(r), 5) for r in model.rarity(scores)]
        tops = contributions(model, rows, scores)
    return [_score(one, settings, model, rarity, top) for one, rarity, top in zip(batch, rarities, tops, strict=True)]


def _score(
    one: Document, settings: FraudSettings, model: Model | None, rarity: float | None, top: list[Document]
) -> Document:
    rules = fired(settings, one["signals"])
    unusual = anomaly_points(settings.anomaly, rarity)
    points = sum(rule.points for rule in rules) + unusual
    return {
        "_id": one["_id"],
        "customer_id": one["customer_id"],
        "at": one["at"],
        "points": points,
        "risk": round(points + (rarity or 0.0), 5),
        "rules": [*(rule.name for rule in rules), *([ANOMALY] if unusual else [])],
        "reasons": [because(rule, one["signals"]) for rule in rules],
        "anomaly": rarity,
        "contributions": top,
        "model": model.version if model else None,
        "flagged": points >= settings.cases.open_from,
    }


def _write(store: Store, made: list[Document], report: StationReport) -> None:
    collection = store.fraud[SCORES]
    fields = {"_sv": 1, "gone": 1}
    stored = {d["_id"]: d for d in find_many(collection, "_id", [d["_id"] for d in made], fields)}
    changed = []
    for document in made:
        known, hashed = stored.get(document["_id"], {}), content_hash(document)
        bookkeeping = known.get("_sv", {})
        if bookkeeping.get("hash") != hashed or known.get("gone"):
            revision = bookkeeping.get("revision", 0) + 1
            changed.append({**document, "_sv": {"hash": hashed, "pending": [DECIDE], "revision": revision}})
    inserted, updated = put(collection, changed, stored)
    report.inserted += inserted
    report.updated += updated
