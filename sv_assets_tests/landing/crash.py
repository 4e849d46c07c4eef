"""Landing in a process that is killed: forked from a server that has everything imported, so that a round is short."""

import multiprocessing
import os
import random
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from sv_assets.catalogue import Source, load_catalogue
from sv_assets.catalogue.source import needs_reconciliation
from sv_assets.landing.land import land_table
from sv_assets.landing.land_queue import land_queue
from sv_assets.landing.reconcile import reconcile_table
from sv_assets.mongo import store_from_environment

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["sv_assets_tests.landing.crash"])
VISIBILITY_SECONDS = 2


def quickly_visible(source: Source) -> Source:
    """The queue with a visibility time that a test can wait for; declarations begin at 30 seconds."""
    return Source(source.sqs_system, source.queue.model_copy(update={"visibility_seconds": VISIBILITY_SECONDS}))


def work(environment: dict[str, str], key: str, begin: Connection) -> None:
    """What the process does that is to be killed."""
    os.environ.clear()
    os.environ.update(environment)
    catalogue = load_catalogue()
    source = catalogue.source(key)
    store = store_from_environment()
    store.client.admin.command("ping")
    begin.send(True)
    if source.is_queue:
        land_queue(store, catalogue, quickly_visible(source), "killed")
    else:
        land_table(store, catalogue, source, "killed")
        if needs_reconciliation(source):
            reconcile_table(store, source, "killed")


def land_and_kill(key: str, within: float, chance: random.Random) -> bool:
    """Start landing, and kill -9 it at a random instant of the next `within` seconds. False if it had ended before."""
    ours, theirs = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=work, args=(dict(os.environ), key, theirs))
    process.start()
    theirs.close()
    assert ours.recv()
    process.join(chance.uniform(0, within))
    killed = process.is_alive()
    process.kill()
    process.join()
    assert killed or process.exitcode == 0
    return killed


def timed(work: Callable[[], Any]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started
