"""What the landing tests look at: the landing collection as a user would see it."""

from collections.abc import Iterable
from typing import Any

from sv_assets.catalogue import Source
from sv_assets.catalogue.source import needs_reconciliation
from sv_assets.landing.land import LandingReport, land_table
from sv_assets.landing.reconcile import reconcile_table
from sv_assets.mongo import Document, Store
from sv_assets_tests.sources.shop import Shop

ITEM = "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40), Price DECIMAL(9,2), ModifiedAt DATETIME2(3), RowVer ROWVERSION"
CAPTURES = {
    "snapshot": "{mode: snapshot}",
    "modified_at": "{mode: modified_at, column: ModifiedAt, lag: 5m, margin: 0s}",
    "rowversion": "{mode: rowversion, column: RowVer}",
}


def item(number: int, name: str = "old", version: int | None = None) -> tuple[Any, ...]:
    """A row of `ITEM`; a higher version is also a later moment."""
    version = number if version is None else version
    minutes, seconds = divmod(version, 60)
    return (
        number,
        name,
        1.5,
        f"2024-01-01 {minutes // 60:02}:{minutes % 60:02}:{seconds:02}",
        version.to_bytes(8, "big"),
    )


def change(shop: Shop, number: int, name: str, version: int) -> None:
    shop.run("DELETE FROM Item WHERE Id = ?", number)
    shop.insert("Item", [item(number, name, version)])


def land(
    store: Store, shop: Shop, source: Source, run: str = "run", *, allow_deletes: bool = False, **how: Any
) -> LandingReport:
    """What a run does to a table: land it, and reconcile its deleted rows where its mode needs that."""
    report = land_table(store, shop.catalogue, source, run, allow_deletes=allow_deletes, **how)
    if needs_reconciliation(source) and "window" not in how:
        found = reconcile_table(store, source, run, compare_all=how.get("full", False), allow_deletes=allow_deletes)
        report.outcome.deleted += found.deleted
        report.deletes_refused = found.refused
    return report


def documents(store: Store, source: Source, ignore: Iterable[str] = ("run_id", "extracted_at")) -> dict[Any, Document]:
    """All landed documents by `_id`, without what differs from run to run."""
    found = {}
    for document in store.landing[source.key].find():
        for name in ignore:
            document["_sv"].pop(name, None)
        found[document["_id"]] = document
    return found


def live_names(store: Store, source: Source) -> dict[Any, str]:
    return {d["_id"]: d["Name"] for d in documents(store, source).values() if not d["_sv"]["deleted"]}


def entries(store: Store, status: str = "open") -> list[Document]:
    return list(store.control["quarantine"].find({"status": status}))
