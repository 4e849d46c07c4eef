"""The statements that every station shares, on a real server."""

import pytest
from pymongo.errors import BulkWriteError

from sv_assets.errors import SvError
from sv_assets.mongo import Store, explained_mongo_errors, put


def test_put_inserts_what_is_new_and_replaces_what_is_there(store: Store) -> None:
    things = store.control["things"]
    assert put(things, [{"_id": n, "v": 1} for n in range(3)], ()) == (3, 0)
    assert put(things, [{"_id": n, "v": 2} for n in range(5)], {0, 1, 2}) == (2, 3)
    assert {d["_id"]: d["v"] for d in things.find()} == dict.fromkeys(range(5), 2)


def test_put_replaces_what_turns_out_to_be_there_after_all(store: Store) -> None:
    things = store.control["things"]
    things.insert_one({"_id": 1, "v": "old"})
    put(things, [{"_id": 1, "v": "new"}, {"_id": 2, "v": "new"}], ())
    assert {d["_id"]: d["v"] for d in things.find()} == {1: "new", 2: "new"}


def test_a_refused_write_is_explained_without_the_document(store: Store) -> None:
    store.control.create_collection("strict", validator={"$jsonSchema": {"required": ["wanted"]}})
    with pytest.raises(SvError) as caught, explained_mongo_errors():
        put(store.control["strict"], [{"_id": 1, "email": "jane.doe@example.com"}], ())
    assert "jane.doe" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "121" in str(caught.value)
    assert not isinstance(caught.value, BulkWriteError)
