"""New files for the embedded MongoDB, with nothing in them but what is there: what was deleted stands in the old ones still.

The embedded server cannot compact, and its journal and operation log hold what was written a while ago. So every collection is
copied into a server with files of its own, and these take the place of the old ones, which are removed.
"""

import shutil
from pathlib import Path
from typing import Any

import pymongo
from bson import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel

from sv_assets.errors import SvError
from sv_assets.local.estate import Estate, default_local_dir, down, status, up
from sv_assets.local.servers import end_process, start_mongo
from sv_assets.mongo import in_batches

_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
_SYSTEM = ("admin", "local", "config")
_BATCH = 2000


def shred(local_dir: Path | None = None) -> tuple[Estate, int]:
    """Give the estate's MongoDB new files; nothing may run on it meanwhile. Returns the estate and how many documents there are.

    Killed before the new files are whole, it leaves the old ones; killed while it renames them, the old ones stand in
    `mongo.old`. Raises SvError where the estate is not up.
    """
    local_dir = (local_dir or default_local_dir()).absolute()
    server = next((s for s in status(local_dir).servers if s.name == "mongo"), None)
    if server is None:
        raise SvError("The embedded estate is not up. Start it with `sv estate up`.")
    fresh, storage = local_dir / "mongo.new", local_dir / "mongo"
    shutil.rmtree(fresh, ignore_errors=True)
    copy = start_mongo(fresh)
    try:
        with pymongo.MongoClient[Any](server.url) as old, pymongo.MongoClient[Any](copy.url) as new:
            documents = sum(_copy(old, new, name) for name in old.list_database_names() if name not in _SYSTEM)
            if documents != (left := _count(old)):
                raise SvError(
                    f"{left - documents:+,} documents came while the files were copied. Stop what writes, and run this again."
                )
    except BaseException:
        end_process(copy.pid, copy.created)
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    end_process(copy.pid, copy.created)
    down(local_dir)
    old_files = local_dir / "mongo.old"
    shutil.rmtree(old_files, ignore_errors=True)
    storage.rename(old_files)
    fresh.rename(storage)
    shutil.rmtree(old_files)
    for rest in local_dir.glob("mongo.new.*"):
        rest.unlink()
    return up(local_dir), documents


def _copy(old: pymongo.MongoClient[Any], new: pymongo.MongoClient[Any], database: str) -> int:
    copied = 0
    for found in old[database].list_collections():
        name = found["name"]
        if name.startswith("system."):
            continue
        options = {k: v for k, v in found.get("options", {}).items() if k != "uuid"}
        target = new[database].create_collection(name, **options)
        if found.get("type") == "view":
            continue
        indexes = [
            IndexModel(list(index["key"].items()), **{k: v for k, v in index.items() if k not in ("key", "v", "ns")})
            for index in old[database][name].list_indexes()
            if index["name"] != "_id_"
        ]
        if indexes:
            target.create_indexes(indexes)
        found_documents = old[database].get_collection(name, codec_options=_RAW).find({}).batch_size(_BATCH)
        for batch in in_batches(found_documents, _BATCH):
            target.insert_many(batch, bypass_document_validation=True)
            copied += len(batch)
    return copied


def _count(client: pymongo.MongoClient[Any]) -> int:
    return sum(
        client[database][found["name"]].count_documents({})
        for database in client.list_database_names()
        if database not in _SYSTEM
        for found in client[database].list_collections()
        if found.get("type") != "view" and not found["name"].startswith("system.")
    )
