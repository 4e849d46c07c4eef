"""The station of signals: facts brought up to orders and customers, and the signals of every order that they concern."""

from dataclasses import dataclass

from sv_assets.customers.readers import GONE
from sv_assets.fraud.collections import FACTS, LEASE, SIGNALS, prepare
from sv_assets.fraud.facts import fact_of
from sv_assets.fraud.gathering import EVALUATE, STATION, gather_facts
from sv_assets.fraud.neighbours import around
from sv_assets.fraud.settings import FraudSettings, load_settings
from sv_assets.fraud.signals import explained, signals_of
from sv_assets.identity.party import StationReport
from sv_assets.lease import lease
from sv_assets.mongo import Document, Store, bulk_write, content_hash, find_many, put
from sv_assets.progress import Progress
from sv_assets.worklist import clear_pending, work_off

SCORE = "scores"
"""The work list on the signals."""
BATCH_FACTS = 300


def refresh_signals(store: Store, settings: FraudSettings | None = None, *, full: bool = False) -> StationReport:
    """Bring the signals up to what orders and customers say now. Unchanged ones are not written."""
    report = StationReport()
    prepare(store)
    with lease(store, LEASE):
        gather_facts(store, settings or load_settings(), report, full=full)
        _evaluate(store, report, full=full)
    return report


def _evaluate(store: Store, report: StationReport, *, full: bool) -> None:
    facts = store.fraud[FACTS]
    progress = Progress("signals of orders", "orders")
    heavy: set[str] = set()

    def write(batch: list[Document], made: list[Document]) -> None:
        _write(store, made, report)
        bulk_write(facts, clear_pending(batch, EVALUATE, "revision"))
        report.count("orders_evaluated", len(batch))
        progress.advance(len(batch))

    work_off(facts, EVALUATE, BATCH_FACTS, lambda batch: signals_documents(store, batch, heavy), write, everything=full)


def signals_documents(store: Store, facts: list[Document], heavy: set[str] | None = None) -> list[Document]:
    """The signals of these facts, each document with what stands out in words. `heavy` as for `neighbours.around`."""
    read = [fact_of(document) for document in facts]
    made = []
    for fact, near in zip(read, around(store, read, heavy), strict=True):
        signals = signals_of(fact, near)
        made.append(
            {
                "_id": fact.id,
                "customer_id": fact.customer_id,
                "at": fact.at,
                "signals": signals,
                "explained": explained(signals),
                "charged_back": fact.charged_back,
                "fraud": fact.fraud,
            }
        )
    return made


def _write(store: Store, made: list[Document], report: StationReport) -> None:
    collection = store.fraud[SIGNALS]
    stored = {d["_id"]: d["_sv"] for d in find_many(collection, "_id", [d["_id"] for d in made], {"_sv": 1})}
    changed = []
    for document in made:
        known, hashed = stored.get(document["_id"], {}), content_hash(document)
        if known.get("hash") != hashed:
            changed.append(
                {**document, "_sv": {"hash": hashed, "pending": [SCORE], "revision": known.get("revision", 0) + 1}}
            )
    inserted, updated = put(collection, changed, stored)
    report.inserted += inserted
    report.updated += updated


@dataclass(frozen=True)
class Waiting:
    """How much waits for each station."""

    orders: int
    gone: int
    customers: int
    facts: int
    signals: int
    scores: int


def waiting(store: Store) -> Waiting:
    """What a run would begin with."""
    return Waiting(
        store.single_view["orders"].count_documents({"_sv.pending": STATION}),
        store.single_view[GONE].count_documents({"_sv.pending": STATION}),
        store.single_view["customers"].count_documents({"_sv.pending": STATION}),
        store.fraud[FACTS].count_documents({"_sv.pending": EVALUATE}),
        store.fraud[SIGNALS].count_documents({"_sv.pending": SCORE}),
        store.fraud["scores"].count_documents({"_sv.pending": "cases"}),
    )
