"""One run at a time for the stations that decide about many documents together.

A lease is a document that says who works and until when; a background thread renews it. What a killed run leaves
behind is taken over at once on the same machine, where its process is seen to be gone, and elsewhere when its time is up.
"""

import datetime as dt
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from pymongo.errors import DuplicateKeyError, PyMongoError

from sv_assets.errors import TransientError
from sv_assets.mongo import Document, Store

log = logging.getLogger(__name__)
LASTS_SECONDS = 60.0
RENEW_SECONDS = 15.0
WAIT_SECONDS = 600.0


@contextmanager
def lease(store: Store, name: str, *, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the lease `name`. Waits for whoever has it; raises TransientError after `wait_seconds`."""
    collection = store.control["leases"]
    mine: Document = {
        "token": uuid.uuid4().hex,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_started": psutil.Process().create_time(),
    }
    deadline = time.monotonic() + wait_seconds
    waiting = False
    while not _take(store, name, mine):
        if time.monotonic() > deadline:
            raise TransientError(
                f"Another run has been working on {name} for {wait_seconds:.0f} s. Wait for it, or stop it, and run again."
            )
        if not waiting:
            log.info("another run works on %s; waiting for it", name)
            waiting = True
        time.sleep(0.2)
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(RENEW_SECONDS):
            try:
                collection.update_one({"_id": name}, [_if_held_by(mine, {"until": _until()})])
            except PyMongoError:
                log.warning("the lease %s could not be renewed; trying again", name)

    thread = threading.Thread(target=renew, name=f"lease-{name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        collection.update_one({"_id": name}, [_if_held_by(mine, {"token": None})])


def _take(store: Store, name: str, mine: Document) -> bool:
    collection = store.control["leases"]
    wanted = {"_id": name, **mine, "until": _until()}
    held = collection.find_one({"_id": name})
    if held is None:
        try:
            collection.insert_one(wanted)
        except DuplicateKeyError:
            return False
        return True
    if held["token"] is not None and held["until"] > _now() and not _is_gone(held):
        return False
    # Compare-and-set on the token that was read: of two takers one finds it changed.
    same = {"$eq": ["$token", held["token"]]}
    collection.update_one({"_id": name}, [{"$replaceWith": {"$cond": [same, {"$literal": wanted}, "$$ROOT"]}}])
    now = collection.find_one({"_id": name})
    return now is not None and bool(now["token"] == mine["token"])


def _if_held_by(mine: Document, change: Document) -> Document:
    changed = {"$mergeObjects": ["$$ROOT", {"$literal": change}]}
    return {"$replaceWith": {"$cond": [{"$eq": ["$token", mine["token"]]}, changed, "$$ROOT"]}}


def _is_gone(held: Document) -> bool:
    """True only where this very machine can see that the holder's process has ended."""
    if held["host"] != socket.gethostname():
        return False
    try:
        holder = psutil.Process(held["pid"])
        ended = holder.status() == psutil.STATUS_ZOMBIE
        return ended or bool(abs(holder.create_time() - held["process_started"]) > 1.0)
    except psutil.NoSuchProcess:
        return True


def _until() -> dt.datetime:
    return _now() + dt.timedelta(seconds=LASTS_SECONDS)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)
