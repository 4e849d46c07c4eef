"""A MongoDB of a test's own, to be killed."""

from pathlib import Path

from pymongo import MongoClient

from sv_assets.local.servers import RunningServer, start_mongo

_COLLECTIONS = 100
"""By then all sixteen files were there each time (mostly after twenty)."""


def start_settled_mongo(folder: Path) -> RunningServer:
    """With commit-level durability, as a real MongoDB has with majority writes, and with all its files made.

    SecantusDB spreads collections over sixteen files, each made when it is first needed. One that a kill leaves half made can
    never be opened again, which says nothing of what is tested.
    """
    server = start_mongo(folder, sync_on_commit=True)
    with MongoClient[dict[str, object]](server.url) as client:
        for n in range(_COLLECTIONS):
            client["settled"][f"c{n}"].insert_one({})
    return server
