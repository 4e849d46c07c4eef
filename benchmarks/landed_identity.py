"""How fast landed party records become customers: all of them from scratch, and a few that changed among them.

The records are those of `benchmarks.identity`, as party records in a MongoDB stand-in of the benchmark's own. Each part runs
in a process of its own: filling (not measured), the run from scratch, the changes (not measured), and the run over them.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.identity import write_records
from benchmarks.parts import print_figures, run_part, tell_progress
from sv_assets.identity.compared import compared_form, identifies
from sv_assets.identity.evaluate.records import describer, open_records
from sv_assets.identity.party import INDEXES, matched_state, record_keys
from sv_assets.identity.resolution import refresh_identities
from sv_assets.identity.settings import load_settings
from sv_assets.local.servers import end_process, start_mongo
from sv_assets.mongo import Document, Store, bulk_write, content_hash, ensure_indexes, in_batches, open_store
from sv_assets.worklist import mark_pending

MODULE = "benchmarks.landed_identity"


def measure_landed_identity(records: int, changed: int) -> dict[str, Any]:
    """Make `records` customers of as many party records, then change `changed` of them. Returns seconds, rates and memory."""
    with tempfile.TemporaryDirectory(prefix="sv-bench-") as folder:
        server = start_mongo(Path(folder) / "mongo")
        try:
            write_records(records, Path(folder) / "records.csv", Path(folder) / "truth.csv")
            environment = {**os.environ, "SV_MONGO_URL": server.url}
            run_part(MODULE, environment, "fill", str(Path(folder) / "records.csv"))
            scratch = run_part(MODULE, environment, "run")
            run_part(MODULE, environment, "change", changed)
            again = run_part(MODULE, environment, "run")
        finally:
            end_process(server.pid, server.created)
    return {
        "records": records,
        "changed": changed,
        "scratch_seconds": round(scratch["seconds"], 1),
        "records_per_s": round(records / scratch["seconds"]),
        "customers": int(scratch["customers"]),
        "peak_rss_mb": round(scratch["peak_rss_mb"]),
        "changed_seconds": round(again["seconds"], 1),
        "changed_peak_rss_mb": round(again["peak_rss_mb"]),
    }


def _fill(store: Store, path: Path) -> None:
    settings = load_settings()
    file = open_records(path)
    describe = describer(file.columns)
    collection = store.identity["party_records"]
    ensure_indexes(collection, INDEXES)
    store.identity["state"].insert_one({"_id": "normalisation", "hash": settings.normalisation, "identifiers": []})

    def documents() -> Iterator[Document]:
        for row in file.rows():
            form = compared_form(describe(row), settings.values_of_nobody)
            yield _party_record(row[0], form, settings)

    for batch in in_batches(documents(), 5_000):
        collection.insert_many(batch, ordered=False)


def _party_record(identifier: str, form: Document, settings: Any) -> Document:
    record: Document = {
        "_id": identifier,
        "source": identifier.rpartition(":")[0],
        "same_as": [],
        "quotes": [],
        "compared": form,
        "identified": identifies(form),
        "keys": record_keys(identifier, (), form, settings),
        "deleted": False,
    }
    return {**record, "_sv": {"hash": content_hash(record), "pending": ["match"], "revision": 1, "new": True}}


def _change(store: Store, number: int) -> None:
    """Some people get another telephone, and lose what they were found by before."""
    settings = load_settings()
    collection = store.identity["party_records"]
    for batch in in_batches(islice(collection.find({"compared.mobiles": {"$exists": True}}), number), 500):
        for n, record in enumerate(batch):
            form = {**record["compared"], "mobiles": [f"+4477009{n:05d}"]}
            change = {"compared": form, "keys": record_keys(record["_id"], (), form, settings)}
            collection.update_one({"_id": record["_id"]}, {"$set": {**change, "_sv.before": matched_state(record)}})
        bulk_write(collection, mark_pending([record["_id"] for record in batch], "match"))


def main() -> None:
    part, *arguments = sys.argv[1:]
    tell_progress()
    store = open_store(os.environ["SV_MONGO_URL"], "bench_")
    started = time.monotonic()
    if part == "fill":
        _fill(store, Path(arguments[0]))
    elif part == "change":
        _change(store, int(arguments[0]))
    else:
        refresh_identities(store)
    seconds = time.monotonic() - started
    print_figures({"seconds": seconds, "customers": store.identity["clusters"].estimated_document_count()})


if __name__ == "__main__":
    main()
