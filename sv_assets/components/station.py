"""What every asset of ours shares: its errors, its retries, and what it shows of a run."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from sv_assets.components.run_history import history_of_station
from sv_assets.errors import SvError, TransientError
from sv_assets.mongo import Document, Store, explained_mongo_errors
from sv_assets.resources import MongoResource

if TYPE_CHECKING:
    from sv_assets.identity.party import StationReport

RETRIES = dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
ERROR_CLASS = "error_class"
WRITTEN = "documents_written"


class StationConfig(dg.Config):
    """How a station runs. `full`: work through everything again, not only what changed."""

    full: bool = False


@contextmanager
def explained_failures() -> Iterator[None]:
    """Our errors become Dagster failures of one sentence; only passing faults are worth a retry."""
    try:
        with explained_mongo_errors():
            yield
    except SvError as error:
        raise dg.Failure(
            description=str(error),
            metadata={ERROR_CLASS: type(error).__name__},
            allow_retries=isinstance(error, TransientError),
        ) from None


def run_station(
    mongo: MongoResource,
    database: str,
    collection: str,
    work: "Callable[[Store], StationReport]",
    beside: Document | None = None,
) -> dg.MaterializeResult:
    """Let a station work on the store; what it did is shown on the materialisation of its collection, `beside` other metadata."""
    started = time.monotonic()
    with explained_failures(), mongo.store() as store:
        report = work(store)
        figures = {
            "documents_read": report.read,
            "inserted": report.inserted,
            "updated": report.updated,
            "deleted": report.deleted,
            WRITTEN: report.written,
            "seconds": round(time.monotonic() - started, 3),
            **report.details,
        }
        placed = place_of(store, database, collection)
        shown = history_of_station(store, f"{database}/{collection}", {**placed, **figures})
        return dg.MaterializeResult(metadata={**placed, **figures, **(beside or {}), **shown})


def place_of(store: Store, database: str, collection: str) -> Document:
    """Metadata that says which collection an asset is, and how many documents it holds."""
    target = getattr(store, database)[collection]
    return {
        "dagster/row_count": target.estimated_document_count(),
        "dagster/uri": f"mongodb://{target.database.name}/{collection}",
        "dagster/table_name": f"{database}.{collection}",
    }
