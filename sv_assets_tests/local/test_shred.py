"""New files hold what is there, and nothing that was deleted."""

from pathlib import Path

import pymongo
from pymongo import IndexModel

from sv_assets.local import down, shred, up


def finds(folder: Path, text: bytes) -> int:
    return sum(path.read_bytes().count(text) for path in folder.rglob("*") if path.is_file())


def test_what_was_deleted_stands_in_no_file_and_what_is_there_stays(tmp_path: Path) -> None:
    estate = up(tmp_path)
    try:
        with pymongo.MongoClient(estate.urls["SV_MONGO_URL"]) as client:
            things = client["here"].create_collection("things", validator={"kind": {"$exists": True}})
            things.create_indexes([IndexModel([("kind", 1)], sparse=True)])
            things.insert_many([{"_id": n, "kind": f"zorblax-{n % 2}"} for n in range(3000)])
            things.delete_many({"kind": "zorblax-1"})
            client.admin.command("fsync")
        assert finds(tmp_path, b"zorblax-1") > 0
        again, documents = shred(tmp_path)
        assert documents == 1500
        with pymongo.MongoClient(again.urls["SV_MONGO_URL"]) as client:
            things = client["here"]["things"]
            assert things.count_documents({"kind": "zorblax-0"}) == 1500
            assert [i["name"] for i in things.list_indexes()] == ["_id_", "kind_1"]
            found = next(iter(client["here"].list_collections(filter={"name": "things"})))
            assert found["options"]["validator"] == {"kind": {"$exists": True}}
        assert finds(tmp_path, b"zorblax-1") == 0
        assert finds(tmp_path, b"zorblax-0") > 0
    finally:
        down(tmp_path)
